# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.recipes import reports as reports
from kerasprune.recipes import search as search
from kerasprune.recipes.comparison import compare as compare
from kerasprune.recipes.grid import seeds_and_grid as seeds_and_grid
from kerasprune.recipes.library import FOLDER as FOLDER
from kerasprune.recipes.library import names as names
from kerasprune.recipes.loader import load as get
from kerasprune.recipes.loader import load as load
from kerasprune.recipes.populations.population import Population as Population
from kerasprune.recipes.runner import resume as resume
from kerasprune.recipes.runner import run as run
from kerasprune.recipes.schema import Recipe as Recipe
from kerasprune.recipes.search.search_plan import search_plan as search_plan
from kerasprune.recipes.search.width_search import SearchedPlan as SearchedPlan
from kerasprune.recipes.starter import init as init
from kerasprune.recipes.starter import schema_json as schema_json
