"""`docs/seeds.md`: is it the YAML's page, and is everything there that it names?"""

from __future__ import annotations

import ast
import contextlib
import csv
import importlib
import pkgutil
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import pytest
import yaml
from support.rooms import ROOT

import kerasprune as kp
from kerasprune.recipes.reproductions.entry import entries

SOURCE = yaml.safe_load((ROOT / "docs" / "seeds.yml").read_text(encoding="utf-8"))
ITEMS = [item for seed in SOURCE["seeds"] for item in seed["items"]]
KEYS = {"at", "what", "state", "why", "name", "page", "results", "entry", "recipe", "test", "measured"}
LINKS = KEYS - {"at", "what", "state", "why", "measured"}
# Tables, figures and algorithms of each seed by their numbers: none may be left out of the page.
NUMBERED = [
    {"Table": 5, "Figure": 5, "Algorithm": 1, "Eq.": 10},
    {"Table": 1, "Figure": 5, "Eq.": 2},
    {"Table": 3, "Figure": 8, "Eq.": 6},
    {"Table": 10, "Figure": 2, "Algorithm": 1, "Eq.": 9},
]

# The talk shows parts of papers: of each what it shows, by its number there.
SHOWN = {
    "Garipov et al. 2018": {"Figure": {1, 2}},
    "Kuditipudi et al. 2019": {"Definition": {1}, "Theorem": {1}, "Remark": {1}},
    "Deep compression": {"Eq.": {2}, "Figure": {5, 6, 9, 10}},
    "Lottery ticket hypothesis": {"Figure": {3, 4, 8}},
    "Linear mode connectivity": {"Algorithm": {2}, "Table": {2}, "Figure": {1, 2, 3, 5, 6, 7, 8}},
    "State of pruning": {"Figure": {1, 6, 7}},
    "SNIP": {"Eq.": {1, 3, 4, 5, 6, 7}, "Algorithm": {1}, "Table": {2}},
    "GraSP": {"Eq.": {5, 6, 7, 8}, "Algorithm": {2}, "Table": {2}, "Figure": {1, 2, 3}},
    "SynFlow": {"Eq.": {1, 2}, "Theorem": {1, 2, 3}, "Algorithm": {1}, "Figure": {1}},
    "Missing the mark": {"Figure": {3, 4}},
    "Polarization": {"Eq.": {1, 2, 3}, "Lemma": {3}, "Figure": {1, 3}, "Table": {2}},
    "MetaPruning": {"Algorithm": {1}},
    "HRank": {"Table": {3, 4, 5}, "Figure": {1, 2, 4}},
}
OTHERS = {
    "Opening figure",
    "Double descent",
    "losslandscape.com",
    "Optimal Brain Damage",
    "Optimal Brain Surgeon",
    "EIE",
}


def named(kind: str) -> list[str]:
    return sorted({item[kind] for item in ITEMS if kind in item})


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip("# ").replace("`", "").lower()).replace(" ", "-")


@pytest.mark.quick
def test_every_item_has_a_state_a_link_or_a_reason():
    for item in ITEMS:
        assert {"at", "what", "state"} <= set(item) <= KEYS, item
        assert item["state"] in SOURCE["states"], item
        assert "why" in item or item["state"] not in ("not run", "not built", "solved here, differs"), item
        assert item["state"] != "not run" or "recipe" in item or item["why"].startswith("no recipe, because"), item
        assert item["state"] == "not built" or LINKS & set(item), item
        assert item["state"] not in ("exact", "solved here, differs") or "::" in item["test"], item
        assert item["state"] != "measured small" or {"results", "page"} & set(item), item
        stamp = re.fullmatch(r"20\d\d-\d\d-\d\d [0-9a-f]{8}", item.get("measured", ""))
        assert bool(stamp) == (item["state"] == "measured small"), f"date and commit of the last rows: {item}"
    places = Counter((item["at"], item["what"]) for item in ITEMS)
    assert max(places.values()) == 1


def test_what_cannot_be_told_says_what_would_tell_and_what_that_costs():
    unsaid = [item["why"] for item in ITEMS if "cannot tell" in item.get("why", "")]
    assert unsaid and all(re.search(r"To tell: .+ (hours?|of an hour)\b", why) for why in unsaid)


@pytest.mark.parametrize("number", range(4))
def test_no_table_figure_algorithm_or_equation_of_a_paper_is_left_out(number):
    said = " | ".join(item["at"] for item in SOURCE["seeds"][number]["items"])
    for kind, last in NUMBERED[number].items():
        assert set(range(1, last + 1)) <= _after(kind, said), kind


@pytest.mark.parametrize("paper", SHOWN)
def test_nothing_of_a_paper_that_the_talk_shows_is_left_out(paper):
    said = " | ".join(item["at"] for item in SOURCE["seeds"][4]["items"] if item["at"].startswith(paper))
    for kind, numbers in SHOWN[paper].items():
        assert numbers <= _after(kind, said), kind


def test_every_row_of_the_talk_is_of_a_paper_that_it_shows():
    rest = {item["at"] for item in SOURCE["seeds"][4]["items"] if not item["at"].startswith(tuple(SHOWN))}
    assert {at.partition(",")[0] for at in rest} == OTHERS


def _after(kind: str, said: str) -> set[int]:
    """Returns the numbers that follow a word: "3", "5 and 6", "10 to 14" written out."""
    stem = kind.rstrip(".")
    found = re.findall(rf"{stem}s?\.? ([\d, andto]+)", said)
    written = " ".join(re.sub(r"(\d+) to (\d+)", _between, each) for each in found)
    return {int(each) for each in re.findall(r"\d+", written)}


def _between(ends: re.Match[str]) -> str:
    return " ".join(map(str, range(int(ends[1]), int(ends[2]) + 1)))


def test_what_is_named_exists():
    unknown = [name for name in named("recipe") if name not in kp.recipes.names()]
    unknown += [name for name in named("entry") if name not in entries.names()]
    unknown += [test for test in named("test") if not (ROOT / test.partition("::")[0]).is_file()]
    unknown += [path for path in named("results") if not (ROOT / "benchmarks" / "results" / path).is_file()]
    assert not unknown
    assert [attrgetter(name)(kp) for name in named("name")]


def test_a_named_test_is_there_and_reaches_what_the_row_names():
    """By its imports, and by dots from them; or it computes the entry of the row."""
    wrong = []
    for item in ITEMS:
        if "test" not in item:
            continue
        path, _, function = item["test"].partition("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        found = list(_reached(tree))
        texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        entry = [item["entry"]] if "entry" in item else []
        asked = [attrgetter(item["name"])(kp)] if "name" in item else []
        asked += [importlib.import_module(entries.address(name).partition(":")[0]) for name in entry]
        reached = [each in found for each in asked] + [name in texts for name in entry]
        if function and function not in functions or asked and not any(reached):
            wrong.append(f"{item['at']}: {item['test']}")
    assert not wrong


def _reached(tree: ast.AST) -> Iterator[Any]:
    """Yields what a file imports of the package, and what it reaches from there by dots."""
    roots = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots |= {name.asname or name.name: name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)):
            root, *rest = ast.unparse(node).split(".")
            if roots.get(root, "").startswith("kerasprune"):
                with contextlib.suppress(AttributeError, ImportError, ValueError):
                    yield pkgutil.resolve_name(".".join([roots[root], *rest]))


def test_every_exact_row_has_a_fault_that_its_test_has_noticed():
    """By `python benchmarks/mutation.py rows`; the code that a fault changes is still there, once."""
    with (ROOT / "benchmarks" / "row_faults.csv").open(newline="", encoding="utf-8") as file:
        faults = {(row["paper"], row["at"]): row for row in csv.DictReader(file)}
    exact = {(s["title"], i["at"]): i["test"] for s in SOURCE["seeds"] for i in s["items"] if i["state"] == "exact"}
    assert faults.keys() == exact.keys()
    for place, test in exact.items():
        row = faults[place]
        assert (ROOT / row["file"]).read_text(encoding="utf-8").count(row["before"]) == 1, row
        assert row["outcome"] == "killed" and row["killer"].partition("[")[0] == test, row


def test_every_entry_is_on_the_page():
    assert set(named("entry")) == set(entries.names())


def test_pages_and_their_headings_exist():
    for address in named("page"):
        path, _, anchor = address.partition("#")
        text = (ROOT / "docs" / path).read_text(encoding="utf-8")
        assert not anchor or anchor in map(slug, re.findall(r"^#+ .*$", text, re.M)), address


def test_the_page_is_that_of_its_yaml():
    check = [sys.executable, ROOT / "benchmarks" / "seeds.py", "--check"]
    assert subprocess.run(check).returncode == 0, "run python benchmarks/seeds.py"
