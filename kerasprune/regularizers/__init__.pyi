# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.regularizers.growth import GrowingL2 as GrowingL2
from kerasprune.regularizers.scale_penalty import NetworkSlimming as NetworkSlimming
from kerasprune.regularizers.scale_penalty import Polarization as Polarization
from kerasprune.regularizers.scale_penalty import ScalePenalty as ScalePenalty
from kerasprune.regularizers.scale_penalty import Together as Together
