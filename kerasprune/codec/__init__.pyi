# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.codec.packing import pack as pack
from kerasprune.codec.packing import unpack as unpack
from kerasprune.codec.sharing import share as share
from kerasprune.codec.size_table import LayerSize as LayerSize
from kerasprune.codec.size_table import SizeTable as SizeTable
from kerasprune.codec.size_table import sizes as sizes
