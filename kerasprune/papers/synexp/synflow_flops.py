"""The multiply–adds that SynFlow leaves at the parameters of PreCrop's table 1, recounted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import trace
from kerasprune.models import get
from kerasprune.papers.synexp.build_to_target import layer_densities
from kerasprune.papers.synexp.coupled_layers import kernel_costs
from kerasprune.papers.synexp.precrop_tables import NETWORKS, SIDE
from kerasprune.recipes.reproductions.entry import Note, Row
from kerasprune.training.sparsity.at_initialisation import prune_at_init
from kerasprune.training.sparsity.at_random import densities_of

# Table 1, rows "SynFlow": per cent of the parameters, and of the multiply–adds, that are left.
SYNFLOW = {"ResNet-34": [(50.0, 76.4)], "MobileNetV2": [(68.6, 78.8), (54.4, 63.6)], "EfficientNet-B0": [(70.3, 75.0)]}
WHOLE = ["logits"]
TOLERANCE = 2.0  # points
ROUNDS = 10  # of 100: with 40, MobileNetV2 keeps the same to 0.1 points
KNOWN = {
    "EfficientNet-B0": "the reason is unknown. It is not squeeze-and-excitation: if that is kept whole 80 % are left, "
    "and as much if the depthwise kernels are kept whole as well."
}


def synflow_flops() -> list[Row]:
    """Returns the rows of every network.

    Reference:
        Cai et al., Structured Pruning is All You Need for Pruning CNNs at Initialization, arXiv 2203.02549, table 1.
    """
    return [row for name in NETWORKS for row in rows_of(name)]


def rows_of(name: str) -> Iterator[Row]:
    """Yields the rows of one network."""
    graph = trace(get({**NETWORKS[name], "input_shape": (SIDE, SIDE, 3), "seed": 0}), freeze=WHOLE, unknown="freeze")
    for params, macs in SYNFLOW[name]:
        keep = share_of_free(graph, params / 100)
        masks = prune_at_init(graph.model, "synflow", keep=keep, rounds=ROUNDS, freeze=WHOLE)
        what = f"Table 1 {name}, {params} % of the parameters: multiply–adds left"
        found = 100 * macs_left(graph, densities_of(masks))
        yield Row(f"{what} by SynFlow", macs, found, TOLERANCE, " %", KNOWN.get(name, ""))
        solved = 100 * macs_left(graph, layer_densities(graph, params=keep))
        yield Note(f"{what} by SynExp", f"{macs:g} %", f"{solved:.3g} %")


def share_of_free(graph: ChannelGraph, share: float) -> float:
    """Returns the fraction of the weights of kernels that are not frozen which leaves a fraction of all of them."""
    free, total = (
        kernel_costs(graph, kernels, macs=False)["params"].sum() for kernels in (graph.free_kernels, graph.kernels)
    )
    return float((share * total - (total - free)) / free)


def macs_left(graph: ChannelGraph, densities: Mapping[str, float]) -> float:
    """Returns the fraction of the multiply–adds of all kernels that is left; those without a density are whole."""
    macs = kernel_costs(graph, graph.kernels, macs=True)["macs"]
    density = np.array([densities.get(graph.paths[id(kernel.variable)], 1.0) for kernel in graph.kernels])
    return float(density @ macs / macs.sum())
