"""Models and losses whose rows belong together: batches stay whole, or a sentence says that they would have to."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.data.batches import batches, example_batches, rows_belong_together
from kerasprune.data.examples import Examples
from kerasprune.data.held_out import held_out, kept_whole

NODES = 150  # more than are taken at once
ROWS = np.random.default_rng(0).normal(size=(NODES, 6)).astype("float32")
EDGES = (np.random.default_rng(1).random((NODES, NODES)) < 0.1) + np.eye(NODES)
EDGES = (EDGES / EDGES.sum(1, keepdims=True)).astype("float32")
KINDS = np.random.default_rng(2).integers(0, 3, NODES)


def _compiled(model: keras.Model) -> keras.Model:
    model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _graph() -> keras.Model:
    """Returns a classifier of the nodes of a graph, whose edges are a matrix."""
    keras.utils.set_random_seed(0)
    nodes, edges = keras.Input((6,), name="nodes"), keras.Input((NODES,), name="edges")
    x = layers.Activation("relu")(ops.matmul(edges, layers.Dense(16, name="first")(nodes)))
    x = layers.BatchNormalization()(ops.matmul(edges, layers.Dense(8, name="second")(x)))
    return _compiled(keras.Model([nodes, edges], layers.Dense(3, "softmax")(layers.ReLU()(x))))


def _triplets() -> keras.Model:
    """Returns a classifier that looks at three rows at a time."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), name="nodes")
    x = layers.BatchNormalization()(layers.Dense(16, "relu", name="first")(inputs))
    three = ops.mean(ops.reshape(x, (-1, 3, 16)), axis=1, keepdims=True)
    x = x + ops.reshape(ops.repeat(three, 3, axis=1), (-1, 16))
    return _compiled(keras.Model(inputs, layers.Dense(3, "softmax")(layers.Dense(8, "relu", name="second")(x))))


FAMILY = {"graph": (_graph, [ROWS, EDGES]), "triplets": (_triplets, ROWS)}


def _set_of(batch: tuple) -> keras.utils.PyDataset:
    class OneBatch(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> tuple:
            return tuple(tuple(each) if isinstance(each, list) else each for each in batch)

    return OneBatch()


@pytest.mark.parametrize("name", FAMILY)
def test_batches_whose_rows_belong_together_stay_whole(name):
    make, x = FAMILY[name]
    model = make()
    rows = [x] if name == "triplets" else x
    assert rows_belong_together(model, rows)
    for data in (x, (x, KINDS), [(x, KINDS)], _set_of((x, KINDS))):
        for samples in (4, 10_000):
            (found,) = example_batches(model, data, samples)
            assert all(map(np.array_equal, found, rows))
        if data is not x:
            assert [batch.size for batch in batches(data, model, most=4)] == [NODES]
            assert [batch.size for batch in batches(data, model)] == [NODES]


def test_rows_that_are_independent_are_cut_as_asked():
    model = keras.Sequential([keras.Input((6,)), layers.BatchNormalization(), layers.Dense(2)])
    assert not rows_belong_together(model, ROWS) and not rows_belong_together(model, ROWS[:, :5])
    assert [len(each) for (each,) in example_batches(model, ROWS, 140)] == [128, 12]
    assert kept_whole(examples := Examples(ROWS), model) is examples


def test_a_set_of_one_batch_is_held_out_as_nothing():
    model = _graph()
    whole = kept_whole(Examples(([ROWS, EDGES], KINDS), inputs=2), model)
    assert whole.steps() == 1 and held_out(whole) is None
    several = kept_whole(Examples((ROWS, KINDS), batch=15), _triplets())
    kept, tenth = held_out(several)
    assert (several.steps(), kept.steps(), tenth.steps()) == (10, 9, 1)
    assert np.array_equal(tenth.batches()[0][0], ROWS[-15:])  # rows keep their places


CALLS = {
    "prune": lambda model, x, slim, plan: kp.prune(model, keep=0.5, data=x, verbose=0),
    "prune, trained": lambda model, x, slim, plan: kp.prune(model, keep=0.5, data=(x, KINDS), epochs=1, verbose=0),
    "prune, batch": lambda model, x, slim, plan: kp.prune(
        model, keep=0.5, data=(x, KINDS), validation=(x, KINDS), epochs=1, batch=NODES, distil=False, verbose=0
    ),
    "prune, a set": lambda model, x, slim, plan: kp.prune(
        model, keep=0.5, data=_set_of((x, KINDS)), epochs=1, criterion="taylor_fo", verbose=0
    ),
    "verify": lambda model, x, slim, plan: kp.verify(model, slim, plan, x, strict=True, reload=False),
    "reconstruct": lambda model, x, slim, plan: kp.reconstruct(slim, model, plan, x, samples=20),
    "recalibrate": lambda model, x, slim, plan: kp.recalibrate(slim, x, samples=20),
    "budget": lambda model, x, slim, plan: kp.plan(model, keep=0.5, budget="sensitivity", data=x),
    "saved model": lambda model, x, slim, plan: kp.export.saved_model(slim, "saved", data=x),
}
ALONE = {"block_fisher", "obd", "obs", "grouped"}  # those of them that need single examples are refused


def _calls() -> list:
    names = [(family, name) for family in FAMILY for name in CALLS]
    first = {("graph", "prune, trained"), ("graph", "verify"), ("triplets", "prune")}
    return [pytest.param(*each, marks=() if each in first else pytest.mark.thorough) for each in names]


@pytest.mark.parametrize(("family", "name"), _calls())
def test_every_entrance_takes_whole_batches(family, name, tmp_path, monkeypatch):
    if name == "saved model":
        pytest.importorskip("tensorflow")
        if keras.backend.backend() != "tensorflow":
            pytest.skip("exports need TensorFlow")
    monkeypatch.chdir(tmp_path)
    make, x = FAMILY[family]
    model = make()
    plan = kp.plan(model, keep=0.5)
    with np.errstate(all="ignore"):
        found = CALLS[name](model, x, kp.rebuild(model, plan), plan)
    if name == "prune, trained":
        assert any("no part of which can be held out" in each for each in found.report.remarks)


@pytest.mark.parametrize(
    "name",
    ["taylor_fo", "obd", *(pytest.param(n, marks=pytest.mark.thorough) for n in ("snip", "apoz", "obs", "thinet"))],
)
def test_criteria_take_whole_batches_or_say_that_they_need_single_examples(name):
    try:
        plan = kp.plan(_graph(), keep=0.5, criterion=name, data=([ROWS, EDGES], KINDS))
    except kp.PruneError as error:
        assert name in ALONE and "whole batches" in str(error)
    else:
        assert name not in ALONE and plan.keep


@keras.saving.register_keras_serializable("rows_together")
def in_batch(labels, outputs):
    """Returns how surely each row is told from the others of the batch."""
    scores = ops.matmul(outputs, ops.transpose(outputs))
    return -ops.diag(ops.log_softmax(scores, axis=-1))


@pytest.mark.parametrize("curvature", ["empirical_fisher", pytest.param("gauss_newton", marks=pytest.mark.thorough)])
def test_a_loss_of_whole_batches_is_named_where_single_examples_are_needed(curvature):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), layers.Dense(8, "relu", name="hidden"), layers.Dense(4)])
    data = [(ROWS[:30], KINDS[:30])]
    assert kp.plan(model, keep=0.5, criterion="taylor_fo", data=data, loss=in_batch).keep
    if curvature == "empirical_fisher":
        with pytest.raises(kp.PruneError, match="whole batches"):
            kp.plan(model, keep=0.5, criterion={"name": "obd", "curvature": curvature}, data=data, loss=in_batch)
    with pytest.raises(kp.PruneError, match="whole batches"):
        criterion = {"name": "obd", "curvature": curvature}
        kp.plan(_graph(), keep=0.5, criterion=criterion, data=([ROWS, EDGES], KINDS))


def test_a_file_of_single_samples_is_refused_in_a_sentence(tmp_path):
    pytest.importorskip("ai_edge_litert")
    with pytest.raises(kp.PruneError, match="an axis of its own"):
        kp.export.tflite(_graph(), tmp_path / "a.tflite", data=[ROWS, EDGES])
