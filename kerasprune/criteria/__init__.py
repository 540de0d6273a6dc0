"""Criteria: scores of channels and blocks, one file per score."""

from kerasprune.registry import criteria, family, lazy

__getattr__, __dir__, __all__ = lazy(
    family(
        criteria,
        "criteria",
        {
            "Aggregation": "kerasprune.criteria.aggregation:Aggregation",
            "BlockCriterion": "kerasprune.criteria.blocks.base:BlockCriterion",
            "Criterion": "kerasprune.criteria.base:Criterion",
            "Discrimination": "kerasprune.criteria.blocks.discrimination:Discrimination",
            "Members": "kerasprune.criteria.belonging:Members",
            "Normalisation": "kerasprune.criteria.normalisation:Normalisation",
            "RandomBlocks": "kerasprune.criteria.blocks.random:RandomBlocks",
            "Scores": "kerasprune.criteria.base:Scores",
            "aggregations": "kerasprune.registry:aggregations",
            "block_criteria": "kerasprune.registry:block_criteria",
            "blocks_of": "kerasprune.criteria.blocks.base:blocks_of",
            "least_blocks": "kerasprune.criteria.blocks.base:least_blocks",
            "members": "kerasprune.registry:members",
            "normalisations": "kerasprune.registry:normalisations",
            "score": "kerasprune.criteria.base:score",
            "score_blocks": "kerasprune.criteria.blocks.base:score_blocks",
        },
    )
)
