"""Rules of layers: one file per kind of layer, imported when one of its classes is looked up."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(
    {
        "BIAS": "kerasprune.graph.rule:BIAS",
        "CARRIED": "kerasprune.graph.rule:CARRIED",
        "EVALUATED": "kerasprune.graph.rule:EVALUATED",
        "POINTWISE": "kerasprune.graph.rule:POINTWISE",
        "Rule": "kerasprune.graph.rule:Rule",
        "SILENT": "kerasprune.graph.rule:SILENT",
        "UNKNOWN": "kerasprune.graph.rule:UNKNOWN",
        "classes": "kerasprune.graph.rule:classes",
        "find": "kerasprune.graph.rule:find",
        "rule": "kerasprune.graph.rule:rule",
        "tensor_rule": "kerasprune.graph.rule:tensor_rule",
    }
)
