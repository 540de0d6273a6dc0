# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.export.arena.memory_report import MemoryReport as MemoryReport
from kerasprune.export.arena.memory_report import memory as memory
from kerasprune.export.report import ExportReport as ExportReport
from kerasprune.export.saved_model_export import saved_model as saved_model
from kerasprune.export.tflite_export import tflite as tflite
from kerasprune.export.tflite_graph import operators as operators
from kerasprune.steps.side_by_side import SideBySide as SideBySide
from kerasprune.steps.side_by_side import beside as beside
