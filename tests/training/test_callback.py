"""Who says what a caller may decide for a callback."""

from __future__ import annotations

import keras
import pytest

import kerasprune as kp
from kerasprune.callbacks import PruningCallback
from kerasprune.training.callback import declared


@pytest.mark.parametrize("member", [keras.callbacks.EarlyStopping, lambda: None, "GReg1", 3, kp.callbacks.HoldMask({})])
def test_for_all_but_classes_of_pruning_callbacks_the_base_speaks(member):
    assert declared(member) is PruningCallback


def test_a_class_speaks_for_itself():
    assert declared(kp.callbacks.GReg1) is kp.callbacks.GReg1
