"""Rules of layers: one file per kind of layer, imported when one of its classes is looked up."""

from kerasprune.registry import lazy

_NAMES = (
    "BIAS", "CARRIED", "EVALUATED", "POINTWISE", "Rule", "SILENT", "UNKNOWN", "classes", "find", "rule", "tensor_rule",
)  # fmt: skip
__getattr__, __dir__, __all__ = lazy({name: f"kerasprune.graph.rule:{name}" for name in _NAMES})
