"""`conservation`: sums over the weights of every layer that training by gradients keeps equal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kerasprune.checks import choice_faults
from kerasprune.criteria.mean_loss import MeanLoss
from kerasprune.errors import raise_faults
from kerasprune.graph.built_model import body_of
from kerasprune.graph.graph import values
from kerasprune.surgery.compute_dtype import PRECISIONS


@dataclass(frozen=True)
class Conservation:
    """Sums over the weights of each layer; returned by `conservation`.

    Args:
        saliencies: `{layer name: Σ θ·∂L/∂θ}`.
        half_squares: `{layer name: ½ Σ θ²}`.
    """

    saliencies: Mapping[str, float]
    half_squares: Mapping[str, float]

    @property
    def spread(self) -> float:
        """The largest difference between two layers' sums of θ·∂L/∂θ, as a fraction of the largest of them."""
        sums = np.array(list(self.saliencies.values()))
        most = np.abs(sums).max(initial=0.0)
        return float(np.ptp(sums) / most) if most else 0.0


def conservation(model: keras.Model, data: Any, *, loss: Any = None, precision: str = "float32") -> Conservation:
    """Returns the sums of θ·∂L/∂θ and ½θ² over the trainable weights of each layer.

        S_l = Σ_{θ in layer l} θ ∂L/∂θ,    d/dt Σ ½θ² = −S_l  under gradient flow

    In a chain of layers with relu and without biases all S_l are equal: the half squares of all layers then change
    equally, and their differences are conserved through training. For layers before a BatchNorm S_l is 0. Call it
    during training to follow the sums.

    Args:
        model: The network, which is left untouched.
        data: Labelled examples, as for `line`.
        loss: The loss as `compile` takes it. Defaults to the compiled one.
        precision: `"float32"`, or `"float64"` on TensorFlow. Defaults to `"float32"`.

    Returns:
        `.saliencies` and `.half_squares` by layer, `.spread` of the former.

    Raises:
        PruneError: The loss is missing, or the data do not fit.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> widths = 3, 2, 1
        >>> chain = [keras.layers.Dense(n, "relu", use_bias=False, kernel_initializer="ones") for n in widths]
        >>> model = keras.Sequential([keras.Input((4,)), *chain])
        >>> found = kp.analysis.conservation(model, [(np.ones((5, 4)), np.ones((5, 1)))], loss="mse")
        >>> len(found.saliencies), found.spread < 1e-6
        (3, True)

    Reference:
        Tanaka et al., Pruning neural networks without any data by iteratively conserving synaptic flow,
        arXiv 2006.05467, section 4, Theorem 2.
    """
    raise_faults("Invalid arguments for conservation:", choice_faults(PRECISIONS, precision=precision))
    layers = {layer.name: layer.trainable_variables for layer in body_of(model).layers if layer.trainable_variables}
    variables = [variable for own in layers.values() for variable in own]
    slope = MeanLoss(model, variables, data, loss, precision=precision).gradient()
    return Conservation(
        {name: sum(_product(each, slope[id(each)]) for each in own) for name, own in layers.items()},
        {name: sum(0.5 * _product(each, values(each)) for each in own) for name, own in layers.items()},
    )


def _product(variable: keras.Variable, other: np.ndarray) -> float:
    """Returns the inner product of a variable and an array."""
    return float((values(variable).astype("float64") * other.astype("float64")).sum())
