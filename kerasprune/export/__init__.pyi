# Written by tests/test_names.py from the table in __init__.py.
from kerasprune.export.report import ExportReport as ExportReport
from kerasprune.export.saved_model_export import saved_model as saved_model
from kerasprune.export.tflite_export import tflite as tflite
from kerasprune.export.tflite_interpreter import operators as operators
