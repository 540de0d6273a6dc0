"""Which worker of pytest-xdist runs what: a file's tests stay together, so that what they share is made once."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling


class ByFile(LoadScopeScheduling):
    """Hands out whole files in the order of collection, and the tests of some files one by one.

    Args:
        config: Of pytest.
        log: Of pytest-xdist.
        apart: How the paths of these files end.
    """

    def __init__(self, config: pytest.Config, log: Any, apart: tuple[str, ...]) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # small files are not kept for the end
        self.apart = apart

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::", 1)[0]
        return nodeid if path.endswith(self.apart) else path
