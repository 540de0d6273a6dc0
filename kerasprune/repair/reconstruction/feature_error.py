"""`feature_error`: how far the last features of a slim model are from those of the dense one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasprune.data.batches import Batches, example_batches
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.repair.reconstruction.as_linear import Linear, as_linear
from kerasprune.repair.reconstruction.pairing import Pair, Pairing, pair_models
from kerasprune.repair.reconstruction.program import Program, ProgramRun, Step, Value
from kerasprune.surgery.comparison import relative_error
from kerasprune.surgery.cut import Cut


def feature_error(
    slim: keras.Model, model: keras.Model | ChannelGraph, plan: Plan, data: Any, *, samples: int = 1000
) -> float:
    """Returns the relative squared error of the last features, those that the last kernel layers read.

    `Σ ‖slim − dense‖² / Σ ‖dense − mean(dense)‖²` over examples, positions and the channels that are kept. 0 = the
    same; 1 = no better than a constant.

    Args:
        slim: What `kp.rebuild(model, plan)` has made, however trained or reconstructed since.
        model: The dense model, or a graph of it.
        plan: The plan.
        data: Examples, as for `kp.reconstruct`.
        samples: How many are taken at most. Defaults to 1000.

    Returns:
        The error, ≥ 0.

    Raises:
        PruneError: The slim model is not one of this plan, or the data do not fit.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> from kerasprune.repair.reconstruction.feature_error import feature_error
        >>> dense = keras.layers.Dense
        >>> model = keras.Sequential([keras.Input((4,)), dense(8, "relu", name="first"), dense(6), dense(2)])
        >>> plan = kp.Plan({"first": range(8)})
        >>> feature_error(kp.rebuild(model, plan), model, plan, np.ones((16, 4)))
        0.0
    """
    pairing = pair_models(slim, Cut.of(model, plan))
    return _relative_error(pairing, _pairs(pairing.last_features()), example_batches(slim, data, samples))


def logit_error(
    slim: keras.Model, model: keras.Model | ChannelGraph, plan: Plan, data: Any, *, samples: int = 1000
) -> float:
    """Returns the relative squared error of the logits, the outputs of the last kernel layers before activation.

    Arguments and errors are those of `feature_error`. No output is ever removed, so that plans which keep other
    features can be compared.
    """
    pairing = pair_models(slim, Cut.of(model, plan))
    return _relative_error(pairing, last_outputs(pairing), example_batches(slim, data, samples))


def last_outputs(pairing: Pairing) -> list[Measured]:
    """Returns the outputs of the last kernel layers, before their activation if that is known."""
    measured = [each for step in pairing.last_kernel_steps() for each in _outputs(pairing, step)]
    return measured or _pairs(pairing.outputs())


Part = tuple[Value, Callable[[np.ndarray], np.ndarray]]
"""A tensor of a program, and what is compared of it."""


class Measured(NamedTuple):
    """The outputs of the slim and of the dense model that are compared."""

    slim: Part
    dense: Part


def _pairs(pairs: Sequence[Pair]) -> list[Measured]:
    return [Measured((pair.slim, lambda x: x), (pair.dense, pair.cut)) for pair in pairs]


def _outputs(pairing: Pairing, step: Step) -> list[Measured]:
    """Returns the output of a last layer; before its activation, if that is known."""
    dense = pairing.dense_of[step]
    views = [as_linear(each.operation) for each in (step, dense)]
    if all(views) and views[0][-1].activation is not keras.activations.linear:
        return [
            Measured(*((each.inputs[0], _linear(view[-1])) for each, view in zip((step, dense), views, strict=True)))
        ]
    return _pairs([pairing.of[value] for value in step.outputs])


def _linear(view: Linear) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the function that computes the output of a layer before its activation."""

    def made(x: np.ndarray) -> np.ndarray:
        number = view.positions(x.shape)
        return view.made(x, np.broadcast_to(np.arange(number), (len(x), number))).reshape(len(x), -1)

    return made


def _relative_error(pairing: Pairing, measured: Sequence[Measured], examples: Batches) -> float:
    slim, dense = ([each[side] for each in measured] for side in (0, 1))
    return relative_error(
        compared_outputs(pairing.slim, examples, slim), compared_outputs(pairing.dense, examples, dense)
    )


def compared_outputs(program: Program, examples: Batches, parts: Sequence[Part]) -> Iterator[list[np.ndarray]]:
    """Yields the outputs of a program that are compared, batch by batch."""
    for tensors in ProgramRun(program, examples).batches(*(value for value, _ in parts)):
        arrays = [keras.ops.convert_to_numpy(x).astype("float64") for x in tensors]
        yield [take(array) for array, (_, take) in zip(arrays, parts, strict=True)]
