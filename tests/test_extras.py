"""An environment without an extra: tracing works, and what is missing is said with the extra's name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kerasprune.errors import EXTRAS

PREPARE = """
import sys
missing = {missing!r}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name.split(".")[0])
sys.meta_path.insert(0, Absent())
"""


def said_without(missing: tuple[str, ...], code: str) -> str:
    """Returns what code prints, or the error that it ends with, in a process that lacks modules."""
    whole = f"{PREPARE.format(missing=missing)}\nimport kerasprune as kp\n{code}"
    done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


EDGE = tuple(module for module in EXTRAS if module not in ("tensorflow", "rich"))  # Keras itself needs rich
MODEL = "import keras; model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])"
CORE = """
import keras
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(2)])
slim = kp.rebuild(model, kp.plan(kp.trace(model), keep=0.5))
kp.callbacks.GReg1(keep=0.5), kp.models.lenet_300_100()
print(kp.cost(model).params, kp.cost(slim).params)
"""


@pytest.mark.thorough
def test_trace_plan_and_rebuild_need_no_extra():
    assert said_without(EDGE, CORE) == "58 30"


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("missing", "code", "extra"),
    [
        ("pydantic", "kp.recipes.load('digits-greg1')", "recipes"),
        ("yaml", "kp.recipes.run", "recipes"),
        ("tensorflow_datasets", "kp.data.load('tfds:mnist')", "recipes"),
        ("tensorflow", "kp.data.load", "tensorflow"),
        ("ai_edge_litert", "kp.export.operators('x.tflite')", "export"),
        ("ai_edge_litert", f"{MODEL}; kp.export.tflite(model, 'never-written.tflite')", "export"),
        ("ai_edge_litert", f"{MODEL}; kp.latency.profile(model)", "export"),
        ("litert_quantizer", f"{MODEL}; kp.export.tflite(model, 'never-written.tflite', quantize='int4')", "quantize"),
        (
            "pycocotools",
            "from kerasprune.models.sets.mean_precision import mean_precision; mean_precision(None, ())",
            "detect",
        ),
        ("typer", "from kerasprune.__main__ import main; main()", "recipes"),
    ],
)
def test_the_extra_is_named(missing, code, extra):
    if missing == "tensorflow":
        code = f"import os; os.environ['KERAS_BACKEND'] = 'jax'; {code}"
    assert f'pip install "kerasprune[{extra}]"' in said_without((missing,), code)


def test_another_missing_module_is_not_taken_for_an_extra():
    assert "No module named 'keras'" in said_without(("keras",), "kp.trace")
