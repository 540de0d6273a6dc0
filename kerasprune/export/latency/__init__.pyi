# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.export.latency.phone import profile_phone as profile_phone
from kerasprune.export.latency.profiling import profile as profile
from kerasprune.export.latency.table import LatencyTable as LatencyTable
from kerasprune.export.latency.timing import Latency as Latency
from kerasprune.export.latency.timing import LatencyComparison as LatencyComparison
from kerasprune.export.latency.timing import compare_latency as compare_latency
from kerasprune.export.latency.timing import latency as latency
