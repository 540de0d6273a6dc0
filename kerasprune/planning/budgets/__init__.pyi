# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.graph.kept_channels import kept_number as kept_number
from kerasprune.planning.budgets.base import Budget as Budget
from kerasprune.planning.budgets.base import Floor as Floor
from kerasprune.planning.budgets.base import top as top
from kerasprune.planning.budgets.global_threshold import GlobalBudget as Global
from kerasprune.planning.budgets.global_threshold import GlobalBudget as GlobalBudget
from kerasprune.planning.budgets.global_threshold import ThresholdBudget as Threshold
from kerasprune.planning.budgets.global_threshold import ThresholdBudget as ThresholdBudget
from kerasprune.planning.budgets.measured import MeasuredBudget as MeasuredBudget
from kerasprune.planning.budgets.per_stage import PerStage as PerStage
from kerasprune.planning.budgets.per_stage import stages as stages
from kerasprune.planning.budgets.registry import budgets as _budgets
from kerasprune.planning.budgets.sensitivity import Sensitivity as Sensitivity
from kerasprune.planning.budgets.uniform import Uniform as Uniform
add = _budgets.add
get = _budgets.get
names = _budgets.names
