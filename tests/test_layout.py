"""The layout of the tests: they mirror the package, and share what stands in `tests/support`."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import kerasprune

TESTS = Path(__file__).parent
ROOT = TESTS.parent
MODULES = sorted(path.relative_to(TESTS) for path in TESTS.rglob("test_*.py"))
IMPORT = re.compile(r"^\s*(?:from|import)\s+(?:[\w.]+\.)?test_\w+", re.MULTILINE)  # in code as strings as well


def test_no_test_module_imports_another():
    wrong = [str(module) for module in MODULES if IMPORT.search((TESTS / module).read_text())]
    assert not wrong, "move what is shared into tests/support"


def test_support_imports_no_test_module():
    assert not [path for path in (TESTS / "support").glob("*.py") if IMPORT.search(path.read_text())]


def test_files_that_the_settings_name_exist():
    """Else a test that moves would silently no longer be marked."""
    named = re.findall(r'^    "([\w/]+(?:\.py|/))",$', (TESTS / "conftest.py").read_text(), re.MULTILINE)
    assert len(named) > 20 and not [name for name in named if not (TESTS / name).exists()]


def test_folders_are_packages_of_the_package():
    package = Path(kerasprune.__file__).parent
    folders = {module.parts[0] for module in MODULES if len(module.parts) > 1} - {"defects"}
    assert not [folder for folder in sorted(folders) if not (package / folder).is_dir()]


def test_what_is_imported_inside_functions_exists():
    """A wrong name at the top of a file fails in collection; inside functions, of benchmarks too, only in use."""
    missing = []
    for path in [*ROOT.glob("kerasprune/**/*.py"), *ROOT.glob("benchmarks/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "kerasprune":
                try:
                    module = importlib.import_module(node.module)
                except ModuleNotFoundError as error:
                    missing += [str(error)] if error.name.startswith("kerasprune") else []  # else it is of an extra
                    continue
                missing += [f"{path}: {node.module}.{each.name}" for each in node.names if not found(module, each.name)]
    assert not missing


def found(module: ModuleType, name: str) -> bool:
    """Returns whether a module has a name, or a submodule of it."""
    if hasattr(module, name):
        return True
    return "__path__" in vars(module) and importlib.util.find_spec(f"{module.__name__}.{name}") is not None
