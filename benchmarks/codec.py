"""How long a model of the size of ResNet-50 takes to be shared, encoded and decoded, and in how much memory.

python benchmarks/codec.py [DENSITY]    # a row for benchmarks/results/codec.csv; one process, one thread, 3 minutes
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")

import keras
import numpy as np
import rows

import kerasprune as kp
from kerasprune.export.codec.container import read_file, to_bytes
from kerasprune.export.codec.entries import arrays_of, entry_of
from kerasprune.export.codec.sharing import is_shared, share

RESULTS = Path(__file__).parent / "results" / "codec.csv"
DENSITY = float((sys.argv[1:] or ["0.3"])[0])


def memory(name: str) -> int:
    """Returns a line of the status of this process in bytes: `VmRSS` now, `VmHWM` at most since `timed` began."""
    return int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0]) * 1024


def timed(function, *arguments):
    """Returns what a function returns, its seconds, and the bytes by which the process grew at most."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before, began = memory("VmRSS"), time.process_time()
    found = function(*arguments)
    return found, time.process_time() - began, memory("VmHWM") - before


def main() -> None:
    draw = np.random.default_rng(0)
    draw, found = np.random.default_rng(0), {}

    def note(what, size, function, *arguments):
        result, found[f"{what}, s"], grown = timed(function, *arguments)
        found[f"{what}, memory / weights"] = grown / size
        return result

    note("share 25 M", 100_000_000, share, draw.standard_normal(25_000_000, np.float32), 256)
    model = keras.applications.ResNet50(weights=None)
    arrays = []
    for variable in model.weights:
        array = np.asarray(variable.value)
        if is_shared(variable.name, array):
            array = np.where(draw.random(array.shape) < DENSITY, array, 0).astype(np.float32)
        arrays.append(array)
    model.set_weights(arrays)
    size = sum(array.nbytes for array in arrays)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.kpz"
        table = note("pack, with sharing", size, kp.codec.pack, model, path)
        slim = note("unpack, with building", size, kp.codec.unpack, path)
        shared = slim.get_weights()
        names = [variable.name for variable in slim.weights]

        def encode():
            return to_bytes({}, [entry_of(n, a, kernel=is_shared(n, a)) for n, a in zip(names, shared, strict=True)])

        note("encode", size, encode)
        _, entries, found["bytes"] = read_file(path)
        note("decode", size, lambda: list(arrays_of(entries)))
    found["compression"] = table.compression
    row = {name: f"{value:.2f}" if isinstance(value, float) else value for name, value in found.items()}
    row = {"density": DENSITY, **row, **rows.stamp("keras", "numpy")}
    rows.append(RESULTS, list(row), [row])
    print(row)


if __name__ == "__main__":
    main()
