"""A model of a class whose weights are those of its graph, as it is cut, and as it is solved afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import tree

from kerasprune.data.batches import example_batches
from kerasprune.errors import PruneError
from kerasprune.graph.graph import values
from kerasprune.hub.same_class import copy_cut
from kerasprune.repair.reconstruction.reconstruct import reconstruct_cut
from kerasprune.surgery.comparison import output_error
from kerasprune.surgery.cut import Cut

_HELD_OUT = 10  # one of so many examples judges
_SAMPLES = 512
_AT_ONCE = 8  # their logits may be of many words


class SameCut:
    """A slim model with what is left of the weights of a dense one of its class.

    Args:
        slim: The slim model, whose weights are set.
        dense: The dense model.
        cut: The cut of its graph.
        rebuilt: The graph's model, as it is cut.
        sources: `{id of a weight of the graph's model: the weight of the dense model that it is from}`.
    """

    def __init__(
        self, slim: keras.Model, dense: keras.Model, cut: Cut, rebuilt: keras.Model, sources: Mapping[int, Any]
    ) -> None:
        self.slim, self._dense, self._cut, self._rebuilt, self._sources = slim, dense, cut, rebuilt, sources
        self._take(rebuilt)

    def _take(self, built: keras.Model) -> None:
        """Gives the slim model the weights of a model like the one that was cut."""
        from kerasprune.hub.scaled_embeddings import keep_scale  # needs KerasHub

        own = self._cut.graph.model.weights
        if len(built.weights) != len(own):
            raise PruneError(
                f"Expected layers that can hold what removed channels add. Received: {type(self.slim).__name__}, where "
                "layers without bias read them after an activation. Take kp.prune, which returns a plain model."
            )
        pairs = [*zip(own, built.weights, strict=True)]
        left = {id(self._sources[id(old)]): values(new) for old, new in pairs if id(old) in self._sources}
        copy_cut(self.slim, self._dense, left)
        keep_scale(self.slim, self._dense)

    def solve(self, judge: keras.Model, inputs: Any, seed: int) -> tuple[float, float] | None:
        """Gives the slim model solved kernels, if its outputs are then nearer to those of another.

        Args:
            judge: The other model.
            inputs: Examples.
            seed: Random seed.

        Returns:
            The errors of the outputs before and after, see `output_error`; `None`, and no kernel is solved, if the
            outputs have other shapes, or for a single example.
        """
        shapes = ([each.shape for each in tree.flatten(model.output)] for model in (judge, self.slim))
        if next(shapes) != next(shapes):
            return None
        batches = example_batches(self.slim, inputs, _SAMPLES)
        examples = [np.concatenate(each) for each in zip(*batches, strict=True)]
        if len(examples[0]) < 2:
            return None
        held = [each[::_HELD_OUT] for each in examples]
        used = [np.delete(each, np.s_[::_HELD_OUT], axis=0) for each in examples]
        parts = [
            tree.pack_sequence_as(self.slim.input, [each[begin : begin + _AT_ONCE] for each in held])
            for begin in range(0, len(held[0]), _AT_ONCE)
        ]
        before = output_error(self.slim, judge, parts)
        used = tree.pack_sequence_as(self._rebuilt.input, used)
        self._take(reconstruct_cut(self._rebuilt, self._cut, used, seed=seed)[0])
        after = output_error(self.slim, judge, parts)
        if after < before:
            return before, after
        self._take(self._rebuilt)
        return before, before
