"""What matters: one file per criterion; higher score = keep."""

from kerasprune.criteria import bn_scale, l1, l2, random
from kerasprune.criteria.base import Criterion, Evidence, Scores, gather, score
from kerasprune.criteria.blocks.base import BlockCriterion, block_criteria, blocks_of, least_blocks, score_blocks
from kerasprune.criteria.blocks.discrimination import Discrimination
from kerasprune.criteria.table import criteria as _criteria

add, names, get = _criteria.add, _criteria.names, _criteria.get

__all__ = [
    "BlockCriterion",
    "Criterion",
    "Discrimination",
    "Evidence",
    "Scores",
    "add",
    "block_criteria",
    "blocks_of",
    "bn_scale",
    "gather",
    "get",
    "l1",
    "l2",
    "least_blocks",
    "names",
    "random",
    "score",
    "score_blocks",
]
