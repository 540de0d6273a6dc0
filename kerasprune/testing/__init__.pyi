# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.surgery.random_inputs import random_inputs as random_inputs
from kerasprune.testing.budgets import check_budget as check_budget
from kerasprune.testing.callbacks import check_callback as check_callback
from kerasprune.testing.criteria import check_criterion as check_criterion
from kerasprune.testing.oracle import Agreement as Agreement
from kerasprune.testing.oracle import check_rebuild as check_rebuild
from kerasprune.testing.oracle import check_saved as check_saved
from kerasprune.testing.oracle import compare as compare
from kerasprune.testing.randomness import random_plan as random_plan
from kerasprune.testing.randomness import randomise as randomise
from kerasprune.testing.rules import check_rule as check_rule
