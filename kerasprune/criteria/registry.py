"""The registries of scores: criteria, and what they are combined from."""

from __future__ import annotations

from kerasprune.registry import Registry

criteria = Registry(
    "criterion",
    {
        "abs_grasp": "kerasprune.criteria.grasp:AbsGraSP",
        "activation": "kerasprune.criteria.activation:Activation",
        "apoz": "kerasprune.criteria.apoz:APoZ",
        "block_fisher": "kerasprune.criteria.block_fisher:BlockFisher",
        "bn_scale": "kerasprune.criteria.bn_scale:BatchNormScale",
        "fpgm": "kerasprune.criteria.fpgm:FPGM",
        "gradient_magnitude": "kerasprune.criteria.gradients:GradientMagnitude",
        "grasp": "kerasprune.criteria.grasp:GraSP",
        "group_l1": "kerasprune.criteria.grouped:GroupL1",
        "group_l2": "kerasprune.criteria.grouped:GroupL2",
        "grouped": "kerasprune.criteria.grouped:Grouped",
        "hrank": "kerasprune.criteria.hrank:HRank",
        "hrank_edge": "kerasprune.criteria.hrank:HRankEdge",
        "hrank_random": "kerasprune.criteria.hrank:HRankRandom",
        "hrank_reverse": "kerasprune.criteria.hrank:HRankReverse",
        "l1": "kerasprune.criteria.magnitude:L1",
        "l2": "kerasprune.criteria.magnitude:L2",
        "lamp": "kerasprune.criteria.lamp:LAMP",
        "obd": "kerasprune.criteria.obd:OBD",
        "obs": "kerasprune.criteria.obs:OBS",
        "random": "kerasprune.criteria.random:Random",
        "skeletonization": "kerasprune.criteria.gates:Skeletonization",
        "snip": "kerasprune.criteria.snip:SNIP",
        "synflow": "kerasprune.criteria.synflow:SynFlow",
        "taylor_fo": "kerasprune.criteria.gradients:TaylorFO",
        "taylor_fo_gate": "kerasprune.criteria.gates:TaylorFOGate",
        "thinet": "kerasprune.criteria.thinet:ThiNet",
    },
    base="kerasprune.criteria.base:Criterion",
)

members = Registry(
    "members",
    {
        "everything": "kerasprune.criteria.members_of_channels:Everything",
        "makers": "kerasprune.criteria.members_of_channels:Makers",
        "readers": "kerasprune.criteria.members_of_channels:Readers",
        "scales": "kerasprune.criteria.members_of_channels:Scales",
    },
    base="kerasprune.criteria.members_of_channels:Members",
)

aggregations = Registry(
    "aggregation",
    {
        "first": "kerasprune.criteria.aggregation:First",
        "max": "kerasprune.criteria.aggregation:Max",
        "mean": "kerasprune.criteria.aggregation:Mean",
        "sum": "kerasprune.criteria.aggregation:Sum",
    },
    base="kerasprune.criteria.aggregation:Aggregation",
)

normalisations = Registry(
    "normalisation",
    {
        "larger": "kerasprune.criteria.normalisation:ByLarger",
        "max": "kerasprune.criteria.normalisation:ByMax",
        "mean": "kerasprune.criteria.normalisation:ByMean",
        "none": "kerasprune.criteria.normalisation:AsTheyAre",
        "norm": "kerasprune.criteria.normalisation:ByNorm",
        "quantile": "kerasprune.criteria.normalisation:ByQuantile",
        "range": "kerasprune.criteria.normalisation:ByRange",
        "standardised": "kerasprune.criteria.normalisation:Standardised",
        "sum": "kerasprune.criteria.normalisation:BySum",
    },
    base="kerasprune.criteria.normalisation:Normalisation",
)
