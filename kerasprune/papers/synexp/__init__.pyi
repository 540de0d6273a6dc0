# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.papers.synexp.build_to_target import layer_densities as layer_densities
from kerasprune.papers.synexp.precrop import plan_of_densities as plan_of_densities
from kerasprune.papers.synexp.synexp import densities as densities
from kerasprune.papers.synexp.synexp import expectation as expectation
from kerasprune.papers.synexp.synexp_trials import SynExpTrial as SynExpTrial
from kerasprune.papers.synexp.synexp_trials import synexp_trial as synexp_trial
