# Written by tests/test_names.py from the table in __init__.py.
from kerasprune.regularizers.growth import GrowingL2 as GrowingL2
from kerasprune.regularizers.scale_penalty import NetworkSlimming as NetworkSlimming
from kerasprune.regularizers.scale_penalty import Polarization as Polarization
from kerasprune.regularizers.scale_penalty import ScalePenalty as ScalePenalty
from kerasprune.regularizers.scale_penalty import Together as Together
