"""The driver: which networks it builds, with fits that only count; order of carrying out; a job that is killed."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest

import kerasprune as kp
from kerasprune.criteria.magnitude import L1
from kerasprune.papers.three_dimensional import MAP, Smooth, blocks_of
from kerasprune.papers.three_dimensional.extents import Costs, Extent
from kerasprune.papers.three_dimensional.in_rounds import rounds
from kerasprune.papers.three_dimensional.one_dimension import one_dimension
from kerasprune.papers.three_dimensional.workflow import Judges, check_points, collect, plan_at, three_dimensions
from kerasprune.testing import randomise

SIDE = 16


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return randomise(kp.models.resnet_cifar(depth=20, classes=4, seed=0), 0)


@pytest.fixture(scope="module")
def data() -> list:
    generator = np.random.default_rng(0)
    return [(generator.normal(size=(60, SIDE, SIDE, 3)).astype("float32"), generator.integers(0, 4, 60))]


BLOCKS = {"name": "discrimination", "classifier": "ridge", "samples": 60}


class CountingFit:
    """A fit that trains nothing: accuracy is a known function of what was built."""

    def __init__(self, extent: Extent) -> None:
        self.extent, self.calls = extent, []

    def __call__(self, model: keras.Model, *, resolution: int, epochs: int, seed: int) -> float:
        d, w, r = self.extent.fractions(model, resolution)
        self.calls.append((d, w, r, epochs, seed))
        assert model(np.zeros((1, resolution, resolution, 3), "float32")).shape == (1, 4)
        return self.truth(d, w, r)

    @staticmethod
    def truth(d: float, w: float, r: float) -> float:
        """Returns an accuracy that depth hardly matters to."""
        return 0.9 * (1 - 0.05 * (1 - d)) * (1 - 0.4 * (1 - w) ** 2) * (1 - 0.5 * (1 - r))


@pytest.mark.thorough
def test_rounds_build_what_they_tell(model, data):
    extent = Extent.of(model, SIDE)
    assert (extent.blocks, extent.droppable, extent.side) == (9, 7, SIDE)
    wanted = {
        "depth": [(n / 9, 1, 1) for n in (8, 7, 6, 4)],  # 9 · (0.875, 0.75, 0.625, 0.5), the nearest, halves to even
        "width": [(1, 0.875, 1), (1, 0.75, 1), (1, 0.625, 1), (1, 0.5, 1)],
        "resolution": [(1, 1, n / 16) for n in (14, 12, 10, 8)],
    }
    for dimension, fractions in wanted.items():
        fit = CountingFit(extent)
        points = rounds(
            model, fit, dimension, keep=0.5, epochs_per_round=3, size=SIDE, data=data, blocks=BLOCKS, seed=5
        )
        np.testing.assert_allclose([(p.d, p.w, p.r) for p in points], fractions)
        assert [call[:3] for call in fit.calls] == [(p.d, p.w, p.r) for p in points]
        assert {call[3:] for call in fit.calls} == {(3, 5)}
        for point in points:
            again = kp.rebuild(model, point.plan, absorb=False)  # from the dense model at once
            assert (point.macs, point.params) == (kp.cost(again, size=point.side).macs, again.count_params())
            images = np.random.default_rng(1).normal(size=(4, point.side, point.side, 3)).astype("float32")
            np.testing.assert_allclose(point.model(images), again(images), rtol=1e-5, atol=1e-5)


@pytest.mark.thorough
def test_costs_without_building_are_those_of_what_is_built(model):
    extent = Extent.of(model, SIDE)
    importance = dict.fromkeys(blocks_of(kp.trace(model)), 0.0)
    costs = Costs.of(model, extent, importance, (0.6, 0.8, 0.9))
    dense = kp.cost(model, size=SIDE).macs
    for i, j, k in ((0, 0, 0), (2, 3, 1), (-1, -1, -1)):
        target = costs.depths[i], costs.asked[j], costs.resolutions[k]
        plan = plan_at(model, extent, target, importance)
        slim = kp.rebuild(model, plan, absorb=False)
        assert kp.cost(slim, size=plan.resolution).macs == pytest.approx(costs.macs[i, j, k] * dense)
        assert extent.fractions(slim, plan.resolution)[::2] == pytest.approx(target[::2])


@pytest.mark.thorough
@pytest.mark.parametrize("family", ["residual", "dense", "inverted"])
def test_blocks_first_and_channels_first_give_the_same_model(family):
    makers = {
        "residual": lambda: kp.models.resnet_cifar(depth=20, classes=4, seed=0),
        "dense": lambda: kp.models.densenet_cifar(depth=13, classes=4, seed=0),
        "inverted": lambda: kp.models.mobilenet_v2(classes=4, input_shape=(32, 32, 3), width=0.5, seed=0),
    }
    model = randomise(makers[family](), 1)
    extent = Extent.of(model, 32)
    importance = {name: float((7 * i) % 5) for i, name in enumerate(blocks_of(kp.trace(model)))}
    plan = plan_at(model, extent, (0.7, 0.6, 1.0), importance)
    assert plan.removed and any(len(kept) < extent.widths.get(name, 0) for name, kept in plan.keep.items())
    blocks, channels = kp.Plan({}, plan.removed), kp.Plan(plan.keep)
    together = kp.rebuild(model, plan, absorb=False)
    blocks_first = kp.rebuild(kp.rebuild(model, blocks, absorb=False), channels, absorb=False)
    # Channels of blocks that go have no say, so that they may as well be kept whole.
    channels_first = kp.rebuild(kp.rebuild(model, channels, absorb=False), blocks, absorb=False)
    for other in (blocks_first, channels_first):
        assert other.count_params() == together.count_params() < model.count_params()
        for one, two in zip(together.weights, other.weights, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.thorough
def test_the_optimum_is_that_of_the_fitted_points(model, data):
    fit = CountingFit(Extent.of(model, SIDE))
    result = three_dimensions(
        model, fit, macs=0.5, data=data, size=SIDE, epochs_per_round=1, epochs=2, blocks=BLOCKS,
        surface=MAP(degree=2),
    )  # fmt: skip
    assert len(result.points) == 13 and len(fit.calls) == 14
    assert [call[3] for call in fit.calls] == [0, *[1] * 12, 2]
    d, w, r = result.optimum
    # Depth matters least, so it goes first; what is built costs at most the budget, and little less.
    assert d < 0.6 and r == 1.0
    assert 0.45 < result.chosen.macs / result.points[0].macs <= 0.5
    assert (result.chosen.d, result.chosen.r) == pytest.approx((d, r))
    assert result.chosen.w == pytest.approx(w, abs=0.03)
    assert result.frr == 1 - result.chosen.macs / result.points[0].macs
    assert 0 < result.prr < 1
    # No network within the budget would have done better by the true accuracies.
    importance = result.importance
    costs = Costs.of(model, Extent.of(model, SIDE), importance, (0.5, 0.5**0.5, 0.5**0.5))
    d, w, r, macs = costs.grid()
    best = max(fit.truth(*point) for point in zip(d[macs <= 0.5], w[macs <= 0.5], r[macs <= 0.5], strict=True))
    assert result.chosen.accuracy >= best - 2e-3


@pytest.mark.thorough
def test_volume_is_the_formula(model, data):
    fit = CountingFit(Extent.of(model, SIDE))
    result = three_dimensions(
        model, fit, macs=0.5, data=data, size=SIDE, epochs_per_round=1, epochs=1, blocks=BLOCKS,
        constraint="volume", surface=MAP(degree=2),
    )  # fmt: skip
    d, w, r = result.optimum
    assert d * w**2 * r**2 == pytest.approx(0.5, abs=1e-6)
    assert result.optimum.kkt < 1e-5


@pytest.mark.thorough
def test_one_dimension_comes_nearest_to_the_budget(model, data):
    dense = kp.cost(model, size=SIDE).macs
    fit = CountingFit(Extent.of(model, SIDE))
    for dimension, apart in (("depth", 0.06), ("width", 0.03), ("resolution", 0.05)):
        point = one_dimension(model, fit, dimension, macs=0.5, data=data, size=SIDE, epochs=1, blocks=BLOCKS)
        assert abs(point.macs / dense - 0.5) < apart
        assert sum(x < 1 for x in (point.d, point.w, point.r)) == 1


KILLED = """
import os, signal, sys, json
import numpy as np, keras, kerasprune as kp
from kerasprune.papers.three_dimensional.workflow import three_dimensions
from kerasprune.papers.three_dimensional import MAP
folder, limit = sys.argv[1], int(sys.argv[2])
keras.utils.set_random_seed(0)
model = kp.models.resnet_cifar(depth=14, classes=3, seed=0, width=0.25)
x = np.random.default_rng(0).normal(size=(48, 12, 12, 3)).astype("float32")
y = (x.mean(axis=(1, 2)).argmax(axis=-1)).astype("int32")
def fit(model, *, resolution, epochs, seed):
    with open(folder + "/calls", "a") as file: file.write(f"{model.count_params()} {resolution} {epochs}\\n")
    keras.utils.set_random_seed(seed)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, metrics=["accuracy"])
    small = x[:, :resolution, :resolution]
    if epochs: model.fit(small, y, epochs=epochs, batch_size=16, shuffle=False, verbose=0)
    if len(open(folder + "/calls").readlines()) == limit: os.kill(os.getpid(), signal.SIGKILL)
    return float(model.evaluate(small, y, verbose=0)[1]) + 0.1 * model.count_params() / 1e5
found = three_dimensions(model, fit, macs=0.6, data=[(x, y)], size=12, epochs_per_round=1, epochs=2, rounds=2,
                         blocks={"name": "discrimination", "classifier": "ridge", "samples": 48},
                         surface=MAP(degree=2), folder=folder)
weights = float(sum(np.abs(np.asarray(w)).sum() for w in found.model.weights))
print(json.dumps([list(found.optimum), [p.accuracy for p in found.points], found.chosen.accuracy, weights]))
"""


def job(folder: Path, limit: int) -> subprocess.CompletedProcess:
    folder.mkdir(exist_ok=True)
    code = textwrap.dedent(KILLED)
    return subprocess.run([sys.executable, "-c", code, str(folder), str(limit)], capture_output=True, text=True)


@pytest.mark.slow  # three processes that train: a minute
def test_a_job_that_is_killed_takes_up_its_points(tmp_path):
    whole = job(tmp_path / "whole", -1)
    assert whole.returncode == 0, whole.stderr
    broken = job(tmp_path / "broken", 5)
    assert broken.returncode == -9
    kept = sorted(path.name for path in (tmp_path / "broken").iterdir() if path.is_dir())
    assert kept == ["dense-0", "depth-1", "depth-2", "width-1"]
    again = job(tmp_path / "broken", -1)
    assert again.returncode == 0, again.stderr
    results = [json.loads(run.stdout.strip().splitlines()[-1]) for run in (whole, again)]
    assert results[0] == results[1]
    calls = [(tmp_path / name / "calls").read_text().splitlines() for name in ("whole", "broken")]
    assert len(calls[0]) == 8
    assert calls[1] == [*calls[0][:5], *calls[0][4:]]  # the one that was under way is trained again, no other


def test_a_folder_of_other_settings_is_an_error(model, data, tmp_path):
    fit = CountingFit(Extent.of(model, SIDE))
    rounds(model, fit, "width", keep=0.8, rounds=1, epochs_per_round=1, size=SIDE, folder=tmp_path)
    with pytest.raises(kp.PruneError, match="keep=0.8.*Received: keep=0.7"):
        rounds(model, fit, "width", keep=0.7, rounds=1, epochs_per_round=1, size=SIDE, folder=tmp_path)
    assert len(fit.calls) == 1


@pytest.mark.thorough
def test_a_folder_of_other_criteria_is_an_error(model, data, tmp_path):
    fit = CountingFit(Extent.of(model, SIDE))
    shared = {"data": data, "size": SIDE, "folder": tmp_path}

    def shrink(dimension, **criteria):
        rounds(model, fit, dimension, keep=0.8, rounds=1, epochs_per_round=1, **shared, **criteria)

    def alone(dimension, **criteria):
        one_dimension(model, fit, dimension, macs=0.7, epochs=1, **shared, **criteria)

    for prune in (shrink, alone):
        prune("width", channels="l1")
        begun = len(fit.calls)
        prune("width", channels=L1(), blocks="random")  # the same one, and one that has no say
        with pytest.raises(kp.PruneError, match="channels=.*'L1'.*Received: channels=.*'Random'"):
            prune("width", channels="random")
        assert len(fit.calls) == begun
        prune("depth", blocks=BLOCKS)
        begun = len(fit.calls)
        prune("depth", blocks={**BLOCKS}, channels="l1")
        with pytest.raises(kp.PruneError, match="blocks=.*'samples': 60.*Received: blocks=.*'samples': 50"):
            prune("depth", blocks={**BLOCKS, "samples": 50})
        assert len(fit.calls) == begun
    path = tmp_path / "width.json"
    before = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in before.items() if name != "channels"}))
    with pytest.raises(kp.PruneError, match="settings.*begun with: channels=None"):
        shrink("width", channels="l1")


def test_criteria_are_told_apart_by_their_public_fields(model, tmp_path):
    class Weighed(L1):
        def __init__(self, weights, function=np.abs):
            object.__setattr__(self, "weights", weights)
            object.__setattr__(self, "limits", {"low": float("nan"), 1: (np.float32(0.5), function)})
            object.__setattr__(self, "_seen", object())

    fit = CountingFit(Extent.of(model, SIDE))
    shared = {"keep": 0.8, "rounds": 1, "size": SIDE, "folder": tmp_path}
    for _ in range(2):
        rounds(model, fit, "width", channels=Weighed(np.arange(3)), **shared)
    with pytest.raises(kp.PruneError, match=r"'weights': \[0, 1, 2\].*Received: .*'weights': \[1, 1, 1\]"):
        rounds(model, fit, "width", channels=Weighed(np.ones(3, int)), **shared)
    assert len(fit.calls) == 1


def headed() -> keras.Model:
    """Returns a network whose layers behind the pooling cost most: width alone makes them cheaper, and no depth."""
    body = residual(4)
    x = keras.layers.Dense(3000, "relu")(body.layers[-2].output)
    return keras.Model(body.inputs, keras.layers.Dense(400)(x))


def residual(blocks: int) -> keras.Model:
    """Returns a network all of whose blocks can be dropped."""
    inputs = keras.Input((None, None, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(6, 3, padding="same")(inputs))
    for _ in range(blocks):
        branch = keras.layers.BatchNormalization()(keras.layers.Conv2D(6, 3, padding="same")(x))
        x = keras.layers.ReLU()(keras.layers.Add()([x, branch]))
    return keras.Model(inputs, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(x)))


def test_what_can_be_known_before_is_said_before_anything_is_trained(model, data):
    fit = CountingFit(Extent.of(model, SIDE))
    for arguments, message in (
        ({"rounds": 2}, "rounds=2 (.|\n)*Raise rounds=(.|\n)*4 different values of d(.|\n)*Received: 3"),
        ({"model": residual(3)}, "3 of 3 blocks (.|\n)*MAP.degree=1(.|\n)*4 different values of d"),
        ({"surface": MAP(rank=2)}, "Raise rounds=(.|\n)*at least 20 points(.|\n)*Received: 13"),
        ({"macs": 1.0}, "macs < 1"),
        ({"model": residual(8), "macs": 0.05}, "macs, and min_macs.*Received: 0.05.*all 8.*more than 0.0625"),
        ({"model": residual(3), "macs": 0.5, "min_macs": 0.02}, "Received: 0.02.*all 3 would"),
        ({"channels": "bn_scal"}, "Did you mean 'bn_scale'"),
        ({"blocks": "discriminaton"}, "Did you mean 'discrimination'"),
        ({"data": None}, "data=None"),
        ({"constraint": Smooth(lambda d, w, r: 0.6 + 0.4 * d)}, "cost between 0.8.*Received: 0.5"),
        ({"model": headed(), "macs": 0.2, "channels": "l1"}, "least that can be built .*costs 0.3492.*Received: 0.2"),
        ({"surface": "map"}, "Expected surface to be a Surface.*Received: surface='map'"),
    ):
        with pytest.raises(kp.PruneError, match=message):
            three_dimensions(**{"model": model, "fit": fit, "data": data, "size": SIDE, "blocks": BLOCKS, **arguments})
    assert not fit.calls


@pytest.mark.thorough
def test_the_points_that_are_foreseen_are_those_that_are_built(model, data):
    extent = Extent.of(model, SIDE)
    points = collect(model, CountingFit(extent), 0.3, Judges(BLOCKS, data=data), size=SIDE, rounds=2)
    foreseen = []

    class Told(MAP):
        def faults(self, d, w, r):
            foreseen.extend(zip(d, w, r, strict=True))
            return super().faults(d, w, r)

    check_points(extent, 0.3, 2, Told(degree=2))
    assert foreseen == [(p.d, p.w, p.r) for p in points]


def test_blocks_that_cannot_be_dropped_stay(model):
    extent = Extent.of(model, SIDE)
    assert [extent.blocks_at(depth) for depth in (0.01, 0.2, 0.3)] == [2, 2, 3]


def test_bad_input(model, data):
    fit = CountingFit(Extent.of(model, SIDE))
    fixed = kp.models.resnet_cifar(depth=8, classes=4, input_shape=(16, 16, 3))
    inputs = keras.Input((8, 8, 3))
    shallow = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(inputs)))
    for arguments, message in (
        ({"model": fixed}, "free input side.*Received.*16, 16, 3"),
        ({"size": None}, "leaves it free"),
        ({"macs": 0.0}, "macs to be a fraction kept in"),
        ({"min_macs": 0.9}, "min_macs ≤ macs"),
        ({"constraint": "seconds"}, "Expected constraint"),
        ({"model": shallow, "size": 8}, "free input side"),
        ({"epochs": -1}, "epochs to be an integer"),
    ):
        with pytest.raises(kp.PruneError, match=message):
            three_dimensions(**{"model": model, "fit": fit, "data": data, "size": SIDE, **arguments})
    with pytest.raises(kp.PruneError, match="dimension to be one of.*Did you mean 'depth'"):
        rounds(model, fit, "deepth", keep=0.5)
    with pytest.raises(kp.PruneError, match="depth alone can meet"):
        one_dimension(model, fit, "depth", macs=0.02, data=data, size=SIDE, epochs=1, blocks=BLOCKS)
    with pytest.raises(kp.PruneError, match="data=None"):
        rounds(model, fit, "depth", keep=0.5, size=SIDE)
    with pytest.raises(kp.PruneError, match="finite accuracy"):
        rounds(model, lambda *_, **__: float("nan"), "width", keep=0.5, size=SIDE)
    with pytest.raises(kp.PruneError, match="number from fit. Received: None"):
        rounds(model, lambda *_, **__: None, "width", keep=0.5, size=SIDE)
    assert not fit.calls


def test_networks_without_blocks_have_width_and_resolution():
    inputs = x = keras.Input((None, None, 3))
    for channels in (8, 12):
        x = keras.layers.Conv2D(channels, 3, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    plain = keras.Model(inputs, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(x)))
    dense = keras.Sequential([keras.Input((20,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(4)])
    calls = []

    def fit(model: keras.Model, *, resolution: int, epochs: int, seed: int) -> float:
        calls.append(model.count_params())
        return 0.5

    for network, dimension, arguments, last in (
        (plain, "width", {"size": SIDE}, (1, 0.5, 1)),
        (plain, "resolution", {"size": SIDE}, (1, 1, 0.5)),
        (dense, "width", {"channels": "l1"}, (1, 0.5, 1)),
    ):
        points = rounds(network, fit, dimension, keep=0.5, rounds=2, **arguments)
        assert (points[-1].d, points[-1].w, points[-1].r) == last
        point = one_dimension(network, fit, dimension, macs=0.5, **arguments)
        assert point.d == 1 and point.macs < 0.65 * kp.cost(network, size=arguments.get("size")).macs
    begun = len(calls)
    for network, dimension, message in (
        (plain, "depth", "blocks that can be dropped"),
        (dense, "depth", "blocks that can be dropped"),
        (dense, "resolution", "free input side.*shape .None, 20"),
    ):
        with pytest.raises(kp.PruneError, match=message):
            rounds(network, fit, dimension, keep=0.5, size=20)
        with pytest.raises(kp.PruneError, match=message):
            one_dimension(network, fit, dimension, size=20)
    assert len(calls) == begun


@pytest.mark.thorough
def test_one_level_everywhere_is_an_error(model, data):
    with pytest.raises(kp.PruneError, match="accuracies that differ"):
        three_dimensions(model, lambda *_, **__: 0.5, macs=0.5, data=data, size=SIDE, epochs_per_round=1, blocks=BLOCKS)


@pytest.mark.thorough
def test_the_points_are_one_by_one_along_the_axes(model, data):
    fit = CountingFit(Extent.of(model, SIDE))
    points = collect(model, fit, 0.5, Judges(BLOCKS, data=data), size=SIDE, epochs_per_round=1, rounds=2)
    assert [sum(x < 1 for x in (p.d, p.w, p.r)) for p in points] == [0, *[1] * 6]


@pytest.mark.thorough
def test_dimensions_may_be_collected_apart_in_one_folder(model, data, tmp_path):
    """As several processes would: each collects one dimension, the driver takes up what is there."""
    shared = {"size": SIDE, "epochs_per_round": 1, "rounds": 2}
    judges = Judges(BLOCKS, data=data)
    fit = CountingFit(Extent.of(model, SIDE))
    for dimension, keep in (("resolution", 0.5**0.5), ("depth", 0.5), ("width", 0.5**0.5)):
        rounds(model, fit, dimension, keep=keep, data=data, blocks=BLOCKS, folder=tmp_path, **shared)
    assert len(fit.calls) == 6
    apart = collect(model, fit, 0.5, judges, folder=tmp_path, **shared)
    assert len(fit.calls) == 7 and fit.calls[-1][3] == 0  # only the dense network is looked at
    together = collect(model, fit, 0.5, judges, **shared)
    assert [(p.d, p.w, p.r, p.accuracy) for p in apart] == [(p.d, p.w, p.r, p.accuracy) for p in together]
    for one, other in zip(apart, together, strict=True):
        pairs = zip(one.model.get_weights(), other.model.get_weights(), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs)
