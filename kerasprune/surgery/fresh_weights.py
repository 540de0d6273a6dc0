"""The same architecture with fresh weights: the from-scratch control."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from kerasprune.checks import whole_number_faults
from kerasprune.errors import raise_faults
from kerasprune.graph.graph import values
from kerasprune.surgery.clone import clone
from kerasprune.surgery.copy_layer import layer_config, make_layer
from kerasprune.surgery.weight_constraints import project


def reinitialise(model: keras.Model, *, seed: int = 0) -> keras.Model:
    """Returns a model of the same architecture with freshly initialised weights; the input is left untouched.

    Training a slim model from this start is the "from scratch" control of structured pruning. Weights with a constraint
    begin within it.

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
    seeds = keras.random.SeedGenerator(seed)

    def fresh(layer: Any) -> Any:
        places = seed_places(layer_config(layer)) if isinstance(layer, keras.layers.Layer) else ()
        return make_layer(layer, {place: int(keras.random.randint((), 0, 2**31 - 1, seed=seeds)) for place in places})

    new, _ = clone(model, fresh)
    for variable in new.trainable_variables:
        if getattr(variable, "constraint", None) is not None:
            variable.assign(project(variable, values(variable)))
    return new


def seed_places(config: Any) -> Iterator[tuple[str | int, ...]]:
    """Yields where in a layer's config the seeds of its initialisers stand; those of other parts stay."""
    if not isinstance(config, dict | list | tuple):
        return
    if isinstance(config, dict) and "initializers" in str(config.get("module")) and "seed" in config.get("config", {}):
        yield ("config", "seed")
        return
    for key, value in config.items() if isinstance(config, dict) else enumerate(config):
        yield from ((key, *rest) for rest in seed_places(value))
