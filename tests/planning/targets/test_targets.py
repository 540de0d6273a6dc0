"""Plans that meet a time or a size."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from keras import layers
from support.devices import profiled

import kerasprune as kp
from kerasprune.errors import PruneError
from kerasprune.export.latency.whole_networks import file_of


def network(width=48):
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((16, 16, 3))
    for each in (width, 2 * width):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(each, 3, strides=2, padding="same")(x)))
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))


def branches():
    """A sum that pads, a concatenation, and a slice of it."""
    x = keras.Input((8, 8, 3))
    one, two = (layers.Conv2D(each, 3, padding="same")(x) for each in (12, 20))
    y = layers.Concatenate()([one, two])
    y = layers.Conv2D(16, 1)(y[..., 4:])
    return keras.Model(x, layers.Dense(4)(layers.GlobalAveragePooling2D()(y)))


def residual():
    return kp.models.resnet_cifar(8, input_shape=(8, 8, 3), classes=4)


def linear(widths):
    """A device without stairs."""
    return 0.001 * (widths[0] or 1) * widths[1]


@pytest.mark.parametrize("budget", ["uniform", "global"])
@pytest.mark.parametrize("fraction", [0.7, 0.4])
def test_a_plan_meets_a_time(monkeypatch, budget, fraction):
    model = network()
    table = profiled(monkeypatch, model, linear)
    plan = kp.plan(model, budget=budget, target=kp.targets.Time(table, fraction=fraction))
    assert table.predict(model, plan) / table.predict(model) == pytest.approx(fraction, abs=0.02)
    dense = table.predict(model)
    assert plan == kp.plan(model, budget=budget, target=kp.targets.Time(table, ms=fraction * dense))


def test_measured_budgets_meet_a_time(monkeypatch):
    model = network(16)
    table = profiled(monkeypatch, model, linear)
    images = np.random.default_rng(0).normal(size=(64, 16, 16, 3)).astype("float32")
    budget = {"name": "sensitivity", "measurements": 6, "positions": 200}
    plan = kp.plan(model, budget=budget, target=kp.targets.Time(table, fraction=0.6), data=images)
    assert table.predict(model, plan) / table.predict(model) == pytest.approx(0.6, abs=0.03)


@pytest.mark.experiments
@pytest.mark.thorough
def test_a_search_meets_a_time(monkeypatch):
    model = network(16)
    table = profiled(monkeypatch, model, linear)
    images = np.random.default_rng(0).normal(size=(64, 16, 16, 3)).astype("float32")
    few = kp.recipes.search.Evolution(population=4, parents=2, mutations=2, crossovers=2, generations=2)
    target = kp.targets.Time(table, fraction=0.6)
    found = kp.recipes.search_plan(model, images, target=target, delta=0.05, evolution=few, samples=64)
    assert 0.5 <= table.predict(model, found.plan) / table.predict(model) <= 0.6
    with pytest.raises(PruneError, match="macs or target, not both"):
        kp.recipes.search_plan(model, images, macs=0.5, target=target)
    with pytest.raises(PruneError, match="time that the widths can reach: 0."):
        kp.recipes.search_plan(model, images, target=kp.targets.Time(table, fraction=0.01))


@pytest.mark.parametrize("asked", ["keep", "macs", "params", "time"])
def test_a_table_by_which_all_is_kept_is_refused_with_what_meets_the_target(monkeypatch, asked):
    """Blocks as wide as the layers: every width costs the same."""
    model = network(16)
    table = profiled(monkeypatch, model, lambda widths: 1.0)
    target = {"target": kp.targets.Time(table, fraction=0.5)} if asked == "time" else {asked: 0.5}
    with pytest.raises(kp.PruneError, match="0.5") as caught:
        kp.plan(model, **target, round_to=table)
    if asked != "time":  # no width is faster
        assert "round_to=1, with 0." in str(caught.value)
        assert sum(map(len, kp.plan(model, **target, round_to=1).keep.values())) < 48


@pytest.mark.experiments
@pytest.mark.parametrize("make", [network, branches, residual])
def test_many_widths_are_metered_as_their_plans_are(monkeypatch, make):
    from kerasprune.recipes.search.widths import Widths

    model = make()
    table = profiled(monkeypatch, model)
    widths = Widths(kp.trace(model))
    genes = np.random.default_rng(0).integers(widths.choices, size=(20, len(widths.choices)))
    limit = widths.limit_of(kp.targets.Time(table, fraction=0.9), 0.01)
    expected = [table.predict(model, widths.plan(each)) / table.predict(model) for each in genes]
    np.testing.assert_allclose(limit.measure(genes), expected, rtol=1e-9)


def test_channels_that_cost_no_time_are_kept(monkeypatch):
    """Blocks of 16 channels, read and made: every group is filled up to a block."""
    model = network(64)
    table = profiled(monkeypatch, model, lambda widths: math.ceil((widths[0] or 1) / 16) * math.ceil(widths[1] / 16))
    plan = kp.plan(model, keep=0.4, round_to=table)
    assert [len(kept) for kept in plan.keep.values()] == [32, 64]  # 26 and 52 of 64 and 128
    assert table.predict(model, plan) == pytest.approx(table.predict(model, kp.plan(model, keep=0.4)), rel=0.01)
    plan = kp.plan(model, macs=0.4, round_to=table)
    assert all(len(kept) % 16 == 0 for kept in plan.keep.values())


def test_a_time_is_rounded_by_its_table(monkeypatch):
    model = network(64)
    table = profiled(monkeypatch, model, lambda widths: math.ceil((widths[0] or 1) / 16) * math.ceil(widths[1] / 16))
    rounded = []
    for fraction in (0.3, 0.4, 0.5, 0.6, 0.7):
        target = kp.targets.Time(table, fraction=fraction)
        plan = kp.plan(model, target=target)
        assert plan == kp.plan(model, target=target, round_to=table)
        rounded.append(plan != kp.plan(model, target=target, round_to=1))
    assert any(rounded)


@pytest.mark.experiments
@pytest.mark.parametrize("fraction", [0.7, 0.9])
def test_a_time_keeps_what_other_levels_keep_in_it(monkeypatch, fraction):
    """Trunks and branches fill their blocks at other levels, so that levels far apart cost the same."""
    model = residual()
    table = profiled(monkeypatch, model, lambda w: 20 + math.ceil(w[1] / 16) * 16 * math.ceil((w[0] or 1) / 4) * 4)
    plan = kp.plan(model, target=kp.targets.Time(table, fraction=fraction))
    levels = [kp.plan(model, keep=keep, round_to=table) for keep in np.linspace(0.1, 0.9, 17)]
    same = [kp.cost(model, each).macs for each in levels if table.predict(model, each) <= table.predict(model, plan)]
    assert kp.cost(model, plan).macs >= 0.98 * max(same)
    assert table.predict(model, plan) == pytest.approx(fraction * table.predict(model), rel=0.05)


@pytest.mark.thorough
def test_a_size_is_met_with_channels_that_cost_no_time(monkeypatch, recwarn):
    model = network(64)
    table = profiled(monkeypatch, model, lambda widths: math.ceil((widths[0] or 1) / 4) * math.ceil(widths[1] / 4))
    graph = kp.trace(model)
    asked = len(file_of(graph, kp.plan(model, keep=1.0), "float32")) // 2
    plan = kp.plan(model, target=kp.targets.Size(asked), round_to=table)
    assert 0.98 * asked <= len(file_of(graph, plan, "float32")) <= asked
    assert not [each for each in recwarn if "bytes" in str(each.message)]


@pytest.mark.thorough
def test_what_cannot_be_reached_is_refused_with_what_can(monkeypatch):
    model = network()
    table = profiled(monkeypatch, model)
    with pytest.raises(PruneError, match=r"at least 0\.\d+ \(.* ms\) of the time"):
        kp.plan(model, target=kp.targets.Time(table, fraction=0.001))
    with pytest.raises(PruneError, match=r"of the time are kept. Received: .* \(1e-05 ms\)"):
        kp.plan(model, target=kp.targets.Time(table, ms=1e-5))
    with pytest.raises(PruneError, match=r"of the size are kept. Received: .* \(10 bytes\)"):
        kp.plan(model, target=kp.targets.Size(10))
    with pytest.raises(PruneError, match="below the time of the dense model"):
        kp.plan(model, target=kp.targets.Time(table, ms=1e6))
    with pytest.raises(PruneError, match="below the size of the dense model"):
        kp.plan(model, target=kp.targets.Size(10**9))


def test_faults_of_targets_are_gathered(monkeypatch):
    table = profiled(monkeypatch, network())
    with pytest.raises(PruneError, match="one of fraction and ms. Received: fraction, ms"):
        kp.targets.Time(table, fraction=0.5, ms=3)
    with pytest.raises(PruneError, match="'phone.csv'"):
        kp.targets.Time("phone.csv", fraction=0.5)
    with pytest.raises(PruneError, match="fraction=1.5"):
        kp.targets.Time(table, fraction=1.5)
    with pytest.raises(PruneError) as error:
        kp.targets.Size(0, "int3")
    assert "bytes=0" in str(error.value) and "precision='int3'" in str(error.value)
    with pytest.raises(PruneError, match="one of keep, macs, params and target. Received: macs, target"):
        kp.plan(network(), macs=0.5, target=kp.targets.Time(table, fraction=0.5))
    with pytest.raises(PruneError, match=r"size, time.*target=0.5"):
        kp.plan(network(), target=0.5)


@pytest.mark.parametrize("precision, bytes", [("float32", 60_000), ("int8", 18_000)])
@pytest.mark.thorough
def test_the_written_file_has_the_size(precision, bytes, tmp_path):
    model = network(32)
    plan = kp.plan(model, target=kp.targets.Size(bytes, precision))
    assert 0.98 * bytes <= len(file_of(kp.trace(model), plan, precision)) <= bytes
    calibration = (
        {} if precision == "float32" else {"data": np.random.default_rng(0).normal(size=(64, *model.input_shape[1:]))}
    )
    quantize = None if precision == "float32" else precision
    report = kp.export.tflite(kp.rebuild(model, plan), tmp_path / "slim.tflite", quantize=quantize, **calibration)
    assert report.bytes == len(file_of(kp.trace(model), plan, precision))


@pytest.mark.thorough
def test_a_size_between_two_files_is_said():
    model = keras.Sequential([keras.Input((512,)), layers.Dense(4, name="few"), layers.Dense(2)])
    with pytest.warns(UserWarning, match="bytes; asked for are 98% to 100% of 7,000"):
        plan = kp.plan(model, target=kp.targets.Size(7_000))
    assert len(file_of(kp.trace(model), plan, "float32")) <= 7_000


def test_prune_takes_a_target_and_says_what_it_met(monkeypatch, tmp_path):
    model = network()
    table = profiled(monkeypatch, model)
    path = table.save(tmp_path / "device.csv")
    data = np.random.default_rng(0).normal(size=(32, 16, 16, 3)).astype("float32")
    target = {"name": "time", "table": str(path), "fraction": 0.5}
    slim, plan, report = kp.prune(model, data=data, target=target, verbose=0)
    met = table.predict(model, plan) / table.predict(model)
    assert met == pytest.approx(0.5, abs=0.01) and f"{met:.3f} of the dense model's, as float32" in str(report)
    assert slim.count_params() < model.count_params()


def test_a_target_without_a_table_measures_once(monkeypatch):
    model = network()
    table = profiled(monkeypatch, model).changed(precision="int8")
    calls = []
    monkeypatch.setattr(
        "kerasprune.export.latency.profiling.profile", lambda *given, **options: calls.append(options) or table
    )
    data = np.random.default_rng(0).normal(size=(32, 16, 16, 3)).astype("float32")
    kp.prune(model, data=data, target=kp.targets.Time(fraction=0.5, precision="int8"), verbose=0)
    assert [each["precision"] for each in calls] == ["int8"]


def test_a_table_of_another_precision_is_refused(monkeypatch):
    table = profiled(monkeypatch, network())
    with pytest.raises(PruneError, match="a table of precision 'int8'. Received: a table of 'float32'"):
        kp.targets.Time(table, fraction=0.5, precision="int8")
