"""Keras's distribution API on JAX: callbacks on two devices at once, which a processor can stand for."""

from __future__ import annotations

import json

import keras
import pytest
from support.processes import run_python

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="of JAX")

TRAINED = """
import json, os
os.environ.update(KERAS_BACKEND="jax", XLA_FLAGS="--xla_force_host_platform_device_count=2")
import keras, numpy as np
import kerasprune as kp
from support.convnet import compiled, small, train

devices = keras.distribution.list_devices("cpu") if sys.argv[2] == "two" else []
if devices:
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
callback = {
    "greg1": lambda: kp.callbacks.GReg1(keep=0.5, schedule=kp.schedules.LinearGrowth(0.01, 2, 0.05, 6, stop=False)),
    "gradual": lambda: kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.25, end="1ep"), every=2),
}[sys.argv[1]]()
model = compiled(small())
train(model, [callback], epochs=2)
weights = {v.path: np.array(keras.ops.convert_to_numpy(v)) for v in model.trainable_variables}
masks = callback.masks if sys.argv[1] == "gradual" else {}
print(json.dumps({
    "devices": len(devices),
    "on": len(model.get_layer("conv").kernel.value.sharding.device_set),
    "left": [int((weights[path][~mask] != 0).sum()) for path, mask in masks.items()],
    "removed": int(sum((~mask).sum() for mask in masks.values())),
    "plan": {} if masks else {name: list(kept) for name, kept in callback.plan.keep.items()},
    "weights": {path: weight.ravel().tolist() for path, weight in weights.items()},
}))
"""


@pytest.mark.parametrize("method", ["greg1", "gradual"])
def test_two_devices_train_as_one(method):
    two, one = (json.loads(run_python(TRAINED, method, how).splitlines()[-1]) for how in ("two", "one"))
    assert two["devices"] == two["on"] == 2 and one["on"] == 1
    assert two["plan"] == one["plan"]
    assert not any(two["left"]) and (method == "greg1" or two["removed"] > 50)
    for path, weight in one["weights"].items():
        assert two["weights"][path] == pytest.approx(weight, abs=1e-5), path
