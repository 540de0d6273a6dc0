# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.registry import targets as _targets
from kerasprune.targets.base import Target as Target
from kerasprune.targets.size import Size as Size
from kerasprune.targets.time import Time as Time

add = _targets.add
get = _targets.get
names = _targets.names
