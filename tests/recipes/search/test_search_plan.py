"""Search over widths against what is known: of one group a few channels say all, so the others are kept."""

from __future__ import annotations

import csv

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.recipes.search import Evolution
from kerasprune.recipes.search.widths import Widths
from kerasprune.repair.reconstruction.feature_error import logit_error

FEW = Evolution(population=5, parents=3, mutations=3, crossovers=3, generations=3)
EIGHTHS = tuple(step / 8 for step in range(1, 9))


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    x = layers.Dense(8, activation="relu", name="wide")(inputs)
    x = layers.Dense(8, activation="tanh", name="needed")(x)
    model = keras.Model(inputs, layers.Dense(8, name="out")(x))
    kernel, bias = model.get_layer("wide").get_weights()
    kernel[:, 2:] *= 1e-3  # two of eight channels say all
    model.get_layer("wide").set_weights([kernel, bias])
    return model


DATA = np.random.default_rng(0).normal(size=(128, 6)).astype("float32")


@pytest.fixture(scope="module")
def found(model):
    return kp.recipes.search_plan(
        model, DATA, macs=0.6, delta=0.12, fractions=EIGHTHS, evolution=FEW, samples=128, seed=1
    )


def test_what_is_needed_stays(model, found):
    kept = {name: len(channels) for name, channels in found.plan.keep.items()}
    assert kept["needed"] >= 7 and 2 <= kept["wide"] <= 6 and {0, 1} <= set(found.plan.keep["wide"])
    assert found.macs == kp.cost(kp.rebuild(model, found.plan)).macs / kp.cost(model).macs
    macs = []
    for keep in found.keep:
        wide, needed = 8 * keep["wide"], 8 * keep["needed"]
        macs.append((6 * wide + wide * needed + 8 * needed) / (6 * 8 + 8 * 8 + 8 * 8))
    assert max(abs(share - 0.6) for share in macs) <= 0.12
    origins = {one.origin for one in found.search.candidates}
    assert found.search.candidates[0].origin == "given" and {"mutation", "crossover"} & origins
    assert found.score == max(one.score for one in found.search.candidates) > found.search.candidates[0].score


@pytest.mark.parametrize("coupling", ["tied", "padded"])
def test_widths_cost_what_their_plans_do(coupling):
    graph = kp.trace(kp.models.resnet_cifar(8, input_shape=(16, 16, 3), seed=0), coupling=coupling)
    widths = Widths(graph, EIGHTHS)
    genes = np.random.default_rng(0).integers(0, widths.choices, (12, len(widths.names)))
    dense = kp.cost(graph).macs
    assert widths.share(genes).tolist() == [kp.cost(graph, widths.plan(each)).macs / dense for each in genes]


@pytest.mark.thorough
def test_a_split_model_is_counted_with_the_channels_that_are_kept():
    inputs = keras.Input((8, 8, 3))
    dear, cheap = keras.ops.split(layers.Conv2D(16, 3, padding="same", name="stem")(inputs), 2, axis=-1)
    dear, cheap = layers.Conv2D(32, 3, padding="same")(dear), layers.Conv2D(4, 1)(cheap)
    pooled = layers.GlobalAveragePooling2D()(layers.Concatenate()([dear, cheap]))
    model = keras.Model(inputs, layers.Dense(3)(pooled))
    kernel, bias = model.get_layer("stem").get_weights()
    kernel[..., :8] *= 10  # those of the dear half are kept, the first of each half are not
    model.get_layer("stem").set_weights([kernel, bias])
    data = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype("float32")
    found = kp.recipes.search_plan(model, data, macs=0.2, delta=0.03, evolution=FEW, judge=lambda slim: 0.0)
    kept = kp.cost(model, found.plan).macs / kp.cost(model).macs
    assert found.macs == kept and abs(kept - 0.2) <= 0.03


def test_the_best_is_that_of_all_there_are_by_another_way(model, found):
    scores = kp.criteria.score(kp.criteria.get("l1"), kp.trace(model))
    errors = {}
    for wide in range(1, 9):
        for needed in range(1, 9):
            if abs((6 * wide + wide * needed + 8 * needed) / 176 - 0.6) <= 0.12:
                keep = {"wide": np.sort(np.argsort(-scores["wide"])[:wide])}
                keep["needed"] = np.sort(np.argsort(-scores["needed"])[:needed])
                plan = kp.Plan(keep)
                slim = kp.reconstruct(kp.rebuild(model, plan), model, plan, DATA[:64], ridge=1e-2)
                errors[wide, needed] = logit_error(slim, model, plan, DATA[64:])
    best = min(errors, key=errors.get)
    assert (len(found.plan.keep["wide"]), len(found.plan.keep["needed"])) == best


def test_a_judge_of_ones_own_and_a_store(model, tmp_path, capsys):
    asked = []

    def judge(slim):
        asked.append(slim.get_layer("wide").units)
        return -slim.get_layer("wide").units

    how = {"macs": 0.5, "delta": 0.1, "judge": judge, "fractions": EIGHTHS, "evolution": FEW}
    first = kp.recipes.search_plan(model, DATA, **how, path=tmp_path / "search.sqlite")
    number = len(asked)
    again = kp.recipes.search_plan(model, DATA, **how, path=tmp_path / "search.sqlite", verbose=1)
    assert f"{number} of {FEW.most} candidates were evaluated before" in capsys.readouterr().err
    assert again == first and len(asked) == number == len(first.search.candidates)
    assert first.score == -min(asked)
    with first.save(tmp_path / "search.csv").open() as file:
        assert [row["wide"] for row in csv.DictReader(file)] == [str(keep["wide"]) for keep in first.keep]


def test_recalibration_judges_with_statistics_taken_anew():
    keras.utils.set_random_seed(0)
    normed = layers.BatchNormalization()
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, name="first"),
            normed,
            layers.Dense(8, "relu", name="second"),
            layers.Dense(3),
        ]
    )
    normed.moving_mean.assign(np.full(8, 0.1))
    few = Evolution(population=2, generations=1)
    found = kp.recipes.search_plan(model, DATA, macs=0.5, judge="recalibration", delta=0.1, evolution=few, samples=64)
    slim = kp.recalibrate(kp.rebuild(model, found.plan), DATA, samples=64)
    assert found.score == pytest.approx(-logit_error(slim, model, found.plan, DATA, samples=64), rel=1e-4)


def test_what_does_not_fit_is_said(model):
    for change, message in (
        ({"judge": "recalibrate"}, "recalibration"),
        ({"macs": 0.01}, "macs that the widths can reach: 0.0"),
        ({"fractions": ()}, "fractions"),
        ({"fractions": 0.5}, "fractions=0.5"),
        ({"delta": 2}, "delta=2"),
        ({"evolution": 3}, "evolution=3"),
        ({"data": np.zeros((8, 5))}, "shape"),
    ):
        with pytest.raises(kp.PruneError, match=message):
            kp.recipes.search_plan(model, **{"data": DATA, "macs": 0.5, **change})
