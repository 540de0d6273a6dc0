"""`reconstruct`: the kernels of a slim model solved, layer after layer, for the outputs of the dense model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kerasprune.checks import non_negative_faults, seed_faults, whole_number_faults
from kerasprune.data.batches import example_batches
from kerasprune.defaults import SAMPLES
from kerasprune.errors import raise_faults, warn
from kerasprune.graph.graph import ChannelGraph, check_finite_weights, values
from kerasprune.graph.plans import Plan, plan_faults
from kerasprune.progress import level_of, verbose_faults
from kerasprune.repair.reconstruction.dense_targets import Targets
from kerasprune.repair.reconstruction.pairing import pair_models
from kerasprune.repair.reconstruction.program import ProgramRun
from kerasprune.repair.reconstruction.recalibrate import OwnStatistics
from kerasprune.repair.reconstruction.solving import Solving
from kerasprune.surgery.clone import clone
from kerasprune.surgery.comparison import fresh_states
from kerasprune.surgery.cut import Cut
from kerasprune.surgery.graphs import graph_for
from kerasprune.surgery.verification import check_order
from kerasprune.surgery.weight_constraints import warn_of_constraints

_STRONGER = 10, 100, 1000  # ridges that are tried, too


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
    verbose: int | str = "auto",
) -> keras.Model:
    """Solves the kernels of a slim model so that its layers output what those of the dense model do.

    The layers are solved one after another, in the order of the model, without labels and without training:
    `min ‖X·W + 1bᵀ − Y‖² + ρ·tr(XᵀX)/d·‖W − W₀‖²`. X is the layer's input in the slim model, after the layers before it
    have been solved; Y is the dense layer's output before its activation, for the channels kept; W₀ is the current
    kernel. The constant b is added to the bias, or to the mean of a BatchNorm that follows. At the end of a residual
    branch, Y is what the *sum* lacks, so the branch makes up for the channels that the trunk lost. Before a relu,
    outputs that it sets to zero in both models need not match.

    Kernels and biases with a constraint (`NonNeg`, `MaxNorm`, your own) are solved within it, by projected gradients.

    Outputs of the dense model at the chosen positions, and activations of the slim one that later layers read, are held
    for all examples: in memory up to 1 GiB, beyond that in temporary files.

    Finally every BatchNorm gets the statistics of its new inputs, and its scale and shift are changed to compensate:
    the outputs remain the same, and the model is ready for training.

    Args:
        slim: The model that `kp.rebuild(model, plan)` returned; it is left untouched.
        model: The dense model, or a graph of it; it is left untouched.
        plan: The plan that the slim model was built from.
        data: Examples without labels: an array, or a tuple, list or dict of arrays for several inputs; or batches (a
            `tf.data` data set, a loader, a list) of inputs or of `(inputs, labels, …)`, of which labels are ignored.
        samples: Maximum number of examples used. Defaults to 1000.
        positions: Maximum number of output positions used to solve each layer. Defaults to 15,000.
        ridge: ρ ≥ 0, the smallest weight of the distance to the present kernel. Each kernel takes the best of ρ, 10 ρ,
            100 ρ, 1000 ρ and no change, on a held-out tenth of the examples. Defaults to 1e-3.
        slack: How much larger than its minimum the error on that tenth may be, as a fraction, in exchange for smaller
            weights: a kernel without a BatchNorm after it takes the largest ridge within that range. Large weights
            there make a later training diverge: give 0.1 before one. Defaults to 0.
        seed: Random seed for the choice of positions. Defaults to 0.
        verbose: 0 = silent, 1 = progress: a line that is renewed on a terminal and in a notebook, one every ten seconds
            in a log. Defaults to `"auto"`: 1.

    Returns:
        A new model of the same architecture, not compiled. A warning names layers that could not be solved.

    Raises:
        PruneError: The slim model was not built from this plan, the data do not fit, or a layer's output is not finite.

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
    options = {
        "samples": samples,
        "positions": positions,
        "ridge": ridge,
        "slack": slack,
        "seed": seed,
        "verbose": verbose,
    }
    raise_faults("The model cannot be reconstructed:", plan_faults(plan=plan))
    graph = model if isinstance(model, ChannelGraph) else graph_for(model, plan)
    check_order(graph.model, slim, plan)
    check_finite_weights(graph.model)
    new, remarks = reconstruct_cut(slim, Cut.of(graph, plan), data, **options)
    warn_of_constraints(new, graph.model)
    for remark in remarks:
        warn(f"{remark[0].upper()}{remark[1:]}.")
    return new


def reconstruction_faults(
    samples: int = 1,
    positions: int = 1,
    ridge: float = 0.0,
    slack: float = 0.0,
    seed: int = 0,
    verbose: int | str = 1,
) -> list[str]:
    """Returns the faults of arguments of `reconstruct`."""
    counts = whole_number_faults(1, samples=samples, positions=positions) + verbose_faults(2, verbose)
    return [*counts, *non_negative_faults(ridge=ridge, slack=slack), *seed_faults(seed=seed)]


def reconstruct_cut(
    slim: keras.Model,
    cut: Cut,
    data: Any,
    *,
    samples: int = SAMPLES,
    positions: int = 15_000,
    ridge: float = 1e-3,
    slack: float = 0.0,
    seed: int = 0,
    verbose: int | str = 0,
    remedy: str = "Give more data, or raise samples= and positions=.",
) -> tuple[keras.Model, list[str]]:
    """Returns the reconstructed slim model of a cut, and remarks for a report in place of the warning of `reconstruct`.

    `remedy` says how the caller gives more examples, if they are few.
    """
    faults = reconstruction_faults(samples, positions, ridge, slack, seed, verbose)
    raise_faults("The model cannot be reconstructed:", faults)
    new, _ = clone(slim, value=lambda variable: values(variable).copy())
    pairing = pair_models(new, cut)
    examples = example_batches(slim, data, samples)
    targets = Targets(pairing.dense, examples, np.random.default_rng(seed), level_of(verbose))
    ridges = sorted({ridge, *(ridge * factor for factor in _STRONGER), np.inf})
    statistics = OwnStatistics(new)
    slim_run = ProgramRun(pairing.slim, examples, scratch=targets.scratch, visit=statistics.visit)
    work = Solving(pairing, slim_run, targets, positions, ridges, slack=slack, verbose=level_of(verbose))
    with fresh_states(new), fresh_states(pairing.dense):
        work.solve_all()
        slim_run.finish()
    statistics.take_over()
    work.warn(remedy)
    return new, work.remarks()
