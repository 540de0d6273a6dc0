"""Regularizers that work on built variables, inside the compiled training step: one file per penalty."""

from kerasprune.regularizers.growing_l2 import GrowingL2
from kerasprune.regularizers.polarization import Polarization
from kerasprune.regularizers.scale_penalty import ScalePenalty, Together
from kerasprune.regularizers.slimming import NetworkSlimming

__all__ = ["GrowingL2", "NetworkSlimming", "Polarization", "ScalePenalty", "Together"]
