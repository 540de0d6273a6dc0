"""The recipe to begin with is valid; the schema knows what the checks know; the list says what is asked."""

from __future__ import annotations

import json

import pytest

from kerasprune import PruneError, recipes
from kerasprune.callbacks.registry import callbacks
from kerasprune.criteria.registry import criteria
from kerasprune.models.registry import models
from kerasprune.planning.budgets.registry import budgets
from kerasprune.recipes import library, loader
from kerasprune.recipes.listing import describe_recipe, summary
from kerasprune.recipes.lookup import arguments_of
from kerasprune.recipes.starter import init, schema_json


def test_the_recipe_to_begin_with_is_valid_and_says_its_name(tmp_path):
    path = init(tmp_path / "my first.yaml")
    recipe = loader.load(path)
    assert recipe.name == "my-first"
    assert recipe.prune.plan.macs == 0.5 and recipe.finetune.epochs == 30
    schema = (tmp_path / "kerasprune.schema.json").read_text()
    assert schema == schema_json()
    assert path.read_text().startswith("# yaml-language-server: $schema=./kerasprune.schema.json\n")
    with pytest.raises(PruneError, match="does not exist yet"):
        init(path)
    with pytest.raises(PruneError, match=r"\.yaml file"):
        init(tmp_path / "mine.txt")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["kerasprune.schema.json", "my first.yaml"]
    for name in ("2024", "no", "1e3"):
        assert loader.load(init(tmp_path / f"{name}.yaml")).name == name


def allowed(schema, part):
    """Returns the keys that a schema lets stand in an object of it."""
    while "$ref" in part:
        part = schema["$defs"][part["$ref"].removeprefix("#/$defs/")]
    return part


def test_schema_knows_keys_names_and_arguments():
    schema = json.loads(schema_json())
    assert set(schema["properties"]) >= {"name", "why", "model", "data", "train", "prune", "finetune", "export"}
    assert schema["additionalProperties"] is False
    prune = schema["$defs"]["Prune"]["properties"]
    names = allowed(schema, prune["callback"]["anyOf"][0])["anyOf"]
    assert names[0]["enum"] == callbacks.names()
    greg1 = next(one for one in names[1:] if one["properties"]["name"] == {"const": "greg1"})
    assert set(greg1["properties"]) == {"name", *arguments_of("callback", "greg1")}
    for text in json.dumps(schema).split('"$ref": "')[1:]:  # every reference leads somewhere
        assert text.partition('"')[0].removeprefix("#/$defs/") in schema["$defs"]


def test_every_recipe_is_said_in_a_line():
    for name in recipes.names():
        line, recipe = describe_recipe(name), loader.load(library.find(name))
        assert line.why == recipe.why
        assert "\n" not in str(line)
        for stage in ("train", "finetune"):
            spec = getattr(recipe, stage)
            assert (f"{spec.epochs} {stage}" in line.cost) if spec else (f" {stage}" not in line.cost)
        if recipe.data is not None:
            assert recipe.data.name.removeprefix("tfds:") in line.data


@pytest.mark.parametrize("family", [budgets, callbacks, criteria, models], ids=lambda family: family.kind)
def test_every_name_is_said_in_a_sentence_of_its_docstring(family):
    for name in family.built_in:
        line, text = summary(family, name), " ".join((family.member(name).__doc__ or "").replace("`", "").split())
        assert line.endswith(".") and "\n" not in line and text.startswith(line.rstrip(".")), name
