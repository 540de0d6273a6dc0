"""The RAM that was asked for, and that of the file that is exported."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from support.micro_networks import network

import kerasprune as kp
from kerasprune.export.arena.memory_report import Arena
from kerasprune.export.tflite_graph import TfliteFile
from kerasprune.surgery.costs.counts import counter

pytest.importorskip("ai_edge_litert")
pytestmark = [pytest.mark.experiments, pytest.mark.filterwarnings("ignore::UserWarning")]


def measured(target, graph, plan):
    return Arena.of(TfliteFile.of(target.file_of(graph, plan)))


def fewer_in_front():
    """A network whose first two groups decide its memory."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((16, 16, 3))
    for filters, name in ((32, "wide"), (8, "narrow"), (8, "last")):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)(x)
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))


def check_met(graph, target, plan):
    """Checks that the file needs no more, and that one step more of any group at the peak does."""
    meter = target.meter(graph)
    asked = meter.target * meter.dense
    assert measured(target, graph, plan).ram <= asked
    count = counter(graph.alive(plan.keep))
    for name in meter.binding(graph, count):
        kept = plan.keep[name]
        if len(kept) < graph.groups[name].size:
            wider = kp.Plan.of(graph, {**plan.keep, name: np.arange(len(kept) + 1)})
            assert meter(graph, counter(graph.alive(wider.keep))) * meter.dense > asked, name


def test_groups_that_do_not_decide_stay():
    graph = kp.trace(fewer_in_front())
    target = kp.targets.Memory(fraction=0.5, precision="float32").prepared(graph)
    plan = kp.plan(graph, target=target, round_to=1)
    assert len(plan.keep["wide"]) <= 16 and len(plan.keep["narrow"]) <= 5  # in memory at once
    assert len(plan.keep["last"]) == 8
    check_met(graph, target, plan)
    assert target.report(graph, plan).startswith(f"memory: {measured(target, graph, plan).ram:,} bytes of RAM")


@pytest.mark.thorough
def test_the_arena_of_any_plan_is_counted():
    graph = kp.trace(fewer_in_front())
    target = kp.targets.Memory(fraction=0.5, precision="float32")
    meter, random = target.meter(graph), np.random.default_rng(1)
    for _ in range(3):
        keep = {name: range(random.integers(1, group.size + 1)) for name, group in graph.prunable.items()}
        plan = kp.Plan.of(graph, keep)
        counted = meter(graph, counter(graph.alive(plan.keep))) * meter.dense
        assert counted == pytest.approx(measured(target, graph, plan).ram, abs=24 * 4)  # constants that are equal


@pytest.mark.thorough
@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize(("name", "number"), [("resnet8", 3), ("separable", 3), ("lenet", 2), ("transformer", 2)])
def test_random_targets_are_met_and_not_by_more_than_a_step(name, number, precision):
    graph = kp.trace(network(name), unknown="freeze")
    target = kp.targets.Memory(fraction=0.5, precision=precision).prepared(graph)
    random = np.random.default_rng([number, len(precision)])
    for _ in range(number):
        asked = int(target.meter(graph).dense * random.uniform(0.6, 0.95))
        wanted = type(target)(bytes=asked, precision=precision, measured=target.measured)
        check_met(graph, wanted, kp.plan(graph, target=wanted, round_to=1))


@pytest.mark.thorough
def test_a_board_has_both_limits(tmp_path):
    model = network("resnet8")
    graph = kp.trace(model)
    memory, size = kp.targets.Memory("170kB", precision="float32"), kp.targets.Size("200kB")
    plan = kp.plan(model, target=[memory, {"name": "size", "bytes": "200kB"}], round_to=1)
    assert measured(memory, graph, plan).ram <= 170_000 and len(size.file_of(graph, plan)) <= 200_000
    assert len(size.file_of(graph, kp.plan(model, target=memory, round_to=1))) > 200_000


@pytest.mark.thorough
def test_limits_that_are_met_already_do_not_matter():
    model = fewer_in_front()
    memory, wide = (kp.targets.Memory(each, precision="float32") for each in ("30kB", "1GB"))
    assert kp.plan(model, target=[memory, wide]) == kp.plan(model, target=memory)
    with pytest.raises(kp.PruneError, match="There is nothing to prune for it"):
        kp.plan(model, target=[wide])


@pytest.mark.thorough
def test_integers_in_and_out_are_offered_where_they_help():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((24, 24, 3)), layers.Conv2D(4, 3, strides=2), layers.Flatten(), layers.Dense(2)]
    )
    with pytest.raises(kp.PruneError, match="take io='int8', files with integers in and out"):
        kp.plan(model, target=kp.targets.Memory(5000))
    assert len(next(iter(kp.plan(model, target=kp.targets.Memory(3600, io="int8")).keep.values()))) < 4
    with pytest.raises(kp.PruneError, match="Ask for more.$"):
        kp.plan(model, target=kp.targets.Memory(500))


@pytest.mark.thorough
def test_what_cannot_be_met_is_refused():
    model = fewer_in_front()
    with pytest.raises(kp.PruneError, match="can be reached: at least .* bytes\\) of the memory"):
        kp.plan(model, target=kp.targets.Memory(100, precision="float32"))
    with pytest.raises(kp.PruneError, match="below the memory of the dense model"):
        kp.plan(model, target=kp.targets.Memory("1GB", precision="float32"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "one of bytes and fraction"),
        ({"bytes": 100, "fraction": 0.5}, "one of bytes and fraction"),
        ({"bytes": -1}, "bytes"),
        ({"fraction": 1.5}, "fraction"),
        ({"bytes": "0.5"}, "fraction="),
        ({"bytes": 100, "precision": "dynamic"}, "precision"),
        ({"bytes": 100, "precision": "float32", "io": "int8"}, "io='int8' with precision='int8'"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(kp.PruneError, match=message):
        kp.targets.Memory(**arguments)


def test_a_list_without_targets_is_refused():
    with pytest.raises(kp.PruneError, match="one or more in a list"):
        kp.targets.AllOf([])
