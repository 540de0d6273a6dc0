# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.training.sparsity.at_initialisation import exponential as exponential
from kerasprune.training.sparsity.at_initialisation import linear as linear
from kerasprune.training.sparsity.at_initialisation import prune_at_init as prune_at_init
from kerasprune.training.sparsity.at_random import densities_of as densities_of
from kerasprune.training.sparsity.at_random import independent_masks as independent_masks
from kerasprune.training.sparsity.at_random import random_masks as random_masks
from kerasprune.training.sparsity.paths import attached_masks as attached
from kerasprune.training.sparsity.report import LayerSparsity as LayerSparsity
from kerasprune.training.sparsity.report import SparsityReport as SparsityReport
from kerasprune.training.sparsity.report import critical_compression as critical_compression
from kerasprune.training.sparsity.report import maximal_compression as maximal_compression
from kerasprune.training.sparsity.report import sparsity_report as sparsity_report
