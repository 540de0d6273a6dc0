"""Masks of single weights: pruning at initialisation, ablations, and reports on the sparse network."""

from kerasprune.registry import lazy, of_papers

__getattr__, __dir__, __all__ = lazy(
    {
        "LayerSparsity": "kerasprune.sparsity.report:LayerSparsity",
        "SparsityReport": "kerasprune.sparsity.report:SparsityReport",
        "attached": "kerasprune.sparsity.paths:attached",
        "critical_compression": "kerasprune.sparsity.report:critical_compression",
        "densities_of": "kerasprune.sparsity.at_random:densities_of",
        "exponential": "kerasprune.sparsity.at_initialisation:exponential",
        "linear": "kerasprune.sparsity.at_initialisation:linear",
        "maximal_compression": "kerasprune.sparsity.report:maximal_compression",
        "prune_at_init": "kerasprune.sparsity.at_initialisation:prune_at_init",
        "random_masks": "kerasprune.sparsity.at_random:random_masks",
        "sparsity_report": "kerasprune.sparsity.report:sparsity_report",
    }
    | of_papers("kerasprune.sparsity")
)
