"""`recalibrate`: the statistics of BatchNorm anew."""

from __future__ import annotations

from typing import Any

import keras

from kerasprune.data.example_batches import example_batches
from kerasprune.defaults import SAMPLES
from kerasprune.errors import PruneError, raise_faults, whole_number_faults
from kerasprune.graph.values import values
from kerasprune.graph.walk import functional
from kerasprune.reconstruction.batch_statistics import Averages, run, trainable_norms
from kerasprune.surgery.clone import clone
from kerasprune.surgery.copy_layer import make_layer


def recalibrate(slim: keras.Model, data: Any, *, samples: int = SAMPLES) -> keras.Model:
    """Takes the statistics of every BatchNorm anew, from what really comes in.

    Over batches b of nᵦ examples, from front to back in one pass, each normalised by its own statistics:

        μ = Σ nᵦ·μᵦ / Σ nᵦ,    σ² = Σ nᵦ·σ²ᵦ / Σ nᵦ

    Of use after the weights were changed by hand or by training with masks. Of none after `kp.reconstruct`, which has
    taken them already, in such a way that the model computes the same.

    Args:
        slim: A functional or Sequential model; it is left untouched.
        data: Examples, as for `kp.reconstruct`; labels are not looked at.
        samples: How many are taken at most. Defaults to 1000.

    Returns:
        A new model, not compiled. Layers that are not trainable keep their statistics, as they do in `fit`; dropout
        and augmentation do not act.

    Raises:
        PruneError: There is no BatchNorm to recalibrate, or the data do not fit.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization()])
        >>> anew = kp.recalibrate(model, np.array([[1.0, 0.0], [3.0, 0.0]]))
        >>> anew.layers[-1].moving_mean.numpy().tolist()
        [2.0, 0.0]

    Reference:
        Li et al., EagleEye, ECCV 2020, arXiv 2007.02491, §3.3; Izmailov et al., Averaging Weights, UAI 2018, §3.2.
    """
    raise_faults("Nothing can be recalibrated:", whole_number_faults(1, samples=samples))
    body = functional(slim)
    new, _ = clone(body, lambda layer: make_layer(layer, {}), lambda node, index, value: value, value=values)
    normed = trainable_norms(new)
    if not normed:
        raise PruneError(
            f"Expected a model with trainable BatchNormalization layers. Received: {slim.name!r}, which has none."
        )
    averages = Averages(normed)

    def visit(layer: Any, call: Any, args: Any, kwargs: Any) -> Any:
        if layer in averages.examples:
            return averages.take(layer, call, args, kwargs)
        return call(layer, *args, **kwargs)

    run(new, example_batches(new, data, samples), visit)
    return new
