"""Backbones and tasks of KerasHub: written out, halved, and loaded where KerasHub cannot be imported."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import kerasprune as kp
from kerasprune._keras import inner_layers, own_weights

pytest.importorskip("keras_hub")

from support.hub_models import MODELS  # noqa: E402

pytestmark = [pytest.mark.hub, pytest.mark.slow]


def params_outside_embeddings(model: keras.Model) -> int:
    """Returns how many numbers there are in layers that embed neither words nor positions nor patches."""
    layers = {id(each): each for each in inner_layers(model)}.values()
    counted = [x for x in layers if "Embedding" not in type(x).__name__ and "patch_embedding" not in x.name]
    return sum(int(np.prod(weight.shape)) for each in counted for weight in own_weights(each))


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("name", MODELS)
def test_written_out_halved_and_loaded_alone(name):
    model = MODELS[name]()
    generator = np.random.default_rng(0)
    for variable in model.weights:
        if "float" in str(variable.dtype):
            variable.assign(variable + generator.normal(0, 0.05, variable.shape))
    plain = kp.functional(model)
    assert all(type(each).__module__.startswith("keras.") for each in inner_layers(plain))
    plan = kp.plan(plain, keep=0.5)
    slim = kp.rebuild(plain, plan)
    assert params_outside_embeddings(slim) <= 0.6 * params_outside_embeddings(model)
    assert kp.verify(plain, slim, plan).passed
