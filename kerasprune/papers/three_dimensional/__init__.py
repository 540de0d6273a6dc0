"""Three dimensions: depth, width and resolution are shrunk together to the most accurate network at a given cost.

Wang et al., Accelerate CNNs from Three Dimensions: A Comprehensive Pruning Framework, ICML 2021.

    max over (d, w, r) of A(d, w, r)   subject to   C(d, w, r) ≤ T

Read `accuracy_predictor.py` (A, a sum of products of polynomials, of which `surface.py` is the fit), `constraints.py`
(the optimum), `extents.py` (the d, w, r of networks, and what they cost), `shrinking_plans.py` (how a network gets
them), `discrimination.py` (which blocks are pruned), `in_rounds.py` and `one_dimension.py` (the networks that A is
measured on), `workflow.py` (the whole).
"""

from kerasprune.registry import lazy

BRINGS = {
    "families": {"block criterion": "kerasprune.papers.three_dimensional.registry:block_criteria"},
    "callbacks": {"shrink_rounds": "kerasprune.papers.three_dimensional.shrink_rounds:ShrinkRounds"},
    "prune_sections": {
        "one_dimension": "kerasprune.papers.three_dimensional.one_dimension_section:OneDimensionSection",
        "three_dimensions": "kerasprune.papers.three_dimensional.section:ThreeDimensionsSection",
    },
    "section_files": {"points": "points.json", "maps": "maps.npz"},
    "section_figures": {"three_dimensions": "kerasprune.papers.three_dimensional.figures:FIGURES"},
    "reproductions": {
        "map-table3": "kerasprune.papers.three_dimensional.map_table3:map_table3",
        "map-table5": "kerasprune.papers.three_dimensional.map_table5:map_table5",
    },
}

__getattr__, __dir__, __all__ = lazy(__name__)
