"""YAML of others: bombs, depths and odd tags are refused before anything is made of them; numbers are those of 1.2."""

from __future__ import annotations

import math
import random

import pytest

from kerasprune import PruneError, recipes
from kerasprune.recipes import loader
from kerasprune.recipes.yaml_text import read_value, read_yaml


def bomb(levels, width=9, merge=False):
    first, form = ("a0: &a0 {x: 1}", "{{<<: [{}]}}") if merge else ("a0: &a0 [x, x]", "[{}]")
    more = [f"a{n}: &a{n} " + form.format(", ".join([f"*a{n - 1}"] * width)) for n in range(1, levels)]
    return "\n".join([first, *more, ""])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (bomb(12), "aliases repeat more"),
        (bomb(40, 2), "aliases repeat more"),
        (bomb(12, merge=True), "aliases repeat more"),
        ("a: &a {b: *a}", "contains itself"),
        ("a: &a [[*a]]", "contains itself"),
        ("[" * 3000, "more than 24 levels"),
        ("{a: " * 3000, "more than 24 levels"),
        ("\n".join(f"k{n}: {n}" for n in range(3000)), "more than 4000 keys"),
        ("a: " + "x" * 70_000, "at most 65,536 characters"),
        ("a: !!int x", "cannot be read as int"),
        ("a: !!timestamp x", "cannot be read as timestamp"),
        ("a: !!bool maybe", "cannot be read as bool"),
        ("a: " + "9" * 5000, "cannot be read as int"),
        ("a: !!set {b}", "expected texts, numbers, lists"),
        ("a: !!binary aGVsbG8=", "expected texts, numbers, lists"),
        ("a: !!python/object/apply:os.system [ls]", "not YAML"),
        ('a: "\\ud800"', "not YAML|can be written"),
        ("a: *b", "undefined alias"),
        ("a: 1\n---\nb: 2", "not YAML"),
    ],
)
def test_what_is_beyond_the_bounds_or_no_plain_data(text, words):
    with pytest.raises(PruneError, match=words):
        read_yaml(text, "here")


def test_aliases_used_well_are_read():
    data, lines, faults = read_yaml("a: &a {x: 1}\nb: *a\nc: {<<: *a, x: 2}\n", "here")
    assert data == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 2}}
    assert lines[("c",)] == 3 and not faults


def test_numbers_are_those_of_yaml_1_2():
    said = {"1e-4": 1e-4, "5": 5, "-3": -3, "+2": 2, "0.5": 0.5, ".5": 0.5, "5.": 5.0, "1_000": 1000, "0x1F": 31}
    said |= {
        "0o17": 15,
        "0b11": 3,
        ".inf": math.inf,
        "1:30": "1:30",
        "2024-01-01": "2024-01-01",
        "1.2.3": "1.2.3",
        "010": 10.0,
    }
    for word, value in said.items():
        assert read_value(word) == value and type(read_value(word)) is type(value), word
    assert read_value("a: b: c") == "a: b: c"  # no YAML: the text itself


def test_a_key_that_stands_twice_is_found_whatever_its_type():
    for text in ("a: 1\na: 2", "1: a\n1: b", "true: a\ntrue: b", "x: {0x1: a, 1: b}"):
        assert len(read_yaml(text, "here")[2]) == 1, text


def test_recipes_that_were_changed_are_read_or_refused(tmp_path):
    draw = random.Random(0)
    texts = [path.read_text() for path in sorted(recipes.FOLDER.glob("*.yaml"))]
    nasty = [*"[}:-\t#'\"\0é~", "&a", "*a", "!!int", "1e999", "x: y", "- -", "? ", "9" * 30]
    outcomes, path = set(), tmp_path / "a.yaml"
    for _ in range(150):
        text = draw.choice(texts)
        for _ in range(draw.randint(1, 3)):
            at, length = draw.randrange(len(text)), draw.choice((0, 1, 3, 20))
            text = text[:at] + draw.choice(nasty) + text[at + length :]
        path.write_text(text)
        try:
            recipe = loader.load(path)
            assert loader.parse(loader.dump(recipe)) == recipe
            outcomes.add("read")
        except PruneError as error:
            assert len(str(error)) < 20_000
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize("settings", ["train.epochs=3", [3], [None]])
def test_settings_that_are_no_list_of_texts(settings):
    with pytest.raises(PruneError, match="Expected settings as a list of texts"):
        loader.load("digits-greg1", settings)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (".".join("a" * 50) + "=1", "at most 24 keys"),
        ("why=" + "[" * 3000, "more than 24 levels"),
        ("why=" + bomb(12), "aliases repeat more"),
        ("seed=!!int x", "cannot be read as int"),
        ("export.²=tflite", "where the recipe has no keys"),
    ],
)
def test_settings_beyond_the_bounds(setting, words):
    with pytest.raises(PruneError, match=words):
        loader.load("digits-greg1", [setting])


@pytest.mark.parametrize("path", [None, 3, "a\0b.yaml", "x" * 5000 + ".yaml"])
def test_paths_that_are_none(path):
    with pytest.raises(PruneError, match="Received"):
        loader.load(path)
