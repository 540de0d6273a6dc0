"""Three dimensions: depth, width and resolution are shrunk together to the most accurate network at a given cost.

Wang et al., Accelerate CNNs from Three Dimensions: A Comprehensive Pruning Framework, ICML 2021.

    max over (d, w, r) of A(d, w, r)   subject to   C(d, w, r) ≤ T

Read `accuracy_predictor.py` (A, a sum of products of polynomials, of which `surface.py` is the fit), `constraints.py`
(the optimum), `depth_width_resolution.py` (one network of given d, w, r), `discrimination.py` (which
blocks are pruned), `rounds.py` and `one_dimension.py` (the networks that A is measured on), `workflow.py` (all of it).
"""

BRINGS = {
    "kerasprune": {
        "Point": "kerasprune.papers.three_dimensions.depth_width_resolution:Point",
        "ThreeDimensions": "kerasprune.papers.three_dimensions.workflow:ThreeDimensions",
        "one_dimension": "kerasprune.papers.three_dimensions.one_dimension:one_dimension",
        "rounds": "kerasprune.papers.three_dimensions.rounds:rounds",
        "three_dimensions": "kerasprune.papers.three_dimensions.workflow:three_dimensions",
    },
    "kerasprune.criteria": {
        "BlockCriterion": "kerasprune.papers.three_dimensions.block_criterion:BlockCriterion",
        "Discrimination": "kerasprune.papers.three_dimensions.discrimination:Discrimination",
        "RandomBlocks": "kerasprune.papers.three_dimensions.block_criterion:RandomBlocks",
        "blocks_of": "kerasprune.papers.three_dimensions.block_criterion:blocks_of",
        "least_blocks": "kerasprune.papers.three_dimensions.block_criterion:least_blocks",
        "score_blocks": "kerasprune.papers.three_dimensions.block_criterion:score_blocks",
    },
    "kerasprune.search": {
        "Buildable": "kerasprune.papers.three_dimensions.constraints:Buildable",
        "Constraint": "kerasprune.papers.three_dimensions.constraints:Constraint",
        "MAP": "kerasprune.papers.three_dimensions.accuracy_predictor:MAP",
        "Polynomial": "kerasprune.papers.three_dimensions.accuracy_predictor:Polynomial",
        "Smooth": "kerasprune.papers.three_dimensions.constraints:Smooth",
        "Surface": "kerasprune.papers.three_dimensions.surface:Surface",
        "Volume": "kerasprune.papers.three_dimensions.constraints:Volume",
        "table5": "kerasprune.papers.three_dimensions.map_table5:table5",
    },
    "block_criteria": {
        "discrimination": "kerasprune.papers.three_dimensions.discrimination:Discrimination",
        "random": "kerasprune.papers.three_dimensions.block_criterion:RandomBlocks",
    },
    "callbacks": {
        "shrink_rounds": "kerasprune.papers.three_dimensions.shrink_rounds:ShrinkRounds",
    },
    "prune_sections": {
        "three_dimensions": "kerasprune.papers.three_dimensions.stage",
    },
    "section_figures": {
        "three_dimensions": "kerasprune.papers.three_dimensions.figures:FIGURES",
    },
    "reproductions": {
        "map-table5": "kerasprune.papers.three_dimensions.map_table5:map_table5",
    },
}
