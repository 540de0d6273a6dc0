# Written by tests/test_names.py from the table in __init__.py.
from kerasprune.analysis.feature_maps import mean_feature_maps as mean_feature_maps
