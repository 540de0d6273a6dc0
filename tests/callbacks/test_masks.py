"""Masks in `fit`: which weights go, that they stay gone whatever else happens, and rounds with rewinding."""

from __future__ import annotations

import csv
import warnings

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.convnet import BATCH, DATA, STEPS, assert_zero, compiled, masked, small, train
from support.processes import run_python

import kerasprune as kp
from kerasprune.callbacks import GradualMagnitude, HoldMask, IterativeMagnitude, LearningRateRewinding, Sparsity
from kerasprune.testing.toys import toy_model
from kerasprune.training.candidates import Part, Unit
from kerasprune.training.granularity import WeightBlock
from kerasprune.training.mask_updates import updates
from kerasprune.training.optimizer import slots
from kerasprune.training.rewinding import rewind_optimizer
from kerasprune.training.schedules import cubic
from kerasprune.training.scope import Global, Layer, Pattern

pytestmark = pytest.mark.filterwarnings("ignore:The schedule ends")


# ---- who goes ------------------------------------------------------------------------------------------------------


def units_of(shapes) -> list[Unit]:
    variables = [keras.Variable(np.zeros(shape, "float32"), name=f"v{n}") for n, shape in enumerate(shapes)]
    sizes = [int(np.prod(shape)) for shape in shapes]
    return [Unit.of(v.name, size, size, (Part(v),)) for v, size in zip(variables, sizes, strict=True)]


def lowest(scores: np.ndarray, number: int) -> np.ndarray:
    """What goes by brute force: all but the first `number` in order of (score descending, index ascending)."""
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], place))
    goes = np.ones(len(scores), bool)
    goes[order[:number]] = False
    return goes


@pytest.mark.thorough
@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=4), st.floats(0.01, 1.0), st.integers(0, 1000))
def test_layer_and_global_scope_against_sorting(sizes, keep, seed):
    units = units_of([(size,) for size in sizes])
    scores = [np.random.default_rng(seed + n).integers(0, 4, size).astype("float32") for n, size in enumerate(sizes)]
    for goes, score in zip(Layer().pruned(units, scores, Layer().numbers(units, keep)), scores, strict=True):
        size = len(score)
        number = size - min(int(np.ceil(round((1 - keep) * size, 9))), size - 1)
        np.testing.assert_array_equal(goes, lowest(score, number))
    together = np.concatenate(scores)
    number = len(together) - min(int(np.ceil(round((1 - keep) * len(together), 9))), len(together) - 1)
    found = np.concatenate([np.asarray(goes) for goes in Global().pruned(units, scores, Global().numbers(units, keep))])
    np.testing.assert_array_equal(found, lowest(together, number))


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([(7, 3), (8, 5), (3, 3, 6, 2), (1, 4), (5,)]), st.integers(1, 4), st.integers(0, 1000))
def test_pattern_keeps_n_of_every_m_inputs(shape, n, seed):
    (unit,) = units_of([shape])
    score = np.random.default_rng(seed).integers(0, 5, shape).astype("float32")
    scope = Pattern(keep=n, of=4)
    (goes,) = scope.pruned([unit], [score.ravel()], scope.numbers([unit], 0.01))
    goes = np.asarray(goes).reshape(shape)
    if len(shape) < 2:
        assert not goes.any()
        return
    lines, flags = np.moveaxis(score, -2, -1).reshape(-1, shape[-2]), np.moveaxis(goes, -2, -1).reshape(-1, shape[-2])
    for line, flag in zip(lines, flags, strict=True):
        for begin in range(0, len(line), 4):
            np.testing.assert_array_equal(flag[begin : begin + 4], lowest(line[begin : begin + 4], n))


def test_blocks_are_rectangles():
    found = WeightBlock(rows=2, columns=3).entries((2, 4, 5))
    assert found.shape == (2, 4, 5) and found.max() + 1 == 2 * 2 * 2
    for block in range(found.max() + 1):
        places = np.argwhere(found == block)
        extent = places.max(0) - places.min(0) + 1
        assert np.prod(extent) == len(places) and extent[0] == 1 and extent[1] <= 2 and extent[2] <= 3


def test_a_weight_that_is_no_number_goes_first_from_its_run():
    (unit,) = units_of([(4, 1)])
    score, scope = np.array([1, np.nan, 3, 2], "float32"), Pattern(keep=2, of=4)
    assert np.asarray(scope.pruned([unit], [score], scope.numbers([unit], 0.5))[0]).tolist() == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("batches, ends", [(3, (0, 6)), (1, (0, 2))])
@pytest.mark.thorough
def test_an_epoch_need_not_be_whole_updates(batches, ends):
    """With gradients of 2 batches added up, 4 epochs of 3 batches are 6 updates."""
    model = compiled(toy_model(0), keras.optimizers.SGD(0.05, gradient_accumulation_steps=2))
    callback = GradualMagnitude(cubic(0.25, end="4ep"), every=100)
    x, y = (each[: batches * BATCH] for each in DATA)
    model.fit(x, y, batch_size=BATCH, epochs=4, verbose=0, callbacks=[callback])
    assert callback._updates.steps == ends and callback.finished
    assert sum(m.sum() for m in callback.masks.values()) <= 0.26 * sum(m.size for m in callback.masks.values())


def test_updates_are_the_schedule():
    table = updates(cubic(0.1, begin="10it", end="110it"), 30, None, None)
    assert table.steps == (10, 40, 70, 100, 110)
    expected = [0.1 + 0.9 * (1 - (step - 10) / 100) ** 3 for step in table.steps]
    np.testing.assert_allclose(table.keep, expected, atol=1e-6)
    assert updates(lambda step: 0.7, 5, None, 12) == updates(lambda step: 0.7, 5, 4, 12)
    with pytest.raises(kp.PruneError, match="do not grow"):
        updates(lambda step: 0.1 + 0.01 * step, 5, None, 20)
    with pytest.raises(kp.PruneError, match="known length"):
        updates(lambda step: 0.5, 5, None, None)


def test_schedules_of_tfmot_are_taken_over():
    """Against the formula in its source: s_f + (s_i - s_f)(1 - (t - begin)/(end - begin))^power."""
    decay = {"initial_sparsity": 0.5, "final_sparsity": 0.8, "begin_step": 10, "end_step": 30, "power": 3}
    schedule = kp.schedules.from_tfmot({"class_name": "PolynomialDecay", "config": {**decay, "frequency": 10}})
    for step, sparsity in ((10, 0.5), (20, 0.8 - 0.3 / 8), (30, 0.8), (99, 0.8)):
        assert float(schedule(step)) == pytest.approx(1 - sparsity, abs=1e-6)
    with pytest.raises(kp.PruneError, match="PolynomialDecay"):
        kp.schedules.from_tfmot({"class_name": "Other", "config": {}})


# ---- gradual magnitude ---------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("scope", [None, "global"])
def test_gradual_magnitude_against_a_loop(scope):
    """Single steps of plain Keras, masks and momentum by hand; by default each kernel loses the same fraction."""
    model, other = compiled(small()), compiled(small())
    callback = GradualMagnitude(cubic(0.2, end="16it"), every=5, **({} if scope is None else {"scope": scope}))
    train(model, [callback])
    kernels = [v for v in other.trainable_variables if v.name == "kernel"]
    sizes = [int(np.prod(v.shape)) for v in kernels]
    keep = {step: 0.2 + 0.8 * (1 - step / 16) ** 3 for step in (5, 10, 15, 16)}
    masks = np.ones(sum(sizes), bool)
    for step in range(2 * STEPS):
        begin = step % STEPS * BATCH
        other.train_on_batch(DATA[0][begin : begin + BATCH], DATA[1][begin : begin + BATCH])
        if step + 1 in keep:
            scores = np.where(masks, np.concatenate([np.abs(v.numpy()).ravel() for v in kernels]), -1)
            lots = np.split(scores, np.cumsum(sizes)[:-1]) if scope is None else [scores]
            numbers = [len(lot) - int(np.ceil(round((1 - keep[step + 1]) * len(lot), 6))) for lot in lots]
            masks = np.concatenate([~lowest(lot, number) for lot, number in zip(lots, numbers, strict=True)])
        for variable, mask in zip(kernels, np.split(masks, np.cumsum(sizes)[:-1]), strict=True):
            mask = mask.reshape(variable.shape)
            variable.assign(np.where(mask, variable.numpy(), 0))
            (slot,) = slots(other.optimizer, variable)
            slot.assign(np.where(mask, slot.numpy(), 0))
    for variable, expected in zip(model.weights, other.weights, strict=True):
        np.testing.assert_allclose(variable.numpy(), expected.numpy(), atol=1e-5, err_msg=variable.path)
    assert sum(mask.sum() for mask in callback.masks.values()) == masks.sum() == (36 if scope is None else 37)


OPTIMIZERS = {
    "momentum": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "decay": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "average": lambda: keras.optimizers.SGD(0.05, momentum=0.9, use_ema=True),
    "accumulating": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05, momentum=0.9)),
}


@pytest.mark.matrix
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_is_gone_is_zero_and_so_are_its_slots(name):
    model = compiled(small(), OPTIMIZERS[name]())
    callback = GradualMagnitude(cubic(0.2, end="1ep"), every=2)
    train(model, [callback])
    masks = callback.masks
    assert callback.kept == pytest.approx(0.2, abs=0.01)
    assert_zero(masked(model, masks))
    remembered = [
        (s, masks[v.path]) for v in model.trainable_variables if v.path in masks for s in slots(model.optimizer, v)
    ]
    assert len(remembered) >= 2
    assert_zero([slot.numpy()[~mask] for slot, mask in remembered])
    assert any((slot.numpy() != 0).any() for slot, _ in remembered)


@pytest.mark.thorough
@pytest.mark.parametrize("last", [False, True])
def test_saved_at_any_moment_sparse_whatever_the_order(last, tmp_path):
    model = compiled(small(), keras.optimizers.SGD(0.05, momentum=0.9, use_ema=True, ema_momentum=0.5))
    train(model, [first := GradualMagnitude(cubic(0.3, end="1ep"), every=2)], epochs=1)
    masks = first.masks
    holding = HoldMask(masks)
    others = [
        keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
        keras.callbacks.ModelCheckpoint(
            str(tmp_path / "{epoch}-{batch}.weights.h5"), save_freq=3, save_weights_only=True
        ),
        keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.weights.h5"), save_weights_only=True),
        keras.callbacks.EarlyStopping("loss", patience=0, mode="max", restore_best_weights=True),
        keras.callbacks.BackupAndRestore(str(tmp_path / "backup")),
    ]
    train(model, [*others, holding] if last else [holding, *others], epochs=3)
    assert_zero(masked(model, masks))
    files = sorted(tmp_path.glob("*.weights.h5"))
    assert len(files) >= 3
    for file in files:
        other = small(1)
        other.load_weights(file)
        assert_zero(
            masked(
                other,
                {v.path: masks[w.path] for v, w in zip(other.weights, model.weights, strict=True) if w.path in masks},
            )
        )


@pytest.mark.thorough
def test_filters_become_a_plan():
    model = compiled(toy_model(0))
    callback = GradualMagnitude(cubic(0.4, end="1ep"), every=4, granularity="filter")
    train(model, [callback], epochs=1)
    slim = kp.rebuild(model, callback.plan)
    assert slim.count_params() < 0.6 * model.count_params()
    exact = kp.rebuild(model, callback.plan, absorb=False)
    np.testing.assert_allclose(exact(DATA[0]), kp.mask(model, callback.plan)(DATA[0]), atol=1e-4)
    assert all(len(kept) >= 1 for kept in callback.plan.keep.values())
    with pytest.raises(kp.PruneError, match="granularity='filter'"):
        one = GradualMagnitude(cubic(0.4, end="1ep"))
        train(compiled(small()), [one], epochs=1)
        _ = one.plan


@pytest.mark.matrix
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "bfloat16"])
def test_precisions(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = compiled(small())
    finally:
        keras.config.set_dtype_policy("float32")
    callback = GradualMagnitude(cubic(0.2, end="2ep"), every=4)
    train(model, [callback])
    assert callback.kept == pytest.approx(0.2, abs=0.01)
    assert_zero([np.asarray(value, "float32") for value in masked(model, callback.masks)])


@pytest.mark.thorough
def test_two_replicas_are_one():
    code = """
import numpy as np, tensorflow as tf
cpus = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from kerasprune.callbacks import GradualMagnitude, IterativeMagnitude
from kerasprune.training.schedules import cubic
from support.convnet import DATA, compiled, train

def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(DATA[0].shape[1:]), keras.layers.Flatten(),
        keras.layers.Dense(8, "relu"), keras.layers.Dense(4)])

for make in (lambda: GradualMagnitude(cubic(0.2, end="2ep"), every=3), lambda: IterativeMagnitude(1, 0.4)):
    one, two = make(), make()
    single = compiled(network())
    train(single, [one])
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        double = compiled(network(), keras.optimizers.SGD(0.05, momentum=0.9), jit_compile=False)
    train(double, [two])
    for a, b in zip(single.get_weights(), double.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-4)
    assert all((a == b).all() for a, b in zip(one.masks.values(), two.masks.values())) and one.kept < 0.5
    print(type(one).__name__, "alike")
"""
    assert run_python(code).splitlines()[-2:] == ["GradualMagnitude alike", "IterativeMagnitude alike"]


@pytest.mark.thorough
@pytest.mark.parametrize(
    "arguments", [{"steps_per_execution": 8}, {"jit_compile": True, "steps_per_execution": 4}], ids=str
)
@pytest.mark.parametrize(
    "make", [lambda: GradualMagnitude(cubic(0.2, end="2ep"), every=3), lambda: IterativeMagnitude(1, 0.4)]
)
def test_execution_does_not_change_the_masks(make, arguments):
    plain, other = make(), make()
    train(compiled(small(), jit_compile=False), [plain])
    train(compiled(small(), **arguments), [other])
    for path, mask in plain.masks.items():
        np.testing.assert_array_equal(mask, other.masks[path])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"every": 0}, "every=0"),
        ({"granularity": "filters"}, "Did you mean 'filter'"),
        ({"scope": {"name": "pattern", "keep": 5}}, "keep ≤ of"),
        ({"granularity": {"name": "block", "rows": 0}}, "rows=0"),
        ({"criterion": "l3"}, "l3"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(kp.PruneError, match=message):
        GradualMagnitude(cubic(0.5), **arguments)


def test_everything_frozen_and_nothing_known():
    model = small()
    model.trainable = False
    model.get_layer("norm").trainable = True
    with pytest.raises(kp.PruneError, match="frozen"):
        train(compiled(model), [GradualMagnitude(cubic(0.5))])
    with pytest.raises(kp.PruneError, match="schedule="):
        GradualMagnitude(0.5)
    with pytest.raises(kp.PruneError, match="has not been used"):
        _ = GradualMagnitude(cubic(0.5)).masks


def test_freeze_leaves_layers_whole():
    callback = GradualMagnitude(cubic(0.3, end="1ep"), every=2, freeze="logit*")
    train(compiled(small()), [callback], epochs=1)
    assert list(callback.masks) == ["conv/kernel"]


# ---- held masks ----------------------------------------------------------------------------------------------------


def test_hold_mask_refuses_what_does_not_fit():
    with pytest.raises(kp.PruneError, match="boolean"):
        HoldMask({"conv/kernel": np.ones((3, 3))})
    model = compiled(small())
    before = model.get_weights()
    for masks, message in (
        ({"convv/kernel": np.ones((3, 3), bool)}, "Did you mean 'conv/kernel'"),
        ({"conv/kernel": np.ones((3, 3), bool)}, "Received: a mask of shape"),
    ):
        with pytest.raises(kp.PruneError, match=message):
            train(model, [HoldMask(masks)])
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(v.constraint is None for v in model.weights)


def test_a_constraint_of_the_users_goes_on_acting():
    model = small()
    kernel = model.get_layer("conv").kernel
    own = keras.constraints.NonNeg()
    kernel.constraint = own
    callback = GradualMagnitude(cubic(0.5, end="1ep"), every=2)
    train(compiled(model), [callback])
    assert kernel.constraint is own
    assert (kernel.numpy() >= 0).all()
    assert_zero(masked(model, callback.masks))


# ---- rounds with rewinding -----------------------------------------------------------------------------------------


def schedule() -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 6 * STEPS), momentum=0.9)


@pytest.mark.matrix
@pytest.mark.parametrize("kind", [IterativeMagnitude, LearningRateRewinding])
def test_one_fit_is_the_rounds_one_after_another(kind):
    """k = 1 epoch, two rounds, phases of two epochs; by hand with one fit for each."""
    model = compiled(small(), schedule())
    callback = kind(rounds=2, keep_per_round=0.5, rewind_to="1ep")
    train(model, [callback], epochs=7)

    other = compiled(small(), schedule())
    train(other, [], epochs=1)
    early, masks = other.get_weights(), None
    for number in range(3):
        train(other, [] if masks is None else [HoldMask(masks)], epochs=2)
        if number == 2:
            break
        kernels = {v.path: v.numpy() for v in other.trainable_variables if v.name == "kernel"}
        scores = np.concatenate([np.abs(value).ravel() for value in kernels.values()])
        stays = ~lowest(scores, int(0.5 ** (number + 1) * len(scores)))
        split = np.split(stays, np.cumsum([value.size for value in kernels.values()])[:-1])
        masks = {path: part.reshape(kernels[path].shape) for path, part in zip(kernels, split, strict=True)}
        weights = early if kind is IterativeMagnitude else other.get_weights()
        compiled(other, schedule())
        other.optimizer.build(other.trainable_variables)
        other.optimizer.iterations.assign(STEPS)
        other.set_weights(weights)
    for path, mask in callback.masks.items():
        np.testing.assert_array_equal(mask, masks[path])
    for variable, expected in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(variable.numpy(), expected.numpy(), err_msg=variable.path)
    assert int(model.optimizer.iterations) == 3 * STEPS


class Halving(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that Keras cannot make from its configuration."""

    def __call__(self, step):
        return 0.1 * 0.5 ** (keras.ops.cast(step, "float32") / STEPS)


@pytest.mark.matrix
@pytest.mark.parametrize("rate", [Halving(), 0.05])
@pytest.mark.parametrize("optimizer", [keras.optimizers.Adam, keras.optimizers.Adagrad, keras.optimizers.Ftrl])
def test_rewinding_gives_fresh_slots(rate, optimizer):
    model = compiled(small(), optimizer(rate))
    model.optimizer.build(model.trainable_variables)
    fresh = [v.numpy() for v in model.optimizer.variables]
    train(model, [], epochs=1)
    rewind_optimizer(model, 3)
    assert int(model.optimizer.iterations) == 3
    model.optimizer.iterations.assign(0)
    for variable, value in zip(model.optimizer.variables, fresh, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.path)


@pytest.mark.thorough
def test_a_fit_that_was_stopped_right_after_a_removal_goes_on():
    """There the optimizer's own count has been rewound to 0."""
    model, callback = compiled(toy_model(0)), IterativeMagnitude(rounds=2, keep_per_round=0.5, strict=False)
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", True))
    train(model, [callback, stop], epochs=3)
    assert callback.session.done == 0
    kept = callback.kept
    train(model, [callback], epochs=1)
    assert callback.goes_on and callback.kept < kept < 1


@pytest.mark.thorough
def test_an_optimizer_compiled_between_two_fits_is_rewound_to_its_own_beginning():
    model, callback = compiled(toy_model(0)), LearningRateRewinding(rounds=1, keep_per_round=0.5)
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", True))
    train(model, [callback, stop], epochs=4)
    compiled(model, keras.optimizers.Adam(0.01))
    train(model, [callback], epochs=2)
    assert callback.kept < 0.51 and int(model.optimizer.iterations) == STEPS
    assert all(np.isfinite(each).all() for each in model.get_weights())


@pytest.mark.thorough
def test_exactly_the_fraction_stays_in_every_round():
    kept = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: kept.append(sum(int(m.sum()) for m in callback.masks.values()))
    )
    model = compiled(toy_model(0))
    callback = IterativeMagnitude(rounds=5, keep_per_round=0.8)
    train(model, [callback, watch], epochs=6)
    size = sum(mask.size for mask in callback.masks.values())
    assert kept == [size - int(np.ceil(round((1 - 0.8**n) * size, 9))) for n in (1, 2, 3, 4, 5, 5)]
    assert_zero(masked(model, callback.masks))
    early = dict(zip((v.path for v in model.weights), callback.ticket, strict=True))
    assert early.keys() >= callback.masks.keys()


@pytest.mark.parametrize(
    "arguments, epochs, message",
    [
        ({"rounds": 4}, 6, "nearest numbers of epochs that do: 5 and 10"),
        ({"rounds": 1, "rewind_to": "3it"}, 4, "No number of epochs does"),
        ({"rounds": 1, "rewind_to": "9ep"}, 4, "inside the fit of 32 steps"),
        ({"rounds": 99, "keep_per_round": 0.1}, 100, "fewer rounds"),
    ],
)
def test_phases_that_do_not_fit(arguments, epochs, message):
    model = compiled(small())
    before = model.get_weights()
    with pytest.raises(kp.PruneError, match=message):
        train(model, [IterativeMagnitude(**arguments)], epochs=epochs)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(v.constraint is None for v in model.weights)


def test_rounds_divide_the_epochs_that_are_left():
    """Three epochs are behind; of four, in two phases, the first ends with the removal, as without an initial epoch."""
    models, kept = [compiled(small()), compiled(small())], []
    for model, first in zip(models, (0, 3), strict=True):
        callback = IterativeMagnitude(rounds=1, keep_per_round=0.5)
        past = model.fit(*DATA, BATCH, first + 4, 0, [callback], initial_epoch=first, shuffle=False)
        kept += past.history["kept"]
    assert kept[:4] == kept[4:] and kept[0] == 1 > kept[1]
    for a, b in zip(*(each.get_weights() for each in models), strict=True):
        np.testing.assert_array_equal(a, b)
    model, scales = compiled(small()), kp.callbacks.Polarization()
    before = model.get_weights()
    with pytest.raises(kp.PruneError, match="Received: 3 epochs of 8 steps"):
        model.fit(*DATA, BATCH, 5, 0, [scales, IterativeMagnitude(rounds=4)], initial_epoch=2)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "make, first, stop, message",
    [
        (lambda: IterativeMagnitude(rounds=3), 0, 2, "make rounds=3 removals; fit ended after 2. The masks stand"),
        (
            lambda: GradualMagnitude(cubic(0.3, end="4ep"), every=4),
            2,
            4,
            "to keep 0.3 after 32 steps; fit ended after 16",
        ),
        (lambda: GradualMagnitude(cubic(0.3, end="4ep"), every=4), 0, 3, "fit ended after 24"),
        (lambda: GradualMagnitude(cubic(0.3, end="2ep"), every=4), 0, 3, None),
    ],
)
def test_a_fit_that_ends_before_the_schedule_says_so(make, first, stop, message):
    model = compiled(small())
    end = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", epoch + 1 == stop)
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(*DATA, BATCH, 4, 0, [make(), end], initial_epoch=first)
    found = [str(each.message) for each in caught if "fit ended" in str(each.message)]
    assert len(found) == (message is not None)
    assert message is None or message in found[0]


def test_a_shortened_schedule_still_renews_its_masks_on_the_way():
    callback = GradualMagnitude(cubic(0.3, end="10ep")).compressed(4 * STEPS)
    kept = train(compiled(small()), [callback], epochs=4).history["kept"]
    assert 1 > kept[0] > kept[1] > kept[2] > 0.3 and kept[3] == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize(
    "bad", [{"rounds": 0}, {"rounds": 2, "keep_per_round": 1.0}, {"rounds": 2, "rewind_to": "soon"}]
)
def test_bad_rounds(bad):
    with pytest.raises(kp.PruneError):
        IterativeMagnitude(**bad)


# ---- the monitor ---------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_sparsity_counts_zeros_and_shows_gauges(tmp_path):
    model = compiled(small())
    callback = GradualMagnitude(cubic(0.25, end="1ep"), every=4)
    watch = Sparsity(path=tmp_path / "sparsity.csv")
    history = train(model, [watch, callback]).history
    kernels = [v.numpy() for v in model.weights if len(v.shape) >= 2]
    zeros = sum((value == 0).sum() for value in kernels) / sum(value.size for value in kernels)
    assert history["sparsity"][-1] == pytest.approx(zeros) and history["kept"][-1] == pytest.approx(1 - zeros)
    lines = (tmp_path / "sparsity.csv").read_text().splitlines()
    assert lines[0] == "epoch,sparsity,kept,conv/kernel,logits/kernel" and len(lines) == 3
    train(model, [Sparsity(path=tmp_path / "sparsity.csv")])  # without the gauge; the file goes on
    with (tmp_path / "sparsity.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "0", "1"] and not any(None in row for row in rows)
    assert rows[1]["kept"] != "" == rows[2]["kept"] and 0 <= float(rows[2]["logits/kernel"]) <= 1
    grown = kp.callbacks.GReg1(keep=0.5, schedule={"step": 1 / (2 * STEPS), "every": 1, "settle": 1})
    logs = train(compiled(toy_model(0)), [Sparsity(), grown]).history
    assert logs["penalty_strength"][0] < logs["penalty_strength"][1] == 1.0
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n")
    with pytest.raises(kp.PruneError, match="another file"):
        train(model, [Sparsity(path=tmp_path / "mine.csv")])
    assert (tmp_path / "mine.csv").read_text() == "a,b\n1,2\n"
