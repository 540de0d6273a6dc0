"""The same architecture with fresh weights: the from-scratch control."""

from __future__ import annotations

from typing import Any

import keras

from kerasprune.checks import whole_number_faults
from kerasprune.errors import raise_faults
from kerasprune.graph.built_model import body_of
from kerasprune.surgery.copy_layer import copy_assets


def reinitialise(model: keras.Model, *, seed: int = 0) -> keras.Model:
    """Returns a model of the same architecture with freshly initialised weights; the input is left untouched.

    Training a slim model from this start is the "from scratch" control of structured pruning.

    Args:
        model: A functional model.
        seed: Random seed of the weights. Defaults to 0.

    Returns:
        A new model, not compiled.

    Raises:
        PruneError: The model has no functional graph.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> other = reinitialise(model, seed=1)
        >>> bool((other.get_weights()[0] != model.get_weights()[0]).all())
        True

    Reference:
        Liu et al., Rethinking the Value of Network Pruning, ICLR 2019.
    """
    raise_faults("Invalid arguments for reinitialise:", whole_number_faults(0, seed=seed))
    body_of(model)  # says what is wrong with a model that has no graph
    seeds = keras.random.SeedGenerator(seed)

    def fresh(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = _reseeded(layer.get_config(), seeds)
        new = type(layer).from_config(config)
        copy_assets(layer, new)
        return new

    return keras.models.clone_model(model, clone_function=fresh)


def _reseeded(config: Any, seeds: keras.random.SeedGenerator) -> Any:
    """Returns a layer's configuration with new seeds in its initialisers; those of other parts stay."""
    if isinstance(config, list | tuple):
        return type(config)(_reseeded(each, seeds) for each in config)
    if not isinstance(config, dict):
        return config
    if "initializers" in str(config.get("module")) and "seed" in config.get("config", {}):
        drawn = int(keras.random.randint((), 0, 2**31 - 1, seed=seeds))
        return {**config, "config": {**config["config"], "seed": drawn}}
    return {key: _reseeded(value, seeds) for key, value in config.items()}
