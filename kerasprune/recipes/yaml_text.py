"""YAML of recipes and of runs: plain data, bounded in size, depth and repetition before it is used."""

from __future__ import annotations

import re
from typing import Any

import yaml

from kerasprune.errors import PruneError, short

Keys = tuple[str | int, ...]

MOST_BYTES = 64 << 10
"""Limit of a recipe; the longest of the package has three thousand."""
MOST_DEPTH = 24
MOST_NODES = 4000
"""Limit of keys and values, repetitions by aliases counted."""

_INT = re.compile(r"^[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)$")
_FLOAT = re.compile(
    r"^[-+]?(?:(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))$|^\.(?:nan|NaN|NAN)$"
)
_UNPAIRED = re.compile("[\ud800-\udfff]")  # halves of surrogate pairs, which cannot be encoded
_OTHERS = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}


class _Loader(yaml.SafeLoader):
    """Safe YAML with the numbers of YAML 1.2: `1e-4` is one, `1:30` and dates are texts."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _OTHERS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Composes a node, unless it is too deep or one too many."""
        self._depth, self._nodes = self._depth + 1, self._nodes + 1
        if self._depth > MOST_DEPTH or self._nodes > MOST_NODES:
            what = f"{MOST_DEPTH} levels" if self._depth > MOST_DEPTH else f"{MOST_NODES} keys and values"
            raise yaml.composer.ComposerError(None, None, f"it has more than {what}", self.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Constructs a value; raises a `YAMLError` if it does not fit its tag."""
        try:
            return super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception as error:  # PyYAML does not check values of tags
            words = f"{short(node.value)} cannot be read as {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(None, None, words, node.start_mark) from error


_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


def read_yaml(text: str, source: str) -> tuple[Any, dict[Keys, int], list[str]]:
    """Returns the plain data of a YAML text, the line of every key, and a fault for every duplicate key.

    Args:
        text: The text.
        source: Its source, for the message.

    Raises:
        PruneError: It is not YAML, too large, too deep, repeats itself too often, or is not plain data.
    """
    if len(text) > MOST_BYTES:
        raise PruneError(f"{source}: expected at most {MOST_BYTES:,} characters. Received: {len(text):,}.")
    try:
        loader = _Loader(text)
        try:
            tree = loader.get_single_node()
            _check_repetition(tree)
            lines: dict[Keys, int] = {}
            faults = [] if tree is None else _walk(loader, tree, (), lines)
            data = None if tree is None else loader.construct_document(tree)
        finally:
            loader.dispose()
    except (yaml.YAMLError, RecursionError) as error:
        raise PruneError(f"{source} is not YAML: {error}") from error
    _check_plain(data, source)
    return data, lines, faults


def read_value(text: str) -> Any:
    """Returns the value of a YAML text, e.g. a number; the text itself if it is not YAML."""
    try:
        return read_yaml(text, "the value")[0]
    except PruneError as error:
        if isinstance(error.__cause__, yaml.scanner.ScannerError | yaml.parser.ParserError | yaml.reader.ReaderError):
            return text
        raise


def _check_repetition(tree: Any) -> None:
    """Raises `YAMLError` if aliases repeat more than a recipe may hold, or contain themselves."""
    sizes: dict[int, int] = {}

    def size(node: Any, above: tuple[int, ...]) -> int:
        if id(node) in above:
            raise yaml.composer.ComposerError(None, None, "an alias contains itself", node.start_mark)
        if id(node) not in sizes:
            inside = above + (id(node),)
            sizes[id(node)] = 1 + sum(size(part, inside) for part in _parts(node))
        return sizes[id(node)]

    if tree is not None and size(tree, ()) > MOST_NODES:
        words = f"its aliases repeat more than {MOST_NODES} keys and values"
        raise yaml.composer.ComposerError(None, None, words, tree.start_mark)


def _parts(node: Any) -> list[Any]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _walk(loader: _Loader, node: Any, keys: Keys, lines: dict[Keys, int]) -> list[str]:
    """Notes the line of every key, and returns a fault for every duplicate."""
    lines[keys] = node.start_mark.line + 1
    faults = []
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            name = _name(loader, key)
            if name in seen:
                faults.append(f"line {key.start_mark.line + 1}: the key {short(name)} is given twice")
            seen.add(name)
            faults += _walk(loader, value, (*keys, name), lines)
            lines[(*keys, name)] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            faults += _walk(loader, value, (*keys, index), lines)
    return faults


def _name(loader: _Loader, key: Any) -> Any:
    """Returns the value of a key; its text if it is not a scalar."""
    plain = isinstance(key, yaml.ScalarNode) and not key.tag.endswith(":merge")
    return loader.construct_object(key) if plain else str(key.value)[:80]


def _check_plain(data: Any, source: str) -> None:
    parts = [data]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            parts += [*part.keys(), *part.values()]
        elif isinstance(part, list):
            parts += part
        elif isinstance(part, str) and _UNPAIRED.search(part):
            raise PruneError(f"{source}: expected text that can be written. Received: {short(part)}.")
        elif not (part is None or isinstance(part, bool | int | float | str)):
            raise PruneError(f"{source}: expected texts, numbers, lists and keys with values. Received: {short(part)}.")
