"""kerasprune makes Keras 3 models genuinely smaller.

Public names are imported on first use: help and lists of names need neither Keras nor NumPy.
"""

from __future__ import annotations

from kerasprune.former_names import FORMER_NAMES, find_renamed
from kerasprune.registry import lazy

__version__ = "0.4.0"

_find, __dir__, __all__ = lazy(__name__)
_ELSEWHERE = {
    "prune_low_magnitude": "kp.callbacks.GradualMagnitude",
    "UpdatePruningStep": "nothing: a callback of kerasprune is the method",
    "PruningSummaries": "kp.callbacks.Sparsity",
    "strip_pruning": "nothing: no wrappers are added",
    "quantize_model": "kp.quantization_aware",
    "quantize_annotate_model": "kp.quantization_aware",
    "quantize_apply": "kp.quantization_aware",
}  # of tensorflow-model-optimization


def __getattr__(name: str) -> object:
    if name in _ELSEWHERE:
        raise AttributeError(
            f"{name} is of tensorflow-model-optimization. Instead: {_ELSEWHERE[name]}; docs/migrate.md."
        )
    if name in FORMER_NAMES:
        return find_renamed(name)
    globals()[name] = found = _find(name)
    return found
