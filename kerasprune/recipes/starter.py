"""The starter recipe, and the JSON schema with which editors check recipes."""

from __future__ import annotations

import json
from pathlib import Path
from string import Template
from typing import Any

from kerasprune.errors import PruneError, short
from kerasprune.files import path_of, write_text
from kerasprune.recipes.lookup import ANYTHING, arguments_of
from kerasprune.recipes.registry import families
from kerasprune.recipes.yaml_text import read_value

STARTER = Path(__file__).with_name("starter.yaml")
"""The starter recipe, with `$name` and `$file` to be filled in."""


def init(path: str | Path = "recipe.yaml") -> Path:
    """Writes a commented starter recipe, and the JSON schema for editors next to it.

    Args:
        path: The `.yaml` file to write. Defaults to `"recipe.yaml"`.

    Returns:
        The path of the recipe.

    Raises:
        PruneError: The file exists, or `path` does not end in `.yaml`.

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
        raise PruneError(f"Expected a path that does not exist yet. Received: {short(str(path))}. Choose another.")
    name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in path.stem).strip("-")
    name = name or "mine"
    name = name if read_value(name) == name else json.dumps(name)  # 2024 and no are texts here
    text = Template(STARTER.read_text(encoding="utf-8")).safe_substitute(name=name, file=path.name)
    written = write_text(path, text)
    schema = path.with_name("kerasprune.schema.json")
    if not schema.exists():
        write_text(schema, schema_json())
    return written


def schema_json() -> str:
    """Returns the JSON schema of recipes for editors: keys, ranges, and the registered names with their arguments.

    Example:
        >>> import json
        >>> sorted(json.loads(schema_json())["required"])
        ['model', 'name', 'why']
    """
    from kerasprune.recipes.schema import Recipe

    schema = _with_members(Recipe.model_json_schema())
    schema["$defs"] |= {_reference(family): _named(family) for family in families}
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=1) + "\n"


_OWN = {"type": "object", "properties": {"name": {"type": "string", "pattern": ":"}}, "required": ["name"]}


def _reference(family: str) -> str:
    return f"{family.replace(' ', '_')}_by_name"


def _with_members(part: Any) -> Any:
    """Returns a part of a schema with the members of a family where a key names one; see `node.member_of`."""
    if isinstance(part, list):
        return [_with_members(each) for each in part]
    if not isinstance(part, dict):
        return part
    if "family" in part:
        return {"$ref": f"#/$defs/{_reference(part['family'])}"}
    return {key: _with_members(each) for key, each in part.items()}


def _named(family: str) -> dict[str, Any]:
    """Returns the schema of a member of a family: its name, the name next to its arguments, or a user's own."""
    members = {name: arguments_of(family, name) for name in families.member(family).names()}
    described = [
        {
            "type": "object",
            "properties": {"name": {"const": name}, **{key: {} for key in arguments if key != ANYTHING}},
            "required": ["name"],
            "additionalProperties": ANYTHING in arguments,
        }
        for name, arguments in members.items()
    ]
    return {"anyOf": [{"enum": list(members)}, *described, _OWN]}
