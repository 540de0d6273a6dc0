"""Latency tables: operators, staircases on devices that exist on paper, prediction, files; one real device."""

from __future__ import annotations

import gc
import warnings
import weakref

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from support.devices import on_paper, profiled, random_plan, stairs

import kerasprune as kp
from kerasprune.errors import PruneError
from kerasprune.export.conversion import parts_to_tflite
from kerasprune.export.latency import profiling, single_operators
from kerasprune.export.latency.operators import by_key, operators
from kerasprune.export.latency.staircase import Staircase, first_widths, next_widths
from kerasprune.export.tflite_interpreter import open_interpreter, signature_timer


def network(channels=(24, 40), side=16, name=None):
    """Two stages with a sum, a shortcut, BatchNorm and a classifier."""
    x = inputs = keras.Input((side, side, 3))
    for width in channels:
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(width, 3, strides=2, padding="same")(x)))
        y = layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same")(x))
        x = layers.ReLU()(layers.Add()([x, y]))
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)), name=name)


def kinds(model) -> list[list[str]]:
    return [[type(call.operation).__name__ for call in each.calls] for each in operators(kp.trace(model))]


def test_what_a_converter_fuses_is_one_operator():
    conv = ["Conv2D", "BatchNormalization", "ReLU"]
    stage = [conv, conv[:2], ["Add", "ReLU"]]
    assert kinds(network()) == [*stage, *stage, ["GlobalAveragePooling2D"], ["Dense"]]


def test_a_tensor_that_two_read_ends_an_operator():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same")(inputs)  # read by the activation and by the sum
    outputs = layers.Add()([x, layers.Conv2D(4, 1)(layers.ReLU()(x))])
    assert kinds(keras.Model(inputs, outputs)) == [["Conv2D"], ["ReLU"], ["Conv2D"], ["Add"]]


def test_padding_is_part_of_the_convolution_and_models_inside_models_are_walked_through():
    inside = keras.Sequential([keras.Input((8, 8, 4)), layers.ReLU(), layers.ZeroPadding2D(1), layers.Conv2D(6, 3)])
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.Flatten()(inside(layers.Conv2D(4, 1)(inputs))))
    assert kinds(model) == [["Conv2D", "ReLU"], ["ZeroPadding2D", "Conv2D"]]


def test_operators_of_one_key_neither_of_which_is_the_wider_are_both_predicted(monkeypatch):
    dense = layers.Dense
    model = keras.Sequential([keras.Input((60,)), dense(40, "relu"), dense(90, "relu"), dense(20, "relu"), dense(2)])
    table = profiled(monkeypatch, model)
    expected = sum(stairs((each, other)) for each, other in ((60, 40), (40, 90), (90, 20), (20, 2)))
    assert table.predict(model) == pytest.approx(2 * expected + 0.5, rel=0.01)


@pytest.mark.parametrize("quantize", [None, pytest.param("int8", marks=pytest.mark.thorough)])
def test_a_timer_holds_the_file_that_it_runs(tmp_path, quantize):
    """LiteRT reads constants, such as the bounds of a loop, from the file's bytes while it runs; int8 has no loops."""
    model = keras.Sequential([keras.Input((6, 4)), layers.LSTM(5)])
    (path := tmp_path / "lstm.tflite").write_bytes(parts_to_tflite({"one": model}, quantize))
    interpreter = open_interpreter(path)
    held = weakref.ref(interpreter)
    timed = signature_timer(interpreter, "one")
    del interpreter
    gc.collect()
    assert held() is not None
    assert all(timed() > 0 for _ in range(20))


@pytest.mark.parametrize("first", [False, True])
def test_plans_that_remove_blocks_are_predicted(monkeypatch, first):
    """A rectifier after another is none; with the activation first, other calls follow a convolution."""
    x = inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same")(x)
    for _ in range(3):
        y = layers.ReLU()(layers.BatchNormalization()(x)) if first else x
        y = layers.Conv2D(8, 3, padding="same")(y)
        x = layers.Add()([x, y])
        x = x if first else layers.ReLU()(x)
    x = layers.ReLU()(layers.BatchNormalization()(x)) if first else x
    graph = kp.trace(keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))))
    table = profiled(monkeypatch, graph.model)
    removed = [tuple(graph.blocks)[:number] for number in range(4)]
    times = [table.predict(graph, kp.Plan({}, each, coupling=graph.coupling)) for each in removed]
    assert times == sorted(times, reverse=True) and len(set(times)) == 4


@pytest.mark.parametrize("widths", [(40, 40), (7, 40), (40, 3), (1, 1)])
def test_an_operator_alone_has_the_widths_asked_for(widths):
    each = next(one for one in operators(kp.trace(network())) if one.widths(len) == (40, 40))
    model = each.built(widths)
    assert (model.input_shape[-1], model.output_shape[-1]) == widths
    assert model.input_shape[1:3] == (4, 4)


def test_every_operator_of_a_transformer_can_be_built_alone():
    x = inputs = keras.Input((12,), dtype="int32")
    x = layers.Embedding(50, 16)(x)
    x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(2, 8)(x, x)]))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(layers.Dense(32, "gelu")(x))))
    for each in operators(kp.trace(model)):
        assert each.built(each.widths(len)).outputs[0].shape[1:] == each.calls[-1].node.outputs[0].shape[1:]


@pytest.mark.parametrize(
    ("policy", "quantize"),
    [("mixed_float16", None), ("mixed_bfloat16", "int8")],
)
@pytest.mark.thorough
def test_a_model_in_half_precision_is_measured_as_its_file_computes(tmp_path, policy, quantize):
    """In float32 or integers: operators alone and the whole network are those of the model in float32."""
    keras.config.set_dtype_policy(policy)
    try:
        half = network((8,), 8)
    finally:
        keras.config.set_dtype_policy("float32")
    found = []
    for model in (network((8,), 8), half):
        parts = {str(n): each.built(each.widths(len)) for n, each in enumerate(operators(kp.trace(model)))}
        (path := tmp_path / "parts.tflite").write_bytes(parts_to_tflite(parts | {"whole": model}, quantize))
        found.append(kp.export.operators(path))
    assert found[0] == found[1]


def test_a_mask_has_the_time_steps_of_the_model_at_any_width():
    i = keras.Input((6,), dtype="int32")
    x = layers.Dense(8)(layers.Embedding(20, 8, mask_zero=True)(i))
    model = keras.Model(i, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))
    masks = []
    for each in operators(kp.trace(model)):
        small = each.built(tuple(max(1, width // 2) for width in each.widths(len)))
        small([np.ones((2, *tensor.shape[1:]), tensor.dtype) for tensor in small.inputs])
        masks += [tensor.shape[1:] for tensor in small.inputs if tensor.dtype == "bool"]
    assert masks and set(masks) == {(6,)}


def test_widths_alone_do_not_change_the_key_but_everything_else_does():
    first, second = (operators(kp.trace(network(each))) for each in ((24, 40), (8, 12)))
    assert [each.key for each in first] == [each.key for each in second]
    other = operators(kp.trace(network(side=20)))
    assert not {each.key for each in first[:-1]} & {each.key for each in other[:-1]}


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([4, 8, 16, 32]), st.integers(20, 300), st.integers(8, 200))
def test_a_staircase_is_found_with_few_measurements(block, makes, reads):
    """Of the widths of a quarter and more; an interval may be taken for a line whose middle lies on one by chance."""

    def time(widths):
        return stairs(widths, block)

    first = set(first_widths((reads, makes), (True, True)))
    times = {widths: time(widths) for widths in first}
    for _ in range(9):
        times |= {widths: time(widths) for widths in next_widths(Staircase(times), first, 0.0)}
    assert len(times) < 150
    found, generator = Staircase(times), np.random.default_rng(0)
    asked = zip(
        generator.integers(reads // 4, reads + 1, 200), generator.integers(makes // 4, makes + 1, 200), strict=True
    )
    errors = [abs(found.time(widths) / time(widths) - 1) for widths in asked]
    assert np.median(errors) < 0.05 and np.quantile(errors, 0.9) < 0.15


def test_prediction_is_the_calibrated_sum(monkeypatch):
    model = network()
    table = profiled(monkeypatch, model)
    sums, times = zip(*table.calibration, strict=True)
    assert len(sums) == 6 and times == pytest.approx([2 * total + 0.5 for total in sums], rel=0.02)
    plan = random_plan(model, 3)
    slim = kp.rebuild(model, plan)
    by_hand = 2 * sum(stairs(each.widths(len)) for each in operators(kp.trace(slim))) + 0.5
    assert table.predict(model, plan) == pytest.approx(by_hand, rel=0.03)
    assert table.predict(slim) == pytest.approx(table.predict(model, plan))


def test_networks_that_grow_faster_or_slower_than_their_operators_are_predicted():
    """As if weights left a cache at a sum of 3, and starting took 1: on the lines between, in proportion outside."""
    model = keras.Sequential([keras.Input((8,)), layers.Dense(4)])
    key = operators(kp.trace(model))[0].key
    table = kp.latency.LatencyTable(
        {key: {(8, 4): 1.0}}, {}, "float32", 1, "paper", "none", ((1.0, 2.0), (3.0, 4.0), (4.0, 8.0))
    )
    for total, expected in {0.5: 1.5, 1: 2, 2: 3, 3.5: 6, 4: 8, 8: 16}.items():
        each = table.changed(times={key: {(8, 4): float(total)}})
        assert each.predict(model) == pytest.approx(expected)
    steep = table.changed(calibration=((2.0, 1.0), (3.0, 4.0)), times={key: {(8, 4): 1.0}})
    assert steep.predict(model) == pytest.approx(0.5)  # not below nothing


def test_a_calibration_is_made_monotonic_by_what_was_least_disturbed():
    graph = kp.trace(keras.Sequential([keras.Input((8,)), layers.Dense(4), layers.Dense(2, use_bias=False)]))
    (first, last) = operators(graph)
    times = {first.key: {(8, kept): float(kept) for kept in (1, 2, 3, 4)}, last.key: {(4, 2): 0.0, (1, 2): 0.0}}
    table = kp.latency.LatencyTable(times, {}, "float32", 1, "paper", "none")
    plans = [profiling.uniform(graph, share) for share in (1.0, 0.75, 0.5, 0.25)]
    with pytest.warns(UserWarning, match="took 100% longer"):
        found = profiling.calibrate_table(table, graph, plans, [6.0, 5.0, 10.0, 2.0])
    assert found.calibration == ((1.0, 2.0), (3.0, 5.0), (4.0, 6.0))


def test_an_interrupted_profile_continues(monkeypatch, tmp_path):
    store, seen = tmp_path / "table.csv", []

    def counted(widths):
        seen.append(widths)
        if len(seen) == 60:
            raise KeyboardInterrupt
        return stairs(widths)

    with pytest.raises(KeyboardInterrupt):
        profiled(monkeypatch, network(), counted, store=store)
    before = len(seen)
    table = profiled(monkeypatch, network(), counted, store=store)
    whole = profiled(monkeypatch, network())
    assert table == whole and kp.latency.LatencyTable.load(store) == whole
    of_networks = len(whole.calibration) * len(operators(kp.trace(network())))
    assert len(seen) - before - of_networks <= sum(map(len, whole.times.values())) - 48  # a file was saved


def test_a_table_of_another_kind_is_not_continued(monkeypatch, tmp_path):
    store = tmp_path / "table.csv"
    profiled(monkeypatch, network(), store=store)
    kp.latency.LatencyTable.load(store).changed(machine="a phone").save(store, overwrite=True)
    with pytest.raises(PruneError) as error:
        profiled(monkeypatch, network(), store=store, precision="int8", threads=2)
    assert all(f"Expected {name}" in str(error.value) for name in ("precision 'int8'", "threads 2", "machine"))


def test_what_a_table_lacks_is_refused_and_not_guessed(monkeypatch):
    table = profiled(monkeypatch, network())
    with pytest.raises(PruneError, match=r"without \d of them, such as Conv2D .* kp.latency.profile"):
        table.predict(network(side=32))
    with pytest.raises(PruneError, match=r"at most \(24, 40\) channels .* Received: \(24, 64\)"):
        table.predict(network((24, 64)))


def test_bad_arguments_are_refused_before_anything_is_measured(tmp_path):
    pytest.importorskip("ai_edge_litert")
    with pytest.raises(PruneError) as error:
        kp.latency.profile(network(), precision="int2", threads=0)
    assert "precision='int2'" in str(error.value) and "threads=0" in str(error.value)
    x = inputs = keras.Input((None, None, 3))
    free = keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(x)))
    with pytest.raises(PruneError, match="Give size="):
        kp.latency.profile(free)


def test_a_file_is_not_overwritten_unasked(monkeypatch, tmp_path):
    table = profiled(monkeypatch, network())
    path = table.save(tmp_path / "table.csv")
    with pytest.raises(PruneError, match="overwrite=True"):
        table.save(path)
    with pytest.raises(PruneError, match="ends in .csv"):
        table.save(tmp_path / "table.json")
    (tmp_path / "there.json").touch()
    with pytest.raises(PruneError, match=r"(?s)ends in \.csv.*overwrite=True"):  # both at once
        table.save(tmp_path / "there.json")
    monkeypatch.setattr(profiling, "OperatorMeasurements", None)  # nothing is measured
    with pytest.raises(PruneError, match="ends in .csv"):
        kp.latency.profile(network(), store=tmp_path / "table.txt", verbose=0)


@pytest.mark.parametrize("number", [200, pytest.param(2000, marks=pytest.mark.thorough)])
def test_a_damaged_file_is_refused_or_a_table(monkeypatch, tmp_path, number):
    path = profiled(monkeypatch, network()).save(tmp_path / "table.csv")
    whole, generator = bytearray(path.read_bytes()), np.random.default_rng(0)
    for _ in range(number):
        content = bytearray(whole)
        for at in generator.integers(0, len(content), generator.integers(1, 4)):
            content[at] = generator.integers(0, 256)
        if generator.random() < 0.3:
            content = content[: generator.integers(0, len(content))]
        path.write_bytes(content)
        try:
            table = kp.latency.LatencyTable.load(path)
        except PruneError:
            continue
        assert all(time >= 0 for each in table.times.values() for time in each.values())


def test_a_table_that_whole_networks_contradict_warns(monkeypatch):
    on_paper(monkeypatch)
    undisturbed = profiling.times_of
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kp.latency.profile(network(), verbose=0)
    monkeypatch.setattr(profiling, "times_of", lambda *given: undisturbed(*given)[::-1])  # the narrowest the slowest
    with pytest.warns(UserWarning, match=r"took [0-9]+% longer than one .* Measure again when the machine is quiet"):
        kp.latency.profile(network(), verbose=0)


def test_operators_of_a_file_are_timed_in_turn(monkeypatch):
    """Work beside it that lasts as long as one operator's runs disturbs one pass, not the time."""
    asked = []

    def signature_timer(interpreter, name):
        def timed():
            asked.append(name)
            return 100.0 if asked.count(name) <= 10 and name == "operator_0" else 1.0

        return timed

    monkeypatch.setattr(single_operators, "signature_timer", signature_timer)
    model = keras.Sequential([keras.Input((6,)), layers.Dense(5), layers.Dense(2)])
    alike = by_key(operators(kp.trace(model)))
    part = [(key, each.most) for key, each in alike.items()]
    assert single_operators.times_alone(part, alike, "float32", 1) == dict.fromkeys(part, 1.0)


@pytest.mark.experiments
def test_an_operator_that_does_not_convert_is_left_out_and_named(monkeypatch):
    convert, torn = single_operators.parts_to_tflite, "operator_3"

    def parts_to_tflite(parts, quantize):
        if torn in parts:
            raise kp.PruneError("The converter fails.")
        return convert(parts, quantize)

    monkeypatch.setattr(single_operators, "parts_to_tflite", parts_to_tflite)
    model = keras.Sequential([keras.Input((6,)), *[layers.Dense(5 + n, use_bias=n % 2 == 0) for n in range(6)]])
    alike = by_key(operators(kp.trace(model)))
    part = [(key, (each.most[0], made)) for key, each in alike.items() for made in (2, each.most[1])]
    assert alike[part[3][0]].most == part[3][1]
    with pytest.warns(UserWarning, match="Not timed: Dense c, which cannot be converted alone: The converter fails"):
        times = single_operators.times_alone(part, alike, "float32", 1)
    assert times.keys() == {pair for number, pair in enumerate(part) if number != 3}


@pytest.mark.thorough
def test_weights_that_silence_a_network_on_random_numbers_do_not_matter_in_int8():
    model = network((16, 32))
    for weight in model.weights:
        if weight.name in ("bias", "beta"):
            weight.assign(weight - 100)
    from kerasprune.export.latency.whole_networks import times_of

    graph = kp.trace(model)
    assert min(times_of(graph, profiling.calibration_plans(graph), "int8", 1, rounds=1)) > 0


@pytest.mark.thorough
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_this_machine_is_measured(precision):
    """How near a prediction comes is measured by a benchmark: it depends on the machine, and on other work on it."""
    model = network((16, 32))
    table = kp.latency.profile(model, precision=precision, verbose=0)
    plans = [random_plan(model, seed) for seed in range(3)]
    from kerasprune.export.latency.whole_networks import times_of

    for plan, measured in zip(plans, times_of(kp.trace(model), plans, precision, 1), strict=True):
        assert table.predict(model, plan) > 0 and measured > 0
