# Written by tests/test_names.py from the table in __init__.py.
from kerasprune.criteria.abs_grasp import AbsGraSP as AbsGraSP
from kerasprune.criteria.base import Criterion as Criterion
from kerasprune.criteria.base import Scores as Scores
from kerasprune.criteria.base import score as score
from kerasprune.criteria.block_fisher import BlockFisher as BlockFisher
from kerasprune.criteria.blocks.base import BlockCriterion as BlockCriterion
from kerasprune.criteria.blocks.base import blocks_of as blocks_of
from kerasprune.criteria.blocks.base import least_blocks as least_blocks
from kerasprune.criteria.blocks.base import score_blocks as score_blocks
from kerasprune.criteria.blocks.discrimination import Discrimination as Discrimination
from kerasprune.criteria.blocks.random import RandomBlocks as RandomBlocks
from kerasprune.criteria.bn_scale import BatchNormScale as BatchNormScale
from kerasprune.criteria.curvature import EmpiricalFisher as EmpiricalFisher
from kerasprune.criteria.curvature import ExactDiagonal as ExactDiagonal
from kerasprune.criteria.curvature import GaussNewton as GaussNewton
from kerasprune.criteria.example_gradients import mean_squares as mean_squares
from kerasprune.criteria.gates import GateCriterion as GateCriterion
from kerasprune.criteria.gradient_magnitude import GradientMagnitude as GradientMagnitude
from kerasprune.criteria.gradients import GradientCriterion as GradientCriterion
from kerasprune.criteria.gradients import mean_gradients as mean_gradients
from kerasprune.criteria.grasp import GraSP as GraSP
from kerasprune.criteria.inverse_hessian import ExactInverse as ExactInverse
from kerasprune.criteria.inverse_hessian import WoodburyInverse as WoodburyInverse
from kerasprune.criteria.l1 import L1 as L1
from kerasprune.criteria.l2 import L2 as L2
from kerasprune.criteria.obd import OBD as OBD
from kerasprune.criteria.obs import OBS as OBS
from kerasprune.criteria.obs import obs_update as obs_update
from kerasprune.criteria.random import Random as Random
from kerasprune.criteria.skeletonization import Skeletonization as Skeletonization
from kerasprune.criteria.snip import SNIP as SNIP
from kerasprune.criteria.synflow import SynFlow as SynFlow
from kerasprune.criteria.taylor_fo import TaylorFO as TaylorFO
from kerasprune.criteria.taylor_fo_gate import TaylorFOGate as TaylorFOGate
from kerasprune.registry import block_criteria as block_criteria
from kerasprune.registry import criteria as _criteria
add = _criteria.add
get = _criteria.get
names = _criteria.names
