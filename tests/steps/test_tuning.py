"""The model that `kp.prune` hands over: the best after the cut, by a rule that is counted anew here."""

from __future__ import annotations

import inspect
import warnings
from importlib.util import find_spec

import keras
import numpy as np
import pytest
from keras import layers
from support.random_tasks import Task, random_task

import kerasprune as kp
from kerasprune.data.examples import Examples
from kerasprune.data.held_out import held_out, whole_batches
from kerasprune.data.stored_rows import StoredRows
from kerasprune.steps.judge import Judge
from kerasprune.steps.objective import of_model
from kerasprune.steps.prune import Pruning
from kerasprune.steps.report import BALANCED, Measure, StepReport
from kerasprune.steps.settings import PruneSettings
from kerasprune.surgery.output_distance import OutputDistance


def network(seed: int, outputs: int = 3, metrics: object = ("accuracy",), rate: float = 0.03) -> keras.Model:
    """A small classifier that learns fast, and unlearns as fast."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6,))
    hidden = layers.Dense(16, activation="relu", name="hidden")(inputs)
    model = keras.Model(inputs, layers.Dense(outputs, activation="softmax", name="classes")(hidden))
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=list(metrics or ()), run_eagerly=True
    )
    return model


def drawn(model: keras.Model, seed: int) -> keras.Model:
    """Gives a model weights that are the same on every backend, and returns it."""
    generator = np.random.default_rng(seed)
    model.set_weights([0.4 * generator.normal(size=weight.shape) for weight in model.get_weights()])
    return model


def examples(seed: int, count: int, wrong: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Examples of three classes, some with another label than theirs."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(count, 6)).astype("float32")
    y = x.reshape(-1, 3, 2).sum(-1).argmax(-1)
    return x, np.where(generator.random(count) < wrong, generator.integers(0, 3, count), y)


class Recorder(keras.callbacks.Callback):
    """Keeps the weights before training, and after every epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[list[np.ndarray]] = []

    def on_train_begin(self, logs=None):
        self.weights.append(self.model.get_weights())

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(self.model.get_weights())


def check_delivery(task: Task) -> None:
    """Prunes, counts the figure of every step and epoch anew, and compares choice, weights and rows of the report."""
    recorder, dense = Recorder(), task.model
    slim, plan, report = kp.prune(
        dense, keep=0.5, data=task.data, **task.arguments, callbacks=[recorder], verify=False, verbose=0
    )
    judged = task.arguments.get("validation") or held_out(Examples(task.data))[1].data
    copy = kp.rebuild(dense, plan)
    before = [*(step.name for step in report.steps[2:-1]), "removed"]  # of equals the first of them
    tried = [*recorder.weights[: len(before) - 1], copy.get_weights(), *recorder.weights[1:]]
    figures = []
    for weights in tried:
        copy.set_weights(weights)
        figures.append(task.of(copy, judged))

    first, epoch = len(before), report.steps[-1].epoch  # first: the place of the first epoch
    tuned = first + epoch - 1 if epoch else len(tried) - 1
    place = tuned if report.delivered == "fine-tuned" else before.index(report.delivered)
    assert (epoch is None) == (not np.isfinite(figures[first:]).any())
    task.check_best(place, figures, 1 / len(judged[0]))
    if epoch:
        task.check_best(epoch - 1, figures[first:])
    assert all(map(np.array_equal, slim.get_weights(), tried[place]))
    expected = [task.of(dense, judged), *figures[:first][::-1], figures[tuned]]
    for step, figure in zip(report.steps, expected, strict=True):
        told = step.error if task.figure == "error" else step.metrics[task.figure]
        assert told == pytest.approx(figure, rel=1e-4, abs=1e-6) or not np.isfinite(figure)


@pytest.mark.thorough
def test_of_equals_that_of_the_least_loss_is_delivered_not_the_one_that_is_merely_cut():
    x, _ = examples(0, 100)
    model = network(0)
    y = model.predict(x, verbose=0).argmax(1)
    place = np.flatnonzero(kp.rebuild(model, kp.plan(model, keep=0.5)).predict(x, verbose=0).argmax(1) == y)[:1]
    _, _, report = kp.prune(model, keep=0.5, data=(x, y), epochs=1, validation=(x[place], y[place]), verbose=0)
    assert [step.metrics["accuracy"] for step in report.steps] == [1] * 4
    losses = {step.name: step.metrics["loss"] for step in report.steps[1:]}
    assert report.delivered == min(losses, key=losses.get) != "removed"


@pytest.mark.parametrize(
    ("seed", "kind", "body"),
    [(1, "integers", "dense"), pytest.param(2, "two_outputs", "dense", marks=pytest.mark.thorough)],
)
def test_the_best_of_all_steps_and_epochs_is_delivered(seed, kind, body):
    check_delivery(random_task(seed, kind, body))


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(20))
def test_the_best_of_random_tasks_is_delivered(seed):
    check_delivery(random_task(seed))


def test_a_model_that_answers_nothing_is_not_the_best_by_a_lucky_accuracy():
    lost = StepReport("fine-tuned", np.nan, {"accuracy": 0.3, "loss": np.nan}, 1)
    sound = StepReport("removed", 0.1, {"accuracy": 0.2, "loss": 2.0})
    measure = Measure("accuracy", higher=True)
    assert measure.best([lost, sound]) is sound
    assert measure.remarks(sound, lost) == ["fine-tuned is worse than removed: accuracy 0.2 → nan"]


def test_the_loss_decides_between_equals_and_nothing_else():
    steps = [StepReport("a", 0.1, {"accuracy": a, "loss": b}) for a, b in ((0.9, 2.0), (0.9, -1.0), (0.8, -9.0))]
    assert Measure("accuracy", higher=True).best(steps) is steps[1]
    assert Measure("accuracy", higher=True).best([steps[0], StepReport("b", 0.0, {"accuracy": 0.9})]) is not steps[0]
    assert Measure("accuracy").best(steps) is steps[2]
    assert Measure("accuracy", higher=True).remarks(*steps[1::-1]) == []


def test_one_example_decides_nothing_that_the_loss_does_not():
    """Of 40 examples, 36 right, 35 with a smaller loss, and 34 with the smallest."""
    found = {"cut": (36, 9.0), "tuned": (35, 2.0), "last": (34, 1.0)}
    steps = [StepReport(name, 0.1, {"accuracy": a / 40, "loss": loss}) for name, (a, loss) in found.items()]
    measure = Measure("accuracy", True, example=1 / 40)
    assert measure.best(steps) is measure.best(steps[::-1]) is steps[1]
    assert measure.remarks(*steps[:2]) == measure.remarks(*steps[1::-1]) == [] != measure.remarks(steps[0], steps[2])
    assert Measure("accuracy", True).best(steps) is steps[0]


def test_the_share_of_one_example_is_that_of_the_judged():
    x, y = examples(0, 24)
    for given in (Examples((x, y), 8), Examples(StoredRows((x, y), 8), 8), whole_batches(Examples((x, y)), 6)):
        judge = Judge(model := network(0), of_model(model), given)
        judge.metrics(model)
        assert judge.measure == Measure("accuracy", True, 1 / 24)


def test_a_step_is_not_called_worse_by_rounding():
    before, after = (StepReport(name, 0.1, {"accuracy": number}) for name, number in (("a", 0.87778), ("b", 0.877777)))
    assert Measure("accuracy", higher=True).remarks(before, after) == []


@pytest.mark.thorough
def test_the_last_is_delivered_if_it_is_asked_for_and_said_to_be_worse():
    train, recorder = examples(0, 60), Recorder()
    model = network(0)
    model.fit(*train, epochs=4, verbose=0)
    slim, _, report = kp.prune(
        model, 0.5, train, 3, deliver="last", optimizer=keras.optimizers.SGD(30.0), callbacks=[recorder]
    )
    assert all(map(np.array_equal, slim.get_weights(), recorder.weights[-1])) and report.delivered == "fine-tuned"
    assert report.remarks[-1].startswith("fine-tuned is worse than reconstructed: accuracy 0.")
    with pytest.raises(kp.PruneError, match="deliver='first'"):
        kp.prune(model, 0.5, train, 3, deliver="first")


def upside_down(y, outputs):
    return keras.ops.mean(outputs)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("metrics", "name"),
    [
        (["accuracy", "sparse_categorical_crossentropy"], "accuracy"),
        (["sparse_categorical_crossentropy", "accuracy"], "sparse_categorical_crossentropy"),  # better when lower
        ([upside_down, "accuracy"], "loss"),  # does not say which way is better
        (None, "loss"),
    ],
)
def test_the_first_metric_decides_in_its_direction_else_the_loss(metrics, name):
    train, validation = examples(0, 60), examples(100, 40)
    model = drawn(network(0, metrics=metrics), 22)  # accuracy rises by four examples, and the loss with it
    slim, _, report = kp.prune(
        model,
        0.5,
        train,
        4,
        validation=validation,
        optimizer=keras.optimizers.SGD(1.0),
        reconstruct=False,
        verify=False,
    )
    _, removed, tuned = report.steps
    better = tuned.metrics[name] > removed.metrics[name]
    assert report.delivered == ("fine-tuned" if better == (name == "accuracy") else "removed")
    at_end = slim.evaluate(*validation, verbose=0, return_dict=True)[name]
    chosen = tuned if report.delivered == "fine-tuned" else removed
    assert at_end == pytest.approx(chosen.metrics[name], rel=1e-5)


def share_wrong(model, validation):
    x, y = validation
    return float(np.mean(model.predict(x, verbose=0).argmax(1) != y))


@pytest.mark.thorough
@pytest.mark.parametrize("metric", [share_wrong, "sparse_categorical_crossentropy"])
def test_a_search_chooses_the_epoch_by_its_metric_and_prune_by_a_function(metric):
    train, validation, recorder = examples(0, 60), examples(100, 40), Recorder()
    model = network(0, metrics=["accuracy", "sparse_categorical_crossentropy"])
    given = {name: each.default for name, each in inspect.signature(kp.prune).parameters.items()}
    given |= {"model": model, "data": train, "epochs": 4, "validation": validation, "callbacks": [recorder]}
    given |= {"reconstruct": False, "verbose": 0} | ({"deliver": metric} if callable(metric) else {})
    pruning = Pruning(PruneSettings(**given), metric=None if callable(metric) else metric)  # as a trial of a search
    slim, plan, report = pruning.result()
    copy, figures = kp.rebuild(model, plan), []
    for weights in recorder.weights:  # of the model that is merely cut, then of each epoch
        copy.set_weights(weights)
        outputs = copy.predict(validation[0], verbose=0)
        entropy = -np.log(outputs[np.arange(40), validation[1]]).mean()
        figures.append((share_wrong(copy, validation), -entropy) if metric is share_wrong else (-entropy,))
    best = max(range(len(figures)), key=figures.__getitem__)
    assert all(map(np.array_equal, slim.get_weights(), recorder.weights[best]))
    name = getattr(metric, "__name__", metric)
    assert report.steps[1].metrics[name] == pytest.approx(abs(figures[0][0]), rel=1e-5)


def test_a_function_that_chooses_needs_labels():
    with pytest.raises(kp.PruneError, match="no labels"):
        kp.prune(network(0), 0.5, examples(0, 60)[0], deliver=share_wrong, verbose=0)


def test_inputs_alone_are_judged_by_the_outputs():
    x, _ = examples(0, 60)
    model = drawn(network(0), 0)
    slim, _, report = kp.prune(model, 0.5, x, 3, optimizer=keras.optimizers.SGD(1e6), verify=False)
    assert report.delivered == "reconstructed" and report.remarks[1].startswith("fine-tuned is worse than reconstr")
    assert np.isfinite(slim.predict(x, verbose=0)).all()


def test_without_labels_the_best_epoch_is_that_of_the_highest_balanced_agreement():
    """One class of three is chosen for one example in thirty."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(240, 6)).astype("float32")
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(16, "relu")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3, "softmax", bias_initializer="ones", name="kinds")(hidden))
    logits = np.log(model.predict(x, verbose=0))
    lead = np.sort(logits[:, 2] - logits[:, :2].max(1))[-8]  # below it the class is the largest for eight examples
    model.layers[-1].bias.assign([1.0, 1.0, 1.0 - lead + 1e-3])
    wanted = model.predict(x, verbose=0).argmax(1)
    assert np.bincount(wanted)[2] == 8
    found = kp.prune(model, 0.3, x, 6, validation=x, reconstruct=False, optimizer=keras.optimizers.SGD(0.5))
    removed, tuned = found.report.steps[1:]

    def balanced(slim):
        same = slim.predict(x, verbose=0).argmax(1) == wanted
        return np.mean([same[wanted == each].mean() for each in np.unique(wanted)])

    assert tuned.balanced == pytest.approx(balanced(found.slim)) and tuned.balanced >= removed.balanced
    assert "kinds: same class" in str(tuned)
    few, fewer, more = (
        StepReport("a", 0.4, {}, balanced=share, outputs=diverging(by))
        for by, share in ((0.4, 0.8), (0.3, 0.8), (0.9, 0.9))
    )
    measure = Measure(BALANCED, True)
    assert measure.best([few, fewer]) is fewer and measure.best([few, fewer, more]) is more
    assert measure.best([few, StepReport("nan", np.nan, {}, balanced=1.0)]) is few


def diverging(logit: float) -> tuple[OutputDistance, ...]:
    """Returns the distance of an output that chooses as the expected one does, with a larger logit."""
    found = OutputDistance("kinds", classes=True)
    found.add(np.array([[2.0, 0.0]]), np.array([[2.0 + logit, 0.0]]))
    return (found,)


def test_outputs_no_better_than_a_constant_are_said_to_be_useless():
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(60, 6)).astype("float32")
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(3)])
    report = kp.prune(model, 0.2, x, reconstruct=False).report
    assert (report.steps[-1].error > 0.5) == any("useless" in remark for remark in report.remarks)
    assert report.steps[-1].error > 0.5 and report.steps[-1].balanced is None
    assert not any("useless" in each for each in kp.prune(model, 0.99, x).report.remarks)


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("x", [np.ones((1, 6)), np.zeros((25, 6)), np.full((3, 6), 1e3)], ids=["one", "zeros", "alike"])
def test_what_cannot_be_judged_is_said_and_not_printed(x, softmax):
    keras.utils.set_random_seed(0)
    last = keras.layers.Dense(3, "softmax" if softmax else None, bias_initializer="ones")
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(16, "relu"), last])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = kp.prune(model, 0.3, x.astype("float32")).report
    assert "outputs cannot be judged" in str(report) and "useless" not in str(report)
    assert all(step.error < 1e3 for step in report.steps)


@pytest.mark.parametrize("errors", [(0.3, 0.1, 0.2), (0.1, 0.2, 0.3)])
def test_steps_whose_agreement_cannot_be_judged_are_ordered_by_their_errors(errors):
    steps = [StepReport(str(error), error, {}) for error in errors]
    assert Measure(BALANCED, True).best(steps).error == min(errors)
    (remark, *_) = Measure(BALANCED, True).remarks(StepReport("a", 0.1, {}), StepReport("b", 0.2, {})) or [""]
    assert "error of the outputs 0.1" in remark
    assert not Measure(BALANCED, True).remarks(StepReport("a", 0.2, {}), StepReport("b", 0.1, {}))


@pytest.mark.thorough
def test_epochs_before_the_end_of_a_schedule_are_never_the_best():
    train, validation = examples(0, 64), examples(100, 40)
    recorder, steps = Recorder(), 4  # in an epoch
    sparse = kp.callbacks.GradualMagnitude(kp.schedules.cubic(keep=0.1, end=3 * steps), every=1)
    slim, _, report = kp.prune(
        network(0), 0.5, train, 5, validation=validation, callbacks=[sparse, recorder], batch=16, distil=False
    )
    kernels = [v for v in slim.trainable_variables if v.path.endswith("kernel")]
    share = np.mean(np.concatenate([np.ravel(v.numpy()) for v in kernels]) == 0)
    assert share > 0.6 and report.delivered == "fine-tuned" and report.steps[-1].epoch >= 3


class Killed(keras.callbacks.Callback):
    """Breaks a fit off before an epoch.

    Args:
        before: Its number.
    """

    def __init__(self, before: int) -> None:
        super().__init__()
        self.before = before

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.before:
            raise KeyboardInterrupt


@pytest.mark.thorough
@pytest.mark.skipif(
    find_spec("tensorflow") is None, reason="the order of the data is a function of the epoch by tf.data"
)
def test_killed_after_the_best_epoch_the_same_is_delivered(tmp_path):
    train, validation = examples(0, 60), examples(100, 40)
    model = network(0)

    def pruned(*callbacks):
        return kp.prune(
            model, 0.5, train, 6, validation=validation, optimizer=keras.optimizers.SGD(1.0), callbacks=callbacks,
            verify=False, distil=False,
        )  # fmt: skip

    whole = pruned()
    best = whole.report.steps[-1].epoch
    assert whole.report.delivered == "fine-tuned"
    with pytest.raises(KeyboardInterrupt):
        pruned(kp.callbacks.Resume(tmp_path), Killed(min(best, 5)))
    again = pruned(kp.callbacks.Resume(tmp_path))
    assert all(map(np.array_equal, whole.slim.get_weights(), again.slim.get_weights()))
    assert str(again.report) == str(whole.report)


class Validations(keras.callbacks.Callback):
    """Counts the passes over validation examples, and keeps the logs of the epochs."""

    def __init__(self) -> None:
        super().__init__()
        self.passes, self.logs = 0, []

    def on_test_begin(self, logs=None):
        self.passes += 1

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(dict(logs or {}))


def test_an_epoch_is_validated_once_unless_a_callback_of_the_user_looks():
    model, data, validation = network(0), examples(0, 200), examples(1, 100)
    given = {name: each.default for name, each in inspect.signature(kp.prune).parameters.items()}
    given |= {"model": model, "data": data, "validation": validation, "epochs": 2, "verbose": 0}
    ours, settings = Validations(), PruneSettings(**given)
    slim = Pruning(settings, after=[ours]).result().slim
    told = [each["val_accuracy"] for each in ours.logs]
    assert ours.passes == 0 and len(told) == 2
    last = Judge(None, of_model(model, None, model), Examples(validation, 128, 1)).metrics(slim)
    assert last["accuracy"] in told or last["accuracy"] > max(told)
    users = Validations()
    kp.prune(model, data=data, validation=validation, epochs=2, callbacks=[users], verbose=0)
    assert users.passes == 2 and all("val_accuracy" in each for each in users.logs)
