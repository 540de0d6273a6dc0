"""What a flow touches: our modules imported, our files entered, models traced, loaded from disk and rebuilt.

    python benchmarks/flows.py [--only plan prune run]

Each flow runs in a process of its own, in which `sys.setprofile` sees every function that is entered. A file counts as
entered if code of it runs besides its top level: a function, or the body of a class. Prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "kerasprune"
TRACED = ("graph/trace.py", "trace")
LOADED = ("files/keras_model.py", "load_model")
REBUILT = ("surgery/rebuild.py", "rebuild_cut")
CUT = ("surgery/cut.py", "of")


@dataclass(frozen=True)
class Counts:
    """What a flow has touched.

    Args:
        modules: Names of our modules in `sys.modules`, sorted.
        files: Our files that were entered, sorted.
        traces: How often a model was traced.
        loads: How often a model was loaded from disk.
        rebuilds: How often a model was rebuilt.
    """

    modules: tuple[str, ...]
    files: tuple[str, ...]
    traces: int
    loads: int
    rebuilds: int


def plan() -> None:
    """Makes a plan of a small residual network."""
    import kerasprune as kp

    kp.plan(kp.models.resnet_cifar(8, input_shape=(16, 16, 3)), macs=0.5)


def prune() -> None:
    """Prunes a small network and reconstructs it from data."""
    import keras
    import numpy as np

    import kerasprune as kp

    dense = keras.layers.Dense
    model = keras.Sequential([keras.Input((4,)), dense(8, "relu"), dense(8, "relu"), dense(2)])
    kp.prune(model, macs=0.5, data=np.random.default_rng(0).normal(size=(64, 4)).astype("float32"))


def run() -> None:
    """Runs the recipe `digits-greg1` on two batches of generated images."""
    from kerasprune.cli import main

    with tempfile.TemporaryDirectory() as folder:
        sys.argv = ["kerasprune", "run", "digits-greg1", "--smoke", "--out", str(Path(folder) / "out")]
        try:
            main()
        except SystemExit as end:
            if end.code:
                raise


FLOWS: dict[str, Callable[[], None]] = {"plan": plan, "prune": prune, "run": run}


def watched(flow: Callable[[], Any]) -> Counts:
    """Runs a flow in this process and returns what it has touched; only in a fresh one is that all that it needs."""
    entered: Counter[CodeType] = Counter()

    def see(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            entered[frame.f_code] += 1

    threading.setprofile(see)
    sys.setprofile(see)
    try:
        flow()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    calls: Counter[tuple[str, str]] = Counter()
    for code, number in entered.items():
        path = Path(code.co_filename)
        if path.is_relative_to(PACKAGE) and code.co_name != "<module>":
            calls[path.relative_to(PACKAGE).as_posix(), code.co_name] += number
    modules = tuple(sorted(name for name in sys.modules if name.partition(".")[0] == PACKAGE.name))
    return Counts(modules, tuple(sorted({file for file, _ in calls})), calls[TRACED], calls[LOADED], calls[REBUILT])


def counts(name: str) -> Counts:
    """Returns what one of `FLOWS` touches in a fresh process.

    Raises:
        RuntimeError: The flow has failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "counts.json"
        done = subprocess.run(
            [sys.executable, __file__, "--child", name, str(written)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stderr[-3000:]}")
        found = json.loads(written.read_text())
    return Counts(**{key: tuple(value) if isinstance(value, list) else value for key, value in found.items()})


def main(names: list[str]) -> None:
    """Prints a row for each flow."""
    print(f"{'flow':<8}{'modules':>9}{'files':>9}{'traces':>9}{'loads':>9}{'rebuilds':>9}")
    for name in names:
        found = counts(name)
        numbers = (len(found.modules), len(found.files), found.traces, found.loads, found.rebuilds)
        print(f"{name:<8}" + "".join(f"{number:>9}" for number in numbers), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", choices=FLOWS, default=list(FLOWS))
    parser.add_argument("--child", nargs=2, metavar=("FLOW", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        flow, written = options.child
        import keras  # noqa: F401  imported before calls are watched: its own are many

        Path(written).write_text(json.dumps(asdict(watched(FLOWS[flow]))))
    else:
        main(options.only)
