"""The distance of a batch's activations from the means and variances that BatchNorm layers have stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from kerasprune._keras import call_operation, calls_of_layers, in_inference, inner_layers
from kerasprune.backend.engine import full_precision
from kerasprune.errors import PruneError
from kerasprune.graph.built_model import body_of
from kerasprune.graph.graph import values
from kerasprune.graph.walk import walk

_DEAD = 1e-3  # of the median deviation of a layer: below it a channel is constant

Moments = list[tuple[Any, Any]]
"""For each BatchNorm: the means of d and d² by channel, d = (x − m) / √v."""


@dataclass(frozen=True)
class Stored:
    """The statistics of a BatchNorm.

    Args:
        mean: m, by channel.
        deviation: √v, by channel.
        weight: Weight of each channel: equal for all, zero for constant ones; the sum is 1.
    """

    mean: np.ndarray
    deviation: np.ndarray
    weight: np.ndarray


class StoredMoments:
    """The statistics that the BatchNorm layers of a model have stored, and the distance of activations from them.

    `Σ over layers of Σ_c w_c [(μ_c − m_c)² / v_c + (σ_c / √v_c − 1)²]`, where μ and σ are those of the batch. Layers
    that were never updated and channels that are constant do not count.

    Args:
        model: A functional or Sequential model.

    Raises:
        PruneError: No BatchNorm has statistics.

    Reference:
        Yin et al., Dreaming to Distill, CVPR 2020, arXiv 1912.08795, Eq. 4; Cai et al., ZeroQ, CVPR 2020, Eq. 1.
    """

    def __init__(self, model: keras.Model) -> None:
        self.body = body_of(model)
        norms = [each for each in inner_layers(self.body) if isinstance(each, layers.BatchNormalization)]
        found = {norm: _stored(norm) for norm in norms}
        self.layers = {norm: stored for norm, stored in found.items() if stored is not None}
        if not self.layers:
            untrained = "whose BatchNormalization layers were never trained, or have no channel that varies"
            reason = untrained if norms else "which has none"
            raise PruneError(
                f"Expected a model with statistics of BatchNormalization. Received: {model.name!r}, {reason}. "
                "Take method='noise', or real examples."
            )

    @property
    def nothing(self) -> Moments:
        """Moments of zero, to which those of examples are added."""
        return [(ops.zeros(each.mean.shape, "float32"),) * 2 for each in self.layers.values()]

    @full_precision()
    def of(self, inputs: Sequence[Any]) -> Moments:
        """Returns the moments of a batch, in full precision.

        Args:
            inputs: Tensors in flat order, in the type of the computation.
        """
        found: dict[Any, list[tuple[Any, Any]]] = {norm: [] for norm in self.layers}

        def visit(layer: Any, call: Any, args: Any, kwargs: Any) -> Any:
            if layer in found:
                found[layer].append(_moments(args[0], layer.axis, self.layers[layer]))
            return call(layer, *args, **kwargs)

        def run(node: Any, *args: Any, **kwargs: Any) -> Any:
            return call_operation(node.operation, *args, **in_inference(node.operation, kwargs))

        with calls_of_layers(visit):
            walk(self.body, list(inputs), run)
        return [tuple(sum(part) / len(calls) for part in zip(*calls, strict=True)) for calls in found.values()]

    def distance(self, moments: Moments) -> Any:
        """Returns the distance of moments from the stored ones, a scalar tensor."""
        total = 0.0
        for (mean, square), stored in zip(moments, self.layers.values(), strict=True):
            deviation = ops.sqrt(ops.maximum(square - mean**2, 1e-12))
            total += ops.sum(ops.multiply(stored.weight, mean**2 + (deviation - 1.0) ** 2))
        return total


def _moments(x: Any, axis: int, stored: Stored) -> tuple[Any, Any]:
    rank = len(x.shape)
    axis %= rank
    shape = [1] * rank
    shape[axis] = -1
    rest = [each for each in range(rank) if each != axis]
    d = ops.divide(ops.subtract(ops.cast(x, "float32"), stored.mean.reshape(shape)), stored.deviation.reshape(shape))
    return ops.mean(d, axis=rest), ops.mean(d**2, axis=rest)


def _stored(norm: layers.BatchNormalization) -> Stored | None:
    """Returns the statistics of a layer; `None` if they are the initial ones, not finite, or no channel varies."""
    mean, variance = (values(each).astype("float32") for each in (norm.moving_mean, norm.moving_variance))
    if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        return None
    deviation = np.sqrt(np.maximum(variance, 0.0))
    varies = deviation > _DEAD * np.median(deviation)
    if not varies.any() or (not mean.any() and (variance == 1.0).all()):
        return None
    return Stored(mean, np.where(varies, deviation, 1.0), (varies / varies.sum()).astype("float32"))
