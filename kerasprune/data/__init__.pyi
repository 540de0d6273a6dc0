# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.data.dataset import info as info
from kerasprune.data.dataset import load as load
from kerasprune.data.lookup import names as names
from kerasprune.data.resized import rounds as rounds
from kerasprune.data.scaling import DataInfo as DataInfo
from kerasprune.export.calibration import representative as representative
from kerasprune.registry import augmentations as augmentations
