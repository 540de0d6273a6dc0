"""Criteria: scores of channels and blocks, one file per score."""

from kerasprune.registry import criteria, family, lazy

__getattr__, __dir__, __all__ = lazy(
    family(
        criteria,
        "criteria",
        {
            "Aggregation": "kerasprune.criteria.aggregation:Aggregation",
            "Criterion": "kerasprune.criteria.base:Criterion",
            "GateCriterion": "kerasprune.criteria.gates:GateCriterion",
            "GradientCriterion": "kerasprune.criteria.gradients:GradientCriterion",
            "Members": "kerasprune.criteria.members_of_channels:Members",
            "Normalisation": "kerasprune.criteria.normalisation:Normalisation",
            "EmpiricalFisher": "kerasprune.criteria.curvature:EmpiricalFisher",
            "ExactDiagonal": "kerasprune.criteria.curvature:ExactDiagonal",
            "ExactInverse": "kerasprune.criteria.inverse_hessian:ExactInverse",
            "GaussNewton": "kerasprune.criteria.curvature:GaussNewton",
            "WoodburyInverse": "kerasprune.criteria.inverse_hessian:WoodburyInverse",
            "mean_gradients": "kerasprune.criteria.gradients:mean_gradients",
            "Scores": "kerasprune.criteria.base:Scores",
            "aggregations": "kerasprune.registry:aggregations",
            "block_criteria": "kerasprune.registry:block_criteria",
            "mean_squares": "kerasprune.criteria.example_gradients:mean_squares",
            "members": "kerasprune.registry:members",
            "normalisations": "kerasprune.registry:normalisations",
            "obs_update": "kerasprune.criteria.obs:obs_update",
            "score": "kerasprune.criteria.base:score",
        },
    )
)
