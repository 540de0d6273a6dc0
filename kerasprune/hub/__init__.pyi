# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.hub.shrinking import Shrunk as Shrunk
from kerasprune.hub.shrinking import shrink as shrink
