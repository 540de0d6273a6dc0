"""Imports go down: each room imports from rooms on lower floors only, and never in a circle.

python -m pytest -s tests/test_floors.py    # prints the floors, the rooms and their shares
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support import rooms

from kerasprune.recipes import library

TENSORFLOW = {"backend", "data", "export", "models"}  # of models its data sets
CLI = "from typer.testing import CliRunner; from kerasprune.cli import app"
# What is answered without Keras and TensorFlow.
LIGHT = (
    ["--help"],
    ["--version"],
    ["prune", "--help"],
    ["prune", "--wrong"],
    ["prune", "missing.keras", "--out", "out", "--keep", "0.5"],
    ["ls"],
    ["show", "digits-greg1"],
)
PAPERS = pkgutil.iter_modules([str(rooms.ROOT / "kerasprune" / "papers")])
BROUGHT = {paper.name: importlib.import_module(f"kerasprune.papers.{paper.name}").BRINGS for paper in PAPERS}
PACKAGES = [path.parent for path in (rooms.ROOT / "kerasprune").glob("**/__init__.py")]


def floor(name: str) -> int:
    """Returns the floor of a room."""
    found = [number for number, names in enumerate(rooms.FLOORS) if name in names]
    assert len(found) == 1, f"Expected {name!r} once in FLOORS of tests/support/rooms.py. Received: {found}."
    return found[0]


def check_arrows(arrows) -> None:
    up = {f"{a} → {b}": files for (a, b), files in arrows.items() if b != rooms.FACADE and floor(a) <= floor(b)}
    assert not up, f"imports that do not go down: {up}"


def test_imports_go_down():
    check_arrows({pair: files for pair, files in rooms.arrows().items() if pair[0] != rooms.FACADE})


def test_an_upward_import_is_caught():
    with pytest.raises(AssertionError, match="graph → callbacks"):
        check_arrows({("graph", "callbacks"): ["graph/x.py"]})


def test_nothing_outside_imports_a_paper():
    found = {pair: files for pair, files in rooms.arrows().items() if pair[1].startswith("papers")}
    assert {upper for upper, _ in found} <= {"benchmarks"}, found


def test_no_stub_outside_names_a_paper():
    """But for the package of them all; what they add to a family is in their `BRINGS`."""
    stubs = {path.parent: path.read_text(encoding="utf-8") for path in (rooms.ROOT / "kerasprune").rglob("*.pyi")}
    named = {folder.name for folder, text in stubs.items() if "papers" in text and "papers" not in folder.parts}
    assert named == {"kerasprune"}
    lines = [line for line in stubs[rooms.ROOT / "kerasprune"].splitlines() if "papers" in line]
    assert lines == ["from kerasprune import papers as papers"]


def test_no_file_at_the_root_bears_the_name_of_a_public_function():
    inside = {path.stem for path in (rooms.ROOT / "kerasprune").iterdir() if not path.name.startswith("_")}
    public = importlib.import_module("kerasprune")
    assert not [name for name in public.__all__ if name in inside and not inspect.ismodule(getattr(public, name))]


@pytest.mark.thorough
def test_the_package_works_without_papers(tmp_path):
    code = (
        "import keras, kerasprune as kp; assert [getattr(kp, name) for name in dir(kp)]; "
        "assert not any(hasattr(kp, name) for name in ('papers', 'lottery', 'spaces')); "
        "assert 'ShrinkRounds' not in dir(kp.callbacks); "
        "m = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, 'relu'), keras.layers.Dense(2)]); "
        "assert kp.plan(m, keep=0.5); assert kp.prune(m, keep=0.5, data=keras.ops.ones((16, 4))); "
        "assert 'precrop' not in kp.recipes.schema_json(); assert kp.recipes.init('mine.yaml'); "
        f"{CLI}; r = CliRunner().invoke(app, ['--help']); assert r.exit_code == 0 and 'precrop' not in r.output; "
        "r = CliRunner().invoke(app, ['run', 'digits-greg1', '--smoke', '--out', 'out']); "
        "print(r.exit_code, kp.__file__)"
    )
    assert fresh(code, cwd=without(tmp_path, "papers")) == f"0 {tmp_path / 'kerasprune' / '__init__.py'}"


LOADED = f"""
import json, kerasprune as kp
{CLI}
refused = {{}}
for name in kp.recipes.names():
    try:
        kp.recipes.load(name)
    except kp.PruneError as error:
        refused[name] = str(error)
listed = CliRunner().invoke(app, ["ls", "recipes"])
assert not listed.exit_code, listed.output
print(json.dumps([refused, listed.output]))
"""


@pytest.mark.thorough
@pytest.mark.parametrize("folder", ["papers", *(name for name in BROUGHT if BROUGHT[name].get("prune_sections"))])
def test_a_recipe_whose_paper_is_absent_is_refused_and_said_to_be_and_the_others_load(folder, tmp_path):
    refused, listed = json.loads(fresh(LOADED, cwd=without(tmp_path, folder)))
    can, _, cannot = listed.partition("recipes whose papers are not installed:")
    gone = {key for name in BROUGHT if folder in ("papers", name) for key in BROUGHT[name].get("prune_sections", ())}
    for name in library.names():
        text = library.find(name).read_text(encoding="utf-8")
        needs = [f"prune.{key}" for key in gone if re.search(rf"^  {key}:", text, re.M)]
        needs += ["reconfigure"] if gone & {"precrop"} and re.search("^reconfigure:", text, re.M) else []
        assert (f"  {name} " in cannot) == bool(needs) and (f"  {name} " in can) != bool(needs), name
        assert (name in refused) == bool(needs) and all(
            f"brings {key} to be installed. Received: recipe={name!r}" in refused[name] for key in needs
        )


def without(root: Path, folder: str) -> Path:
    """Returns a folder with a copy of the package that lacks one of its folders."""
    ignore = shutil.ignore_patterns(folder, "__pycache__")
    shutil.copytree(rooms.ROOT / "kerasprune", root / "kerasprune", ignore=ignore)
    return root


def test_nothing_outside_of_papers_knows_a_section_of_theirs_by_name():
    keys = {key for brings in BROUGHT.values() for key in brings.get("prune_sections", ())}
    words = re.compile(rf"\b(prune\.)?({'|'.join(keys - {'space'})})\b|\bprune\.space\b")  # a word of its own
    named = {}
    for name, path in rooms.modules().items():
        if not rooms.room(name).startswith(("papers", "benchmarks", "former_names")):
            tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            texts = [each.value for each in tree if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            named[name] = [text for text in texts if words.search(text)]
    assert keys and not [(name, texts) for name, texts in named.items() if texts]


@pytest.mark.thorough
def test_the_package_works_without_one_paper(tmp_path):
    ignore = shutil.ignore_patterns("pruning_nets", "three_dimensional", "__pycache__")
    shutil.copytree(rooms.ROOT / "kerasprune", tmp_path / "kerasprune", ignore=ignore)
    code = (
        "import kerasprune as kp; gone = {'meta_pruning', 'pruning_nets', 'three_dimensional', 'rounds'}; "
        "assert not gone & {*dir(kp.papers)} and not hasattr(kp, 'rounds'); "
        "assert not hasattr(kp.callbacks, 'ShrinkRounds'); "
        "print([getattr(kp.papers, name) for name in dir(kp.papers)] == [] or kp.papers.__file__)"
    )
    assert fresh(code, cwd=tmp_path) == str(tmp_path / "kerasprune" / "papers" / "__init__.py")


def test_no_files_import_each_other_in_a_circle():
    assert not rooms.circle()


def test_the_facade_imports_its_names_only():
    assert {lower for upper, lower in rooms.arrows() if upper == rooms.FACADE} == {"former_names", "registry"}


def test_the_house_is_small_enough_to_be_seen_at_once():
    lines, core = rooms.lines(), {name for floor in rooms.CORE for name in floor}
    total, chain = sum(lines.values()), rooms.longest_chain(core)
    print(f"\n{len(lines)} rooms, {total} lines; {chain} floors of the core:")
    for number, names in reversed(list(enumerate(rooms.FLOORS))):
        print(f"{number:3}  {', '.join(names)}")
    for name, number in lines.items():
        print(f"{number / total:6.1%}  {name}")
    assert chain <= len(rooms.CORE) == 10
    assert len(list((rooms.ROOT / "kerasprune").glob("*.py"))) <= 12
    assert max(lines.values()) <= 0.15 * total
    assert sorted(lines) == sorted([rooms.FACADE, *(name for names in rooms.FLOORS for name in names)])


def test_the_picture_shows_the_floors():
    """A row of rooms is a floor; those of one group lie in one box, the lowest at the bottom."""
    svg = "{http://www.w3.org/2000/svg}"
    picture = ElementTree.parse(rooms.ROOT / "docs" / "images" / "layout.svg").getroot()
    shown: dict[str, dict[float, list[str]]] = {}
    for group in picture.iter(f"{svg}g"):
        rows = shown.setdefault(group.get("class"), {})
        for text in group.iter(f"{svg}text"):
            names = [part.text for part in text.iter(f"{svg}tspan") if part.get("class") == "room"]
            rows.setdefault(float(text.get("y")), []).extend(names)
    floors = {group: [sorted(rows[y]) for y in sorted(rows, reverse=True) if rows[y]] for group, rows in shown.items()}
    assert floors["core"] == [sorted(names) for names in rooms.CORE]
    assert floors["experiments"] == [sorted(names) for names in rooms.EXPERIMENTS]
    folders = [name.partition(".")[2] for names in rooms.PAPERS for name in names if "." in name]
    assert sorted(sum(floors["papers"], [])) == sorted(folders)


def test_one_file_names_private_keras():
    named = {name for name, path in rooms.modules().items() if "keras.src" in path.read_text(encoding="utf-8")}
    assert named == {"kerasprune._keras"}


def test_only_the_edge_names_tensorflow():
    for name, path in rooms.modules().items():
        assert not names_tensorflow(path) or rooms.room(name) in TENSORFLOW | {"benchmarks"}, f"{name} names TensorFlow"


def test_a_users_examples_are_read_without_tensorflow():
    files, reader = rooms.modules(), rooms.needed("kerasprune.data.examples")
    assert "kerasprune.data.signature" in reader
    assert not [name for name in reader if rooms.room(name) == "data" and names_tensorflow(files[name])]
    assert not {rooms.room(name) for name in reader} & {"surgery", "criteria", "export"}


def names_tensorflow(path: Path) -> bool:
    """Returns whether a file imports TensorFlow, inside functions too, to run and not only to check types."""
    heavy, named = {"tensorflow", "tensorflow_datasets", "ai_edge_litert"}, set()
    for node in _for_running(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named.add(node.module.split(".")[0])
    return bool(named & heavy)


def _for_running(tree: ast.AST):
    """Yields every statement but those for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"):
            yield node
            yield from _for_running(node)


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: folder.name)
def test_a_package_exports_nothing_under_the_name_of_a_submodule(folder):
    inside = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    module = importlib.import_module(".".join(folder.relative_to(rooms.ROOT).parts))
    for name in set(getattr(module, "__all__", ())) & inside:
        assert vars(module).get(name, getattr(module, name)).__name__.startswith("kerasprune."), name


def test_what_docstrings_cite_resolves():
    from kerasprune.recipes.populations.store import TrainAndJudge

    assert importlib.import_module("kerasprune.recipes.populations").store.TrainAndJudge is TrainAndJudge


def fresh(code: str, cwd: Path = rooms.ROOT) -> str:
    """Returns the last line that code prints in a new process."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=cwd)
    assert not done.returncode, done.stderr
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.matrix
@pytest.mark.parametrize(
    "code",
    [
        "import kerasprune",
        "import kerasprune as kp; dir(kp); kp.criteria.names(), kp.callbacks.names(), kp.models.names()",
        "import kerasprune.cli",
        f"{CLI}; CliRunner().invoke(app, ['--help'])",
        *(f"{CLI}; CliRunner().invoke(app, {command})" for command in LIGHT),
    ],
)
def test_light(code):
    # Typer itself takes pydantic to read the options of a command.
    heavy = ("keras", "numpy", "tensorflow", "matplotlib", *(("pydantic",) if "['--help']" in code else ()))
    assert fresh(f"import sys; {code}; print([m for m in {heavy} if m in sys.modules])") == "[]"


@pytest.mark.thorough
def test_a_trace_through_the_internal_path_finds_the_rules():
    code = (
        "import keras; from kerasprune.graph.trace import trace; "
        "m = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name='d'), keras.layers.Dense(2)]); "
        "print(trace(m).groups['d'].size)"
    )
    assert fresh(code) == "3"


@pytest.mark.thorough
def test_public_names():
    code = (
        "import kerasprune as kp, importlib; importlib.import_module('kerasprune.surgery.rebuild'); kp.rebuild; "
        "print(dir(kp) == sorted(kp.__all__) and all(getattr(kp, n) is not None for n in dir(kp)))"
    )
    assert fresh(code) == "True"
