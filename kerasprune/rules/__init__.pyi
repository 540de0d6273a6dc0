# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.graph.rule import BIAS as BIAS
from kerasprune.graph.rule import CARRIED as CARRIED
from kerasprune.graph.rule import EVALUATED as EVALUATED
from kerasprune.graph.rule import POINTWISE as POINTWISE
from kerasprune.graph.rule import Rule as Rule
from kerasprune.graph.rule import SILENT as SILENT
from kerasprune.graph.rule import UNKNOWN as UNKNOWN
from kerasprune.graph.rule import classes as classes
from kerasprune.graph.rule import find as find
from kerasprune.graph.rule import rule as rule
from kerasprune.graph.rule import tensor_rule as tensor_rule
