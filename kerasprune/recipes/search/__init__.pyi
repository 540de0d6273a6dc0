# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.papers.pruning_spaces.fitted_power import PowerLaw as PowerLaw
from kerasprune.papers.pruning_spaces.fitted_power import power_law as power_law
from kerasprune.papers.three_dimensions.accuracy_predictor import MAP as MAP
from kerasprune.papers.three_dimensions.accuracy_predictor import Polynomial as Polynomial
from kerasprune.papers.three_dimensions.constraints import Buildable as Buildable
from kerasprune.papers.three_dimensions.constraints import Constraint as Constraint
from kerasprune.papers.three_dimensions.constraints import Smooth as Smooth
from kerasprune.papers.three_dimensions.constraints import Volume as Volume
from kerasprune.papers.three_dimensions.map_table5 import table5 as table5
from kerasprune.papers.three_dimensions.surface import Surface as Surface
from kerasprune.recipes.search.evolution import Evolution as Evolution
from kerasprune.recipes.search.evolution import Evolved as Evolved
from kerasprune.recipes.search.evolution import Limit as Limit
