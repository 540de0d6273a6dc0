"""L1 norm of all that makes, reads or scales a channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kerasprune.criteria.grouped import Grouped


@dataclass(frozen=True)
class GroupL1(Grouped):
    """`score(c) = mean over the layers that make, read or scale c of Σ |w|`, over the mean score of the group.

    Args:
        criterion: What a weight is worth. Defaults to `"l1"`.
        members: What speaks for a channel, see `Grouped`. Defaults to `"everything"`.
        aggregation: How several members make one score. Defaults to `"mean"`.
        normalisation: How groups are made comparable. Defaults to `"mean"`.

    Example:
        >>> import kerasprune as kp
        >>> plan = kp.plan(kp.models.resnet_cifar(8, input_shape=(16, 16, 3)), "group_l1", "threshold", macs=0.5)

    Reference:
        Fang et al., DepGraph: Towards Any Structural Pruning, CVPR 2023, section 3.3; `GroupMagnitudeImportance(p=1)`
        of Torch-Pruning 1.6.
    """

    criterion: Any = "l1"
    members: Any = "everything"
    aggregation: Any = "mean"
    normalisation: Any = "mean"
