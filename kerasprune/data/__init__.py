"""Data: a user's own examples in any form that `fit` takes, and images by name (these need TensorFlow)."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(
    {
        "DataInfo": "kerasprune.data.scaling:DataInfo",
        "augmentations": "kerasprune.registry:augmentations",
        "info": "kerasprune.data.dataset:info",
        "load": "kerasprune.data.dataset:load",
        "names": "kerasprune.data.lookup:names",
        "representative": "kerasprune.export.calibration:representative",
        "rounds": "kerasprune.data.resized:rounds",
    }
)
