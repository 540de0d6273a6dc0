"""The time that a model takes: one inference, measured with LiteRT on this machine."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(
    {
        "Latency": "kerasprune.latency.measure:Latency",
        "LatencyComparison": "kerasprune.latency.measure:LatencyComparison",
        "compare_latency": "kerasprune.latency.measure:compare_latency",
        "latency": "kerasprune.latency.measure:latency",
    }
)
