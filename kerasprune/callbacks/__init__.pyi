# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.callbacks.freeze_kept import FreezeKept as FreezeKept
from kerasprune.callbacks.gradual_magnitude import GradualMagnitude as GradualMagnitude
from kerasprune.callbacks.greg1 import GReg1 as GReg1
from kerasprune.callbacks.greg2 import GReg2 as GReg2
from kerasprune.callbacks.group_lasso import GroupLasso as GroupLasso
from kerasprune.callbacks.hold_mask import HoldMask as HoldMask
from kerasprune.callbacks.increg import IncReg as IncReg
from kerasprune.callbacks.iterative_magnitude import IterativeMagnitude as IterativeMagnitude
from kerasprune.callbacks.learning_rate_rewinding import LearningRateRewinding as LearningRateRewinding
from kerasprune.callbacks.network_slimming import NetworkSlimming as NetworkSlimming
from kerasprune.callbacks.norm_history import NormHistory as NormHistory
from kerasprune.callbacks.polarization import Polarization as Polarization
from kerasprune.callbacks.registry import callbacks as _callbacks
from kerasprune.callbacks.resume import Resume as Resume
from kerasprune.callbacks.soft_filter_pruning import SoftFilterPruning as SoftFilterPruning
from kerasprune.callbacks.sparsity import Sparsity as Sparsity
from kerasprune.callbacks.trained_quantization import TrainedQuantization as TrainedQuantization
from kerasprune.training import thresholds as thresholds
from kerasprune.training.callback import PruningCallback as PruningCallback
from kerasprune.training.fit import detach as detach
from kerasprune.training.loop import Loop as Loop
from kerasprune.training.loop import custom_loop as custom_loop
add = _callbacks.add
get = _callbacks.get
member = _callbacks.member
names = _callbacks.names
