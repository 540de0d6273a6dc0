"""A model of accuracy over depth, width and resolution and its optimum under constraints; evolution."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(
    {
        "Buildable": "kerasprune.search.constraints:Buildable",
        "Constraint": "kerasprune.search.constraints:Constraint",
        "Evolution": "kerasprune.search.evolution:Evolution",
        "Evolved": "kerasprune.search.evolution:Evolved",
        "Limit": "kerasprune.search.evolution:Limit",
        "MAP": "kerasprune.search.accuracy_predictor:MAP",
        "Polynomial": "kerasprune.search.polynomial:Polynomial",
        "PowerLaw": "kerasprune.search.fitted_power:PowerLaw",
        "Smooth": "kerasprune.search.constraints:Smooth",
        "Surface": "kerasprune.search.surface:Surface",
        "Volume": "kerasprune.search.constraints:Volume",
        "power_law": "kerasprune.search.fitted_power:power_law",
        "table5": "kerasprune.search.published:table5",
    }
)
