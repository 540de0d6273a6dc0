# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.papers.pruning_nets.pruning_net import PruningNet as PruningNet
