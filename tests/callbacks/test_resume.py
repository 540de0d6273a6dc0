"""Resume: files that are torn, other models, other callbacks, and a job that is really killed."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from support.convnet import DATA, STEPS, compiled, small, train
from support.interruption import Break, assert_equal

import kerasprune as kp
from kerasprune.callbacks import GradualMagnitude, GReg2, IterativeMagnitude, Resume
from kerasprune.data.epoch_counters import Positions
from kerasprune.training.callback import PruningCallback
from kerasprune.training.fit import RunningFit
from kerasprune.training.saved_state import SavedState, last_good
from kerasprune.training.schedules import cubic

pytestmark = pytest.mark.filterwarnings("ignore:The fit resumes", "ignore:The schedule ends")


def gradual() -> GradualMagnitude:
    return GradualMagnitude(cubic(0.2, end="3ep"), every=3)


def broken_off(folder: Path, steps: int = 20) -> keras.Model:
    """Returns a model whose fit of 4 epochs of 8 steps was broken off."""
    model = compiled(small())
    with pytest.raises(KeyboardInterrupt):
        train(model, [gradual(), Resume(folder), Break(steps)], epochs=4)
    return model


@pytest.fixture(scope="module")
def alone() -> list[np.ndarray]:
    """The weights of a fit that nobody has broken off."""
    model = compiled(small())
    train(model, [gradual()], epochs=4)
    return model.get_weights()


@pytest.mark.whole
def test_goes_on_and_is_finished(alone, tmp_path):
    broken_off(tmp_path)
    assert Resume(tmp_path).epoch == 2
    model, callback = compiled(small(1)), gradual()
    history = train(model, [callback, Resume(tmp_path)], epochs=4)
    assert history.epoch == [0, 1, 2, 3]
    assert {name: len(values) for name, values in history.history.items()} == {"loss": 4, "kept": 4}
    assert_equal(model, alone)
    again, other = compiled(small(2)), gradual()
    with pytest.warns(UserWarning, match="is finished, after 4 epochs: nothing is trained"):
        finished = train(again, [Resume(tmp_path), other], epochs=4)
    assert (finished.epoch, finished.history) == (history.epoch, history.history)
    assert_equal(again, alone)
    for path, mask in callback.masks.items():
        np.testing.assert_array_equal(mask, other.masks[path])
    assert len(list(tmp_path.iterdir())) == 2 and not RunningFit.of(again).callbacks
    assert train(again, [], epochs=1).epoch == [0]  # nothing of the folder is left in the model


def separable(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    inputs = keras.Input(DATA[0].shape[1:])
    x = keras.layers.DepthwiseConv2D(3, 2, name="lanes")(keras.layers.Conv2D(6, 1, name="conv")(inputs))
    return keras.Model(inputs, keras.layers.Dense(4, name="logits")(keras.layers.GlobalAveragePooling2D()(x)))


@pytest.mark.thorough
def test_masks_of_depthwise_kernels_are_not_forgotten(tmp_path):
    """The default masks no such kernels, so that it would drop the masks of a state without a word."""

    def masks(granularity) -> GradualMagnitude:
        return GradualMagnitude(cubic(0.2, end="2ep"), every=3, scope="global", granularity=granularity)

    then = {"name": "weight", "depthwise": True}
    with pytest.raises(KeyboardInterrupt):
        train(compiled(separable()), [masks(then), Resume(tmp_path), Break(12)], epochs=2)
    assert_refused(compiled(separable()), [masks("weight"), Resume(tmp_path)], r"lanes/kernel.*'depthwise': True")
    model, callback = compiled(separable(1)), masks(then)
    train(model, [callback, Resume(tmp_path)])
    assert not callback.masks["lanes/kernel"].all()


def test_another_scope_is_refused(tmp_path):
    broken_off(tmp_path)
    with pytest.raises(kp.PruneError, match=r"had scope='Layer\(\)'. Received: scope='Global\(\)'"):
        callback = GradualMagnitude(cubic(0.2, end="3ep"), every=3, scope="global")
        train(compiled(small()), [callback, Resume(tmp_path)], epochs=4)


@pytest.mark.thorough
@pytest.mark.parametrize("tear", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:-30] + b"x" * 30])
def test_a_torn_file_is_passed_over(alone, tmp_path, tear):
    broken_off(tmp_path)
    newest = max(tmp_path.glob("state-*.npz"))
    newest.write_bytes(tear(newest.read_bytes()))
    model = compiled(small(1))
    with pytest.warns(UserWarning, match="could not be read"):
        assert train(model, [gradual(), Resume(tmp_path)], epochs=4).epoch == [0, 1, 2, 3]
    assert_equal(model, alone)


def test_a_flipped_bit_is_noticed(tmp_path):
    broken_off(tmp_path)
    newest = max(tmp_path.glob("state-*.npz"))
    content = bytearray(newest.read_bytes())
    content[content.index(SavedState.load(newest).arrays["model/0"].tobytes()) + 5] ^= 1
    newest.write_bytes(content)
    found, faults = last_good(tmp_path)
    assert found.epoch == 1 and len(faults) == 1


def test_half_written_files_are_not_states(tmp_path):
    broken_off(tmp_path)
    (tmp_path / ".state-000009-1.npz").write_bytes(b"half")
    (tmp_path / "state-x.npz").write_bytes(b"other")
    assert last_good(tmp_path)[0].epoch == 2


@pytest.mark.thorough
@pytest.mark.parametrize("seed", [0, 7])
def test_another_model_or_other_callbacks_are_refused(tmp_path, seed):
    broken_off(tmp_path)
    before = sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir())
    inputs = keras.Input(DATA[0].shape[1:])
    x = keras.layers.Conv2D(5, 3, name="conv")(inputs)
    other = compiled(keras.Model(inputs, keras.layers.Dense(4, name="logits")(keras.layers.Flatten()(x))))
    weights = other.get_weights()
    with pytest.raises(kp.PruneError, match="another fit"):
        train(other, [gradual(), Resume(tmp_path)], epochs=4)
    assert_equal(other, weights)
    assert all(v.constraint is None for v in other.weights)
    bounded = keras.models.clone_model(
        small(), clone_function=lambda layer: keras.layers.ELU() if isinstance(layer, keras.layers.ReLU) else layer
    )
    with pytest.raises(kp.PruneError, match="ReLU"):
        train(compiled(bounded), [gradual(), Resume(tmp_path)], epochs=4)
    model = compiled(small(seed))
    weights = model.get_weights()
    with pytest.raises(kp.PruneError, match="callbacks was GradualMagnitude"):
        train(model, [IterativeMagnitude(rounds=1), Resume(tmp_path)], epochs=4)
    with pytest.raises(kp.PruneError, match="optimizer was SGD"):
        train(compiled(model, keras.optimizers.Adam()), [gradual(), Resume(tmp_path)], epochs=4)
    assert_equal(model, weights)
    assert sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir()) == before


@pytest.mark.thorough
def test_data_of_unknown_order_are_warned_of(tmp_path):
    broken_off(tmp_path)
    with pytest.warns(UserWarning, match="shuffle=False"):
        train(compiled(small()), [gradual(), Resume(tmp_path)], epochs=4)


@pytest.mark.experiments
@pytest.mark.thorough
def test_a_set_that_the_fit_does_not_read_says_nothing_of_its_order(tmp_path):
    """Another training set of kp.data, alive in the process, once kept the warning back."""
    other = kp.data.load("digits", size=8, batch=400)
    broken_off(tmp_path)
    with pytest.warns(UserWarning, match="The fit resumes"), pytest.raises(KeyboardInterrupt):
        train(compiled(small()), [gradual(), Resume(tmp_path), Break(10)], epochs=4)
    with pytest.warns(UserWarning, match="The fit resumes"):  # and after the second kill
        train(compiled(small()), [gradual(), Resume(tmp_path)], epochs=4)
    assert len(other)


@pytest.mark.thorough
def test_dropout_and_a_stop_survive(tmp_path):
    def network() -> keras.Model:
        keras.utils.set_random_seed(0)
        inputs = keras.Input(DATA[0].shape[1:], name="images")
        x = keras.layers.Dropout(0.5, seed=3, name="drop")(keras.layers.Flatten(name="flat")(inputs))
        x = keras.layers.Dense(16, "relu", name="hidden")(x)
        return compiled(keras.Model(inputs, keras.layers.Dense(4, name="logits")(x)))

    def make() -> GReg2:
        return GReg2(keep=0.5).compressed(20)

    model = network()
    assert len(train(model, [first := make()], epochs=9).epoch) == 3  # stops by itself
    other = network()
    with pytest.raises(KeyboardInterrupt):
        train(other, [make(), Resume(tmp_path), Break(13)], epochs=9)
    other = network()
    assert train(other, [second := make(), Resume(tmp_path)], epochs=9).epoch == [0, 1, 2]
    assert_equal(other, model.get_weights())
    assert first.plan == second.plan
    assert train(network(), [third := make(), Resume(tmp_path)], epochs=9).epoch == [0, 1, 2]
    assert first.plan == third.plan


@pytest.mark.experiments
@pytest.mark.thorough
def test_the_training_set_goes_on_where_it_was(tmp_path):
    def fit(callbacks):
        model = compiled(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(10)]))
        data = kp.data.load("digits", size=8, batch=400, augment="crop", seed=5)
        model.fit(data, epochs=4, shuffle=False, verbose=0, callbacks=callbacks)
        return model

    keras.utils.set_random_seed(1)
    expected = fit([]).get_weights()
    keras.utils.set_random_seed(1)
    with pytest.raises(KeyboardInterrupt):
        fit([Resume(tmp_path), Break(8)])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert_equal(fit([Resume(tmp_path)]), expected)


@pytest.mark.experiments
@pytest.mark.thorough
@pytest.mark.parametrize("steps_per_execution", [1, 2])
def test_saves_within_an_epoch(tmp_path, steps_per_execution):
    """Killed, killed again while the first batches are passed over, and run again: an augmented set, Dropout."""

    def fit(callbacks, seed=1, executed=steps_per_execution):
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((8, 8, 3), name="images")
        x = keras.layers.Dropout(0.2, seed=3, name="drop")(keras.layers.Flatten(name="flat")(inputs))
        model = keras.Model(inputs, keras.layers.Dense(10, name="logits")(x))
        model = compiled(model, keras.optimizers.Adam(0.01), steps_per_execution=executed)
        data = kp.data.load("digits", size=8, batch=128, augment="crop", seed=5)
        assert len(data) == 9
        model.fit(
            data,
            epochs=2,
            shuffle=False,
            verbose=0,
            callbacks=[*callbacks, GradualMagnitude(cubic(0.2, end="2ep"), every=3)],
        )
        return model

    expected = fit([]).get_weights()
    with pytest.raises(KeyboardInterrupt):
        fit([Resume(tmp_path, every=2), Break(1 + 14 // steps_per_execution)])
    found, _ = last_good(tmp_path)
    assert (found.epoch, found.step) == (1, 4)
    with pytest.raises(KeyboardInterrupt):
        fit([Resume(tmp_path), Break(1)], seed=2)
    with pytest.raises(kp.PruneError, match="steps_per_execution=3"):
        fit([Resume(tmp_path)], seed=2, executed=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert_equal(fit([Resume(tmp_path, every=3)], seed=2), expected)


def test_a_fit_that_resumed_and_never_ended_leaves_nothing(tmp_path):
    """Neither an epoch to begin with nor batches to pass over: the next fit trains on everything."""
    model = compiled(small())
    with pytest.raises(KeyboardInterrupt):
        train(model, [Resume(tmp_path, every=3), Break(STEPS + 5)])

    def fail(logs):
        raise ValueError

    with pytest.raises(ValueError):
        train(model, [Resume(tmp_path), keras.callbacks.LambdaCallback(on_train_begin=fail)])
    kp.callbacks.detach(model)
    before = int(model.optimizer.iterations.numpy())
    assert train(model, [], epochs=1).epoch == [0]
    assert int(model.optimizer.iterations.numpy()) == before + STEPS


@pytest.mark.thorough
def test_a_fit_after_one_that_was_broken_off_while_passing_over_trains_on_everything(tmp_path):
    model = compiled(small())
    with pytest.raises(KeyboardInterrupt):
        train(model, [gradual(), Resume(tmp_path, every=3), Break(5)])
    assert last_good(tmp_path)[0].step == 3
    with pytest.raises(KeyboardInterrupt):
        train(model, [gradual(), Resume(tmp_path), Break(1)])
    before = int(model.optimizer.iterations.numpy())
    train(model, [], epochs=1)
    assert int(model.optimizer.iterations.numpy()) == before + STEPS


@pytest.mark.parametrize("every", [0, -1, 2.5, True, "2"])
def test_steps_between_saves_are_a_positive_number(tmp_path, every):
    with pytest.raises(kp.PruneError, match="every"):
        Resume(tmp_path, every=every)


def test_positions_forget_what_is_gone():
    class Data:
        pass

    positions, data, counter = Positions(), Data(), keras.Variable(3, dtype="int32", trainable=False)
    positions.add(data, "a", counter)
    assert positions.epochs() == {"a": 3}
    assert positions.put_back({"a": 5, "b": 2}) == {"a"} and int(counter.numpy()) == 5
    assert positions.put_back({"b": 5}) == set()
    del data
    assert positions.epochs() == {}


def test_states_round_trip(tmp_path):
    arrays = {"a/b": np.arange(3), "λ": np.float32(0.5), "": np.zeros((0, 2), bool)}
    lists, mappings = ("layers", "variables", "callbacks"), ("settings", "positions")
    about: dict = dict.fromkeys(lists, []) | dict.fromkeys(mappings, {})
    about |= {"optimizer": ["SGD"], "reads": None, "history": {"epoch": [], "logs": {}}}
    SavedState(4, 0, True, arrays, {**about, "x": [1]}).save(tmp_path)
    found, faults = last_good(tmp_path)
    assert (found.epoch, found.stopped, found.about, faults) == (4, True, {**about, "x": [1]}, [])
    for name, array in arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)


def test_callbacks_of_a_broken_fit_are_forgotten():
    class Seen(PruningCallback):
        def begin(self):
            self.others = len(RunningFit.of(self.model).callbacks)

    model = compiled(small())
    with pytest.raises(KeyboardInterrupt):
        train(model, [Seen(), Break(1)])
    later = Seen()
    train(model, [later])
    assert later.others == 1


@pytest.mark.thorough
def test_a_job_that_is_killed(tmp_path):
    """The script that kills twenty times, here once: SIGKILL at a random step, bit-equal at the end."""
    path = Path(__file__).parents[2] / "benchmarks" / "resume.py"
    spec = importlib.util.spec_from_file_location("resume_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.bit_equal(tmp_path, "GradualMagnitude", 3, 4, 8, kills=1) == (1, True)


# ---- what is refused before anything is changed ----------------------------------------------------------------------


def unnamed(activation: str = "relu") -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, activation=activation)(inputs)
    return keras.Model(inputs, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(x)))


def assert_refused(model: keras.Model, callbacks: list, match: str) -> None:
    weights = model.get_weights()
    with pytest.raises(kp.PruneError, match=match):
        train(model, callbacks, epochs=2)
    assert_equal(model, weights)
    assert not RunningFit.of(model).callbacks and all(v.constraint is None for v in model.weights)


@pytest.mark.thorough
def test_names_that_count_on_and_other_granularities_are_refused(tmp_path):
    train(compiled(unnamed()), [GradualMagnitude(cubic(0.5, end="1ep")), Resume(tmp_path)])
    assert_refused(
        compiled(unnamed()), [GradualMagnitude(cubic(0.5, end="1ep")), Resume(tmp_path)], "clear_session|name them"
    )
    folder = tmp_path / "granularity"
    train(compiled(small()), [GradualMagnitude(cubic(0.5, end="1ep")), Resume(folder)])
    filters = GradualMagnitude(cubic(0.5, end="1ep"), granularity="filter")
    assert_refused(compiled(small()), [Resume(folder), filters], "keeps 'pruned/")


def test_another_activation_is_refused(tmp_path):
    train(compiled(unnamed()), [Resume(tmp_path)])
    train(compiled(unnamed()), [Resume(tmp_path)])
    assert_refused(compiled(unnamed("tanh")), [Resume(tmp_path)], "activation=relu.*Received.*activation=tanh")


def test_other_settings_of_a_callback_are_refused(tmp_path):
    train(compiled(small()), [IterativeMagnitude(rounds=3), Resume(tmp_path)], epochs=4)
    assert_refused(compiled(small()), [IterativeMagnitude(rounds=1), Resume(tmp_path)], "had rounds=3.*rounds=1")


def test_a_file_is_no_folder_and_a_folder_no_state(tmp_path):
    (tmp_path / "file").write_text("mine")
    assert_refused(compiled(small()), [Resume(tmp_path / "file")], "which is a file")
    (tmp_path / "states" / "state-000001.npz").mkdir(parents=True)
    with pytest.warns(UserWarning, match="could not be read"):
        train(compiled(small()), [Resume(tmp_path / "states")])
    assert Resume(tmp_path / "states").epoch == 2


def test_damaged_archives_are_passed_over(tmp_path):
    train(compiled(small()), [Resume(tmp_path)], epochs=3)
    newest = max(tmp_path.iterdir())
    whole = newest.read_bytes()
    at = whole.index(b"PK\x01\x02")
    newest.write_bytes(whole[: at + 10] + b"\x63" + whole[at + 11 :])  # a method of compression that nobody knows
    found, faults = last_good(tmp_path)
    assert found is not None and len(faults) == 1
