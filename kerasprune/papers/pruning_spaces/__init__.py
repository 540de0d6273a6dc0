"""Pruning spaces: populations of allocations under constraints, their costs, and the distribution of their results.

He et al., Network Pruning Spaces, 2023; Li et al., EagleEye: Fast Sub-net Evaluation, ECCV 2020 (`ranking.py`).

    mcb = c_macs ÷ c_params,   std = √(1/n Σ (kᵢ − k̄)²),   of the fractions kᵢ kept of the groups

Read `space.py` (constraints), `sampling.py` (draws), `distribution.py` (measures), `ranking.py` (candidates judged
without training), `explore.py` (a whole experiment).
"""

from kerasprune.registry import lazy

BRINGS = {
    "commands": {"space": "kerasprune.papers.pruning_spaces.command"},
    "options": {"prune.space": ("params", "macs", "delta", "n", "criterion")},
    "prune_sections": {"space": "kerasprune.papers.pruning_spaces.section:SpaceSection"},
    "reproductions": {"space-counts": "kerasprune.papers.pruning_spaces.space_counts:space_counts"},
    "section_files": {"space": "space.csv"},
    "section_figures": {"space": "kerasprune.papers.pruning_spaces.figures:FIGURES"},
}

__getattr__, __dir__, __all__ = lazy(__name__)
