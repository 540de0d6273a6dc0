# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.analysis.feature_maps import mean_feature_maps as mean_feature_maps
