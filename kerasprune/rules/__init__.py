"""One file per kind of layer; being imported here is being known to `kerasprune.trace`."""

from kerasprune.graph.rule import (
    BIAS,
    CARRIED,
    EVALUATED,
    POINTWISE,
    SILENT,
    UNKNOWN,
    classes,
    find,
    rule,
    tensor_rule,
)
from kerasprune.rules import (
    attention,
    concat,
    conv,
    dense,
    einsum,
    embedding,
    merge,
    norm,
    padding,
    pointwise,
    recurrent,
    reduction,
    reshape,
    slicing,
    wrappers,
)
from kerasprune.rules import (
    depth_to_space as depth_space,
)
from kerasprune.rules import (
    keras_applications as applications,
)
from kerasprune.rules import (
    matmul as products,
)
from kerasprune.rules import (
    pooling as spatial,
)

__all__ = [
    "BIAS",
    "CARRIED",
    "EVALUATED",
    "POINTWISE",
    "SILENT",
    "UNKNOWN",
    "applications",
    "attention",
    "classes",
    "concat",
    "conv",
    "dense",
    "depth_space",
    "einsum",
    "embedding",
    "find",
    "merge",
    "norm",
    "padding",
    "pointwise",
    "products",
    "recurrent",
    "reduction",
    "reshape",
    "rule",
    "slicing",
    "spatial",
    "tensor_rule",
    "wrappers",
]
