# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.planning.targets.all_of import AllOf as AllOf
from kerasprune.planning.targets.base import Target as Target
from kerasprune.planning.targets.memory import Memory as Memory
from kerasprune.planning.targets.registry import targets as _targets
from kerasprune.planning.targets.size import Size as Size
from kerasprune.planning.targets.time import Time as Time

add = _targets.add
get = _targets.get
names = _targets.names
