"""MetaPruning on a tiny problem: each step does what it says, and what was killed goes on without asking twice."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.recipes.search import Evolution

FEW = Evolution(population=5, parents=3, mutations=3, crossovers=2, generations=2)
IMAGES = np.random.default_rng(0).normal(size=(48, 6)).astype("float32")
LABELS = (IMAGES[:, 0] > 0).astype(int)


def small() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(12, name="first")(inputs)))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(12, name="second")(x)))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(12, name="third")(x)))
    return keras.Model(inputs, layers.Dense(2, name="logits")(x))


class Fit:
    """Trains for few steps, and notes what it was asked for."""

    def __init__(self):
        self.calls, self.asked, self.candidates, self.most = [], 0, [], np.inf

    def __call__(self, model, *, resolution, epochs, seed):
        if not epochs:
            self.asked += 1
            if self.asked > self.most:
                raise KeyboardInterrupt
            self.candidates.append(model)
            outputs = keras.ops.convert_to_numpy(model(IMAGES, training=False))
            return float((outputs.argmax(axis=1) == LABELS).mean())
        self.calls.append((model, epochs))
        keras.utils.set_random_seed(seed)
        model.compile(keras.optimizers.SGD(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(IMAGES, LABELS, epochs=epochs, verbose=0, batch_size=16)
        return 0.75


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A search that is killed after four candidates and begun again, and the same in one go."""
    folder, model, killed, fit, whole = tmp_path_factory.mktemp("meta") / "run", small(), Fit(), Fit(), Fit()
    how = {"macs": 0.4, "data": IMAGES, "net_epochs": 2, "epochs": 1, "delta": 0.03, "hidden": 4, "evolution": FEW}
    before = [weight.copy() for weight in model.get_weights()]
    killed.most = 4
    with pytest.raises(KeyboardInterrupt):
        kp.papers.meta_pruning(model, killed, **how, folder=folder)
    resumed = kp.papers.meta_pruning(model, fit, **how, folder=folder)
    straight = kp.papers.meta_pruning(model, whole, **how)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    return {"model": model, "folder": folder, "how": how, "fits": (killed, fit, whole), "found": (resumed, straight)}


@pytest.mark.thorough
def test_a_killed_search_goes_on_and_asks_nothing_twice(found):
    killed, fit, whole = found["fits"]
    resumed, straight = found["found"]
    assert resumed.search == straight.search and len(straight.search.search.candidates) == whole.asked == 10
    assert fit.asked == whole.asked - 4
    assert [type(model).__name__ for model, _ in killed.calls + fit.calls] == ["PruningNet", "Functional"]
    assert [epochs for _, epochs in killed.calls + fit.calls] == [2, 1]  # the PruningNet is trained once


@pytest.mark.thorough
def test_candidates_keep_to_the_limit_and_the_best_is_returned(found):
    (_, straight), model = found["found"], found["model"]
    whole = found["fits"][2]
    shares = [kp.cost(each).macs / kp.cost(model).macs for each in whole.candidates]
    assert max(abs(share - 0.4) for share in shares) <= 0.03
    scores = [one.score for one in straight.search.search.candidates]
    best = whole.candidates[int(np.argmax(scores))]
    assert straight.search.score == max(scores)
    assert [each.units for each in straight.model.layers if isinstance(each, layers.Dense)] == [
        each.units for each in best.layers if isinstance(each, layers.Dense)
    ]
    assert straight.search.macs == kp.cost(straight.model).macs / kp.cost(model).macs
    assert straight.accuracy == 0.75
    rows = straight.search.rows()
    assert {"score", "generation", "origin", "first", "second", "third"} == set(rows[0]) and len(rows) == 10


@pytest.mark.thorough
def test_candidates_have_made_weights_and_their_own_statistics(found):
    straight, whole = found["found"][1], found["fits"][2]
    candidate = straight.search.search.candidates[3]
    judged = whole.candidates[3]
    slim = straight.net.slim(candidate.genes)
    np.testing.assert_allclose(judged.get_layer("first").kernel, slim.get_layer("first").kernel, rtol=1e-5)
    made = IMAGES @ np.asarray(slim.get_layer("first").kernel) + np.asarray(slim.get_layer("first").bias)
    norm = next(each for each in judged.layers if isinstance(each, layers.BatchNormalization))
    np.testing.assert_allclose(norm.moving_mean, made.mean(axis=0), rtol=1e-3, atol=1e-4)
    best = straight.net.slim(straight.search.search.best)  # what is trained in the end begins from scratch
    assert (np.asarray(best.get_layer("first").kernel) != np.asarray(straight.model.get_layer("first").kernel)).all()


@pytest.mark.thorough
def test_one_net_serves_other_budgets_and_other_settings_are_refused(found):
    fit = Fit()
    how = {**found["how"], "macs": 0.7, "evolution": Evolution(population=2, generations=1)}
    other = kp.papers.meta_pruning(found["model"], fit, **how, folder=found["folder"])
    assert [type(model).__name__ for model, _ in fit.calls] == ["Functional"]
    assert abs(other.search.macs - 0.7) <= 0.03
    with pytest.raises(kp.PruneError, match="hidden"):
        kp.papers.meta_pruning(found["model"], fit, **{**found["how"], "hidden": 5}, folder=found["folder"])


def test_what_cannot_be_is_said_before_anything_is_trained():
    fit = Fit()
    for change, message in (
        ({"macs": 0.001}, r"macs that the widths can reach: 0\.\d+ to 1"),
        ({"macs": 40}, "macs=40"),
        ({"net_epochs": 0}, "net_epochs=0"),
        ({"judge": 3}, "judge=3"),
        ({"data": IMAGES[:, :5]}, r"Received: shape \(48, 5\)"),
        ({"data": None}, "data=None"),
    ):
        with pytest.raises(kp.PruneError, match=message):
            kp.papers.meta_pruning(small(), fit, **{"data": IMAGES, **change})
    with pytest.raises(kp.PruneError, match="fit=None"):
        kp.papers.meta_pruning(small(), None, data=IMAGES)
    assert not fit.calls


@pytest.mark.thorough
def test_a_free_image_side_is_that_of_the_data():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(layers.Conv2D(8, 3, activation="relu")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    data = np.random.default_rng(0).normal(size=(8, 12, 12, 3)).astype("float32")
    how = {"macs": 0.5, "delta": 0.05, "net_epochs": 1, "hidden": 2, "evolution": FEW, "epochs": 0}
    found = kp.papers.meta_pruning(model, lambda model, **_: 0.5, **how, data=data)
    share, far = (kp.cost(found.model, size=n).macs / kp.cost(model, size=n).macs for n in (12, 64))
    assert abs(found.search.macs - share) < 1e-9 and abs(found.search.macs - far) > 1e-4
    wide = kp.papers.meta_pruning(model, lambda model, **_: 0.5, **how, data=data, size=64)
    assert wide.net.widths.graph.size == 64


@pytest.mark.thorough
def test_scores_are_of_the_widths_that_genes_stand_for(tmp_path):
    how = {"macs": 0.4, "data": IMAGES, "delta": 0.2, "evolution": FEW, "path": tmp_path / "scores.sqlite"}
    for fractions in ((0.5, 0.75, 1.0), (0.25, 0.75, 1.0)):
        net = kp.papers.pruning_nets.PruningNet(small(), hidden=2, fractions=fractions)
        found = kp.papers.search_widths(net, lambda model: float(model.count_params()), **how)
        sizes = [net.slim(each.genes).count_params() for each in found.search.candidates]
        assert [each.score for each in found.search.candidates] == sizes


def test_a_fit_without_an_accuracy_is_said():
    few = Evolution(population=2, generations=1)
    how = {"data": IMAGES, "judge": lambda model: 1.0, "evolution": few, "delta": 0.1, "hidden": 2}
    with pytest.raises(kp.PruneError, match="number from fit. Received: None"):
        kp.papers.meta_pruning(small(), lambda model, **_: None, **how)
