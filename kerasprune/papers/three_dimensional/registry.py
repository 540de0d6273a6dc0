"""The registry of criteria of blocks."""

from __future__ import annotations

from kerasprune.registry import Registry

block_criteria = Registry(
    "block criterion",
    {
        "cosine_distance": "kerasprune.papers.three_dimensional.cosine_distance:CosineDistance",
        "discrimination": "kerasprune.papers.three_dimensional.discrimination:Discrimination",
        "random": "kerasprune.papers.three_dimensional.block_criterion:RandomBlocks",
    },
    base="kerasprune.papers.three_dimensional.block_criterion:BlockCriterion",
)
