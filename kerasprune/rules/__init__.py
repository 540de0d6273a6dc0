"""One file per kind of layer; being imported here is being known to `kerasprune.trace`."""

from kerasprune.rules import (
    applications,
    concat,
    conv,
    dense,
    merge,
    norm,
    padding,
    pointwise,
    reshape,
    spatial,
)
from kerasprune.rules.table import BIAS, CARRIED, EVALUATED, POINTWISE, SILENT, rule, tensor_rule

__all__ = [
    "BIAS",
    "CARRIED",
    "EVALUATED",
    "POINTWISE",
    "SILENT",
    "applications",
    "concat",
    "conv",
    "dense",
    "merge",
    "norm",
    "padding",
    "pointwise",
    "reshape",
    "rule",
    "spatial",
    "tensor_rule",
]
