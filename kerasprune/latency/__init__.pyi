# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.latency.measure import Latency as Latency
from kerasprune.latency.measure import LatencyComparison as LatencyComparison
from kerasprune.latency.measure import compare_latency as compare_latency
from kerasprune.latency.measure import latency as latency
from kerasprune.latency.phone import profile_phone as profile_phone
from kerasprune.latency.profiling import profile as profile
from kerasprune.latency.table import LatencyTable as LatencyTable
