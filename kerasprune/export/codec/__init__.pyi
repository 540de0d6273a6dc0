# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.export.codec.packing import pack as pack
from kerasprune.export.codec.packing import unpack as unpack
from kerasprune.export.codec.sharing import share as share
from kerasprune.export.codec.size_table import LayerSize as LayerSize
from kerasprune.export.codec.size_table import SizeTable as SizeTable
from kerasprune.export.codec.size_table import sizes as sizes
