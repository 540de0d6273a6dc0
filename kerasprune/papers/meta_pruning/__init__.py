"""MetaPruning: a net that generates the weights of every width, and the search for the best widths under it.

Liu et al., MetaPruning: Meta Learning for Automatic Neural Network Channel Pruning, ICCV 2019.

    W(v) = reshape(W₂ · relu(W₁ · v + b₁) + b₂),   v the fractions kept

Read `pruning_net.py` (the net), `workflow.py` (its training, the search, the plan).
"""

BRINGS = {
    "kerasprune": {
        "MetaPruned": "kerasprune.papers.meta_pruning.workflow:MetaPruned",
        "PruningNet": "kerasprune.papers.meta_pruning.pruning_net:PruningNet",
        "meta_pruning": "kerasprune.papers.meta_pruning.workflow:meta_pruning",
        "search_widths": "kerasprune.papers.meta_pruning.workflow:search_widths",
    },
    "prune_sections": {"meta_pruning": "kerasprune.papers.meta_pruning.stage"},
    "section_figures": {"meta_pruning": "kerasprune.papers.meta_pruning.figures:FIGURES"},
}
