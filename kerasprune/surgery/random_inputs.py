"""Random inputs that a model can be run on: numbers, booleans, entries of its tables, words that it knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, tree

from kerasprune._keras import Functional, structures
from kerasprune.graph.built_model import body_of, fixed_batch
from kerasprune.graph.rule import BUILT_IN
from kerasprune.graph.sizes import Size, shapes_at_size
from kerasprune.graph.trace import size_to_try
from kerasprune.graph.walk import walk

_NUMBERS = 10
_WORDS = 8  # in a text

_MOVES = {"Cast", "Concatenate", "Copy", "Identity", *BUILT_IN["reshape"].split(), *BUILT_IN["slicing"].split()}
_LOOKUPS = (layers.IntegerLookup, layers.StringLookup, layers.TextVectorization)
_BETWEEN_WORDS = {None: None, "character": ""}  # by how a layer splits texts; else a space


@dataclass
class Entries:
    """The entries of tables that an input may hold.

    Args:
        table: Number of entries of the smallest `Embedding` that looks up what is computed from it; `None` without one.
        own: The same of those that look up its numbers unchanged.
        known: Numbers or words that a table holds; if there are none, digits serve as words.
        between: Separator of the words of a text; `None` if a text is one entry.
    """

    table: int | None = None
    own: int | None = None
    known: Sequence[Any] = ()
    between: str | None = None

    @property
    def numbers(self) -> int:
        """Random integers are below this one."""
        return min(self.table or _NUMBERS, _NUMBERS)


def random_inputs(model: keras.Model, batch: int = 4, seed: int = 0, side: Size | None = None) -> Any:
    """Returns a batch of random inputs in the structure of the model's inputs.

    Args:
        model: A functional or Sequential model.
        batch: Number of samples, if the model does not fix it. Defaults to 4.
        seed: Random seed. Defaults to 0.
        side: Size of free axes, see `kp.trace`. Defaults to 32, or the first of some numbers that the model takes.

    Returns:
        Normally distributed arrays; booleans for boolean inputs. Integers and texts are entries of the vocabulary of
        the `TextVectorization`, `StringLookup` or `IntegerLookup` that reads them, otherwise integers below the size of
        the smallest `Embedding` that looks them up, and below ten.
    """
    body, generator = body_of(model), np.random.default_rng(seed)

    def draw(tensor: keras.KerasTensor, sides: tuple[int, ...], entries: Entries) -> np.ndarray:
        fixed = fixed_batch(model) if isinstance(model, keras.Sequential) else tensor.shape[0]
        shape, dtype = (fixed or batch, *sides), str(tensor.dtype)
        if dtype == "string":
            return _texts(shape, entries, generator)
        if "int" in dtype:
            drawn = generator.integers(0, len(entries.known) or entries.numbers, shape)
            return (np.asarray(entries.known)[drawn] if len(entries.known) else drawn).astype(dtype)
        values = generator.normal(size=shape)
        return values > 0 if dtype == "bool" else values.astype(dtype)

    shapes = shapes_at_size(body, side)
    if any(None in shape for shape in shapes):
        shapes = shapes_at_size(body, size_to_try(body, side))
    return structure_inputs(model, list(map(draw, body.inputs, shapes, looked_up(body))))


def structure_inputs(model: keras.Model, inputs: list[Any]) -> Any:
    """Returns inputs in flat order in the structure that a model takes."""
    if isinstance(model, Functional):
        return tree.pack_sequence_as(structures(model)[0], inputs)
    return inputs[0] if len(inputs) == 1 else inputs


def _texts(shape: tuple[int, ...], entries: Entries, generator: np.random.Generator) -> np.ndarray:
    """Returns an array of texts, each a word or several."""
    words = [str(word) for word in entries.known] or [str(number) for number in range(_NUMBERS)]
    drawn = generator.integers(0, len(words), (*shape, 1 if entries.between is None else _WORDS))
    texts = np.empty(shape, object)
    for at in np.ndindex(shape):
        texts[at] = (entries.between or "").join(words[each] for each in drawn[at])
    return texts


def looked_up(model: keras.Model) -> list[Entries]:
    """Returns the entries that may be looked up, for each input, in the tables of all layers that it goes into."""
    body = body_of(model)
    found = [Entries() for _ in body.inputs]

    def visit(node: Any, *args: Any, **kwargs: Any) -> list[frozenset[tuple[int, bool]]]:
        sources = frozenset().union(*(x for x in tree.flatten((args, kwargs)) if isinstance(x, frozenset)))
        layer = node.operation
        for entries, unchanged in ((found[source], unchanged) for source, unchanged in sources):
            if isinstance(layer, layers.Embedding) and layer.input_dim > 1:
                entries.table = min(entries.table or layer.input_dim, layer.input_dim)
                entries.own = min(entries.own or layer.input_dim, layer.input_dim) if unchanged else entries.own
            elif isinstance(layer, _LOOKUPS) and not len(entries.known):
                entries.known = layer.get_vocabulary(include_special_tokens=False)
                split = layer.get_config().get("split")
                entries.between = _BETWEEN_WORDS.get(split if isinstance(split, str | None) else "", " ")
        if isinstance(layer, layers.Embedding):  # what it returns is not a number of a table
            sources = frozenset()
        moved = type(layer).__name__ in _MOVES
        return [frozenset((source, unchanged and moved) for source, unchanged in sources)] * len(node.outputs)

    walk(body, [frozenset({(index, True)}) for index in range(len(found))], visit)
    return found
