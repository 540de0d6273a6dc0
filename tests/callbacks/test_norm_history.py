"""Norms over training, against norms taken by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from support.greg_reference import compiled, network, train

import kerasprune as kp
from kerasprune.callbacks import IterativeMagnitude, NormHistory
from kerasprune.testing.toys import toy_data, toy_model


def _norms(model: keras.Model) -> dict[str, np.ndarray]:
    return {name: np.abs(model.get_layer(name).kernel.numpy()).sum(axis=0) for name in ("one", "two")}


def test_norms_are_those_at_each_step():
    model = compiled()
    by_hand = {0: _norms(model)}
    history = NormHistory(every=3)

    def note(batch, logs):
        by_hand[int(model.optimizer.iterations)] = _norms(model)

    train(model, [history, keras.callbacks.LambdaCallback(on_train_batch_end=note)], epochs=5)
    assert history.steps.tolist() == [0, 3, 6, 9, 12, 15, 18, 20]
    assert list(history.norms) == ["one", "two"]
    for name, norms in history.norms.items():
        np.testing.assert_allclose(norms, [by_hand[step][name] for step in history.steps], rtol=1e-5)


@pytest.mark.parametrize("first", [True, False])
def test_steps_go_on_where_a_method_rewinds_the_optimizer(first):
    model, history, rounds = compiled(), NormHistory(every=4), IterativeMagnitude(rounds=2, keep_per_round=0.5)
    train(model, [history, rounds] if first else [rounds, history], epochs=6)
    assert history.steps.tolist() == list(range(0, 25, 4)) and int(model.optimizer.iterations) == 8


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [({"steps_per_execution": 4}, [0, 4, 8, 12, 16, 20]), ({"gradient_accumulation_steps": 4}, [0, 3, 5])],
    ids=str,
)
def test_steps_are_those_of_the_optimizer(arguments, steps):
    model = compiled(**arguments)
    history = NormHistory(every=3)
    train(model, [history], epochs=5)
    assert history.steps.tolist() == steps
    assert all(norms.shape[0] == len(steps) for norms in history.norms.values())


def test_every_kernel_that_makes_a_channel_counts_and_coupling_is_kept():
    model = toy_model()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    tied, free = NormHistory(every=99, coupling="tied"), NormHistory(every=99)
    stem, outer = (
        np.abs(model.get_layer(name).kernel.numpy()).sum(axis=(0, 1, 2)) for name in ("stem_conv", "outer_conv")
    )
    model.fit(*toy_data(8), verbose=0, callbacks=[tied, free])
    np.testing.assert_allclose(tied.norms["stem_conv"][0], stem + outer, rtol=1e-5)
    assert list(free.norms) == ["inner_conv", "wide_conv", "last_conv"]


def test_a_second_fit_starts_anew():
    model = compiled()
    history = NormHistory(every=4)
    train(model, [history], epochs=2)
    last = history.norms["one"][-1]
    train(model, [history], epochs=1)
    assert history.steps.tolist() == [0, 4]
    np.testing.assert_array_equal(history.norms["one"][0], last)


@pytest.mark.experiments
def test_the_file_is_what_a_report_reads(tmp_path):
    from kerasprune.recipes.reports import record

    history = NormHistory(every=2)
    train(compiled(), [history], epochs=2)
    path = history.save(tmp_path / "norms.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["norms.npz"]
    read = record._norms(path)
    assert read.steps.tolist() == history.steps.tolist() == [0, 2, 4, 6, 8]
    assert list(read.groups) == ["one", "two"]
    for name, norms in read.groups.items():
        np.testing.assert_array_equal(norms, history.norms[name])


def test_nothing_is_written_where_there_is_nothing(tmp_path):
    with pytest.raises(kp.PruneError, match="finished fit"):
        NormHistory().save(tmp_path / "norms.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_group_called_steps_is_refused(tmp_path):
    inputs = keras.Input((8,))
    x = keras.layers.Dense(4, name="steps")(inputs)
    history = NormHistory()
    train(compiled(keras.Model(inputs, keras.layers.Dense(3)(x))), [history], epochs=1)
    with pytest.raises(kp.PruneError, match="rename that layer"):
        history.save(tmp_path / "norms.npz")


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "10"])
def test_bad_arguments(every):
    with pytest.raises(kp.PruneError, match="every="):
        NormHistory(every=every)


def test_training_is_not_changed():
    one, two = compiled(), compiled(network())
    train(one, [NormHistory(every=1)], epochs=2)
    train(two, epochs=2)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
