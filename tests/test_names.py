"""Public names: stubs for editors and type checkers say what the lazy tables say.

python tests/test_names.py    # writes the stubs anew
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from support import stubs


@pytest.mark.parametrize("package", stubs.lazy_packages())
def test_the_stub_of_a_package_has_its_public_names(package):
    assert stubs.stub_path(package).read_text(encoding="utf-8") == stubs.stub(package), "run python tests/test_names.py"


@pytest.mark.parametrize("package", stubs.lazy_packages())
def test_every_public_name_can_be_imported(package):
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert dir(module) == sorted(module.__all__)
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        _ = module.nothing_of_that_name


if __name__ == "__main__":
    stubs.write()
