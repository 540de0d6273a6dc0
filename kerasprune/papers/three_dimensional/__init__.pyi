# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.papers.three_dimensional.accuracy_predictor import MAP as MAP
from kerasprune.papers.three_dimensional.accuracy_predictor import Polynomial as Polynomial
from kerasprune.papers.three_dimensional.block_criterion import BlockCriterion as BlockCriterion
from kerasprune.papers.three_dimensional.block_criterion import RandomBlocks as RandomBlocks
from kerasprune.papers.three_dimensional.block_criterion import blocks_of as blocks_of
from kerasprune.papers.three_dimensional.block_criterion import least_blocks as least_blocks
from kerasprune.papers.three_dimensional.block_criterion import score_blocks as score_blocks
from kerasprune.papers.three_dimensional.constraints import Buildable as Buildable
from kerasprune.papers.three_dimensional.constraints import Constraint as Constraint
from kerasprune.papers.three_dimensional.constraints import Smooth as Smooth
from kerasprune.papers.three_dimensional.constraints import Volume as Volume
from kerasprune.papers.three_dimensional.discrimination import Discrimination as Discrimination
from kerasprune.papers.three_dimensional.extents import Point as Point
from kerasprune.papers.three_dimensional.in_rounds import rounds as rounds
from kerasprune.papers.three_dimensional.map_table5 import table5 as table5
from kerasprune.papers.three_dimensional.registry import block_criteria as block_criteria
from kerasprune.papers.three_dimensional.surface import Surface as Surface
