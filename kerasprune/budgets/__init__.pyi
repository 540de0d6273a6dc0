# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.budgets.base import Budget as Budget
from kerasprune.budgets.base import Floor as Floor
from kerasprune.budgets.base import kept_number as kept_number
from kerasprune.budgets.base import top as top
from kerasprune.budgets.global_threshold import GlobalBudget as Global
from kerasprune.budgets.global_threshold import GlobalBudget as GlobalBudget
from kerasprune.budgets.global_threshold import ThresholdBudget as Threshold
from kerasprune.budgets.global_threshold import ThresholdBudget as ThresholdBudget
from kerasprune.budgets.measured import MeasuredBudget as MeasuredBudget
from kerasprune.budgets.per_stage import PerStage as PerStage
from kerasprune.budgets.sensitivity import Sensitivity as Sensitivity
from kerasprune.budgets.uniform import Uniform as Uniform
from kerasprune.graph.stages import stages as stages
from kerasprune.papers.synexp import synexp as synexp
from kerasprune.papers.synexp.build_to_target import layer_densities as layer_densities
from kerasprune.papers.synexp.precrop import plan_of_densities as plan_of_densities
from kerasprune.papers.synexp.synexp_trials import SynExpTrial as SynExpTrial
from kerasprune.papers.synexp.synexp_trials import synexp_trial as synexp_trial
from kerasprune.registry import budgets as _budgets
add = _budgets.add
get = _budgets.get
names = _budgets.names
