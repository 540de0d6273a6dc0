"""Tables of a phone: files, a script that is run with an `adb` on paper, and what it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings

import keras
import pytest
from keras import layers
from support.devices import profiled, random_plan, stairs

import kerasprune as kp
from kerasprune.errors import PruneError
from kerasprune.export.latency import phone, profiling

ADB = """#!{python}
import json, math, sys
if sys.argv[2].endswith("benchmark_model"):
    options = dict(each[2:].split("=") for each in sys.argv[3:])
    place = options["graph"].rpartition("/")[2], options["signature_to_run_for"]
    lines = [line.split() for line in open("waiting.txt").read().splitlines()]
    name = next(name for file, signature, name in lines if (file, signature) == place)
    *_, key, reads, makes = ("-" + name).split("-")
    networks = json.load(open("networks.json"))
    blocks = math.ceil(int(makes) / 16) * 16 if name not in networks else 0
    time = 1e3 * networks.get(name, 0.002 + 1e-4 * blocks * (1 + int(reads if reads.isdecimal() else 0)))
    print("INFO: STARTING!")
    print(f"INFO: count=1 curr={{3 * time}}\\r")
    print(f"INFO: count=9 first={{2 * time}} curr={{time}} min={{time}} max=1e+09 avg={{time}} std=0{percentiles}\\r")
    print(f"INFO: Inference timings in us: Init: 5, First inference: 9, Warmup (avg): 8, Inference (avg): {{time}}")
"""


def network():
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 3))
    x = layers.ReLU()(layers.Conv2D(40, 3, padding="same", name="first")(x))
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D()(layers.Conv2D(24, 1)(x))))


def measure(folder, percentiles=""):
    """Runs the script with an adb that prints what `benchmark_model` prints."""
    (folder.parent / "bin").mkdir(exist_ok=True)
    adb = folder.parent / "bin" / "adb"
    adb.write_text(ADB.format(python=sys.executable, percentiles=percentiles))
    adb.chmod(0o755)
    path = f"{adb.parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["sh", str(folder / "measure.sh")], check=True, env={**os.environ, "PATH": path}, timeout=60)


def asked(model, folder, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kp.latency.profile_phone(model, folder, machine="Pixel 8", **options)


@pytest.mark.thorough
def test_rounds_with_a_phone_give_the_table_of_its_staircase(monkeypatch, tmp_path):
    model, folder = network(), tmp_path / "phone"
    folder.mkdir()
    graph = kp.trace(model, unknown="freeze")
    plans = profiling.calibration_plans(graph)
    wanted = profiled(monkeypatch, model, stairs)
    monkeypatch.undo()
    times = [wanted.predict(graph, plan) for plan in plans]
    names = {f"float32-1-{graph.fingerprint}-{number}": time for number, time in enumerate(times)}
    (folder / "networks.json").write_text(json.dumps(names))
    with pytest.warns(UserWarning, match="wait to be timed: run sh .*measure.sh"):
        assert kp.latency.profile_phone(model, folder, machine="Pixel 8") is None
    for _ in range(9):
        measure(folder)
        table = asked(model, folder)
        if not (folder / "waiting.txt").read_text():
            break
    assert (table.machine, table.runtime) == ("Pixel 8", "benchmark_model")
    for seed in range(5):
        plan = random_plan(model, seed)
        assert table.predict(model, plan) == pytest.approx(wanted.predict(model, plan), rel=1e-3)
    again = asked(model, folder)
    assert again == table
    table.save(tmp_path / "phone.csv")
    assert kp.latency.LatencyTable.load(tmp_path / "phone.csv") == table
    with pytest.raises(PruneError, match=r"profile_phone\(model, folder, machine='Pixel 8', precision='float32'"):
        table.predict(keras.Sequential([keras.Input((3, 2)), layers.Conv1D(4, 1)]))


@pytest.mark.parametrize(
    ("printed", "found"),
    [
        ("count=5 first=9 curr=7 min=6 max=9 avg=7.5 std=1 p5=6.5 median=7 p95=9", 0.0065),
        ("count=1 curr=9\ncount=5 first=9 curr=7 min=6 max=9 avg=1.25e+06 std=1\r\nInference timings", 1250.0),
        ("ERROR: Failed to load a.tflite", None),
        ("count=5 first=9 curr=7 min=6 max=9 avg=", None),
        ("", None),
    ],
)
def test_what_benchmark_model_prints_is_read(tmp_path, printed, found):
    (tmp_path / "times.txt").write_text(f"adb: 3 files pushed\nmeasured: a-1-2\n{printed}\nmeasured: b-1-2\n")
    assert phone._times(tmp_path / "times.txt") == ({} if found is None else {"a-1-2": found})


def test_arguments_are_checked_before_anything_is_written(tmp_path):
    with pytest.raises(PruneError, match="name of a phone"):
        kp.latency.profile_phone(network(), tmp_path / "phone", machine=" ")
    with pytest.raises(PruneError, match="precision"):
        kp.latency.profile_phone(network(), tmp_path / "phone", machine="a", precision="int3")
    assert not (tmp_path / "phone").exists()
