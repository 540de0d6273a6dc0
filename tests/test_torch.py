"""Engine and callbacks on torch, where it is installed: in a process of its own, whatever the backend of the others."""

from __future__ import annotations

import importlib.util
import json

import pytest
from support.processes import run_python

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed"),
]

PRUNED = """
import json, os
os.environ["KERAS_BACKEND"] = "torch"
import keras, numpy as np
import kerasprune as kp
from support.convnet import compiled, small, train

model = keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), alpha=0.35, classes=10)
plan = kp.plan(model, "l1", macs=0.5)
slim = kp.rebuild(model, plan)
verdict = kp.verify(model, slim, plan)
gradual = kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.25, end="1ep"), every=2)
masked = compiled(small())
train(masked, [gradual], epochs=2)
greg = kp.callbacks.GReg1(keep=0.5, schedule={"step": 0.01, "every": 2, "ceiling": 0.05, "settle": 6, "stop": False})
pushed = compiled(small())
train(pushed, [greg], epochs=2)
weights = {v.path: keras.ops.convert_to_numpy(v) for v in masked.trainable_variables}
print(json.dumps({
    "faults": list(verdict.faults),
    "macs": kp.cost(slim).macs / kp.cost(model).macs,
    "left": [int((weights[path][~mask] != 0).sum()) for path, mask in gradual.masks.items()],
    "kept": gradual.kept,
    "plan": [len(kept) for kept in greg.plan.keep.values()],
    "faults of greg": list(kp.verify(pushed, kp.rebuild(pushed, greg.plan), greg.plan).faults),
}))
"""


def test_engine_and_callbacks():
    found = json.loads(run_python(PRUNED).splitlines()[-1])
    assert found["faults"] == found["faults of greg"] == [] and found["macs"] == pytest.approx(0.5, abs=0.03)
    assert not any(found["left"]) and found["kept"] == pytest.approx(0.25, abs=0.02)
    assert found["plan"] == [3]
