"""Latencies: medians of what a clock says, taken in turn; what they are is tested on a clock of its own."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune.export.latency.timing as module
from kerasprune.errors import PruneError
from kerasprune.export import tflite
from kerasprune.export.latency.timing import compare_latency, latency


def network(width: int, side: int | None = 32) -> keras.Model:
    x = image = keras.Input((side, side, 3))
    for _ in range(3):
        x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
    return keras.Model(image, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> list:
    folder = tmp_path_factory.mktemp("latency")
    return [tflite(network(width), folder / f"{width}.tflite").path for width in (8, 64)]


def test_files_are_timed(paths):
    found = latency(paths[0], runs=5)
    assert 0 < found.low_ms <= found.median_ms <= found.high_ms and found.runs == 5
    compared = compare_latency([paths[0], paths[0], paths[1]], runs=5)
    assert compared.ratios[0] == 1.0 and all(each > 0 for each in compared.ratios)
    assert len(str(compared).splitlines()) == 4 and "litert" in compared.where


@pytest.mark.thorough
def test_keras_models(monkeypatch):
    assert latency(network(8), runs=5).median_ms > 0
    free = network(8, None)
    with pytest.raises(PruneError, match="size"):
        latency(free, runs=5)
    opened, shapes = module._opened, []

    def noted(*given):
        interpreter = opened(*given)
        shapes.extend(each["shape"].tolist() for each in interpreter.get_input_details())
        return interpreter

    monkeypatch.setattr(module, "_opened", noted)
    for side in (16, (96, 64)):
        assert latency(free, size=side, runs=1).median_ms > 0
    assert shapes == [[1, 16, 16, 3], [1, 96, 64, 3]]


class Slow:
    """An interpreter that takes as many milliseconds as it is told, on a clock of its own."""

    clock = 0.0
    calls: list[str] = []

    def __init__(self, name: str, milliseconds: list[float]) -> None:
        self.name, self.milliseconds = name, iter(milliseconds)

    def invoke(self) -> None:
        Slow.calls.append(self.name)
        Slow.clock += next(self.milliseconds) / 1e3


def test_rounds_statistics_and_ratios_on_a_known_clock(monkeypatch):
    """A slow spell that hits both variants in the same rounds leaves the ratio at exactly 2."""
    own = [900.0, 1, 2, 3, 40, 50]  # the first is the warm-up
    variants = {"a": Slow("a", own), "b": Slow("b", [2 * each for each in own])}
    monkeypatch.setattr(module, "_opened", lambda model, *_: variants[model])
    monkeypatch.setattr("kerasprune.export.tflite_interpreter.time.perf_counter", lambda: Slow.clock)
    Slow.clock, Slow.calls = 0.0, []
    compared = compare_latency(["a", "b"], runs=5, warmup=1)
    assert Slow.calls == ["a", "b"] * 6
    assert compared.ratios == pytest.approx((1.0, 2.0))
    first = compared.latencies[0]
    expected = np.percentile(own[1:], [5, 50, 95])
    assert (first.low_ms, first.median_ms, first.high_ms) == pytest.approx(tuple(expected))


def test_faults(paths, tmp_path):
    (tmp_path / "text.tflite").write_text("not a model")
    for call, message in (
        (lambda: latency(paths[0], runs=0, threads=0), "(?s)threads=0.*runs=0"),
        (lambda: latency(paths[0], warmup=-1), "warmup=-1"),
        (lambda: latency(paths[0], size=32), "fixed sides"),
        (lambda: latency(tmp_path / "absent.tflite"), "not a file"),
        (lambda: latency(tmp_path / "text.tflite"), "LiteRT"),
        (lambda: compare_latency([]), "at least one model"),
    ):
        with pytest.raises(PruneError, match=message):
            call()


def test_import_stays_light():
    """TensorFlow and the interpreter are imported within functions only."""
    package = Path(module.__file__).parents[1]
    files = [*package.glob("*.py"), *package.glob("latency/*.py")]
    assert len(files) > 15
    for path in files:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                assert not {"tensorflow", "ai_edge_litert"} & set(ast.unparse(node).replace(".", " ").split())


def test_the_benchmark_and_its_page_divide_the_gain_in_time_by_that_in_macs(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "benchmarks")
    benchmark, rows, summary = (importlib.import_module(name) for name in ("latency", "rows", "summary"))
    found = {("net", 1.0, "int8"): [8.0, 10.0], ("net", 0.5, "int8"): [4.0, 2.0]}
    stamp = rows.stamp("keras")
    macs = dict(zip(found, (400, 100), strict=True))
    made = benchmark.table(found, macs, {"rounds": 2, "runs": 9, **stamp})
    assert [made[1][name] for name in ("ratio", "lowest", "highest")] == ["0.875", "0.500", "1.250"]  # 2 ÷ 4, 5 ÷ 4
    assert [made[0][name] for name in ("ratio", "milliseconds")] == ["1.000", "9"]
    assert stamp["commit"] and stamp["date"] and stamp["machine"]
    rows.write(tmp_path / "latency.csv", benchmark.FIELDS, made)
    monkeypatch.setattr(summary, "RESULTS", tmp_path)
    page = " ".join(summary.latency().split())
    assert "| net | 0.5 | 0.88 [0.50, 1.25] |" in page and "| 1.0 |" not in page
    assert f"of 2 rounds; {stamp['runtime']}" in page and f"{stamp['date']}, commit {stamp['commit']}" in page
