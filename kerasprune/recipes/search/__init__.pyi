# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.recipes.search.evolution import Evolution as Evolution
from kerasprune.recipes.search.evolution import Evolved as Evolved
from kerasprune.recipes.search.evolution import Limit as Limit
