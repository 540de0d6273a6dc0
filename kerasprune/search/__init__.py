"""Searches: models of accuracy and what they are best at."""

from kerasprune.search.constraints import Buildable, Constraint, Smooth, Volume
from kerasprune.search.map import MAP
from kerasprune.search.polynomial import Polynomial
from kerasprune.search.published import table5
from kerasprune.search.surface import Surface

__all__ = ["MAP", "Buildable", "Constraint", "Polynomial", "Smooth", "Surface", "Volume", "table5"]
