# Written by tests/test_names.py from the table in __init__.py.
from kerasprune.criteria.aggregation import Aggregation as Aggregation
from kerasprune.criteria.apoz import APoZ as APoZ
from kerasprune.criteria.base import Criterion as Criterion
from kerasprune.criteria.base import Scores as Scores
from kerasprune.criteria.base import score as score
from kerasprune.criteria.belonging import Members as Members
from kerasprune.criteria.blocks.base import BlockCriterion as BlockCriterion
from kerasprune.criteria.blocks.base import blocks_of as blocks_of
from kerasprune.criteria.blocks.base import least_blocks as least_blocks
from kerasprune.criteria.blocks.base import score_blocks as score_blocks
from kerasprune.criteria.blocks.discrimination import Discrimination as Discrimination
from kerasprune.criteria.blocks.random import RandomBlocks as RandomBlocks
from kerasprune.criteria.bn_scale import BatchNormScale as BatchNormScale
from kerasprune.criteria.fpgm import FPGM as FPGM
from kerasprune.criteria.group_l1 import GroupL1 as GroupL1
from kerasprune.criteria.group_l2 import GroupL2 as GroupL2
from kerasprune.criteria.grouped import Grouped as Grouped
from kerasprune.criteria.hrank import HRank as HRank
from kerasprune.criteria.hrank_edge import HRankEdge as HRankEdge
from kerasprune.criteria.hrank_random import HRankRandom as HRankRandom
from kerasprune.criteria.hrank_reverse import HRankReverse as HRankReverse
from kerasprune.criteria.l1 import L1 as L1
from kerasprune.criteria.l2 import L2 as L2
from kerasprune.criteria.lamp import LAMP as LAMP
from kerasprune.criteria.normalisation import Normalisation as Normalisation
from kerasprune.criteria.random import Random as Random
from kerasprune.criteria.thinet import ThiNet as ThiNet
from kerasprune.registry import aggregations as aggregations
from kerasprune.registry import block_criteria as block_criteria
from kerasprune.registry import criteria as _criteria
from kerasprune.registry import members as members
from kerasprune.registry import normalisations as normalisations
add = _criteria.add
get = _criteria.get
names = _criteria.names
