"""The layout of the tests: they mirror the package, and share what stands in `tests/support`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kerasprune

TESTS = Path(__file__).parent
MODULES = sorted(path.relative_to(TESTS) for path in TESTS.rglob("test_*.py"))
IMPORT = re.compile(r"^\s*(?:from|import)\s+(?:[\w.]+\.)?test_\w+", re.MULTILINE)  # in code as strings as well


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_test_module_imports_another(module):
    assert not IMPORT.findall((TESTS / module).read_text()), "move what is shared into tests/support"


def test_support_imports_no_test_module():
    assert not [path for path in (TESTS / "support").glob("*.py") if IMPORT.search(path.read_text())]


def test_folders_are_packages_of_the_package():
    package = Path(kerasprune.__file__).parent
    folders = {module.parts[0] for module in MODULES if len(module.parts) > 1} - {"defects"}
    assert not [folder for folder in sorted(folders) if not (package / folder).is_dir()]
