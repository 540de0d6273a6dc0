"""Every architecture of `keras.applications`: traced, planned at half the multiply–adds, rebuilt, compared, saved.

    python benchmarks/zoo.py [NAME ...]     # appends to results/zoo.csv, then writes zoo.md; finished rows are kept

Each architecture runs in a process of its own. Statistics of BatchNorm and biases are random, logits are compared. The
times are of the model at its own input size; `clone` is `keras.models.clone_model` of the same model in the same run.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from rows import append, read

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

HERE = Path(__file__).parent
ROWS = HERE / "results" / "zoo.csv"
FIELDS = (
    "name", "groups", "prunable_share", "params", "macs", "macs_global", "macs_uniform", "error", "absorb_border",
    "loads", "trace_s", "plan_s", "rebuild_s", "clone_s", "not_prunable",
)  # fmt: skip
NAMES = [
    "ConvNeXtTiny", "ConvNeXtSmall", "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtXLarge", "DenseNet121",
    "DenseNet169", "DenseNet201", "EfficientNetB0", "EfficientNetB1", "EfficientNetB2", "EfficientNetB3",
    "EfficientNetB4", "EfficientNetB5", "EfficientNetB6", "EfficientNetB7", "EfficientNetV2B0",
    "EfficientNetV2B1", "EfficientNetV2B2", "EfficientNetV2B3", "EfficientNetV2S", "EfficientNetV2M",
    "EfficientNetV2L", "InceptionResNetV2", "InceptionV3", "MobileNet", "MobileNetV2", "MobileNetV3Small",
    "MobileNetV3Large", "NASNetMobile", "NASNetLarge", "ResNet50", "ResNet101", "ResNet152", "ResNet50V2",
    "ResNet101V2", "ResNet152V2", "VGG16", "VGG19", "Xception",
]  # fmt: skip
LITTLE = 0.9
TEXT = """# Every architecture of keras.applications

Random weights, biases and BatchNorm statistics, logits; {date}, Keras {keras}, TensorFlow {tensorflow}, 2 shared x86
cores; `benchmarks/zoo.py`. None needed `unknown="freeze"`.

- `groups`: prunable groups; `prunable_share`: share of the kernel parameters of convolutions and dense layers that make
  or read channels of a prunable group.
- `macs_global`, `macs_uniform`: fraction of the multiply–adds that is left, of 0.5 asked for; L1 norm, budget global
  with a floor of 10 % of every group, and budget uniform.
- `error`: largest difference between `rebuild(absorb=False)` and `mask`, relative to the largest logit;
  `absorb_border`: the same with constants folded, which is approximate at the border of padded layers.
- `loads`: whether the saved slim model loads in a process that cannot import kerasprune.
- `trace_s`, `plan_s`, `rebuild_s`: CPU seconds, which other work on the machine lengthens less than the clock's;
  `clone_s`: of `keras.models.clone_model` of the dense model, in the same process, in turn with `rebuild`, the fastest
  of three each."""
_LOADS = """
import sys
sys.modules["kerasprune"] = None
import keras
keras.models.load_model(sys.argv[1], compile=False, safe_mode=True)
"""


def one(name: str) -> dict:
    """Measures one architecture and returns its row."""
    import keras
    import numpy as np

    import kerasprune as kp

    model = randomised(getattr(keras.applications, name))
    kp.trace(model)
    trace_s, graph = timed(lambda: kp.trace(model))
    plan_s, plan = timed(lambda: kp.plan(graph, "l1", "global", macs=0.5, min_keep=0.1, round_to=1))
    uniform = kp.plan(graph, "l1", "uniform", macs=0.5, round_to=1)
    seconds = [
        (timed(lambda: kp.rebuild(model, plan))[0], timed(lambda: keras.models.clone_model(model))[0]) for _ in range(3)
    ]
    rebuild_s, clone_s = map(min, zip(*seconds, strict=True))
    inputs = np.random.default_rng(0).normal(size=(1, *model.input_shape[1:])).astype("float32")
    slim = kp.rebuild(model, plan, absorb=False)
    error = difference(slim, kp.mask(model, plan), inputs)
    border = difference(kp.rebuild(model, plan), kp.mask(model, plan, silence="weights"), inputs)
    dense, pruned, even = kp.cost(graph).macs, kp.cost(slim).macs, kp.cost(graph, uniform).macs
    kernels = {id(k.variable): int(np.prod(k.variable.shape)) for k in graph.kernels}
    inside = {id(k.variable) for g in graph.prunable for k, _, _ in graph.made_by(g) + graph.read_by(g)}
    share = sum(size for key, size in kernels.items() if key in inside) / sum(kernels.values())
    reasons = [
        f"{kernel.owner.name}: {graph.groups[name].reason}"
        for name in graph.groups
        for kernel, _, _ in graph.made_by(name)
        if id(kernel.variable) not in inside
    ]
    values = (
        name, len(graph.prunable), f"{share:.3f}", model.count_params(), dense, f"{pruned / dense:.4f}",
        f"{even / dense:.4f}", f"{error:.1e}", f"{border:.1e}", loads(slim), f"{trace_s:.3f}", f"{plan_s:.2f}",
        f"{rebuild_s:.2f}", f"{clone_s:.2f}", "; ".join(reasons) if share < LITTLE else "",
    )  # fmt: skip
    return dict(zip(FIELDS, values, strict=True))


def randomised(make: Callable) -> Any:
    """Returns a model with random weights, biases and statistics, drawn on small images where the size is free."""
    import keras

    from kerasprune.testing import randomise

    def built(*shape: int) -> Any:
        return make(weights=None, classifier_activation=None, input_shape=shape or None)

    model, small = built(), built(96, 96, 3)
    if None in model.input_shape[1:]:  # MobileNetV3
        model = built(224, 224, 3)
    if [w.shape for w in small.weights] != [w.shape for w in model.weights]:  # VGG
        return randomise(model)
    model.set_weights(randomise(small).get_weights())
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
    return model


def timed(function) -> tuple:
    """Returns the CPU seconds that a call takes, and its result."""
    began = time.process_time()
    result = function()
    return time.process_time() - began, result


def difference(first, second, inputs) -> float:
    """Returns the largest difference of two models' outputs, relative to the largest output."""
    import numpy as np

    a, b = np.asarray(first(inputs)), np.asarray(second(inputs))
    return float(np.abs(a - b).max() / np.abs(b).max())


def loads(model) -> str:
    """Returns whether the saved model loads in a process that cannot import kerasprune."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slim.keras"
        model.save(path)
        done = subprocess.run([sys.executable, "-c", _LOADS, str(path)], capture_output=True, check=False)
    return "yes" if done.returncode == 0 else "no"


def main(names: list[str]) -> None:
    """Measures what has no row yet, then writes the table."""
    done = {row["name"] for row in read(ROWS)}
    for name in names or NAMES:
        if name not in done and subprocess.run([sys.executable, __file__, "--one", name], check=False).returncode:
            print(f"{name}: FAILED", file=sys.stderr)
    table()


def table() -> None:
    """Writes zoo.md from the rows."""
    found = sorted(read(ROWS), key=lambda row: NAMES.index(row["name"]))
    columns = FIELDS[:-1]
    versions = {"keras": version("keras"), "tensorflow": version(packages_distributions()["tensorflow"][0])}
    lines = [TEXT.format(date=date.today().isoformat(), **versions), ""]
    lines += ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(row[field] for field in columns) + " |" for row in found]
    ratios = [float(row["rebuild_s"]) / float(row["clone_s"]) for row in found] or [0.0]
    lines += ["", f"{len(found)} of {len(NAMES)} architectures. rebuild ÷ clone_model: median "]
    lines[-1] += f"{statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}."
    lines += [f"- {row['name']}, not prunable: {row['not_prunable']}" for row in found if row["not_prunable"]]
    (HERE / "zoo.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        row = one(sys.argv[2])
        append(ROWS, FIELDS, [row])
        print(row, flush=True)
    else:
        main(sys.argv[1:])
