# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.data.scaling import DataInfo as DataInfo
from kerasprune.export.calibration import representative as representative
from kerasprune.models.sets.dataset import info as info
from kerasprune.models.sets.dataset import load as load
from kerasprune.models.sets.lookup import names as names
from kerasprune.models.sets.registry import augmentations as augmentations
from kerasprune.models.sets.resized import load_resized as rounds
from kerasprune.models.sets.scenes import scenes as scenes
