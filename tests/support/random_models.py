"""Random models that compose all rules: `seed -> model` is a pure function.

A model is a chain of parts, each drawn at random; branches and nested models are chains themselves. Some parts of every
model are taken in turn instead, so that all parts stand in the models of `CYCLE` consecutive seeds. Layers
made of others are written out (`kp.functional`).
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import layers

import kerasprune as kp
import support.random_nesting  # noqa: F401  registers its parts
import support.random_parts  # noqa: F401
import support.random_sequences  # noqa: F401
import support.random_unusual  # noqa: F401
import support.random_wiring  # noqa: F401
from kerasprune.graph.built_model import body_of
from kerasprune.graph.walk import is_model, nodes
from kerasprune.testing import randomise
from kerasprune.testing.randomness import randomise_weights
from support.random_builder import PARTS, Builder
from support.random_composites import OWN

FEATURED = 4
_TURNS = [(name, rank) for name, each in PARTS.items() for rank in (each.ranks if each.ranks == (3, 4) else (None,))]
CYCLE = -(-len(_TURNS) // FEATURED)
"""So many consecutive seeds draw every part, those that differ between sequences and images on both."""


def random_model(seed: int) -> keras.Model:
    """Returns the random model of a seed, all its weights and statistics random, its outputs logits.

    Layers are named afresh: the counters of Keras's automatic names are reset.
    """
    keras.utils.clear_session(free_memory=False)
    return randomise(built(seed), seed)


def built(seed: int) -> keras.Model:
    """Returns the random model of a seed, its composite layers written out."""
    model = as_drawn(seed)
    if not any(isinstance(layer, OWN) for layer in model._flatten_layers()):
        return model
    randomise_weights(model, seed)  # what is written out is compared with what it was
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Not written out")
        return kp.functional(model)


def as_drawn(seed: int) -> keras.Model:
    """Returns the random model of a seed, with the weights that Keras draws."""
    b = Builder(np.random.default_rng(seed))
    turns = [_TURNS[(FEATURED * seed + n) % len(_TURNS)] for n in range(FEATURED)]
    x = _first(b)
    while turns:
        if b.chance(0.4):
            x = b.step(x)
        else:
            name, rank = turns.pop(b.whole(0, len(turns) - 1))
            x = b.apply(PARTS[name], x if rank is None else b.at_rank(x, rank))
    b.outputs.append(b.logits(x))
    return keras.Model(b.inputs, b.outputs, name=f"random_{seed}")


def _first(b: Builder) -> Any:
    """Returns an input, and mostly a layer on it."""
    shapes = ((b.whole(4, 8), b.whole(4, 8), 3), (b.whole(4, 8), b.whole(4, 8), 3), (b.whole(4, 10), 4), (6,))
    x = keras.Input(b.pick(shapes))
    b.inputs.append(x)
    return b.wide(x) if b.chance(0.8) else x


def coverage(seeds: Iterable[int]) -> tuple[Counter, Counter]:
    """Counts what the models of some seeds are made of.

    Returns:
        How many models contain each class of layer or operation, and how many each pair of class and next class.
    """
    classes: Counter = Counter()
    pairs: Counter = Counter()
    for seed in seeds:
        keras.utils.clear_session(free_memory=False)
        found, neighbours = contents(built(seed))
        classes.update(found)
        pairs.update(neighbours)
    return classes, pairs


def contents(model: Any) -> tuple[set[type], set[tuple[type, type]]]:
    """Returns the classes of layers and operations in a model, and those that stand next to each other."""
    classes: set[type] = set()
    pairs: set[tuple[type, type]] = set()
    body = body_of(model)
    for node in nodes(body):
        if is_model(node.operation):
            inner, neighbours = contents(node.operation)
            classes, pairs = classes | inner, pairs | neighbours
            continue
        classes.add(type(node.operation))
        for tensor in node.input_tensors:
            source = tensor._keras_history.operation
            if not isinstance(source, layers.InputLayer) and not is_model(source):
                pairs.add((type(source), type(node.operation)))
    return classes, pairs
