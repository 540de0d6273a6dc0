# Written by tests/test_names.py from the table in __init__.py.
from kerasprune.search.accuracy_predictor import MAP as MAP
from kerasprune.search.constraints import Buildable as Buildable
from kerasprune.search.constraints import Constraint as Constraint
from kerasprune.search.constraints import Smooth as Smooth
from kerasprune.search.constraints import Volume as Volume
from kerasprune.search.evolution import Evolution as Evolution
from kerasprune.search.evolution import Evolved as Evolved
from kerasprune.search.evolution import Limit as Limit
from kerasprune.search.fitted_power import PowerLaw as PowerLaw
from kerasprune.search.fitted_power import power_law as power_law
from kerasprune.search.polynomial import Polynomial as Polynomial
from kerasprune.search.published import table5 as table5
from kerasprune.search.surface import Surface as Surface
