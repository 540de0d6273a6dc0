"""Plans by a measured time: on a device whose times are a formula of the multiply–adds, with noise or stairs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
import kerasprune.export.latency.device_timer as module
from kerasprune.errors import PruneError
from kerasprune.planning.targets.device_time import next_share, share_in_gap

pytestmark = pytest.mark.jax


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((16, 16, 3))
    for each in (64, 128):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(each, 3, strides=2, padding="same")(x)))
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))


class Device:
    """Takes `milliseconds(multiply–adds)`, disturbed: all that runs in a round, which the dense model begins, alike."""

    def __init__(self, milliseconds) -> None:
        self.milliseconds, self.measured, self.noise = milliseconds, [], np.random.default_rng(0)
        self.batches, self.round = [], 0

    def beside(self, reference, batch, size):
        self.batches.append(batch)

        def timer_of(model):
            time = self.milliseconds(kp.cost(model).macs)
            self.measured.append(model)

            def timed() -> float:
                self.round += model is reference
                return time * (1 + 5 * (self.round % 3)) * self.noise.normal(1, 0.02)

            return timed

        return timer_of

    def share(self, model, plan) -> float:
        dense, slim = (self.milliseconds(kp.cost(model, each).macs) for each in (None, plan))
        return slim / dense


def devices(power: float, overhead: float):
    whole = kp.cost(network()).macs
    return lambda macs: 8 * (overhead + (1 - overhead) * (macs / whole) ** power)


@pytest.mark.parametrize(
    ("power", "overhead", "fraction"), [(1, 0, 0.5), (0.5, 0, 0.7), (0.4, 0.2, 0.5), (1.5, 0, 0.3), (1, 0.4, 0.6)]
)
@pytest.mark.parametrize("round_to", [1, "auto"])
def test_a_time_is_met_in_few_measurements(monkeypatch, power, overhead, fraction, round_to):
    device = Device(devices(power, overhead))
    monkeypatch.setattr(module, "timer_beside", device.beside)
    model = network()
    plan = kp.plan(model, target=kp.targets.Time(fraction=fraction, device="keras", batch=16), round_to=round_to)
    assert device.share(model, plan) == pytest.approx(fraction, rel=0.08)
    assert len(device.measured) <= 1 + 8 and device.measured[0] is model
    assert device.batches == [16]


def test_milliseconds_are_the_ratio_times_the_dense_time(monkeypatch):
    device = Device(devices(1, 0.1))
    monkeypatch.setattr(module, "timer_beside", device.beside)
    model = network()
    slowed = np.median([8 * (1 + 5 * (each % 3)) for each in range(4, 44)])  # rounds 4 to 43 of the dense model alone
    plan = kp.plan(model, target=kp.targets.Time(ms=0.5 * slowed, device="keras"))
    assert device.share(model, plan) == pytest.approx(0.5, rel=0.1)
    with pytest.raises(PruneError, match="below the time of the dense model"):
        kp.plan(model, target=kp.targets.Time(ms="1s", device="keras"))


def test_what_no_width_saves_is_refused(monkeypatch):
    device = Device(devices(1, 0.6))
    monkeypatch.setattr(module, "timer_beside", device.beside)
    with pytest.raises(PruneError, match=r"the fastest of \d+ that were measured takes 0\.[56].*\. Received: 0.4 \("):
        kp.plan(network(), target=kp.targets.Time(fraction=0.4, device="keras"))


@pytest.mark.parametrize("round_to", [1, "auto"])
def test_few_channels_may_be_slower_than_many(monkeypatch, round_to):
    """As measured on a processor: convolutions of few channels suit none of its kernels."""
    whole = kp.cost(network()).macs
    known = [0.0, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0], [0.69, 0.67, 0.73, 0.54, 0.59, 0.82, 0.94, 1, 1.09, 1]
    device = Device(lambda macs: 8 * float(np.interp(macs / whole, *known)))
    monkeypatch.setattr(module, "timer_beside", device.beside)
    model = network()
    plan = kp.plan(model, target=kp.targets.Time(fraction=0.6, device="keras"), round_to=round_to)
    assert device.share(model, plan) == pytest.approx(0.6, rel=0.08)
    assert len(device.measured) <= 1 + 8


def test_a_device_of_two_steps_is_missed_with_a_warning(monkeypatch):
    whole = kp.cost(network()).macs
    device = Device(lambda macs: 4.0 if macs < whole / 2 else 8.0)
    monkeypatch.setattr(module, "timer_beside", device.beside)
    with pytest.warns(UserWarning, match=r"of the dense model's time; 0.7 \(.* was asked for. Of .* none is nearer"):
        kp.plan(network(), target=kp.targets.Time(fraction=0.7, device="keras"), round_to=1)
    assert len(device.measured) <= 1 + 8


@pytest.mark.parametrize("power", [0.3, 1.0, 2.0])
def test_the_line_is_exact_where_time_is_a_power(power):
    known = {share: share**power for share in (1.0, 0.6, 0.1)}
    assert next_share(known, 0.4**power) == pytest.approx(0.4)  # between two
    below = next_share(known, 0.05**power)  # beyond the smallest
    assert below == pytest.approx(0.05 if power >= 0.5 else 0.1 * 0.5 ** (power / 0.5))


def test_widths_that_are_slower_than_all_do_not_mislead():
    assert 0.1 < next_share({1.0: 1.0, 0.6: 1.06}, 0.6) < 0.3


def test_beside_the_fastest_it_looks_in_the_widest_gap():
    known = {1.0: 1.0, 0.5: 0.94, 0.12: 0.6, 0.03: 0.66}
    assert next_share(known, 0.5) == 0.0
    assert share_in_gap(known) == pytest.approx((0.5 * 0.12) ** 0.5)


def test_faults():
    for given, message in (
        ({"device": "gpu"}, "Expected device to be"),
        ({"device": "keras", "precision": "int8"}, "no precision with device='keras'. Received: precision='int8'"),
        ({"batch": 8}, "no batch with device='litert'. Received: batch=8. Leave it out"),
        ({"device": "keras", "batch": 0}, "batch=0"),
    ):
        with pytest.raises(PruneError, match=message):
            kp.targets.Time(fraction=0.5, **given)


@pytest.mark.experiments
def test_a_search_takes_only_what_is_counted():
    target = kp.targets.Time(fraction=0.5, device="keras")
    data = np.zeros((8, 16, 16, 3), "float32")
    with pytest.raises(PruneError, match="Take kp.targets.Time of a table"):
        kp.recipes.search_plan(network(), data, target=target)


@pytest.mark.thorough
def test_this_device_is_measured():
    model = network()
    target = kp.targets.Time(fraction=0.9, device="keras", batch=2)
    meter = target.meter(kp.trace(model))
    plan = kp.plan(model, keep=0.5)
    assert meter.dense > 0 and meter.exact(plan, 1.0) > 0
    line = target.report(kp.trace(model), plan)
    assert "ms measured" in line and "batch 2" in line and keras.backend.backend() in line
