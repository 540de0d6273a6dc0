"""Behaviours for `model.fit`: one file per method."""

from kerasprune.callbacks.gradual_magnitude import GradualMagnitude
from kerasprune.callbacks.greg1 import GReg1
from kerasprune.callbacks.greg2 import GReg2
from kerasprune.callbacks.hold_mask import HoldMask
from kerasprune.callbacks.increg import IncReg
from kerasprune.callbacks.iterative_magnitude import IterativeMagnitude
from kerasprune.callbacks.learning_rate_rewinding import LearningRateRewinding
from kerasprune.callbacks.network_slimming import NetworkSlimming
from kerasprune.callbacks.norm_history import NormHistory
from kerasprune.callbacks.polarization import Polarization
from kerasprune.callbacks.resume import Resume
from kerasprune.callbacks.shrink_rounds import ShrinkRounds
from kerasprune.callbacks.soft_filter_pruning import SoftFilterPruning
from kerasprune.callbacks.sparsity import Sparsity
from kerasprune.callbacks.table import callbacks as _callbacks
from kerasprune.training.callback import PruningCallback
from kerasprune.training.fit import detach
from kerasprune.training.loop import custom_loop

add, names, get, member = _callbacks.add, _callbacks.names, _callbacks.get, _callbacks.member

__all__ = [
    "GReg1",
    "GReg2",
    "GradualMagnitude",
    "HoldMask",
    "IncReg",
    "IterativeMagnitude",
    "LearningRateRewinding",
    "NetworkSlimming",
    "NormHistory",
    "Polarization",
    "PruningCallback",
    "Resume",
    "SoftFilterPruning",
    "ShrinkRounds",
    "Sparsity",
    "add",
    "custom_loop",
    "detach",
    "get",
    "member",
    "names",
]
