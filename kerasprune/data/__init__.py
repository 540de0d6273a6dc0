"""Examples: a user's, in any form that `fit` takes; images by name. TensorFlow is imported when images are loaded."""

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
