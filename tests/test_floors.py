"""Imports go down: each module names only modules of its own floor or lower ones, and never in a circle."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "kerasprune"

# From the ground up. A name stands for the module or for everything in the subpackage; the longest one counts.
FLOORS: list[set[str]] = [
    {
        "errors",
        "files",
        "registry",
        "walking",
        "channels",
        "graph",
        "plans",
        "schedules",
        "regularizers",
        "pairs",
        "positions",
        "holding",
        "reinitialising",
        "constraints",
        "clamping",
        "state_variables",
        "collecting",
        "thresholds",
    },
    {"declarations", "rules", "blocks", "tracing", "cloning"},
    {"cut", "following", "absorption", "cost", "rebuild", "masking", "borders", "reordering", "summary"},
    {"criteria", "budgets", "gradients", "pixels"},
    {"planning", "dimensions"},
    {
        "callbacks",
        "search",
        "lottery",
        "rounds",
        "three_dimensions",
        "models",
        "data",
        "",
    },  # "" = kerasprune/__init__.py, the facade
    {"export", "codec", "latency", "feature_maps"},
    {"recipes", "reports"},
    {"cli", "__main__", "testing"},
]
TENSORFLOW = {"data", "export", "latency", "gradients"}
HEAVY = ("tensorflow_datasets", "matplotlib", "yaml", "typer", "pydantic", "sklearn", "rich", "kerasprune.data")


def module_names() -> dict[str, Path]:
    """Returns `{dotted name inside the package: file}`; the package itself is ''."""
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


MODULES = module_names()


def floor(name: str) -> int:
    """Returns the floor of a module: that of the longest of its prefixes in the table."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        found = [number for number, names in enumerate(FLOORS) if ".".join(parts[:end]) in names]
        if found:
            return found[0]
    raise AssertionError(f"Expected a floor for kerasprune.{name}. Received: none. Add it to FLOORS in this test.")


def imports(name: str) -> set[str]:
    """Returns the modules of the package that a module imports, also inside functions."""
    found = set()
    for node in _statements(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {_inside(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"kerasprune.{name}: write imports in full"
            # `from kerasprune.rules import conv` is about the module conv, where there is one
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {_inside(each) if _inside(each) in MODULES else _inside(node.module) for each in full}
    return {each for each in found if each in MODULES}


def _inside(dotted: str) -> str | None:
    """Returns a dotted name as seen from inside the package; None for other packages."""
    head, _, rest = dotted.partition(".")
    return rest if head == "kerasprune" else None


def _statements(tree: ast.AST):
    """Yields every statement but those for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"):
            yield node
            yield from _statements(node)


def test_every_module_has_a_floor():
    for name in MODULES:
        floor(name)


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_down(name):
    up = {other: floor(other) for other in imports(name) if floor(other) > floor(name)}
    assert not up, f"kerasprune.{name} (floor {floor(name)}) imports from above: {up}"


def test_no_circular_imports():
    graph = {name: imports(name) for name in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"circular import: {' → '.join((*path[path.index(name) :], name))}"
        if name not in done:
            for other in graph.get(name, ()):
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("name", MODULES)
def test_only_the_edge_names_tensorflow(name):
    named = set()
    for node in _statements(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named.add(node.module.split(".")[0])
    if not named & {"tensorflow", "tensorflow_datasets", "ai_edge_litert"}:
        return
    assert name.split(".")[0] in TENSORFLOW, f"kerasprune.{name} names TensorFlow"


def test_import_is_light():
    """Keras brings its backend and what it finds installed; kerasprune brings nothing else that takes time."""
    code = (
        f"import sys, keras; heavy = {HEAVY!r}; before = set(sys.modules); import kerasprune; "
        "print([m for m in heavy if m in set(sys.modules) - before])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip().splitlines()[-1] == "[]"


def test_an_upward_import_is_caught(monkeypatch, tmp_path):
    bad = tmp_path / "graph.py"
    bad.write_text("def f():\n    from kerasprune.callbacks import greg1\n")
    monkeypatch.setitem(MODULES, "graph", bad)
    with pytest.raises(AssertionError, match="imports from above"):
        test_imports_go_down("graph")


def test_a_circle_is_caught(monkeypatch, tmp_path):
    bad = tmp_path / "errors.py"
    bad.write_text("import kerasprune.registry\n")
    monkeypatch.setitem(MODULES, "errors", bad)
    with pytest.raises(AssertionError, match="circular import"):
        test_no_circular_imports()
