"""Penalties that act inside the compiled training step."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(
    {
        "GrowingL2": "kerasprune.regularizers.growth:GrowingL2",
        "NetworkSlimming": "kerasprune.regularizers.scale_penalty:NetworkSlimming",
        "Polarization": "kerasprune.regularizers.scale_penalty:Polarization",
        "ScalePenalty": "kerasprune.regularizers.scale_penalty:ScalePenalty",
        "Together": "kerasprune.regularizers.scale_penalty:Together",
    }
)
