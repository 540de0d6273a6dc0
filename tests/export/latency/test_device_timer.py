"""Models timed on the device of Keras: which passes are made, how, and what is refused; the clock is the test's own."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune.export.latency.device_timer as module
from kerasprune.errors import PruneError
from kerasprune.export.latency.timing import compare_latency, latency

pytestmark = [pytest.mark.jax, pytest.mark.torch]


def network(units: int, side: int | None = 8, **how) -> keras.Model:
    image = keras.Input((side, side, 3), **how)
    return keras.Model(image, layers.Dense(units)(layers.GlobalAveragePooling2D()(image)), name=f"of_{units}")


class Device:
    """A device on which a model takes as many milliseconds as it has outputs, in the n-th round n times as many."""

    def __init__(self) -> None:
        self.clock, self.passes, self.made = 0.0, [], []

    def perf_counter(self) -> float:
        return self.clock

    def forward(self, model, inputs, jit):
        units, number = model.output_shape[-1], iter(range(1, 1000))
        self.made.append((model.name, np.shape(inputs), jit))

        def run() -> None:
            self.passes.append(units)
            self.clock += units * next(number) / 1e3

        return run, 100 * units


@pytest.fixture
def device(monkeypatch) -> Device:
    made = Device()
    monkeypatch.setattr(module, "compiled_forward", made.forward)
    monkeypatch.setattr(module, "time", made)
    return made


def test_models_are_run_in_turn(device):
    found = compare_latency([network(20), network(10)], device="keras", batch=32, runs=3, warmup=2)
    assert device.passes == [20, 10] * 5
    assert [shape for _, shape, _ in device.made] == [(32, 8, 8, 3)] * 2
    assert found.ratios == pytest.approx((1.0, 0.5)) and found.batch == 32
    assert [each.median_ms for each in found.latencies] == pytest.approx([80, 40])  # rounds 3, 4 and 5
    assert [each.memory for each in found.latencies] == [2000, 1000]
    last = str(found).splitlines()[-1]
    assert keras.backend.backend() in last and last.endswith("batch 32") and "cpu" in last or "gpu" in last


@pytest.mark.parametrize("compiled", [False, True])
def test_a_model_that_is_not_compiled_runs_as_the_first_compiled_one(device, compiled):
    models = [network(3), network(2), network(1)]
    models[1].compile(jit_compile=compiled)
    models[2].compile(jit_compile=not compiled)
    compare_latency(models, device="keras", runs=1, warmup=0)
    assert [jit for *_, jit in device.made] == [compiled, compiled, not compiled]


def test_the_batch_and_the_sides(device):
    latency(network(2, batch_size=6), device="keras", runs=1)
    latency(network(2, None), device="keras", size=16, runs=1)
    noted = keras.Sequential([layers.Dense(2)])
    noted(np.zeros((5, 7)))  # which fixes nothing
    latency(noted, device="keras", batch=3, runs=1)
    assert [shape for _, shape, _ in device.made] == [(6, 8, 8, 3), (1, 16, 16, 3), (3, 7)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: latency(network(2), device="gpu"), "Expected device to be .*'keras'"),
        (lambda: latency(network(2), device="keras", batch=0), "batch=0"),
        (lambda: latency(network(2), device="keras", threads=2), "threads=2. Leave it out"),
        (lambda: latency("a.tflite", device="keras"), "a.tflite. Load a .keras file"),
        (lambda: latency(network(2), batch=8), "batch=8. Leave it out, or take device='keras'"),
        (lambda: latency(network(2, batch_size=6), device="keras", batch=8), "batch of 6 .* batch=8. Leave it out"),
        (lambda: latency(network(2, None), device="keras"), "of_2' with a free side, and size=None. Give size="),
        (lambda: latency(network(2), device="keras", size=16), "size=16"),
    ],
)
def test_what_cannot_be_timed_is_refused(device, call, message):
    with pytest.raises(PruneError, match=message):
        call()
    assert not device.passes


def test_a_pass_is_timed_on_this_device():
    found = latency(network(2), device="keras", batch=4, runs=3)
    assert 0 < found.low_ms <= found.median_ms <= found.high_ms and found.runs == 3
