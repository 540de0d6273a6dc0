# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.latency.phone import profile_phone as profile_phone
from kerasprune.latency.profiling import profile as profile
from kerasprune.latency.table import LatencyTable as LatencyTable
from kerasprune.latency.timing import Latency as Latency
from kerasprune.latency.timing import LatencyComparison as LatencyComparison
from kerasprune.latency.timing import compare_latency as compare_latency
from kerasprune.latency.timing import latency as latency
