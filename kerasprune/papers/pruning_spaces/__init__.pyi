# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.papers.pruning_spaces.distribution import EDF as EDF
from kerasprune.papers.pruning_spaces.distribution import edf as edf
from kerasprune.papers.pruning_spaces.distribution import mcb as mcb
from kerasprune.papers.pruning_spaces.fitted_power import PowerLaw as PowerLaw
from kerasprune.papers.pruning_spaces.fitted_power import power_law as power_law
from kerasprune.papers.pruning_spaces.ranking import Chosen as Chosen
from kerasprune.papers.pruning_spaces.ranking import Ranking as Ranking
from kerasprune.papers.pruning_spaces.ranking import rank as rank
from kerasprune.papers.pruning_spaces.sampling import acceptance as acceptance
from kerasprune.papers.pruning_spaces.sampling import random_allocations as random_allocations
from kerasprune.papers.pruning_spaces.sampling import sample as sample
from kerasprune.papers.pruning_spaces.sampling import uniform as uniform
from kerasprune.papers.pruning_spaces.space import Space as Space
from kerasprune.recipes.search.allocations import Allocations as Allocations
from kerasprune.recipes.search.counting import costs as costs
