"""The documentation against the package: its code runs, its links lead somewhere, its names exist.

Marks in the pages, as HTML comments on the line before a block:
`<!-- runs -->` the Python block is run, in one namespace per page, in order, in an empty folder; `fit` takes two steps;
`<!-- prints -->` the text block is what the block before it prints;
`<!-- prints about -->` the same, but for numbers, which training moves: each is within a third, or .01;
`<!-- recipe -->` the YAML block is a whole recipe;
`<!-- defaults: package.module.Name -->` the table below gives arguments and their defaults.

    python tests/test_docs.py docs/quickstart.md     # writes what the page's blocks print now into the page
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import inspect
import io
import pkgutil
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import yaml
from support import devices
from typer.main import get_command

import kerasprune as kp
from kerasprune.cli import app
from kerasprune.criteria.registry import criteria
from kerasprune.former_names import FORMER_NAMES
from kerasprune.graph import rule
from kerasprune.recipes import loader as loading
from kerasprune.recipes.reproductions import entry as reproduce
from kerasprune.registry import Registry

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PLOTS = set((ROOT / "benchmarks" / "results").glob("*.svg"))
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
PAGES = [*TOP, *sorted(str(path.relative_to(ROOT)) for path in DOCS.rglob("*.md"))]
FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n\n?)?^```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
COMMANDS = get_command(app).commands
RECIPE_COMMANDS = ("run", "validate", "show")
FIT_STEPS = 2


@pytest.fixture(autouse=True)
def _tables_as_before():
    """Takes what pages add to the tables of the families out again."""
    files = (ROOT / "kerasprune").rglob("registry.py")
    modules = [importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts)) for path in files]
    tables = [each for module in modules for each in vars(module).values() if isinstance(each, Registry)]
    before = [dict(table._added) for table in tables]
    yield
    for table, added in zip(tables, before, strict=True):
        table._added = added


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its mark, its text and the line it begins on."""

    language: str
    mark: str
    code: str
    line: int


@functools.cache
def text_of(page: str) -> str:
    """Returns the text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """Returns the fenced blocks of a page."""
    text = text_of(page)
    return [
        Block(found["language"], found["mark"] or "", found["code"], text.count("\n", 0, found.start("code")) + 1)
        for found in FENCE.finditer(text)
    ]


def code(page: str, language: str) -> list[str]:
    """Returns what is set as code on a page: the lines of blocks in one language, and spans."""
    lines = [line for block in blocks(page) if block.language == language for line in block.code.splitlines()]
    return lines + re.findall(r"`([^`\n]+)`", prose(page))


def prose(page: str) -> str:
    """Returns a page without its blocks."""
    return FENCE.sub("", text_of(page))


def compiled(page: str, block: Block):
    """Returns the code object of a Python block, whose tracebacks name the page and the line."""
    return compile("\n" * (block.line - 1) + block.code, page, "exec", dont_inherit=True)


def test_every_fence_is_read():
    for page in PAGES:
        assert len(re.findall(r"^```", text_of(page), re.MULTILINE)) == 2 * len(blocks(page)), page


def test_python_compiles():
    for page in PAGES:
        for block in blocks(page):
            if block.language == "python" and block.mark != "install":  # a line of notebooks
                compiled(page, block)


@contextlib.contextmanager
def known_before():
    """Forgets afterwards the rules and criteria that a page has taught."""
    tables = [rule.table.load(), criteria._added]
    before = [dict(table) for table in tables]
    try:
        yield
    finally:
        for table, members in zip(tables, before, strict=True):
            table.clear()
            table.update(members)


@contextlib.contextmanager
def short_fits():
    """Makes `fit` take two steps, without compiling them: what a page shows is run, not trained."""
    whole = keras.Model.fit

    def fit(self, *args, **kwargs):
        self.run_eagerly = True
        return whole(self, *args, **{**kwargs, "epochs": 1, "steps_per_epoch": FIT_STEPS, "verbose": 0})

    keras.Model.fit = fit
    try:
        yield
    finally:
        keras.Model.fit = whole


NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e-?\d+)?")


def alike(before: str, now: str) -> bool:
    """Returns whether two texts differ by no more than their numbers, and these by little."""
    pairs = zip(NUMBER.findall(before), NUMBER.findall(now), strict=False)
    near = all(float(b.replace(",", "")) == pytest.approx(float(a.replace(",", "")), 0.33, 0.01) for a, b in pairs)
    return near and NUMBER.sub("#", before) == NUMBER.sub("#", now)


def trained() -> dict:
    """Returns the names that the README presumes, beside a file with a trained model."""
    model = kp.models.resnet_cifar(8, input_shape=(16, 16, 3), seed=0)
    train = kp.data.load("digits", size=16, batch=64)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.02, momentum=0.9), loss, metrics=["accuracy"])
    model.fit(train, epochs=6, verbose=0)
    model.save("trained.keras")
    return {"train": train, "x": np.concatenate([images for images, _ in train])}


PREPARED = {"README.md": trained}
ON_PAPER = (
    "docs/phone.md",
)  # a device on paper times the operators: what can be saved differs from machine to machine


def printed(page: str) -> list[tuple[Block, str]]:
    """Runs a page in the current folder; returns every block that shows a print, and what was printed."""
    keras.utils.set_random_seed(0)
    namespace = {"__name__": "page", **PREPARED.get(page, dict)()}
    shown, last = [], ""
    with known_before(), short_fits(), pytest.MonkeyPatch.context() as patch:
        if page in ON_PAPER:
            devices.on_paper(patch)
        for block in blocks(page):
            if block.mark == "runs":
                out = io.StringIO()
                with contextlib.redirect_stdout(out):
                    exec(compiled(page, block), namespace)
                last = out.getvalue().rstrip() + "\n"
            elif block.mark.startswith("prints"):
                shown.append((block, last))
    return shown


@pytest.mark.filterwarnings("ignore:GReg")  # the schedule does not fit into two steps, and says so
@pytest.mark.whole
@pytest.mark.matrix("README.md", "docs/quickstart.md")
@pytest.mark.parametrize("page", [page for page in PAGES if any(b.mark == "runs" for b in blocks(page))])
def test_python_runs(page, tmp_path, monkeypatch):
    if "import keras_hub" in text_of(page):
        pytest.importorskip("keras_hub")
    monkeypatch.chdir(tmp_path)
    for block, now in printed(page):
        same = block.code == now or (block.mark == "prints about" and alike(block.code, now))
        assert same, f"{page}, line {block.line}: to write it anew, run python tests/test_docs.py {page}"


def write_prints(page: str) -> None:
    """Writes into a page what its blocks print now."""
    text = text_of(page)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for block, now in printed(page):
            lines = text.splitlines(keepends=True)
            begin = block.line - 1 + text.count("\n") - text_of(page).count("\n")
            text = "".join([*lines[:begin], now, *lines[begin + block.code.count("\n") :]])
    (ROOT / page).write_text(text, encoding="utf-8")


def test_recipes_on_pages_are_legal():
    for page in PAGES:
        for block in blocks(page):
            if block.mark == "recipe":
                loading.parse(block.code, source=f"{page}, line {block.line}")


def anchors(path: Path) -> set[str]:
    """Returns the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


def test_relative_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
            if "://" in target:
                continue
            path, _, anchor = target.partition("#")
            there = (ROOT / page).parent / path if path else ROOT / page
            assert there.exists(), f"{page} links to {target}"
            assert not anchor or anchor in anchors(there), f"{page} links to {target}"
            if page.startswith("docs/") and there.resolve() not in PLOTS:  # those are put on the site by docs/hooks.py
                assert DOCS in there.resolve().parents, f"{page} links to {target}, which the site does not hold"


def test_commands_and_their_options_exist():
    for page in PAGES:
        for line in code(page, "sh"):
            for spelt in re.findall(r"(?:^|(?<!import)\s|/)kerasprune ((?:[a-z][\w-]*)(?:\s[^|&;]*)?)", line):
                name, *rest = shlex.split(spelt, comments=True)
                assert name in COMMANDS, f"{page}: kerasprune {name}"
                known = {
                    option for each in COMMANDS[name].whole.params for option in [*each.opts, *each.secondary_opts]
                }
                unknown = [word for word in rest if word.startswith("--") and word.partition("=")[0] not in known]
                assert not unknown, f"{page}: kerasprune {name} has no {unknown}"
                if name in RECIPE_COMMANDS and rest and not rest[0].startswith("-"):
                    recipe = rest[0]
                    own = recipe.isupper() or recipe.endswith(".yaml")
                    assert own or recipe in kp.recipes.names(), f"{page}: there is no recipe {recipe}"
                if name == "reproduce" and rest and not rest[0].startswith("-") and not rest[0].isupper():
                    assert rest[0] in [*reproduce.entries.names(), "all"], f"{page}: there is no entry {rest[0]}"


def test_every_command_is_documented():
    text = text_of("docs/recipes.md")
    missing = [name for name in COMMANDS if f"`kerasprune {name}" not in text]
    assert not missing


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("docs/recipes.md", kp.recipes.names),
        ("docs/recipes.md", reproduce.entries.names),
        ("docs/criteria.md", kp.criteria.names),
        ("docs/criteria.md", kp.budgets.names),
        ("docs/data.md", lambda: kp.data.names()),
        ("docs/data.md", lambda: kp.data.augmentations.names()),
        ("docs/quickstart.md", lambda: kp.models.names()),
    ],
)
def test_every_name_is_documented(page, names):
    missing = [name for name in names() if f"`{name}`" not in text_of(page)]
    assert not missing, f"{page} does not name {missing}"


def test_names_of_the_package_exist():
    for page in PAGES:
        if page in ("CHANGELOG.md", "docs/names.md"):  # which name those of before, too
            continue
        for line in code(page, "python"):
            for spelt in re.findall(r"\bkp\.([A-Za-z_][\w.]*)", line):
                thing = kp
                for part in spelt.rstrip(".").split("."):
                    assert hasattr(thing, part), f"{page}: kp.{spelt}"
                    thing = getattr(thing, part)


FOLDERS = r"\.ci|benchmarks|docs|kerasprune|tests|tools"
ROOMS = ("", "benchmarks", "kerasprune", "tests")
OF_THE_READER = {"my_layers.py", "file.py"}


def named_files(text: str) -> set[str]:
    """Returns the paths of the repository that a text names: from its top, by address, or as `room/file.py`."""
    from_top = re.findall(rf"(?<![\w./-])(?:\./)?((?:{FOLDERS})/[\w./*-]*[\w*/])", text)
    by_address = re.findall(r"kerasprune/(?:blob|tree|raw)/main/([\w./-]*[\w/])", text)
    in_code = [
        name for span in re.findall(r"`([^`\n]+)`", text) for name in re.findall(r"(?<![\w./-])[\w./-]+\.py\b", span)
    ]
    return {*from_top, *by_address, *in_code} - OF_THE_READER


def there(name: str) -> bool:
    """Returns whether a file of this path, or of this name alone, is in the repository."""
    found = (path for room in ROOMS for path in (ROOT / room).glob(name))
    return any(found) or ("/" not in name and any(path for room in ROOMS[1:] for path in (ROOT / room).rglob(name)))


def test_files_that_are_named_exist():
    named = [(page, name) for page in PAGES for name in named_files(text_of(page))]
    assert len(named) > 200
    assert not [f"{page}: {name}" for page, name in named if not there(name)]


def test_a_file_that_is_not_there_is_found():
    text = "`python tests/test_acting.py`, [a](https://github.com/kerasprune/kerasprune/blob/main/docs/no.md), `no.py`"
    assert {name for name in named_files(text) if not there(name)} == {"tests/test_acting.py", "docs/no.md", "no.py"}


def test_documented_defaults_are_those_of_the_code():
    for page in PAGES:
        for path, table in re.findall(r"<!-- defaults: ([\w.]+) -->\n+((?:\|.*\n)+)", text_of(page)):
            module, _, name = path.rpartition(".")
            parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters
            rows = [[cell.strip().strip("`") for cell in line.split("|")[1:3]] for line in table.splitlines()[2:]]
            assert len(rows) > 1
            for argument, default in rows:
                assert argument in parameters, f"{page}: {path} has no {argument}"
                expected = parameters[argument].default
                written = inspect.Parameter.empty if default == "–" else yaml.safe_load(default)
                assert written == expected, f"{page}: {argument} of {path} defaults to {expected!r}"


RESULTS = {
    *(f"kerasprune.steps.advice.{name}" for name in ("Advice", "Offer")),
    *(f"kerasprune.steps.search_report.{name}" for name in ("CostCurve", "SearchReport", "Tried")),
    "kerasprune.steps.smallest.Smallest",
}
"""Classes that functions of the face return, since there are former names."""


def test_the_reference_holds_every_public_name():
    spelt = re.findall(r"^::: (.+)$", text_of("docs/api.md"), re.MULTILINE)
    results = {address for address in FORMER_NAMES.values() if address.startswith("kerasprune.")} | RESULTS
    internal = {name for name in spelt if not name.startswith("kp.")}
    assert internal == results, f"docs/api.md names internal paths: {internal ^ results}"
    missing = {f"kp.{name}" for name in kp.__all__} - set(spelt) - {"kp.rules"}  # rules are written, not called
    assert not missing, f"docs/api.md lacks {missing}"


def test_the_site_shows_public_names_for_objects_that_resolve():
    spec = importlib.util.spec_from_file_location("hooks", DOCS / "hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    shown = hooks.on_page_markdown(
        text_of("docs/api.md"), SimpleNamespace(file=SimpleNamespace(src_uri="api.md")), {}, []
    )
    assert "::: kerasprune.graph.trace.trace\n    options:\n      heading: kp.trace\n" in shown
    entries = re.findall(r"^::: ([\w.]+)\n    options:\n      heading: kp\.([\w.]+)$", shown, re.MULTILINE)
    own = [name for name in (*FORMER_NAMES.values(), *RESULTS) if name.startswith("kerasprune.")]
    assert len(entries) + len(own) == shown.count("::: ") and len(entries) > len(kp.__all__)
    assert all(inspect.isclass(pkgutil.resolve_name(name)) for name in own)
    for path, name in entries:
        assert pkgutil.resolve_name(path) is attrgetter(name)(kp), name
    plot = "](../../benchmarks/results/lottery.svg)"
    page = SimpleNamespace(file=SimpleNamespace(src_uri="methods/magnitude.md"))
    assert hooks.on_page_markdown(plot, page, {}, []) == "](../images/lottery.svg)"


def test_the_site_has_every_page():
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))

    def pages(nav):
        for entry in nav:
            for value in entry.values() if isinstance(entry, dict) else [entry]:
                yield from pages(value) if isinstance(value, list) else [value]

    listed = [*pages(config["nav"]), *(line.strip("/ ") for line in config["not_in_nav"].splitlines())]
    assert sorted(listed) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
    assert len(list(pages(config["nav"]))) <= 20
    linked = {
        str((DOCS / page).parent.joinpath(target).resolve().relative_to(DOCS))
        for page in listed
        for target in re.findall(r"\]\(([\w./-]+\.md)", (DOCS / page).read_text(encoding="utf-8"))
    }
    assert linked >= set(listed) - set(pages(config["nav"]))  # reached from some page


def test_the_tables_of_benchmarks_are_those_of_their_rows():
    check = [sys.executable, ROOT / "benchmarks" / "summary.py", "--check"]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, f"run python benchmarks/summary.py\n{done.stderr}"


def test_the_two_commands_of_the_readme_stand_on_one_line_each():
    commands = [
        block.code for block in blocks("README.md") if block.language == "sh" and "python3 -m venv" in block.code
    ]
    assert len(commands) == 2
    for command in commands:
        assert command.startswith("python3 ") and command.count("\n") == 1
    assert "kerasprune run" in commands[0] and "-m pytest" in commands[1]


if __name__ == "__main__":
    for each in sys.argv[1:]:
        write_prints(each)
