"""What matters: one file per criterion; higher score = keep."""

from kerasprune.criteria import bn_scale, l1, l2, random
from kerasprune.criteria.base import Criterion, Evidence, Scores, gather, score
from kerasprune.criteria.table import criteria as _criteria

add, names, get = _criteria.add, _criteria.names, _criteria.get

__all__ = [
    "Criterion",
    "Evidence",
    "Scores",
    "add",
    "bn_scale",
    "gather",
    "get",
    "l1",
    "l2",
    "names",
    "random",
    "score",
]
