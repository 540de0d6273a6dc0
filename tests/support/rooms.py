"""The floors of the house: the one table of rooms, and the imports between them as the code has them."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]

# The three groups, each from the ground up. A room is a file in the package root, a package of it, or the benchmarks;
# it imports from rooms on lower floors only, so that no group imports the one above it.
CORE: tuple[tuple[str, ...], ...] = (
    ("_keras", "defaults", "errors", "progress", "tables"),
    ("backend", "checks", "files", "former_names", "registry"),
    ("graph",),
    ("data", "rules"),
    ("surgery",),
    ("repair",),
    ("criteria", "export"),
    ("planning", "training"),
    ("callbacks", "steps"),
    ("hub", "testing"),
)
EXPERIMENTS: tuple[tuple[str, ...], ...] = (("models",), ("recipes",), ("analysis", "cli"))
PAPERS: tuple[tuple[str, ...], ...] = (
    (
        "papers",
        "papers.deep_compression",
        "papers.eie",
        "papers.lottery_tickets",
        "papers.pruning_nets",
        "papers.pruning_spaces",
        "papers.synexp",
        "papers.three_dimensional",
    ),
)
FLOORS = (*CORE, *EXPERIMENTS, *PAPERS, ("__main__", "benchmarks"))
FACADE = "__init__"  # the package itself: a table of names, which imports the registry only


def modules() -> dict[str, Path]:
    """Returns `{dotted name: file}` of the package and the benchmarks."""
    found = [*ROOT.glob("kerasprune/**/*.py"), *ROOT.glob("benchmarks/**/*.py")]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in found}


def room(module: str) -> str:
    """Returns the room that a module lies in."""
    first, _, rest = module.partition(".")
    if first == "benchmarks":
        return first
    name, _, inside = rest.partition(".")
    return f"papers.{inside.split('.')[0]}" if name == "papers" and inside else name or FACADE


def imports(path: Path, known: set[str]) -> set[str]:
    """Returns the modules of the package that a file imports, inside functions and for type checking too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: write imports in full"
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {each if each in known else node.module for each in full}
    return found & known


def arrows() -> dict[tuple[str, str], list[str]]:
    """Returns `{(room, room that it imports from): the files}`."""
    files = modules()
    found: dict[tuple[str, str], list[str]] = {}
    for module, path in files.items():
        for other in imports(path, set(files)):
            if room(other) != room(module):
                found.setdefault((room(module), room(other)), []).append(path.relative_to(ROOT).as_posix())
    return found


def circle() -> list[str]:
    """Returns the modules that import each other in a circle; none where there is no such circle."""
    files = modules()
    try:
        TopologicalSorter({module: imports(path, set(files)) for module, path in files.items()}).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def needed(module: str) -> set[str]:
    """Returns the modules that a module needs, itself included."""
    files, found, waiting = modules(), set(), {module}
    while waiting:
        found |= waiting
        waiting = set().union(*(imports(files[each], set(files)) for each in waiting)) - found
    return found


def lines() -> dict[str, int]:
    """Returns the number of lines of every room, the largest first."""
    total: dict[str, int] = {}
    for module, path in modules().items():
        total[room(module)] = total.get(room(module), 0) + len(path.read_text(encoding="utf-8").splitlines())
    return dict(sorted(total.items(), key=lambda item: -item[1]))


def longest_chain(rooms: set[str]) -> int:
    """Returns the number of floors that the imports between some rooms need."""
    below: dict[str, set[str]] = {}
    for upper, lower in arrows():
        if upper in rooms and lower in rooms:
            below.setdefault(upper, set()).add(lower)

    def height(name: str, path: tuple[str, ...] = ()) -> int:
        assert name not in path, f"circle: {' → '.join((*path[path.index(name) :], name))}"
        return 1 + max((height(other, (*path, name)) for other in below.get(name, ())), default=0)

    return max(map(height, below))
