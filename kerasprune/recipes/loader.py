"""Reads and checks recipes: reports all faults at once, each with its line and the nearest key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from kerasprune.checks import of_percent
from kerasprune.errors import Given, Key, PruneError, raise_faults, short
from kerasprune.files import is_file, is_folder, read_text
from kerasprune.files.made_of import named_digest
from kerasprune.models.sets.lookup import NAMED, PREFIXED, SYNTHETIC
from kerasprune.recipes import library
from kerasprune.recipes.node import word_fault
from kerasprune.recipes.schema import INSTALL, Recipe, Start, keys_of_absent_papers
from kerasprune.recipes.yaml_text import MOST_BYTES, MOST_DEPTH, Keys, read_value, read_yaml


def load(recipe: str | Path, settings: Sequence[str] = (), *, trust: bool = False) -> Recipe:
    """Loads a recipe by name or from a file, and validates it.

    Args:
        recipe: Name of a recipe of the package, or the path of a `.yaml` file.
        settings: Changes to the recipe as `"key.key=value"`, with values as in YAML. Defaults to none.
        trust: Whether user code (`package.module:Name`) may be imported. Defaults to `False`.

    Raises:
        PruneError: There is no such recipe, or it is invalid; the message lists every error.

    Example:
        >>> load("digits-greg1", ["finetune.epochs=2"]).finetune.epochs
        2
    """
    path = library.find(recipe)
    text = read_text(path, "a recipe file", MOST_BYTES)
    if path.parent == library.FOLDER and (absent := keys_of_absent_papers(read_yaml(text, path.name)[0])):
        raise PruneError(
            f"Expected the paper that brings {' and '.join(absent)} to be installed. Received: recipe={path.stem!r}. "
            f"{INSTALL}"
        )
    return parse(text, settings, source=path.name, trust=trust)


def parse(text: str, settings: Sequence[str] = (), *, source: str = "The recipe", trust: bool = False) -> Recipe:
    """Reads a recipe from YAML text, and checks it; see `load`."""
    data, lines, faults = read_yaml(text, source)
    if not isinstance(data, dict):
        raise PruneError(f"{source}: expected a mapping of keys. Received: {type(data).__name__}.")
    for setting in _listed(settings):
        faults += _apply(data, setting)
    return check(data, faults, lines=lines, source=source, trust=trust)


def check(
    data: dict[str, Any],
    faults: Iterable[str] = (),
    *,
    lines: dict[Keys, int] | None = None,
    source: str = "The recipe",
    trust: bool = False,
) -> Recipe:
    """Makes a recipe from plain data; raises one `PruneError` with all faults."""
    faults = list(faults)
    recipe = None
    try:
        recipe = Recipe.model_validate(data, context={"trust": trust})
    except ValidationError as error:
        faults += [_worded(fault, data, lines or {}) for fault in error.errors()]
    raise_faults(f"{source} cannot be run:", faults)
    return recipe


def dump(recipe: Recipe) -> str:
    """Returns a recipe as YAML text that `parse` reads back."""
    return yaml.safe_dump(resolve_defaults(recipe), sort_keys=False, allow_unicode=True)


def fingerprint(recipe: Recipe) -> str:
    """Returns 8 hexadecimal digits: a hash of everything that the run depends on."""
    return hashlib.sha256(json.dumps(_decisive(recipe), sort_keys=True).encode()).hexdigest()[:8]


def made_of(recipe: Recipe, without: Sequence[str] = ()) -> dict[str, Any]:
    """Returns everything that a run depends on: the keys of its recipe, and the files that they name by their hashes.

    Args:
        recipe: The recipe.
        without: Keys, as `"key.key"`, that differ between the runs of one folder. Defaults to none.
    """
    data = _hashed(_decisive(locate_files(recipe)))
    for key in without:
        *above, last = key.split(".")
        node = data
        for part in above:
            node = node.get(part, {}) if isinstance(node, dict) else {}
        if isinstance(node, dict):
            node.pop(last, None)
    return data


def _decisive(recipe: Recipe) -> dict[str, Any]:
    """Returns the keys of a recipe that decide what comes out."""
    said = {"why", "paper", "expected", "status"}
    return {key: value for key, value in resolve_defaults(recipe).items() if key not in said}


def _hashed(value: Any) -> Any:
    """Returns plain data with the name and the hash of a file in place of its path."""
    if isinstance(value, dict):
        return {key: _hashed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_hashed(each) for each in value]
    return named_digest(value) if isinstance(value, str) else value


def resolve_defaults(value: Any) -> Any:
    """Returns a recipe, or a part of one, as plain data with defaults filled in, as in `recipe.yaml` of a run."""
    if isinstance(value, BaseModel):
        # A key whose default is None is omitted if it is None.
        absent = {key for key, field in type(value).model_fields.items() if field.default is None}
        return {key: resolve_defaults(item) for key, item in value if not (item is None and key in absent)}
    if isinstance(value, dict):
        return {key: resolve_defaults(item) for key, item in value.items()}
    return [resolve_defaults(item) for item in value] if isinstance(value, list | tuple) else value


def _listed(settings: Any) -> Sequence[str]:
    if isinstance(settings, str) or not all(isinstance(setting, str) for setting in settings):
        raise PruneError(
            f"Expected settings as a list of texts, e.g. ['train.epochs=3']. Received: settings={short(settings)}."
        )
    return settings


def _apply(data: dict[str, Any], setting: str) -> list[str]:
    """Applies one `key.key=value`; returns its faults."""
    key, equals, text = setting.partition("=")
    if not equals or not all(key.split(".")):
        return [f"Expected a setting key.key=value. Received: {short(setting)}"]
    parts = key.split(".")
    if len(parts) > MOST_DEPTH + 1:
        return [f"Expected a setting of at most {MOST_DEPTH} keys. Received: {short(setting)}"]
    try:
        value = read_value(text)
    except PruneError as error:
        return [f"The setting {short(setting)}: {error}"]
    node: Any = data
    for left, part in zip(range(len(parts) - 1, -1, -1), parts, strict=True):
        counts = isinstance(node, list) and part.isascii() and part.isdecimal() and int(part) < len(node)
        if not counts and not isinstance(node, dict):
            where = "goes through" if left else "ends at"
            return [f"The setting {short(setting)} {where} {short(part)}, where the recipe has no keys"]
        place = int(part) if counts else part
        if not left:
            node[place] = value
        elif isinstance(node, dict) and node.get(place) is None:
            node[place] = {}
        node = node[place]
    return []


def _worded(fault: Any, data: Any, lines: dict[Keys, int]) -> PruneError:
    keys = _spelled(fault["loc"], data, fault["type"] in {"missing", "unknown_key"})
    line = next((lines[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in lines), None)
    path = ".".join(map(str, keys))
    expected = [_below(path, part) for part in word_fault(fault)]
    where = [f"line {line}, " if line else "", Key(path, ".".join(map(_part, keys))), ": "] if keys else []
    parts, message = [*where, *expected], str(PruneError(*expected))
    if fault["type"] in {"missing", "unknown_key"} or "Received:" in message or not keys:
        return PruneError(*parts)
    given = fault["input"]
    if fault["type"] == "union_tag_invalid" and isinstance(given, dict):
        given = given.get("name")
    percent = of_percent(given) if fault["type"] == "less_than_equal" else ""
    received = "" if message.endswith("?") else "."
    return PruneError(*parts, f"{received} Received: ", Given(path, value=given), f".{percent}")


def _below(path: str, part: str | Key) -> str | Key:
    """Returns a part of a section's message, its keys prefixed with the path of the section."""
    return replace(part, path=f"{path}.{part.path}", text=str(part)) if path and isinstance(part, Key) else part


def _part(key: str | int) -> str:
    return str(key) if len(str(key)) <= 80 else short(key)


def _spelled(location: Keys, data: Any, absent: bool) -> Keys:
    """Returns a location without pydantic's union tags (`optimizer.sgd`), which are not keys of a recipe.

    Args:
        location: Pydantic's location of a fault.
        data: The recipe as plain data.
        absent: Whether the last part is a missing or unknown key.
    """
    keys: list[str | int] = []
    for step, part in enumerate(location):
        if part in data if isinstance(data, dict) else isinstance(data, list) and isinstance(part, int):
            keys.append(part)
            data = data[part]
        elif absent and step == len(location) - 1:
            keys.append(part)
    return tuple(keys)


def locate_files(recipe: Recipe) -> Recipe:
    """Returns the recipe with absolute paths in place of those relative to the current folder.

    These are the checkpoint, the data (also the file of a function), `data_dir`, `calibrate` and the table of a target.
    Paths below the package's recipes, and names that are not paths, are unchanged.
    """
    changes: dict[str, Any] = {}
    if isinstance(recipe.model, Start):
        changes["model"] = recipe.model.model_copy(update={"start": _absolute(recipe.model.start)})
    if recipe.data is not None:
        named = recipe.data.name in (*NAMED, SYNTHETIC) or recipe.data.name.partition(":")[0] in PREFIXED
        name = recipe.data.name if named else _absolute(recipe.data.name)
        data_dir = recipe.data.data_dir and str(Path(recipe.data.data_dir).expanduser().absolute())
        changes["data"] = recipe.data.model_copy(update={"name": name, "data_dir": data_dir})
    if recipe.calibrate is not None:
        changes["calibrate"] = _absolute(recipe.calibrate)
    target = recipe.prune and recipe.prune.plan and recipe.prune.plan.target
    if target and isinstance(target.arguments.get("table"), str):
        named = target.model_copy(update={"table": _absolute(target.arguments["table"])})
        plan = recipe.prune.plan.model_copy(update={"target": named})
        changes["prune"] = recipe.prune.model_copy(update={"plan": plan})
    return recipe.model_copy(update=changes)


def _absolute(name: str) -> str:
    """Makes a path absolute, that of the file in `FILE.py:function` too; returns other names unchanged."""
    file, colon, function = name.rpartition(":")
    if colon and file.endswith(".py") and is_file(file):
        return f"{_absolute(file)}:{function}"
    path = Path(name).expanduser()
    return str(path.absolute()) if is_file(path) or is_folder(path) else name
