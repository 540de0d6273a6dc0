"""`reconstruct`: the kernels of a slim model solved, layer after layer, for the outputs of the dense model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kerasprune.data.batches import example_batches
from kerasprune.defaults import SAMPLES
from kerasprune.errors import is_number, raise_faults, seed_faults, warn, whole_number_faults
from kerasprune.graph.graph import ChannelGraph, values
from kerasprune.plans import Plan
from kerasprune.reconstruction.dense_targets import Targets
from kerasprune.reconstruction.pairing import paired
from kerasprune.reconstruction.recalibrate import take_own_statistics
from kerasprune.reconstruction.solving import Solving
from kerasprune.surgery.clone import clone

_STRONGER = 10, 100, 1000  # ridges that are tried, too
_TURNS = 8


def reconstruct(
    slim: keras.Model,
    model: keras.Model | ChannelGraph,
    plan: Plan,
    data: Any,
    *,
    samples: int = SAMPLES,
    positions: int = 15_000,
    ridge: float = 1e-3,
    slack: float = 0.0,
    seed: int = 0,
) -> keras.Model:
    """Solves the kernels of a slim model so that its layers output what those of the dense model do.

    Layer after layer, in the order of the model, without labels and without training:
    `min ‖X·W + 1bᵀ − Y‖² + ρ·tr(XᵀX)/d·‖W − W₀‖²`. X is what the layer reads in the slim model, whose layers before it
    are solved already; Y what the dense layer makes before its activation, of the channels that are kept; W₀ what the
    kernel is now. The constant b goes into the bias, or into the mean of a BatchNorm behind. Where the layer ends a
    residual branch, Y is what the *sum* lacks, so that the branch makes up for the channels that the trunk lost; before
    a relu, numbers that it cuts off need not be met.

    Activations that later layers read are held for all examples: in memory up to 1 GiB, beyond it in temporary files.

    In the end every BatchNorm takes the statistics of what the solved kernels make, and its scale and shift take up the
    difference: the model computes the same, and training begins with it as it is.

    Args:
        slim: The model that `kp.rebuild(model, plan)` returned; it is left untouched.
        model: The dense model, or a graph of it; it is left untouched.
        plan: The plan that the slim model was built from.
        data: Examples without labels: an array, or a tuple, list or dict of arrays for several inputs; or batches (a
            `tf.data` data set, a loader, a list), each inputs or `(inputs, labels, …)`, of which labels are ignored.
        samples: How many examples are taken at most. Defaults to 1000.
        positions: How many output positions each layer is solved on at most. Defaults to 15,000.
        ridge: ρ ≥ 0, the smallest weight of the distance to the present kernel. Each kernel takes the best of ρ, 10 ρ,
            100 ρ, 1000 ρ and no change, on a held-out tenth of the examples. Defaults to 1e-3.
        slack: How much larger than its minimum the error on that tenth may be, as a fraction, in exchange for smaller
            weights: a kernel without a BatchNorm after it takes the largest ridge within that range. Large weights
            there make a later training diverge: give 0.1 before one. Defaults to 0.
        seed: Random seed for the choice of positions. Defaults to 0.

    Returns:
        A new model of the same architecture, not compiled. A warning names layers that were left as they are.

    Raises:
        PruneError: The slim model is not one of this plan, the data do not fit, or the output of a layer is not finite.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> keras.utils.set_random_seed(0)
        >>> dense = keras.layers.Dense
        >>> model = keras.Sequential([keras.Input((4,)), dense(8, "relu", name="hidden"), dense(3)])
        >>> plan = kp.plan(model, keep=0.5)
        >>> data = np.random.default_rng(0).normal(size=(500, 4))
        >>> slim = kp.reconstruct(kp.rebuild(model, plan), model, plan, data)
        >>> slim.get_layer("hidden").units
        4

    Reference:
        He et al., Channel Pruning for Accelerating Very Deep Neural Networks, ICCV 2017, §3.1; Luo et al., ThiNet, ICCV
        2017, §3.2; Zhang et al., Accelerating Very Deep Convolutional Networks, 2015, §2.2 (relu, asymmetric).
    """
    new, remarks = reconstructed(
        slim, model, plan, data, samples=samples, positions=positions, ridge=ridge, slack=slack, seed=seed
    )
    for remark in remarks:
        warn(f"{remark[0].upper()}{remark[1:]}.")
    return new


def reconstructed(
    slim: keras.Model,
    model: keras.Model | ChannelGraph,
    plan: Plan,
    data: Any,
    *,
    samples: int = SAMPLES,
    positions: int = 15_000,
    ridge: float = 1e-3,
    slack: float = 0.0,
    seed: int = 0,
) -> tuple[keras.Model, list[str]]:
    """Returns the model of `reconstruct`, and remarks for a report in place of its warning; see there."""
    faults = whole_number_faults(1, samples=samples, positions=positions) + seed_faults(seed=seed)
    for name, given in (("ridge", ridge), ("slack", slack)):
        if not is_number(given) or given < 0:
            faults.append(f"Expected {name} to be a number ≥ 0. Received: {name}={given!r}.")
    raise_faults("The model cannot be reconstructed:", faults)
    paired(slim, model, plan)  # to say first what does not fit
    new, _ = clone(slim, value=lambda variable: values(variable).copy())
    pairing = paired(new, model, plan)
    examples = example_batches(slim, data, samples)
    targets = Targets(pairing.dense, examples, np.random.default_rng(seed))
    ridges = sorted({ridge, *(ridge * factor for factor in _STRONGER), np.inf})
    work = Solving(pairing, examples, targets, positions, ridges, slack=slack, turns=_TURNS)
    work.solve_all()
    take_own_statistics(new, examples)
    work.warn()
    return new, work.remarks()
