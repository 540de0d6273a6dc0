"""MetaPruning: a net that generates the weights of every width, and the search for the best widths under it.

Liu et al., MetaPruning: Meta Learning for Automatic Neural Network Channel Pruning, ICCV 2019.

    W(v) = reshape(W₂ · relu(W₁ · v + b₁) + b₂),   v the fractions kept

Read `pruning_net.py` (the net), `workflow.py` (its training, the search, the plan).
"""

from kerasprune.registry import lazy

BRINGS = {
    "prune_sections": {"meta_pruning": "kerasprune.papers.pruning_nets.section:MetaPruning"},
    "section_files": {"candidates": "candidates.csv"},
    "section_figures": {"meta_pruning": "kerasprune.papers.pruning_nets.figures:FIGURES"},
}

__getattr__, __dir__, __all__ = lazy(__name__)
