"""What the configs of KerasHub's classes can say, in the words that all of them share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerasprune.checks import given_values, whole_number_faults
from kerasprune.errors import PruneError, raise_faults

WORDS: Mapping[str, tuple[str, ...]] = {
    "hidden": ("hidden_dim",),
    "heads": ("num_heads", "num_query_heads"),
    "kv_heads": ("num_key_value_heads",),
    "intermediate": ("intermediate_dim", "mlp_dim"),
    "layers": ("num_layers",),
}
"""The entries of configs that a word stands for."""


def entries_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Returns `{word: entry}` for the words that a config has an entry for."""
    found = {word: [name for name in names if isinstance(config.get(name), int)] for word, names in WORDS.items()}
    return {word: names[0] for word, names in found.items() if names}


def asked_config(config: Mapping[str, Any], asked: Mapping[str, int], name: str) -> dict[str, Any]:
    """Returns a config with the numbers that are asked for.

    Args:
        config: The dense config.
        asked: `{word: number}`.
        name: The class, for messages.

    Raises:
        PruneError: The class has no such entry, a number is not smaller, or no config of the class says it.
    """
    entries = entries_of(config)
    faults = [
        f"Expected one of {', '.join(entries)} for {name}. Received: {word}={asked[word]}."
        for word in asked
        if word not in entries
    ]
    faults += whole_number_faults(1, **{word: number for word, number in asked.items() if word in entries})
    if not faults:
        faults += [
            f"Expected {word} of at most {config[entries[word]]}. Received: {word}={number}."
            for word, number in asked.items()
            if number > config[entries[word]]
        ]
    raise_faults("Invalid arguments for shrink:", faults)
    found = {**config, **{entries[word]: number for word, number in asked.items()}}
    if fault := _fault(config, found, entries):
        received = ", ".join(f"{word}={number}" for word, number in asked.items())
        raise PruneError(
            f"Expected a config that {name} can have: {fault}. Received: {received}.{nearest_words(config, found)}"
        )
    return found


def nearest_words(config: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """Returns a sentence with the nearest config whose heads keep their sizes; empty if that is what was asked for."""
    entries = entries_of(config)
    near = _nearest(config, asked, entries)
    words = [f"{word}={near[entry]}" for word, entry in entries.items() if near[entry] != config[entry]]
    return f" The nearest is {', '.join(words)}." if words and near != dict(asked) else ""


def _fault(config: Mapping[str, Any], asked: Mapping[str, Any], entries: Mapping[str, str]) -> str:
    """Returns the reason why no config of a class with these entries can say it; empty if one can."""
    hidden, heads, keys = (entries.get(word, "") for word in ("hidden", "heads", "kv_heads"))
    if keys and asked[heads] % asked[keys]:
        return f"{heads} is a multiple of {keys}"
    if not hidden or not heads or config.get("head_dim") is not None:
        return ""
    if asked[hidden] % asked[heads]:
        return f"{hidden} is a multiple of {heads}"
    if asked[hidden] // asked[heads] > config[hidden] // config[heads]:
        return f"its heads have {hidden} // {heads} sizes, which do not grow"
    return ""


def _nearest(config: Mapping[str, Any], asked: Mapping[str, Any], entries: Mapping[str, str]) -> dict[str, Any]:
    """Returns a config that can be said, with the heads that were asked for, and their sizes as they are."""
    found = dict(asked)
    hidden, heads, keys = (entries.get(word, "") for word in ("hidden", "heads", "kv_heads"))
    if keys:
        each = config[heads] // config[keys]
        found[keys] = max(1, round(asked[heads] / each))
        found[heads] = found[keys] * each
    if hidden and heads and config.get("head_dim") is None:
        size = config[hidden] // config[heads]
        if found[heads] == config[heads]:
            found[heads] = max(1, round(asked[hidden] / size))
        found[hidden] = found[heads] * size
    return found


def smaller_config(config: Mapping[str, Any], share: float) -> dict[str, Any]:
    """Returns the config whose hidden channels, heads and intermediate units are nearest to a share of the dense one.

    Sizes of heads stay as they are, so that every class can say it.

    Args:
        config: The dense config.
        share: The share, in (0, 1].
    """
    entries = entries_of(config)
    asked = {**config}
    for word in ("heads", "intermediate") if "heads" in entries else ("hidden", "intermediate"):
        if word in entries:
            asked[entries[word]] = max(1, round(share * config[entries[word]]))
    return _nearest(config, asked, entries) if "heads" in entries else asked


def changed_words(dense: Mapping[str, Any], slim: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Returns `{word: (before, after)}` of the entries that differ."""
    pairs = {word: (dense[entry], slim[entry]) for word, entry in entries_of(dense).items()}
    return {word: pair for word, pair in given_values(**pairs).items() if pair[0] != pair[1]}
