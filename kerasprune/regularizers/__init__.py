"""Penalties that act inside the compiled training step."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(
    {
        "GrowingL2": "kerasprune.regularizers.growing_l2:GrowingL2",
        "NetworkSlimming": "kerasprune.regularizers.slimming:NetworkSlimming",
        "Polarization": "kerasprune.regularizers.polarization:Polarization",
        "ScalePenalty": "kerasprune.regularizers.scale_penalty:ScalePenalty",
        "Together": "kerasprune.regularizers.scale_penalty:Together",
    }
)
