"""What a recipe that cannot be is told."""

from __future__ import annotations

import pytest

from kerasprune.errors import PruneError
from kerasprune.recipes import loader


def refusal(text: str, *settings: str, source: str = "The recipe") -> str:
    """Returns the message that a recipe with these settings is refused with, under the name of where it is from."""
    with pytest.raises(PruneError) as caught:
        loader.parse(text, settings, source=source)
    return str(caught.value)
