"""SynExp: layer densities before training that maximise the expected synaptic flow; PreCrop and PreConfig build them.

Cai et al., Structured Pruning is All You Need for Pruning CNNs at Initialization, arXiv 2203.02549.

    max Σ_l log p_l   subject to   Σ_l α_l·p_l ≤ B_params,  Σ_l β_l·p_l ≤ B_macs

Read `synexp.py` (the problem), `coupled_layers.py` (its costs for a model), `build_to_target.py` (from a target to
channels), `precrop.py` and `reconfigure.py` (the models).
"""

from kerasprune.registry import lazy

BRINGS = {
    "beginnings": {"reconfigure": "kerasprune.papers.synexp.reconfigure:reconfigure"},
    "commands": {"precrop": "kerasprune.papers.synexp.command"},
    "options": {"prune.precrop": ("params", "macs", "freeze", "unknown")},
    "prune_sections": {"precrop": "kerasprune.papers.synexp.section:PreCrop"},
    "reproductions": {
        "precrop-tables": "kerasprune.papers.synexp.precrop_tables:precrop_tables",
        "synflow-flops": "kerasprune.papers.synexp.synflow_flops:synflow_flops",
    },
}

__getattr__, __dir__, __all__ = lazy(__name__)
