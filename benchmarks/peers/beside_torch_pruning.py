"""Tracing and pruning, ours and Torch-Pruning's: same architectures, half of the channels, one thread each, one run.

    python benchmarks/peers/beside_torch_pruning.py     # writes ../results/torch_pruning.csv and .md; rows are kept

PyTorch for CPUs, torchvision and Torch-Pruning go into a virtual environment of their own, `.venv` beside this file;
`TORCH_PYTHON` names the Python of one that is there. For every architecture both sides run in processes of their own,
one after the other. Graph: `DependencyGraph` and `kp.trace`. Pruning: `MetaPruner(…)`, which traces, too, and `step()`;
`kp.plan` and `kp.rebuild`, from a graph that is there, and in the next columns with `kp.trace`. Ours returns a new
model; theirs changes the one it has. Keras alone: what it takes to make, build and call the layers of the slim model
from configs and weights that are there, a floor of every way that goes through the public constructors.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
from rows import append, read  # noqa: E402
from torch_venv import prepare  # noqa: E402

ROWS, PAGE = (HERE.parent / "results" / f"torch_pruning.{end}" for end in ("csv", "md"))
FIELDS = (
    "architecture",
    "graph_theirs",
    "trace",
    "trace_ratio",
    "prune_theirs",
    "prune",
    "prune_ratio",
    "all",
    "all_ratio",
    "keras_alone",
    "alone_ratio",
)
ROUNDS = 3
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
MODELS = {
    "ResNet-50": ("ResNet50", "resnet50"),
    "DenseNet-201": ("DenseNet201", "densenet201"),
    "EfficientNet-B7": ("EfficientNetB7", "efficientnet_b7"),
    "MobileNetV2": ("MobileNetV2", "mobilenet_v2"),
    "ConvNeXt-T": ("ConvNeXtTiny", "convnext_tiny"),
    "ViT-B/16": ("vit", "vit_b_16"),
}


def timed(function) -> tuple:
    """Returns the processor seconds that a call takes, which a busy machine does not change much, and its result."""
    began = time.process_time()
    result = function()
    return time.process_time() - began, result


def ours(name: str, rounds: int) -> list[dict]:
    """Times kerasprune on one architecture."""
    import keras
    from scale import keras_alone

    import kerasprune as kp
    from kerasprune.graph.walk import pause_collection

    sys.path.insert(0, str(HERE.parents[1] / "tests"))
    from support import architectures

    if name == "vit":
        model = architectures.vit(224, 16, 768, 12, 12)
    else:
        model = getattr(keras.applications, name)(weights=None, classifier_activation=None)
    alone = keras_alone(kp.rebuild(model, kp.plan(model, "l1", "uniform", keep=0.5)))
    rows = []
    for _ in range(rounds + 1):
        graph_s, graph = timed(lambda: kp.trace(model))
        plan_s, plan = timed(lambda graph=graph: kp.plan(graph, "l1", "uniform", keep=0.5))
        rebuild_s, _ = timed(lambda graph=graph, plan=plan: kp.rebuild(graph, plan))
        alone_s, _ = timed(pause_collection()(alone))
        rows.append({"graph": graph_s, "first": plan_s, "second": rebuild_s, "alone": alone_s})
    return rows[1:]


def theirs(name: str, rounds: int) -> list[dict]:
    """Times Torch-Pruning on one architecture."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    if not version("torchvision").endswith("+cpu"):  # its operators were built for CUDA; these two are asked for
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torch_pruning
    import torchvision

    torch.set_num_threads(1)
    image = torch.randn(1, 3, 224, 224)
    rows = []
    for _ in range(rounds + 1):
        model = getattr(torchvision.models, name)(weights=None).eval()
        logits = [
            layer for layer in model.modules() if isinstance(layer, torch.nn.Linear) and layer.out_features == 1000
        ]
        graph_s, _ = timed(lambda m=model: torch_pruning.DependencyGraph().build_dependency(m, example_inputs=image))
        make = lambda m=model, logits=logits: torch_pruning.pruner.MetaPruner(  # noqa: E731
            m,
            image,
            importance=torch_pruning.importance.MagnitudeImportance(p=1),
            pruning_ratio=0.5,
            ignored_layers=logits,
        )
        init_s, pruner = timed(make)
        step_s, _ = timed(pruner.step)
        rows.append({"graph": graph_s, "first": init_s, "second": step_s})
    return rows[1:]


def measure(python: str | Path, side: str, name: str, rounds: int) -> list[dict]:
    """Runs one side on one architecture in a process of its own."""
    command = [str(python), "-W", "ignore", __file__, side, name, str(rounds)]
    environment = {**os.environ, **ONE_THREAD, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measures what has no row yet, then writes the page."""
    python = prepare()
    done = {row["architecture"] for row in read(ROWS)}
    for title, (keras_name, torch_name) in MODELS.items():
        if title in done:
            continue
        both = measure(python, "theirs", torch_name, ROUNDS), measure(sys.executable, "ours", keras_name, ROUNDS)
        graph = [statistics.median(row["graph"] for row in each) for each in both]
        pruned = [statistics.median(row["first"] + row["second"] for row in each) for each in both]
        cells = [title, *(f"{s:.3f}" for s in graph), f"{graph[1] / graph[0]:.2f}"]
        cells += [*(f"{s:.2f}" for s in pruned), f"{pruned[1] / pruned[0]:.2f}"]
        alone = statistics.median(row["alone"] for row in both[1])
        whole = statistics.median(sum(row.values()) - row["alone"] for row in both[1])  # theirs traces in `MetaPruner`
        cells += [f"{whole:.2f}", f"{whole / pruned[0]:.2f}", f"{alone:.2f}", f"{alone / pruned[0]:.2f}"]
        append(ROWS, FIELDS, [dict(zip(FIELDS, cells, strict=True))])
        print(cells, flush=True)
    page()


def page() -> None:
    """Writes the page from the rows."""
    lines = [
        "# Compared with Torch-Pruning 1.6.1",
        "",
        f"Processor seconds, median of {ROUNDS}, one thread, half of the channels; 2 {platform.machine()} cores, "
        f"Python {platform.python_version()}, {date.today().isoformat()}. Both sides of a row ran one after the other; "
        "the machine was shared; its clock was not used. `benchmarks/peers/beside_torch_pruning.py`.",
        "",
        "| architecture | `DependencyGraph` | `trace` | ratio | `MetaPruner`, `step` | `plan`, `rebuild` | ratio "
        "| `trace`, `plan`, `rebuild` | ratio | Keras alone | ratio |",
        "|---" * len(FIELDS) + "|",
        *(f"| {' | '.join(row.values())} |" for row in read(ROWS)),
    ]
    PAGE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] in (["ours"], ["theirs"]):
        print(json.dumps(globals()[sys.argv[1]](sys.argv[2], int(sys.argv[3]))))
    else:
        main()
