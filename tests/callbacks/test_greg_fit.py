"""GReg-1 and GReg-2 in every way that `fit` can be called."""

from __future__ import annotations

import warnings
from dataclasses import replace

import keras
import numpy as np
import pytest
from support.greg_reference import DECAY, Reference, compiled, greg1, greg2, network, samples, train
from support.processes import run_python

import kerasprune as kp
from kerasprune.callbacks import GReg1, GReg2, IncReg
from kerasprune.training.constraints import Attached
from kerasprune.training.regularizers.growth import GeometricGrowth, LinearGrowth, TwoSlopeGrowth

FIRST = {"step": 0.1, "every": 4, "ceiling": 1.0}
SECOND = {"pick_step": 0.01, "push_step": 0.1, "pick_at": 0.03, "every": 4, "ceiling": 1.0}  # picks at step 16
GEOMETRIC = {"name": "geometric", "steps": 12}
GENTLE = {"step": 0.005, "ceiling": 0.05}  # below critical damping


def _greg1(schedule=None, **arguments) -> GReg1:
    return GReg1(**{"keep": 0.5, **arguments}, schedule={"settle": 4, **FIRST, **(schedule or {})})  # 40 steps


def _greg2(schedule=None, **arguments) -> GReg2:
    schedule = {"settle": 8, **SECOND, **(schedule or {})}  # 60 steps
    return GReg2(**{"keep": 0.5, "weight_decay": DECAY, **arguments}, schedule=schedule)


MAKERS = pytest.mark.parametrize("make", [_greg1, _greg2])


def _same(model: keras.Model, reference: Reference, tolerance: float = 1e-4) -> None:
    for variable, expected in zip(model.weights, reference.weights(), strict=True):
        np.testing.assert_allclose(variable.numpy(), expected, atol=tolerance, err_msg=variable.path)


# On torch Keras runs one step at a time.
EXECUTED = (
    [{"jit_compile": True}]
    if keras.backend.backend() == "torch"
    else [{"steps_per_execution": 8}, {"jit_compile": True, "steps_per_execution": 4}]
)


@pytest.mark.thorough
@MAKERS
@pytest.mark.parametrize("arguments", EXECUTED, ids=str)
def test_execution_does_not_change_the_result(make, arguments):
    plain, other = compiled(jit_compile=False), compiled(**arguments)
    one, two = make(), make()
    train(plain, [one], epochs=20)
    train(other, [two], epochs=20)
    done = [int(model.optimizer.iterations) for model in (plain, other)]
    assert done[0] == one.length and one.length <= done[1] < one.length + 8
    if done[0] == done[1]:
        for a, b in zip(plain.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
    assert one.plan == two.plan


@pytest.mark.thorough
def test_with_gradient_accumulation_a_step_is_an_update_of_the_weights():
    model = compiled(gradient_accumulation_steps=4)
    reference = Reference(model, accumulate=4)
    train(model, [_greg1()])
    penalties = greg1(reference, "filter", 0.5, **FIRST)
    for step in range(40):
        now = penalties(step)
        reference.run(4, lambda batch, now=now: now)
    _same(model, reference)


@pytest.mark.thorough
@MAKERS
@pytest.mark.parametrize(("policy", "rounding"), [("mixed_float16", 0.01), ("mixed_bfloat16", 0.08)])  # 3 bits less
def test_mixed_precision_makes_the_same_plan(make, policy, rounding):
    model = compiled()
    callback = make()
    train(model, [callback])
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(policy)
        mixed = network()
    finally:
        keras.config.set_dtype_policy(before)
    compiled(mixed, auto_scale_loss=True)
    assert isinstance(mixed.optimizer, keras.optimizers.LossScaleOptimizer) == (policy == "mixed_float16")
    other = make()
    train(mixed, [other])
    assert other.plan == callback.plan
    for a, b in zip(model.get_weights(), mixed.get_weights(), strict=True):
        assert b.dtype == np.float32
        np.testing.assert_allclose(a, b, atol=rounding)


def test_steps_that_loss_scaling_skips_do_not_count():
    model = network()
    inner = keras.optimizers.SGD(1e-5, 0.9)
    model.compile(keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**127), "mse", auto_scale_loss=False)
    inputs, targets = samples()
    batches = []
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: batches.append(batch))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.fit(inputs, 30 * targets, 16, 1000, verbose=0, callbacks=[_greg1(), count])
    assert int(inner.iterations) == 40 < len(batches)
    assert np.isfinite(model.get_weights()[0]).all()


@pytest.mark.thorough
@MAKERS
def test_a_second_fit_after_a_reset_starts_anew(make):
    model = compiled()
    reference = Reference(model)
    callback = make()
    plans = []
    for _ in range(2):
        train(model, [callback.reset()])
        plans.append(callback.plan)
        own = {"granularity": "filter", "keep": 0.5}
        penalties = greg1(reference, **own, **FIRST) if make is _greg1 else greg2(reference, **own, **SECOND)
        reference.run(callback.length, penalties)
        reference.steps = 0  # every fit begins with the first batch; the momentum goes on
        _same(model, reference)
    assert int(model.optimizer.iterations) == 2 * callback.length


@pytest.mark.thorough
@MAKERS
def test_a_fit_before_and_a_fit_after_are_without_the_penalty(make):
    """Keras caches the compiled step: it must be made anew with the penalty, and again without."""
    model = compiled()
    reference = Reference(model)
    callback = make()
    own = {"granularity": "filter", "keep": 0.5}
    for penalised in (False, True, False):
        train(model, [callback] if penalised else [], epochs=1000 if penalised else 5)
        if penalised:
            penalties = greg1(reference, **own, **FIRST) if make is _greg1 else greg2(reference, **own, **SECOND)
            reference.run(callback.length, penalties)
        else:
            reference.run(20, lambda step: [0.0] * 3)
        reference.steps = 0
        _same(model, reference)


@pytest.mark.thorough
def test_validation_does_not_disturb_the_pick_and_evaluation_is_without_the_penalty():
    """The validation after the fourth epoch runs at the very step of the pick."""
    model = compiled()
    reference = Reference(model)
    callback = _greg2()
    assert callback.pick_step_number == 4 * 4
    train(model, [callback], validation_data=samples(seed=1))
    reference.run(callback.length, greg2(reference, "filter", 0.5, **SECOND))
    _same(model, reference)
    inputs, targets = samples()
    decay = DECAY / 2 * sum((kernel**2).sum() for kernel in reference.kernels)
    expected = ((model.predict(inputs, verbose=0) - targets) ** 2).mean() + decay
    assert model.evaluate(inputs, targets, 16, verbose=0) == pytest.approx(expected, rel=1e-4)


@pytest.mark.matrix
@MAKERS
def test_regularizers_are_as_before(make):
    model = compiled()
    before = [variable.regularizer for variable in model.weights]
    inside = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: inside.append([v.regularizer for v in model.weights])
    )
    train(model, [make(), watch])
    assert all(now is then for now, then in zip([v.regularizer for v in model.weights], before, strict=True))
    assert isinstance(inside[0][0], Attached) and inside[0][0].own is before[0]
    assert inside[0][4] is before[4] and inside[0][1] is None  # the output layer and the biases


@pytest.mark.thorough
def test_two_callbacks_on_the_same_kernels_leave_nothing_behind():
    model = compiled()
    before = [variable.regularizer for variable in model.weights]
    one, two = _greg1(keep=0.5), _greg1(keep=0.8, granularity="weight")
    train(model, [one, two])
    assert all(now is then for now, then in zip([v.regularizer for v in model.weights], before, strict=True))


@pytest.mark.thorough
def test_after_an_interrupted_fit_the_penalty_can_be_taken_off():
    model = compiled()
    before = [variable.regularizer for variable in model.weights]
    callback = _greg1()

    def interrupt(batch, logs):
        if batch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(model, [callback, keras.callbacks.LambdaCallback(on_train_batch_end=interrupt)])
    with pytest.raises(kp.PruneError, match="finished fit"):
        _ = callback.plan
    callback.detach()
    assert all(now is then for now, then in zip([v.regularizer for v in model.weights], before, strict=True))
    reference = Reference(model)
    model.optimizer.momentums[0].assign(model.optimizer.momentums[0] * 0)
    train(model, [callback])
    assert callback.plan.keep and not np.allclose(model.get_weights()[0], reference.kernels[0])


@pytest.mark.thorough
def test_saved_files_load_where_kerasprune_is_not_installed(tmp_path):
    for make in (_greg1, _greg2):
        model, folder = compiled(), tmp_path / make.__name__
        folder.mkdir()
        during = keras.callbacks.ModelCheckpoint(folder / "during.keras", save_freq=24)
        train(model, [make(), during])
        model.save(folder / "after.keras")
        np.save(folder / "expected.npy", model.predict(samples()[0], verbose=0))
    code = """
import sys, pathlib
sys.modules["kerasprune"] = None  # "import kerasprune" fails from here on
import keras, numpy as np
folders = sorted(pathlib.Path(sys.argv[1]).iterdir())
for folder in folders:
    during, model = (keras.models.load_model(folder / f"{name}.keras") for name in ("during", "after"))
    assert model.optimizer.iterations.numpy() > during.optimizer.iterations.numpy() > 0
    assert all(type(layer.kernel_regularizer) is keras.regularizers.L2 for layer in model.layers[1:])
    x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    np.testing.assert_allclose(model.predict(x, verbose=0), np.load(folder / "expected.npy"), atol=1e-5)
    model.fit(x, np.zeros((64, 3)), verbose=0)
print(len(folders), "loaded")
"""
    assert run_python(code, tmp_path).endswith("2 loaded")


# ---- the end -----------------------------------------------------------------------------------------------------


@pytest.mark.matrix
@pytest.mark.parametrize("settle", [0, 1, 3, 4, 5, 41])
def test_fit_stops_after_exactly_the_schedule(settle):
    model = compiled()
    callback = _greg1({"settle": settle, **GENTLE})
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        train(model, [callback])
    assert int(model.optimizer.iterations) == callback.length == 36 + settle


@pytest.mark.thorough
def test_fit_goes_on_when_told_not_to_stop():
    model = compiled()
    reference = Reference(model)
    callback = _greg1({"stop": False})
    train(model, [callback], epochs=20)
    reference.run(80, greg1(reference, "filter", 0.5, **FIRST))
    _same(model, reference)
    assert callback.plan.keep


@pytest.mark.matrix("2-_greg1", "2-_greg2")
@MAKERS
@pytest.mark.parametrize("epochs", [2, 4, 5])
def test_a_fit_that_ends_earlier_leaves_a_plan_and_warns(make, epochs):
    """GReg-2 has picked after the first 16 steps, or picks by the norms that there are."""
    model = compiled()
    callback = make()
    reference = Reference(model)
    with pytest.warns(UserWarning, match=f"was to take {callback.length} steps; fit ended after {4 * epochs}"):
        train(model, [callback], epochs=epochs)
    if make is _greg1:
        goes = [reference.lowest(0, 1, 0.5), reference.lowest(1, 1, 0.5)]
    else:
        penalties = greg2(reference, "filter", 0.5, **SECOND)
        reference.run(4 * epochs, penalties)
        goes = [penalties.goes.get(unit, reference.lowest(*unit, 0.5)) for unit in ((0, 1), (1, 1))]
    assert [list(k) for k in callback.plan.keep.values()] == [np.flatnonzero(g.ravel() == 0).tolist() for g in goes]


def test_the_plan_is_the_one_that_was_given():
    model = compiled()
    given = kp.Plan({"one": [0, 5], "two": [0, 1, 2, 3, 4]}, resolution=24)
    callback = GReg1(plan=given).compressed(8)
    train(model, [callback])
    assert (callback.plan.keep, callback.plan.resolution) == (given.keep, 24)
    assert callback.plan.fingerprint == kp.trace(model).fingerprint
    slim = kp.rebuild(model, callback.plan)
    assert slim.get_layer("one").units == 2 and slim.get_layer("two").units == 5


@pytest.mark.parametrize("callback", [GReg1(keep=0.5), GReg2(keep=0.5), _greg1(), _greg2(), _greg2({"settle": 0})])
def test_compressed_takes_exactly_the_steps_asked_for(callback):
    for steps in (3, 4, 5, 7, 10, 33, 100, 999, 12_345):
        short = callback.compressed(steps)
        assert short.length == steps and short.growth == GeometricGrowth(steps)
        assert 1 <= short.growth.settle <= steps / 2
        if isinstance(short, GReg2):
            assert 0 < short.pick_step_number < steps - short.growth.settle
    assert isinstance(callback.growth, LinearGrowth | TwoSlopeGrowth)  # untouched


def test_lengths_of_the_papers_schedules():
    """10,000 updates of 1e-4, one every 10 steps, the first at step 0; then K_s steps with λ = τ."""
    assert GReg1(keep=0.5).length == 9_999 * 10 + 5_000
    assert GReg1(keep=0.5, schedule={"every": 5, "settle": 40_000}).length == 9_999 * 5 + 40_000
    assert GReg2(keep=0.5).pick_step_number == 1_001 * 10
    # λ is 0.01001 at the pick; 9,900 updates of 1e-4 lead to τ.
    assert GReg2(keep=0.5).length == 10_010 + 9_899 * 10 + 5_000


# ---- warnings and errors -----------------------------------------------------------------------------------------


@pytest.mark.matrix
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.AdamW(weight_decay=0.004),
        lambda: keras.optimizers.SGD(0.01, weight_decay=0.004),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.AdamW(weight_decay=0.004)),
    ],
)
def test_decay_inside_the_optimizer_is_warned_of(optimizer):
    with pytest.warns(UserWarning, match=r"decays weights by itself \(weight_decay=0\.004\)"):
        train(compiled(optimizer=optimizer()), [_greg1().compressed(4)])


@pytest.mark.matrix
@pytest.mark.parametrize("limit", [{"clipnorm": 0.1}, {"global_clipnorm": 0.5}, {"clipvalue": 0.01}])
@pytest.mark.parametrize("scaled", [False, True])
def test_clipped_gradients_are_warned_of(limit, scaled, recwarn):
    def clipping():
        optimizer = keras.optimizers.SGD(0.01, **limit)
        return keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer

    ((name, value),) = limit.items()
    with pytest.warns(UserWarning, match=rf"clips gradients \({name}={value}\).* Use decoupled=True"):
        train(compiled(optimizer=clipping()), [_greg1(strict=False).compressed(4)])
    recwarn.clear()
    train(compiled(optimizer=clipping()), [_greg1(decoupled=True).compressed(4)])
    assert not [each for each in recwarn if "clips" in str(each.message)]


@MAKERS
def test_frozen_kernels_are_warned_of(make):
    model = network()
    model.get_layer("one").trainable = False
    before = model.get_layer("one").kernel.numpy()
    with pytest.warns(UserWarning, match="does not push one/kernel. Set layer.trainable"):
        train(compiled(model), [make().compressed(8)])
    np.testing.assert_array_equal(model.get_layer("one").kernel.numpy(), before)


@pytest.mark.thorough
def test_no_warning_without_a_reason():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        train(compiled(), [_greg1(GENTLE)])
        train(compiled(optimizer=keras.optimizers.AdamW(weight_decay=0.01)), [_greg2(decoupled=True)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Received: neither"),
        ({"plan": kp.Plan({"one": [0]}), "keep": 0.5}, "Received: both"),
        ({"plan": kp.Plan({"one": [0]}), "granularity": "weight"}, "which is about channels"),
        ({"plan": kp.Plan({}, ["block"])}, "removed blocks"),
        ({"plan": kp.Plan({"one": [0]}), "freeze": ["two"]}, "freeze=['two']"),
        ({"keep": 0.5, "freeze": 3}, "freeze=3"),
        ({"keep": 1.5}, "keep=1.5"),
        ({"keep": 0}, "keep=0"),
        ({"keep": "half"}, "keep='half'"),
        ({"keep": {"one": 2}}, "keep['one']=2"),
        ({"keep": 0.5, "granularity": "filters"}, "Did you mean 'filter'"),
        ({"keep": 0.5, "granularity": None}, "granularity=None"),
        ({"keep": 0.5, "schedule": {"every": 0}}, "every=0"),
        ({"keep": 0.5, "schedule": {"every": 1.5}}, "every=1.5"),
        ({"keep": 0.5, "schedule": {"settle": -1}}, "settle=-1"),
        ({"keep": 0.5, "schedule": {"step": 0}}, "step=0"),
        ({"keep": 0.5, "schedule": {"step": 2.0}}, "step=2.0, ceiling=1.0"),
        ({"keep": 0.5, "schedule": {"step": "small"}}, "step='small'"),
        ({"keep": 0.5, "schedule": {"ceiling": float("nan")}}, "ceiling=nan"),
        ({"keep": 0.5, "norm": "l0"}, "norm='l0'"),
    ],
)
def test_bad_arguments_of_greg1(arguments, message):
    with pytest.raises(kp.PruneError, match="Invalid arguments for GReg1") as caught:
        GReg1(**arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keep": 1.5}, "keep=1.5"),
        ({"schedule": {"pick_step": 0.0}}, "pick_step=0.0"),
        ({"schedule": {"pick_step": 0.1}}, "pick_step=0.1"),
        ({"schedule": {"pick_at": 1.0}}, "pick_at=1.0"),
        ({"schedule": {"pick_at": "low"}}, "pick_at='low'"),
        ({"recover": "fully"}, "recover='fully'"),
        ({"weight_decay": -1}, "weight_decay=-1"),
        ({"schedule": "linear"}, "no step at which to pick"),
        ({"schedule": {"push_step": 0}}, "step=0"),
        ({"granularity": "layer"}, "Received: 'layer'"),
        ({"norm": "l1"}, "quadratic approximation"),
    ],
)
def test_bad_arguments_of_greg2(arguments, message):
    with pytest.raises(kp.PruneError, match="Invalid arguments for GReg2") as caught:
        GReg2(**{"keep": 0.5, **arguments})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("schedule", "law"),
    [
        (None, LinearGrowth()),
        ("linear", LinearGrowth()),
        ({"every": 3}, LinearGrowth(every=3)),
        (GEOMETRIC, GeometricGrowth(12)),
        ({"name": "two_slopes", "settle": 1}, TwoSlopeGrowth(settle=1)),
        (LinearGrowth(step=0.2), LinearGrowth(step=0.2)),
    ],
)
def test_schedules_are_spelt_as_criteria_are_and_nothing_is_said(schedule, law):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert GReg1(keep=0.5, schedule=schedule).growth == law


def test_a_dict_without_a_name_builds_on_the_papers_law():
    assert IncReg(keep=0.5, schedule={"every": 3}).growth == replace(IncReg(keep=0.5).growth, every=3)
    assert GReg2(keep=0.5, schedule={"every": 3}).growth == TwoSlopeGrowth(every=3)


def test_schedules_that_do_not_fit_are_refused():
    with pytest.raises(TypeError, match="every"):
        GReg1(keep=0.5, schedule="linear", every=3)
    with pytest.raises(kp.PruneError, match="stop=3"):
        GReg1(keep=0.5, schedule={"stop": 3})
    with pytest.raises(kp.PruneError, match="Expected schedule to be a LinearGrowth"):
        IncReg(keep=0.5, schedule=GEOMETRIC)
    with pytest.raises(kp.PruneError, match="no step at which to pick"):
        GReg2(keep=0.5, schedule=LinearGrowth())


def test_all_faults_are_listed_at_once():
    with pytest.raises(kp.PruneError) as caught:
        GReg2(
            keep=2,
            schedule={"pick_step": -1, "push_step": -1, "every": 0, "settle": -1},
            granularity="x",
            weight_decay="y",
            recover="z",
        )
    assert str(caught.value).count("\n  - ") == 8


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (GReg2(keep={"tow": 0.5}), "Did you mean 'two'"),
        (GReg1(keep={"out": 0.5}), "'out' must be kept whole: an output of the model"),
        (GReg1(keep={"tow": 0.5}, granularity="weight"), "Did you mean 'two'"),
        (GReg1(plan=kp.Plan({"tow": [0]})), "Did you mean 'two'"),
        (GReg1(plan=kp.Plan({"two": [7]})), "Received: index 7"),
        (GReg1(plan=kp.Plan({"two": [0]}, fingerprint="cafe")), "plan of another model"),
        (GReg1(keep=1.0), r"keeps everything.*coupling='tied'"),
        (GReg2(keep=1.0, granularity="weight"), "keeps everything"),
    ],
)
def test_what_does_not_fit_the_model_stops_the_fit_at_once(callback, message):
    model = compiled()
    before = [variable.regularizer for variable in model.weights]
    with pytest.raises(kp.PruneError, match=message):
        train(model, [callback], epochs=1)
    assert int(model.optimizer.iterations) == 0
    assert all(now is then for now, then in zip([v.regularizer for v in model.weights], before, strict=True))


def test_fractions_by_name():
    model = compiled()
    callback = GReg2(keep={"two": 0.2}).compressed(8)
    train(model, [callback])
    assert {name: len(kept) for name, kept in callback.plan.keep.items()} == {"two": 1}
    callback = GReg1(keep={"out": 0.2}, granularity="weight").compressed(8)
    train(model, [callback])
    assert {path: int(mask.sum()) for path, mask in callback.masks.items()} == {"out/kernel": 3}


def test_what_was_pushed_goes_or_what_is_smallest_at_the_end():
    """A plan that keeps the weakest, pushed too little to change the order: Algorithm 1 ranks anew."""
    model = compiled()
    two = model.get_layer("two").kernel
    weakest = int(np.abs(two.numpy()).sum(0).argmin())
    asked = kp.Plan({"two": [weakest]})
    pushed, ranked = (
        GReg1(asked, schedule={"step": 1e-9, "ceiling": 1e-9, "settle": 4}, rerank=each) for each in (False, True)
    )
    start = model.get_weights()
    train(model, [pushed])
    model.set_weights(start)
    train(model, [ranked])
    strongest = int(np.abs(two.numpy()).sum(0).argmax())
    assert pushed.plan.keep["two"] == (weakest,) and ranked.plan.keep["two"] == (strongest,)
    with pytest.raises(kp.PruneError, match="coupling 'padded'"):
        GReg1(kp.Plan({"two": [0]}, coupling="padded"), rerank=True)


@pytest.mark.thorough
def test_layers_to_freeze_stay_whole():
    model = compiled()
    before = {layer.name: layer.kernel for layer in model.layers if getattr(layer, "kernel", None) is not None}
    first, *others = before
    weights = GReg2(keep=0.5, granularity="weight", freeze=[first]).compressed(4)
    train(model, [weights])
    assert set(weights.masks) == {before[name].path for name in others}
    channels = GReg2(keep=0.5, freeze=[first]).compressed(4)
    train(model, [channels])
    graph = kp.trace(model, coupling="free")
    whole = {name for name, group in graph.groups.items() if first in group.layers}
    assert set(channels.plan.keep) and not whole & set(channels.plan.keep)
    with pytest.raises(kp.PruneError, match="not kept whole"):
        train(compiled(), [GReg2(keep={first: 0.5}, granularity="weight", freeze=[first]).compressed(4)])


def test_plan_and_masks_know_each_other():
    for callback in (GReg1(keep=0.5), GReg2(keep=0.5, granularity="weight")):
        for name in ("plan", "masks"):
            with pytest.raises(kp.PruneError, match="finished fit"):
                getattr(callback, name)
    channels, weights = _greg1().compressed(4), _greg1(granularity="weight").compressed(4)
    model = compiled()
    train(model, [channels])
    train(model, [weights])
    with pytest.raises(kp.PruneError, match=r"Use callback\.plan"):
        _ = channels.masks
    with pytest.raises(kp.PruneError, match=r"Use callback\.masks"):
        _ = weights.plan


def test_kernels_of_one_path_are_numbered():
    """Layers of nested models may share a name; masks are told apart by their numbers."""

    def half(name):
        x = keras.Input((8,))
        return keras.Model(x, keras.layers.Dense(8, name="same")(x), name=name)

    inputs = keras.Input((8,))
    model = keras.Model(inputs, keras.layers.Dense(3, name="out")(half("b")(half("a")(inputs))))
    callback = _greg1(granularity="weight").compressed(4)
    train(compiled(model), [callback])
    assert list(callback.masks) == ["same/kernel#1", "same/kernel#2", "out/kernel"]
    train(compiled(model), [_greg1().compressed(4)])


def test_names_and_dicts_make_callbacks():
    assert isinstance(kp.callbacks.get({"name": "greg1", "keep": 0.5}), GReg1)
    assert isinstance(kp.callbacks.get({"name": "greg2", "keep": 0.5}), GReg2)
    with pytest.raises(kp.PruneError, match="Did you mean 'greg1'"):
        kp.callbacks.get("gregg1")
    with pytest.raises(kp.PruneError, match="penalty_stepp"):
        kp.callbacks.get({"name": "greg1", "keep": 0.5, "penalty_stepp": 1})
    with pytest.raises(kp.PruneError, match="stepp"):
        kp.callbacks.get({"name": "greg1", "keep": 0.5, "schedule": {"stepp": 1}})


@pytest.mark.parametrize("dtype, own", [("bfloat16", None), ("float64", "l2")])
def test_weights_of_another_type_than_the_losses(dtype, own):
    first = keras.layers.Dense(4, kernel_regularizer=own, dtype=dtype, name="first")
    model = keras.Sequential([keras.Input((3,)), first, keras.layers.Dense(1, dtype=dtype)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    callback = GReg1(keep=0.5, schedule={"step": 1.0, "every": 1, "ceiling": 4.0, "settle": 8})
    model.fit(np.zeros((8, 3)), np.zeros((8, 1)), batch_size=1, epochs=2, verbose=0, callbacks=[callback])
    assert callback.removed_to_kept < 0.05 and first.kernel.dtype == dtype
