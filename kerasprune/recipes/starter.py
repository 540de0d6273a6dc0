"""A recipe to begin with, and the JSON schema by which an editor checks one while it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kerasprune.errors import PruneError, short
from kerasprune.files import path_of, write_text
from kerasprune.recipes.lookup import ANYTHING, FAMILIES, taken

STARTER = """\
# yaml-language-server: $schema=./kerasprune.schema.json
#   kerasprune validate {file}     all faults at once
#   kerasprune run {file} --smoke  every stage on two batches
#   kerasprune run {file}
# Every fraction is a fraction kept. What is left out has its default; 'kerasprune schema' lists all keys.
name: {name}
why: What do I want to know?            # one sentence; 'kerasprune ls recipes' shows it
seed: 0

# A model by name ('kerasprune ls models') with its arguments, or a trained one:  model: {{start: mine.keras}}
# and then without the train stage.
model: {{name: resnet_cifar, depth: 20, classes: 10}}

# A data set by name ('kerasprune ls data'), "tfds:<name>", or the path of a folder of images, one folder per class.
data: {{name: digits, size: 16, batch: 64, augment: crop}}

train:
  epochs: 25
  optimizer: {{name: sgd, learning_rate: {{name: cosine, start: 0.1}}, momentum: 0.9}}
  l2: 5.0e-4                            # weight decay as papers mean it: within the loss

prune:
  # Who stays: one of keep (channels), macs (multiply–adds), params.
  plan: {{criterion: l1, budget: uniform, macs: 0.5, coupling: tied}}
  # How the model is prepared, over some epochs ('kerasprune ls callbacks'). Without these two lines it is cut at once.
  callback: {{name: greg1, granularity: channel, schedule: {{name: geometric, steps: 260}}}}
  optimizer: {{name: sgd, learning_rate: 0.01, momentum: 0.9}}

finetune:
  epochs: 30
  optimizer: {{name: sgd, learning_rate: {{name: cosine, start: 0.05}}, momentum: 0.9}}
  l2: 5.0e-4

export: [tflite]                        # saved_model, tflite, tflite-float16, tflite-int8

# What 'kerasprune run --strict' holds the run to:
# expected: {{accuracy_change: -0.01, macs: 0.5}}
"""


def init(path: str | Path = "recipe.yaml") -> Path:
    """Writes a recipe with comments, to begin with, and the JSON schema for editors beside it.

    Args:
        path: A `.yaml` file that is not there yet. Defaults to `"recipe.yaml"`.

    Returns:
        The path of the recipe.

    Raises:
        PruneError: It is there, or is no name of a YAML file.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from kerasprune.recipes.loader import load
        >>> load(init(Path(tempfile.mkdtemp()) / "mine.yaml")).name
        'mine'
    """
    path = path_of(path)
    if path.suffix not in {".yaml", ".yml"}:
        raise PruneError(f"Expected the path of a .yaml file. Received: {short(str(path))}. Try 'mine.yaml'.")
    if path.exists():
        raise PruneError(f"Expected a path where nothing is yet. Received: {short(str(path))}. Choose another.")
    name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in path.stem).strip("-")
    written = write_text(path, STARTER.format(name=name or "mine", file=path.name))
    schema = path.with_name("kerasprune.schema.json")
    if not schema.exists():
        write_text(schema, schema_json())
    return written


def schema_json() -> str:
    """Returns the JSON schema of recipes, for editors: keys, ranges, and the registered names with their arguments.

    Example:
        >>> import json
        >>> sorted(json.loads(schema_json())["required"])
        ['model', 'name', 'why']
    """
    from kerasprune.recipes.schema import Recipe

    schema = Recipe.model_json_schema()
    schema["$defs"] |= {_reference(family): _named(family) for family in _KEYS.values()}
    for part in schema["$defs"].values():
        for key, family in _KEYS.items():
            if _names_a_member(part.get("properties", {}).get(key)):
                part["properties"][key] = _choice(family, part["properties"][key])
    model = schema["properties"]["model"]
    schema["properties"]["model"] = {"anyOf": [{"$ref": "#/$defs/Start"}, _choice("model", model)]}
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=1) + "\n"


_KEYS = {
    "criterion": "criterion",
    "channels": "criterion",
    "blocks": "block criterion",
    "budget": "budget",
    "callback": "callback",
    "callbacks": "callback",
    "model": "model",
}
_OWN = {"type": "object", "properties": {"name": {"type": "string", "pattern": ":"}}, "required": ["name"]}


def _names_a_member(value: Any) -> bool:
    return "#/$defs/Named" in json.dumps(value)


def _reference(family: str) -> str:
    return f"{family.replace(' ', '_')}_by_name"


def _choice(family: str, before: dict[str, Any]) -> dict[str, Any]:
    """Returns what may stand at a key: a member of the family, one's own code, or what else could stand there."""
    member = {"anyOf": [{"$ref": f"#/$defs/{_reference(family)}"}, _OWN]}
    if before.get("type") == "array":
        return {**before, "items": member}
    absent = [{"type": "null"}] if "null" in json.dumps(before) else []
    return {"anyOf": [*member["anyOf"], *absent]}


def _named(family: str) -> dict[str, Any]:
    """Returns what may stand for a member of a family: its name, or the name beside its arguments."""
    members = {name: taken(family, name) for name in FAMILIES[family].names()}
    described = [
        {
            "type": "object",
            "properties": {"name": {"const": name}, **{key: {} for key in arguments if key != ANYTHING}},
            "required": ["name"],
            "additionalProperties": ANYTHING in arguments,
        }
        for name, arguments in members.items()
    ]
    return {"anyOf": [{"enum": list(members)}, *described]}
