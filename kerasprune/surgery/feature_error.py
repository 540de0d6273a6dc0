"""`feature_error`: how far the last features of a slim model are from those of the dense one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerasprune.graph.graph import ChannelGraph
from kerasprune.plans import Plan
from kerasprune.surgery.example_batches import example_batches
from kerasprune.surgery.pairing import Pair, Pairing, paired
from kerasprune.surgery.program import Batches, Run


def feature_error(
    slim: keras.Model, model: keras.Model | ChannelGraph, plan: Plan, data: Any, *, samples: int = 1000
) -> float:
    """Returns the relative squared error of the last features, those that the last kernel layers read.

    `Σ ‖slim − dense‖² / Σ ‖dense − mean(dense)‖²` over examples, positions and the channels that are kept. 0 = the
    same; 1 = no better than a constant.

    Args:
        slim: What `kp.rebuild(model, plan)` has made, however trained or reconstructed since.
        model: The dense model, or a graph of it.
        plan: What stays.
        data: Examples, as for `kp.reconstruct`.
        samples: How many are taken at most. Defaults to 1000.

    Returns:
        The error, ≥ 0.

    Raises:
        PruneError: The slim model is not one of this plan, or the data do not fit.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> from kerasprune.surgery.feature_error import feature_error
        >>> dense = keras.layers.Dense
        >>> model = keras.Sequential([keras.Input((4,)), dense(8, "relu", name="first"), dense(6), dense(2)])
        >>> plan = kp.Plan({"first": range(8)})
        >>> feature_error(kp.rebuild(model, plan), model, plan, np.ones((16, 4)))
        0.0
    """
    pair = paired(slim, model, plan)
    return relative_error(pair, pair.last_features(), example_batches(slim, data, samples))


def relative_error(pairing: Pairing, pairs: Sequence[Pair], examples: Batches) -> float:
    """Returns `Σ ‖slim − dense‖² / Σ ‖dense − mean(dense)‖²` over pairs of tensors.

    Args:
        pairing: The two models.
        pairs: The tensors.
        examples: What both are run on.
    """
    slim, dense = Run(pairing.slim, examples), Run(pairing.dense, examples)
    wrong, sums, squares, count = 0.0, [0.0] * len(pairs), [0.0] * len(pairs), [0] * len(pairs)
    ours, theirs = [pair.slim for pair in pairs], [pair.dense for pair in pairs]
    for here, there in zip(slim.batches(*ours), dense.batches(*theirs), strict=True):
        for index, pair in enumerate(pairs):
            mine, target = (keras.ops.convert_to_numpy(x[index]).astype("float64") for x in (here, there))
            target = pair.cut(target)
            wrong += float(((mine - target) ** 2).sum())
            sums[index] = sums[index] + target.sum(axis=0)
            squares[index] += float((target**2).sum())
            count[index] += len(target)
    spread = sum(
        square - float((np.asarray(total) ** 2).sum()) / max(n, 1)
        for square, total, n in zip(squares, sums, count, strict=True)
    )
    return wrong / max(spread, 1e-30)
