"""Searches over widths: evolution within limits, and the costs of many allocations at once."""

from kerasprune.registry import lazy, of_papers

__getattr__, __dir__, __all__ = lazy(
    {
        "Evolution": "kerasprune.search.evolution:Evolution",
        "Evolved": "kerasprune.search.evolution:Evolved",
        "Limit": "kerasprune.search.evolution:Limit",
    }
    | of_papers("kerasprune.search")
)
