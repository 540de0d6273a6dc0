"""Allocations lie in the space that was asked for, and what is empty says what can be reached."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from support.devices import profiled

import kerasprune as kp
from kerasprune.graph.graph import ChannelGraph
from kerasprune.papers.pruning_spaces.sampling import _levelled, tilt
from kerasprune.papers.pruning_spaces.space import Space


@pytest.fixture(scope="module")
def resnet50() -> ChannelGraph:
    return kp.trace(keras.applications.ResNet50(weights=None, classes=10))


@pytest.fixture(scope="module")
def resnet20() -> ChannelGraph:
    return kp.trace(kp.models.resnet_cifar(20, input_shape=(32, 32, 3)))


@pytest.mark.parametrize(
    "windows",
    [
        *({"macs": 0.25, "std": std} for std in (0.1, 0.05, 0.01)),
        {"macs": 0.02, "std": 0.1},
        {"macs": 0.5, "mcb": 1.0},
        {"params": 0.1, "std": 0.05},
        {"macs": 0.25, "params": 0.25, "std": 0.1},
    ],
    ids=str,
)
def test_a_hundred_recipes_of_resnet50_lie_in_every_space_of_the_paper(resnet50, windows):
    allocations = kp.papers.spaces.sample(Space(resnet50, **windows), n=100, seed=1)
    assert allocations.keep.shape == (100, len(resnet50.prunable))
    assert len(np.unique(allocations.channels, axis=0)) == 100
    macs, params = kp.papers.spaces.costs(resnet50, allocations)
    dense = kp.cost(resnet50)
    for index in (0, 99):
        slim = kp.cost(resnet50, allocations.plan(index))
        assert (slim.macs, slim.params) == (macs[index], params[index])
    macs, params = macs / dense.macs, params / dense.params
    assert np.all(np.abs(macs - windows.get("macs", macs)) <= 0.002)
    assert np.all(np.abs(params - windows.get("params", params)) <= 0.002)
    sizes = [group.size for group in resnet50.prunable.values()]
    plans = [allocations.plan(index).keep for index in (0, 50, 99)]
    built = [
        np.std([len(keep[name]) / size for name, size in zip(resnet50.prunable, sizes, strict=True)]) for keep in plans
    ]
    assert max(built) <= windows.get("std", 1) and allocations.std[[0, 50, 99]] == pytest.approx(built)
    assert np.all(allocations.std <= windows.get("std", 1) + 1e-9)
    assert np.all(np.abs(macs / params - windows.get("mcb", macs / params)) <= 0.1)


def test_deviations_are_those_of_whole_channels(resnet20):
    """In sixteenths and sixty-fourths no allocation of STD-0.01 can be built at 0.05 of the MACs: an error says so."""
    allocations = kp.papers.spaces.sample(Space(resnet20, macs=0.25, std=0.01), n=20)
    for number in range(20):
        keep = allocations.plan(number).keep
        built = [len(keep[name]) / group.size if name in keep else 1 for name, group in resnet20.prunable.items()]
        assert np.std(built) <= 0.01 + 1e-9
    with pytest.raises(kp.PruneError, match=r"0 different ones were found.*in whole channels their std is 0\.0"):
        kp.papers.spaces.sample(Space(resnet20, macs=0.05, std=0.01), n=1)


def test_the_uniform_half_of_resnet50_keeps_what_the_paper_says(resnet50):
    macs, _ = kp.papers.spaces.costs(resnet50, kp.papers.spaces.uniform(resnet50, 0.5))
    assert 0.257 <= macs[0] / kp.cost(resnet50).macs <= 0.259


def test_the_same_seed_draws_the_same_recipes(resnet20):
    space = Space(resnet20, macs=0.5, std=0.1)
    one, same, other = (kp.papers.spaces.sample(space, n=3, seed=seed).keep for seed in (0, 0, 1))
    assert (one == same).all()
    assert not (one == other).all()


def test_the_share_of_random_recipes_is_that_of_a_plain_loop(resnet20):
    random, inside = np.random.default_rng(7), 0
    dense = kp.cost(resnet20).macs
    keep = 1 - random.uniform(0, 0.6, (300, len(resnet20.prunable)))
    allocations = kp.papers.spaces.Allocations(resnet20, keep)
    for index in range(300):
        inside += abs(kp.cost(resnet20, allocations.plan(index)).macs / dense - 0.5) <= 0.05
    assert inside
    space = Space(resnet20, macs=0.5, delta=0.05)
    assert kp.papers.spaces.acceptance(space, min_keep=0.4, draws=300, seed=7) == inside / 300
    narrow = kp.papers.spaces.acceptance(Space(resnet20, macs=0.5, delta=0.002), min_keep=0.4, draws=5000)
    assert narrow < 0.05


def test_membership_is_that_of_the_definitions(resnet20):
    keep = 1 - np.random.default_rng(0).random((2000, len(resnet20.prunable)))
    dense, (macs, params) = kp.cost(resnet20), kp.papers.spaces.costs(resnet20, keep)
    macs, params = macs / dense.macs, params / dense.params
    sizes = np.array([group.size for group in resnet20.prunable.values()])
    built = (sizes - np.ceil((1 - keep) * sizes).clip(max=sizes - 1)) / sizes
    expected = (abs(macs - 0.3) <= 0.1) & (abs(params - 0.35) <= 0.1) & (built.std(axis=1) <= 0.3)
    expected &= (macs / params >= 0.8) & (macs / params <= 1.3)
    space = Space(resnet20, macs=0.3, params=0.35, delta=0.1, std=0.3, mcb=(0.8, 1.3))
    assert 0 < expected.sum() < 2000
    assert (space.contains(keep) == expected).all()
    assert kp.papers.spaces.mcb(resnet20, keep) == pytest.approx(macs / params)


@pytest.mark.parametrize(
    ("windows", "words"),
    [
        ({"macs": 1e-5, "delta": 1e-6}, r"0\.00\d+ to 1 of the macs can be kept"),
        ({"macs": 0.25, "params": 0.02}, r"with macs 0\.248 to 0\.252, params is about 0\.0\d+ to 0\.\d+"),
        ({"macs": 0.25, "params": 0.05, "std": 0.05}, r"and std 0 to 0\.05, params is about 0\.2"),
        ({"macs": 0.25, "params": 0.25, "mcb": (1.5, 2)}, r"mcb = macs / params is 0\.98.*Received: mcb 1\.5 to 2"),
        ({"macs": 0.25, "std": 0.0}, r"1 different ones were found in|0 different ones were found in"),
        ({"std": 0.1}, "Expected macs, params or target"),
        ({"macs": 25, "delta": 2, "std": -1, "mcb": (2, 1)}, r"(?s)macs=25.*delta=2.*std=-1.*mcb=\(2, 1\)"),
    ],
    ids=str,
)
def test_what_is_empty_says_what_can_be_reached(resnet20, windows, words):
    with pytest.raises(kp.PruneError, match=words):
        kp.papers.spaces.sample(Space(resnet20, **windows))


def test_no_recipes_are_not_drawn(resnet20):
    with pytest.raises(kp.PruneError, match="n=0"):
        kp.papers.spaces.sample(Space(resnet20, macs=0.5), n=0)


def test_fractions_kept_are_drawn_from_the_smallest_one_on(resnet20):
    space = Space(resnet20, macs=0.5, delta=0.05, criterion="l1")
    assert len(kp.papers.spaces.random_allocations(space, 2, min_keep=0.4)) == 2
    with pytest.raises(kp.PruneError, match="min_keep to be a fraction kept in"):
        kp.papers.spaces.random_allocations(space, 2, min_keep=1.0)


def test_a_model_of_which_nothing_can_go_is_refused():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(kp.PruneError, match="channels that can be pruned"):
        kp.papers.spaces.sample(Space(model, macs=0.5))


@keras.saving.register_keras_serializable("tests.spaces")
class Strange(keras.layers.Layer):
    """A layer that nobody has a rule for, with more multiply–adds than all others."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 400))

    def call(self, x):
        return keras.ops.matmul(x, self.kernel)


def test_multiply_adds_that_nobody_knows_are_not_passed_over():
    inputs = keras.Input((6,))
    x = keras.layers.Dense(20, name="first")(keras.layers.Dense(20, name="before")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(Strange(name="strange")(x)))
    graph = kp.trace(model, unknown="freeze")
    with pytest.raises(kp.PruneError, match=r"multiply–adds are known, to meet macs= and mcb=.*strange"):
        kp.papers.spaces.sample(Space(graph, macs=0.9))
    assert len(kp.papers.spaces.sample(Space(graph, params=0.95, delta=0.02), n=2)) == 2
    assert len(kp.papers.spaces.sample(Space(graph, macs=0.95, delta=0.04, macs_of={"strange": 8000}), n=2)) == 2


def test_allocations_with_the_same_channels_are_drawn_once():
    dense = keras.layers.Dense
    model = keras.Sequential([keras.Input((4,)), dense(6), dense(6), dense(2)])
    allocations = kp.papers.spaces.sample(Space(model, params=0.5, delta=0.1), n=6)
    assert len(np.unique(allocations.channels, axis=0)) == 6
    with pytest.raises(kp.PruneError, match=r"holds n=37 allocations: \d+ different ones"):
        kp.papers.spaces.sample(Space(model, params=0.5, delta=0.1), n=37)  # of 36 that can be built


@pytest.mark.parametrize(("measure", "other"), [("macs", "params"), ("params", "macs")])
def test_the_other_measure_falls_with_the_tilt(resnet20, measure, other):
    space, aim = Space(resnet20, **{measure: 0.3}, mcb=(0.5, 2)), np.full(3, 0.3)
    moved = _levelled(space, np.outer([-0.2, 0, 0.2], tilt(space, measure, aim)), measure, aim)
    assert space.measures(moved)[measure] == pytest.approx(aim, abs=0.03)
    assert (np.diff(space.measures(moved)[other]) < -0.01).all()


def test_a_space_by_time_holds_what_the_table_says(monkeypatch):
    model = kp.models.resnet_cifar(8, input_shape=(16, 16, 3), seed=0)
    table = profiled(monkeypatch, model)
    space = kp.papers.spaces.Space(model, target=kp.targets.Time(table, fraction=0.6), delta=0.02)
    allocations = kp.papers.spaces.sample(space, n=5)
    assert len({each.tobytes() for each in allocations.channels}) == 5
    for number in range(5):
        assert 0.56 <= table.predict(model, allocations.plan(number)) / table.predict(model) <= 0.6
    assert set(space.rows(allocations.keep)[0]) == {"macs", "params", "mcb", "time", "std"}
    with pytest.raises(kp.PruneError, match="Received: target and macs, mcb"):
        kp.papers.spaces.Space(model, target=kp.targets.Time(table, fraction=0.6), macs=0.5, mcb=1.0)


@pytest.mark.thorough
def test_a_space_by_size_holds_what_the_files_have():
    model, target = kp.models.resnet_cifar(8, input_shape=(16, 16, 3), seed=0), kp.targets.Size(200_000)
    space = kp.papers.spaces.Space(model, target=target, delta=0.02)
    allocations = kp.papers.spaces.sample(space, n=3)
    for number, share in enumerate(space.measures(allocations.keep)["size"]):
        bytes_of_both = target.report(kp.trace(model), allocations.plan(number))
        assert float(bytes_of_both.split(", ")[1].split()[0]) == pytest.approx(share, rel=0.03)
