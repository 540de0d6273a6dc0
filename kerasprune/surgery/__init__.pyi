# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.surgery.costs.cost import Cost as Cost
from kerasprune.surgery.costs.report import PlanReport as PlanReport
from kerasprune.surgery.fresh_weights import reinitialise as reinitialise
from kerasprune.surgery.gates import gated as gated
from kerasprune.surgery.mask import border_error as border_error
from kerasprune.surgery.picture import Picture as Picture
from kerasprune.surgery.reordering import reorder as reorder
from kerasprune.surgery.verification import Verdict as Verdict
