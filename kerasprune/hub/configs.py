"""What the configs of KerasHub's classes can say, in the words that all of them share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from kerasprune.checks import given_values, whole_number_faults
from kerasprune.errors import PruneError, raise_faults

WORDS: Mapping[str, tuple[str, ...]] = {
    "hidden": ("hidden_dim",),
    "heads": ("num_heads", "num_query_heads", "num_attention_heads"),
    "kv_heads": ("num_key_value_heads",),
    "intermediate": ("intermediate_dim", "mlp_dim"),
    "layers": ("num_layers",),
    "filters": ("stackwise_num_filters",),
}
"""The entries of configs that a word stands for; `filters` are a list, one for each stack of convolutions."""
_PROPORTIONAL = ("hidden", "heads", "kv_heads", "filters")
_STEP, _WIDE = 8, 128  # numbers so large stay multiples, which kernels of devices are made for
_ENCODER = "image_encoder"  # the backbone inside that of a detector, with a config of its own


def _settings_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the part of the config of a backbone that has the entries: that of its image encoder, if it has one."""
    encoder = config.get(_ENCODER)
    return encoder["config"] if isinstance(encoder, Mapping) else config


def _with_settings(config: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a config with other entries in the part that `_settings_of` returns."""
    new = deepcopy(dict(config))
    part = new[_ENCODER]["config"] if isinstance(new.get(_ENCODER), Mapping) else new
    part.update(changed)
    return new


def entries_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Returns `{word: entry}` for the words that a config has an entry for."""
    settings = _settings_of(config)
    kinds = {word: (list, tuple) if word == "filters" else int for word in WORDS}
    found = {
        word: [name for name in names if isinstance(settings.get(name), kinds[word])] for word, names in WORDS.items()
    }
    return {word: names[0] for word, names in found.items() if names}


def numbers_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `{word: number}` of a config."""
    settings = _settings_of(config)
    return {word: settings[entry] for word, entry in entries_of(config).items()}


def with_numbers(config: Mapping[str, Any], numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a config with other numbers, by their words."""
    entries = entries_of(config)
    return _with_settings(config, {entries[word]: number for word, number in numbers.items()})


def asked_config(config: Mapping[str, Any], asked: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Returns a config with the numbers that are asked for.

    Args:
        config: The dense config.
        asked: `{word: number}`.
        name: The class, for messages.

    Raises:
        PruneError: The class has no such entry, a number is not smaller, or no config of the class says it.
    """
    dense = numbers_of(config)
    faults = [
        f"Expected one of {', '.join(dense)} for {name}. Received: {word}={asked[word]}."
        for word in asked
        if word not in dense
    ]
    for word, number in asked.items():
        if word in dense:
            faults += _number_faults(word, number, dense[word])
    raise_faults("Invalid arguments for shrink:", faults)
    found = with_numbers(config, asked)
    if fault := _fault(config, numbers_of(found)):
        received = ", ".join(f"{word}={number}" for word, number in asked.items())
        raise PruneError(
            f"Expected a config that {name} can have: {fault}. Received: {received}.{nearest_words(config, found)}"
        )
    return found


def _number_faults(word: str, number: Any, dense: Any) -> list[str]:
    """Returns the faults of a number, or of a list of them."""
    if not isinstance(dense, Sequence):
        faults = whole_number_faults(1, **{word: number})
        return faults or ([f"Expected {word} of at most {dense}. Received: {word}={number}."] if number > dense else [])
    is_list = isinstance(number, Sequence) and len(number) == len(dense)
    fits = is_list and all(type(each) is int and 1 <= each <= most for each, most in zip(number, dense, strict=True))
    expected = f"Expected {word} of {len(dense)} integers, each from 1 to those of {list(dense)}"
    return [] if fits else [f"{expected}. Received: {word}={number!r}."]


def nearest_words(config: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """Returns a sentence with the nearest config that a class can have; empty if that is what was asked for."""
    dense, wanted = numbers_of(config), numbers_of(asked)
    near = _nearest(config, wanted)
    words = [f"{word}={near[word]}" for word in dense if near[word] != dense[word]]
    return f" The nearest is {', '.join(words)}." if words and near != wanted else ""


def _fault(config: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """Returns the reason why no config of a class with these entries can say it; empty if one can."""
    dense, names = numbers_of(config), entries_of(config)
    if "kv_heads" in dense and asked["heads"] % asked["kv_heads"]:
        return f"{names['heads']} is a multiple of {names['kv_heads']}"
    if not _ties_sizes(config):
        return ""
    if asked["hidden"] % asked["heads"]:
        return f"{names['hidden']} is a multiple of {names['heads']}"
    if asked["hidden"] // asked["heads"] > dense["hidden"] // dense["heads"]:
        return f"its heads have {names['hidden']} // {names['heads']} sizes, which do not grow"
    return ""


def _ties_sizes(config: Mapping[str, Any]) -> bool:
    """Returns whether the size of a head is the quotient of hidden channels and heads."""
    return {"hidden", "heads"} <= entries_of(config).keys() and _settings_of(config).get("head_dim") is None


def _nearest(config: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Returns numbers that can be said, with the heads that were asked for, and their sizes as they are."""
    dense, found = numbers_of(config), dict(asked)
    if "kv_heads" in dense:
        each = dense["heads"] // dense["kv_heads"]
        near = round(asked["heads"] / each)
        found["kv_heads"] = max(1, near - (near == dense["kv_heads"] and asked["heads"] < dense["heads"]))
        found["heads"] = found["kv_heads"] * each
    if _ties_sizes(config):
        size = dense["hidden"] // dense["heads"]
        if found["heads"] == dense["heads"]:
            found["heads"] = max(1, round(asked["hidden"] / size))
        found["hidden"] = found["heads"] * size
    if "filters" in dense:  # the first stack of KerasHub's ResNets has as many as it has
        found["filters"] = [dense["filters"][0], *found["filters"][1:]]
    return found


def smaller_config(config: Mapping[str, Any], widths: float, units: float) -> dict[str, Any]:
    """Returns the config whose widths are nearest to shares of those of the dense one.

    Sizes of heads stay as they are, and the first stack of convolutions, so that every class can say it. Channels
    between blocks follow the heads where they are a multiple of them.

    Args:
        config: The dense config.
        widths: The share of all widths but the intermediate units, in [0, 1].
        units: That of the intermediate units, in [0, 1].
    """
    dense = numbers_of(config)
    shares = dict.fromkeys(_PROPORTIONAL, widths) | {"intermediate": units}
    asked = {word: _share_of(number, shares[word]) for word, number in dense.items() if word in shares}
    if _ties_sizes(config):
        asked["hidden"] = dense["hidden"]  # follows the heads
    return with_numbers(config, _nearest(config, {**dense, **asked}))


def _share_of(number: Any, share: float) -> Any:
    if isinstance(number, Sequence):
        return [_share_of(each, share) for each in number]
    step = _STEP if number % _STEP == 0 and number >= _WIDE else 1
    return step * max(1, round(share * number / step))


def changed_words(dense: Mapping[str, Any], slim: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Returns `{word: (before, after)}` of the numbers that differ."""
    before, after = numbers_of(dense), numbers_of(slim)
    pairs = {word: (number, after[word]) for word, number in before.items()}
    return {word: pair for word, pair in given_values(**pairs).items() if pair[0] != pair[1]}
