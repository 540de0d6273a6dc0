"""The counts of network pruning spaces: a uniform half of ResNet-50, and what the two regimes of ImageNet cost."""

from __future__ import annotations

from kerasprune.graph.trace import trace
from kerasprune.models import get
from kerasprune.papers.pruning_spaces.space import DELTA
from kerasprune.planning.make_plan import plan
from kerasprune.recipes.reproductions.entry import Row
from kerasprune.surgery.costs.cost import cost

RESNET50 = {"name": "resnet_imagenet", "depth": 50, "input_shape": (224, 224, 3)}
REGIMES = {1.0: 4.12, 0.5: 2.06, 0.25: 1.03}
"""Table 1: fraction of the multiply–adds, and billions of them."""


def space_counts() -> list[Row]:
    """Returns the rows.

    Reference:
        He et al., Network Pruning Spaces, arXiv 2304.09453, section 3.1 and Table 1.
    """
    graph = trace(get({**RESNET50, "classes": 10}))
    half = cost(graph, plan(graph, keep=0.5)).macs / cost(graph).macs
    rows = [Row("Section 3.1, CIFAR-10, uniform ratio 0.5: multiply–adds left", 0.259, half, DELTA)]
    billions = cost(get(RESNET50)).macs / 1e9
    return rows + [
        Row(f"Table 1, c_flops = {share}: multiply–adds", printed, share * billions, 0.01 * printed, " G")
        for share, printed in REGIMES.items()
    ]
