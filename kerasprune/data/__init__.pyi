# Written by tests/test_names.py from the table in __init__.py.
from kerasprune.data.dataset import info as info
from kerasprune.data.dataset import load as load
from kerasprune.data.lookup import names as names
from kerasprune.data.resized import rounds as rounds
from kerasprune.data.scaling import DataInfo as DataInfo
from kerasprune.export.calibration import representative as representative
from kerasprune.registry import augmentations as augmentations
