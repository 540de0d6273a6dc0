# Written by tests/test_names.py from the table in __init__.py.
from kerasprune.latency.measure import Latency as Latency
from kerasprune.latency.measure import LatencyComparison as LatencyComparison
from kerasprune.latency.measure import compare_latency as compare_latency
from kerasprune.latency.measure import latency as latency
