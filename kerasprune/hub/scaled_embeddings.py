"""The factor √channels by which Gemma multiplies its embeddings, which a config with fewer channels changes."""

from __future__ import annotations

import keras
import numpy as np

from kerasprune.graph.graph import values
from kerasprune.hub.rules import classes_of_hub
from kerasprune.hub.same_class import backbone_of

_BACKBONES = classes_of_hub("gemma.gemma_backbone.GemmaBackbone", "gemma3.gemma3_backbone.Gemma3Backbone")
_TIED_TASKS = classes_of_hub("causal_lm.CausalLM")


def keep_scale(slim: keras.Model, dense: keras.Model) -> None:
    """Makes up for another factor in a slim model, whose weights are those of the dense one.

    With h and h′ channels the table is multiplied by √(h ÷ h′). Where it makes the logits, too, the norm before them,
    `(1 + scale)·x`, is divided by that.

    Args:
        slim: The slim model, a task or a backbone.
        dense: The dense model.
    """
    ours, theirs = backbone_of(slim), backbone_of(dense)
    if not isinstance(ours, _BACKBONES):
        return
    table, factor = ours.token_embedding.embeddings, np.sqrt(theirs.hidden_dim / ours.hidden_dim)
    table.assign((values(table) * factor).astype(table.dtype))
    if isinstance(slim, _TIED_TASKS):
        scale = ours.layer_norm.scale
        scale.assign(((1 + values(scale)) / factor - 1).astype(scale.dtype))
