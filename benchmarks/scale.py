"""How time and memory grow: with layers, with channels, with weights; and `rebuild` beside `clone_model`.

    python benchmarks/scale.py              # writes results/scale.md; some ten minutes

Ratios within one run, of CPU seconds, which other work on the machine lengthens less than the clock's; the fastest of
`ROUNDS`, in turn. Memory is the peak of the resident set above what is there before the call, in processes of their
own (Linux). `Keras alone` makes the layers of the slim model from configs that are there, and builds and calls them on
weights that are there: nothing that keeps Keras's constructors is faster.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers, ops

import kerasprune as kp
from kerasprune.graph.built_model import body_of
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.walk import is_model, nodes, walk

PAGE = Path(__file__).resolve().parent / "results" / "scale.md"
ROUNDS = 3
ARCHITECTURES = (
    "MobileNetV2", "ResNet50", "ConvNeXtTiny", "EfficientNetB0", "DenseNet121", "InceptionV3", "VGG16",
    "EfficientNetB7",
)  # fmt: skip
Steps = dict[str, Callable[[], Any]]


def chain(number: int) -> keras.Model:
    """Returns convolutions one after the other."""
    x = inputs = keras.Input((4, 4, 3))
    for _ in range(number):
        x = layers.Conv2D(8, 3, padding="same")(x)
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))


def concatenation(number: int) -> keras.Model:
    """Returns convolutions each of which reads all before it."""
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(8, 3, padding="same")(inputs)
    for _ in range(number):
        x = layers.Concatenate()([x, layers.Conv2D(4, 3, padding="same")(x)])
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))


def attention(number: int) -> keras.Model:
    """Returns transformer layers of which everything is written out: heads are split off by reshapes."""
    x = inputs = keras.Input((8, 64))
    for _ in range(number):
        split = [ops.transpose(layers.Reshape((8, 4, 16))(layers.Dense(64)(x)), (0, 2, 1, 3)) for _ in range(3)]
        weights = ops.softmax(ops.matmul(split[0], ops.transpose(split[1], (0, 1, 3, 2))))
        heads = layers.Reshape((8, 64))(ops.transpose(ops.matmul(weights, split[2]), (0, 2, 1, 3)))
        x = layers.LayerNormalization()(layers.Add()([x, layers.Dense(64)(heads)]))
        x = layers.Add()([x, layers.Dense(64)(layers.Dense(256, "gelu")(x))])
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling1D()(x)))


def wide(number: int) -> keras.Model:
    """Returns one layer of so many units."""
    inputs = keras.Input((4,))
    return keras.Model(inputs, layers.Dense(2)(layers.ReLU()(layers.Dense(number)(inputs))))


def gigabyte() -> keras.Model:
    """Returns convolutions with weights of 0.9 GB."""
    x = inputs = keras.Input((4, 4, 3))
    for _ in range(27):
        x = layers.Conv2D(1024, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def half(graph: ChannelGraph) -> kp.Plan:
    """Returns a plan that keeps every other channel."""
    return kp.Plan.of(graph, {name: np.arange(0, group.size, 2) for name, group in graph.prunable.items()})


def fastest(steps: Steps) -> dict[str, float]:
    """Returns the CPU seconds of each step, the fastest of the rounds."""
    found: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            gc.collect()
            began = time.process_time()
            step()
            found[name].append(time.process_time() - began)
    return {name: min(seconds) for name, seconds in found.items()}


def growth(model: keras.Model) -> dict[str, float]:
    """Times everything on one model, each on a graph that has not answered a question yet."""
    plan = half(kp.trace(model))
    seconds = fastest(
        {
            "trace": lambda: kp.trace(model),
            "report": lambda: kp.trace(model).report(),
            "plan": lambda: kp.plan(kp.trace(model), keep=0.5),
            "macs": lambda: kp.plan(kp.trace(model), macs=0.5, round_to=1),
            "rebuild": lambda: kp.rebuild(model, plan),
            "clone": lambda: keras.models.clone_model(model),
        }
    )
    return {
        name: value - seconds["trace"] if name in ("report", "plan", "macs") else value
        for name, value in seconds.items()
    }


def grown(kind: str, number: int, unit: float) -> str:
    """Returns one row of the table of growth."""
    s = growth(globals()[kind](number))
    cells = [kind, f"{number:,}", f"{s['trace'] / number * unit:.3g}"]
    cells += [f"{s[name] / s['trace']:.1f}" for name in ("report", "plan", "macs")]
    return row([*cells, f"{s['rebuild'] / s['clone']:.2f}"])


# ---- rebuild ------------------------------------------------------------------------------------------------


def keras_alone(slim: keras.Model) -> Callable[[], keras.Model]:
    """Returns what makes a slim model from configs and weights that are there."""
    operations = [node.operation for body in bodies(slim) for node in nodes(body)]
    made_of = [each for each in operations if isinstance(each, layers.Layer) and not is_model(each)]
    configs = {id(each): each.get_config() for each in made_of}
    weights = {id(v): keras.ops.convert_to_numpy(v) for v in slim.variables}

    def make() -> keras.Model:
        return copied(slim, configs, weights, {})

    return make


def bodies(model: keras.Model) -> list[Any]:
    """Returns a model and those nested in it."""
    nested = [node.operation for node in nodes(body_of(model)) if is_model(node.operation)]
    return [body_of(model), *(body for each in nested for body in bodies(each))]


def copied(model: keras.Model, configs: dict, weights: dict, made: dict) -> keras.Model:
    """Makes a model anew from configs and weights."""

    def visit(node: Any, *args: Any, **kwargs: Any) -> Any:
        old = node.operation
        if id(old) not in made:
            made[id(old)] = type(old).from_config(configs[id(old)]) if id(old) in configs else old
            start = {v.name: weights[id(v)] for v in getattr(old, "weights", ())}
            if start:
                vars(made[id(old)])["add_weight"] = starting(made[id(old)].add_weight, start)
        return made[id(old)](*args, **kwargs)

    def enter(node: Any, *args: Any, **kwargs: Any) -> Any:
        if id(node.operation) not in made:
            made[id(node.operation)] = copied(node.operation, configs, weights, made)
        return made[id(node.operation)](*args, **kwargs)

    inputs = [keras.Input(batch_shape=x.shape, dtype=x.dtype) for x in body_of(model).inputs]
    return keras.Model(inputs, walk(body_of(model), inputs, visit, enter), name=model.name)


def starting(add_weight: Callable, weights: dict[str, np.ndarray]) -> Callable:
    """Returns an `add_weight` whose variables start with weights that are there."""

    def add(*args: Any, name: str | None = None, initializer: Any = None, **how: Any) -> Any:
        value = weights.get(name)
        given = "zeros" if value is None else lambda shape, dtype: value
        return add_weight(*args, name=name, initializer=given, **how)

    return add


def rebuilt(name: str) -> dict[str, float]:
    """Times `rebuild` on one architecture beside `clone_model`, and Keras alone on the slim model."""
    model = getattr(keras.applications, name)(weights=None, classifier_activation=None)
    plan = half(kp.trace(model))
    alone = keras_alone(kp.rebuild(model, plan))

    def without_collection() -> None:
        gc.disable()  # as `rebuild` does
        alone()
        gc.enable()

    return fastest(
        {
            "rebuild": lambda: kp.rebuild(model, plan),
            "clone": lambda: keras.models.clone_model(model),
            "alone": without_collection,
        }
    )


# ---- memory -------------------------------------------------------------------------------------------------


def resident(key: str) -> float:
    """Returns megabytes of this process: `VmRSS` now, `VmHWM` at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))


def above(step: Callable[[], Any]) -> tuple[float, Any]:
    """Returns how many megabytes a call takes at most beside what is there, and what it returns."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
    before = resident("VmRSS")
    result = step()
    return resident("VmHWM") - before, result


def memory(step: str, kind: str) -> dict[str, float]:
    """Measures one step on one model, in megabytes."""
    model = gigabyte() if kind == "gigabyte" else keras.applications.VGG16(weights=None)
    little = kp.trace(chain(2))
    kp.rebuild(little, half(little))  # what is imported and cached once is no part of it
    graph = kp.trace(model)
    dense = sum(np.prod(v.shape) for v in model.variables) * 4 / 2**20
    if step == "plan":
        return {"above": above(lambda: kp.plan(graph, "l1", keep=0.5))[0], "whole": dense, "dense": dense}
    more, slim = above(lambda: kp.rebuild(graph, half(graph)))
    return {"above": more, "whole": sum(np.prod(v.shape) for v in slim.variables) * 4 / 2**20, "dense": dense}


# ---- the page -----------------------------------------------------------------------------------------------


def row(cells: list[str]) -> str:
    """Returns a row of a table."""
    line = f"| {' | '.join(cells)} |"
    print(line, flush=True)
    return line


def apart(*arguments: str) -> dict[str, float]:
    """Measures in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measures everything; writes the page as far as it is."""
    lines = [
        "# Scale",
        "",
        f"Ratios of one run, CPU seconds, the fastest of {ROUNDS}; Keras {version('keras')}, TensorFlow "
        f"{version('tensorflow')}, 2 shared {platform.machine()} cores, {date.today().isoformat()}; "
        "`benchmarks/scale.py`.",
    ]
    for table in (table_of_growth, table_of_memory, table_of_rebuild):
        lines += ["", *table()]
        PAGE.write_text("\n".join(lines) + "\n")


def table_of_growth() -> list[str]:
    """Returns how time grows with layers, and with the units of one layer."""
    sys.setrecursionlimit(30_000)  # Keras makes no model of 1,000 layers in a row below
    growth(chain(2))
    sizes = {"chain": (100, 400, 1600), "concatenation": (100, 400), "attention": (6, 24)}
    sizes["wide"] = (10**3, 10**4, 10**5, 10**6)
    return [
        "| model | layers, or ids | `trace`, µs each | `report` ÷ `trace` | `plan(keep=)` ÷ `trace` | `plan(macs=)` ÷ "
        "`trace` | `rebuild` ÷ `clone_model` |",
        "|---|---|---|---|---|---|---|",
        *(grown(kind, number, 1e6) for kind, numbers in sizes.items() for number in numbers),
    ]


def table_of_memory() -> list[str]:
    """Returns what `plan` and `rebuild` take beside the dense model."""
    lines = ["| weights | step | peak above the dense model | |", "|---|---|---|---|"]
    for kind in ("gigabyte", "VGG16"):
        for step, whole in (("plan", "dense"), ("rebuild", "slim")):
            m = apart("memory", step, kind)
            peak = f"{m['above']:.0f} MB"
            lines.append(row([f"{kind}, {m['dense']:.0f} MB", step, peak, f"{m['above'] / m['whole']:.2f} × {whole}"]))
    return lines


def table_of_rebuild() -> list[str]:
    """Returns `rebuild` beside `clone_model` and Keras alone."""
    lines = ["| architecture | `rebuild` ÷ `clone_model` | Keras alone ÷ `clone_model` | `rebuild` ÷ Keras alone |"]
    lines.append("|---|---|---|---|")
    ratios = []
    for name in ARCHITECTURES:
        s = apart("rebuilt", name)
        ratios.append((s["rebuild"] / s["clone"], s["alone"] / s["clone"], s["rebuild"] / s["alone"]))
        lines.append(row([name, *(f"{ratio:.2f}" for ratio in ratios[-1])]))
    medians = [statistics.median(column) for column in zip(*ratios, strict=True)]
    return [*lines, row(["median", *(f"{ratio:.2f}" for ratio in medians)])]


if __name__ == "__main__":
    if sys.argv[1:2] in (["memory"], ["rebuilt"]):
        print(json.dumps({key: float(x) for key, x in globals()[sys.argv[1]](*sys.argv[2:]).items()}))
    else:
        main()
