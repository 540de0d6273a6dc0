"""Analysis of trained networks: feature maps, sensitivity of groups."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(
    {
        "mean_feature_maps": "kerasprune.analysis.feature_maps:mean_feature_maps",
    }
)
