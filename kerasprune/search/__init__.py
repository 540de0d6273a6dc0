"""Searches: models of accuracy and what they are best at."""

from kerasprune.search.accuracy_map import MAP
from kerasprune.search.constraints import Buildable, Constraint, Smooth, Volume
from kerasprune.search.polynomials import Polynomial
from kerasprune.search.surface import Surface
from kerasprune.search.table5 import table5

__all__ = ["MAP", "Buildable", "Constraint", "Polynomial", "Smooth", "Surface", "Volume", "table5"]
