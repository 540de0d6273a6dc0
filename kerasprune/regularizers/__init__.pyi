# Written by tests/test_names.py from the table in __init__.py.
from kerasprune.regularizers.growing_l2 import GrowingL2 as GrowingL2
from kerasprune.regularizers.polarization import Polarization as Polarization
from kerasprune.regularizers.scale_penalty import ScalePenalty as ScalePenalty
from kerasprune.regularizers.scale_penalty import Together as Together
from kerasprune.regularizers.slimming import NetworkSlimming as NetworkSlimming
