"""Ablations change what they are about, and nothing else."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import kerasprune as kp
from kerasprune.testing import check_criterion


def _model() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(8), keras.layers.Dense(3)])


def test_shuffled_masks_keep_as_many_of_every_kernel_elsewhere():
    masks = kp.prune_at_init(_model(), "l1", keep=0.3)
    copies = {path: mask.copy() for path, mask in masks.items()}
    first, again, other = (kp.papers.lottery_tickets.shuffled(masks, seed=s) for s in (0, 0, 1))
    for path, mask in masks.items():
        assert first[path].sum() == mask.sum() and first[path].shape == mask.shape
        assert (first[path] == again[path]).all() and (first[path] != other[path]).any()
        np.testing.assert_array_equal(mask, copies[path])
    assert any((first[path] != masks[path]).any() for path in masks)
    with pytest.raises(kp.PruneError, match="seed"):
        kp.papers.lottery_tickets.shuffled(masks, seed=-1)


def test_inverted_keeps_what_would_go():
    model = _model()
    kept, rest = (kp.prune_at_init(model, c, keep=0.5) for c in ("l1", kp.papers.lottery_tickets.Inverted("l1")))
    for path in kept:
        assert (kept[path] != rest[path]).all()
    assert kp.papers.lottery_tickets.Inverted("snip").needs == kp.criteria.get("snip").needs
    check_criterion(kp.papers.lottery_tickets.Inverted("l2"))
