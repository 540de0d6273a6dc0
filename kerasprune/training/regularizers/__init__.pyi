# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.training.regularizers.growing_norm import GrowingL1 as GrowingL1
from kerasprune.training.regularizers.growing_norm import GrowingL2 as GrowingL2
from kerasprune.training.regularizers.scale_penalty import NetworkSlimming as NetworkSlimming
from kerasprune.training.regularizers.scale_penalty import Polarization as Polarization
from kerasprune.training.regularizers.scale_penalty import ScalePenalty as ScalePenalty
from kerasprune.training.regularizers.scale_penalty import Together as Together
