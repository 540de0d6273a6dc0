"""Discrimination against classifiers fitted by hand, on networks of all four kinds of blocks."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.linear_model import RidgeClassifier
from sklearn.preprocessing import StandardScaler

import kerasprune as kp
from kerasprune.papers.three_dimensional import Discrimination, blocks_of, least_blocks, score_blocks
from kerasprune.testing import randomise

RIDGE = Discrimination(classifier="ridge", samples=200)


def pooled(model: keras.Model, layer: str, data: list, which: slice) -> tuple[np.ndarray, np.ndarray]:
    """Returns pooled features and labels of some samples."""
    reader = keras.Model(model.inputs, model.get_layer(layer).output)
    features = np.concatenate([keras.ops.convert_to_numpy(reader(x)).mean(axis=(1, 2)) for x, _ in data])
    return features[which], np.concatenate([y for _, y in data])[which]


def samples(side: int = 8, classes: int = 4, seed: int = 0) -> list:
    """Returns batches in which the classes differ by a faint colour."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, 240)
    images = generator.normal(size=(240, side, side, 3)) + 0.3 * np.eye(classes)[labels][:, None, None, :3]
    return [(images[i : i + 60].astype("float32"), labels[i : i + 60]) for i in range(0, 240, 60)]


def by_hand(model: keras.Model, layer: str, data: list, seed: int) -> float:
    """Returns the accuracy of a ridge classifier on the pooled output of a layer."""
    reader = keras.Model(model.inputs, model.get_layer(layer).output)
    features = np.concatenate([keras.ops.convert_to_numpy(reader(x)).mean(axis=(1, 2)) for x, _ in data])[:200]
    labels = np.concatenate([y for _, y in data])[:200]
    order = np.random.default_rng(seed).permutation(200)
    tested, fitted = order[:60], order[60:]
    scaler = StandardScaler().fit(features[fitted])
    fit = RidgeClassifier().fit(scaler.transform(features[fitted]), labels[fitted])
    return (fit.predict(scaler.transform(features[tested])) == labels[tested]).mean()


@pytest.mark.thorough
def test_scores_of_a_residual_network_are_those_by_hand():
    model, data = randomise(kp.models.resnet_cifar(depth=14, classes=4, width=0.5, seed=0), 0), samples()
    scores = score_blocks(RIDGE, kp.trace(model), data, seed=3)
    relus = ["stem_relu", *(f"stage{s}_block{b}_relu2" for s in (1, 2, 3) for b in (1, 2))]
    accuracy = {name: by_hand(model, name, data, 3) for name in relus}
    expected = {
        f"stage{s}_block{b}_add": accuracy[f"stage{s}_block{b}_relu2"]
        - accuracy["stem_relu" if (s, b) == (1, 1) else f"stage{s}_block{b - 1}_relu2"]
        for s, b in ((1, 1), (1, 2), (2, 2), (3, 2))
    }
    assert scores == pytest.approx(expected, abs=1e-9)
    assert len(set(scores.values())) > 1
    assert score_blocks(RIDGE, kp.trace(model), data, seed=3) == scores


@pytest.mark.parametrize("kind", ["residual", "dense", "plain", "inverted", "nested"])
def test_every_kind_of_block_has_a_score(kind):
    model = {
        "residual": lambda: kp.models.resnet_cifar(depth=8, classes=4, width=0.25, seed=0),
        "dense": lambda: kp.models.densenet_cifar(depth=10, classes=4, growth=4, seed=0),
        "plain": lambda: plain(),
        "inverted": lambda: inverted(),
        "nested": lambda: nested(),
    }[kind]()
    graph = kp.trace(model)
    before = [w.numpy() for w in model.weights]
    nodes = [len(layer._inbound_nodes) for layer in model.layers]
    scores = score_blocks(RIDGE, graph, samples())
    assert list(scores) == list(blocks_of(graph)) and scores
    assert all(np.array_equal(a, b) for a, b in zip(before, model.weights, strict=True))
    assert nodes == [len(layer._inbound_nodes) for layer in model.layers]


def plain() -> keras.Model:
    inputs = x = keras.Input((8, 8, 3))
    for number in range(3):
        x = layers.ReLU()(layers.Conv2D(6, 3, padding="same", name=f"conv{number}")(x))
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))


def inverted() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = source = layers.Conv2D(6, 3, padding="same")(inputs)
    x = layers.BatchNormalization()(layers.Conv2D(12, 1)(x))
    x = layers.DepthwiseConv2D(3, padding="same")(layers.ReLU(6.0)(x))
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Multiply()([x, layers.Conv2D(12, 1, activation="sigmoid")(gate)])
    x = layers.Add(name="sum")([source, layers.BatchNormalization()(layers.Conv2D(6, 1)(x))])
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))


def nested() -> keras.Model:
    inner = keras.Input((8, 8, 6))
    block = keras.Model(inner, layers.Add(name="inner_sum")([inner, layers.Conv2D(6, 3, padding="same")(inner)]))
    inputs = keras.Input((8, 8, 3))
    x = block(layers.Conv2D(6, 3, padding="same")(inputs))
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))


def test_a_block_that_does_nothing_scores_zero_and_goes_first():
    model = randomise(kp.models.resnet_cifar(depth=14, classes=4, width=0.5, seed=0), 0)
    idle = model.get_layer("stage3_block2_bn2")
    idle.gamma.assign(np.zeros(idle.gamma.shape))
    idle.beta.assign(np.zeros(idle.beta.shape))
    scores = score_blocks(RIDGE, kp.trace(model), samples(), seed=0)
    assert scores["stage3_block2_add"] == 0.0


def test_classifiers_are_fitted_on_the_data_and_judged_on_other_images():
    model = randomise(kp.models.resnet_cifar(depth=8, classes=4, width=0.5, seed=0), 0)
    data, others = samples(), samples(seed=1)
    criterion = Discrimination(classifier="ridge", samples=100).judged_on(others)
    assert criterion.judged_on(data).evaluation is others  # the one that it was made with stays
    scores = score_blocks(criterion, kp.trace(model), data)
    accuracy = {}
    for layer in ("stem_relu", "stage1_block1_relu2"):
        (x, y), (xt, yt) = (pooled(model, layer, each, slice(100)) for each in (data, others))
        scaler = StandardScaler().fit(x)
        accuracy[layer] = (RidgeClassifier().fit(scaler.transform(x), y).predict(scaler.transform(xt)) == yt).mean()
    gain = accuracy["stage1_block1_relu2"] - accuracy["stem_relu"]
    assert scores["stage1_block1_add"] == pytest.approx(gain, abs=1e-9)
    assert scores != score_blocks(Discrimination(classifier="ridge", samples=100), kp.trace(model), data)


def test_a_number_of_samples_per_class_is_the_first_of_each():
    model = randomise(kp.models.resnet_cifar(depth=8, classes=4, width=0.5, seed=0), 0)
    data = samples()
    labels = np.concatenate([y for _, y in data])
    first = np.sort(np.concatenate([np.flatnonzero(labels == label)[:9] for label in range(4)]))
    images = np.concatenate([x for x, _ in data])[first]
    picked = [(images[:20], labels[first][:20]), (images[20:], labels[first][20:])]
    criterion = Discrimination(classifier="ridge", samples_per_class=9)
    asked: list[int] = []
    counted = (asked.append(1) or batch for batch in [*data, *data])
    assert score_blocks(criterion, kp.trace(model), counted) == score_blocks(RIDGE, kp.trace(model), picked)
    assert len(asked) < 8  # 36 samples of 4 classes are found: the rest is not read


def test_logistic_regression_reads_what_ridge_reads():
    model, data = kp.models.resnet_cifar(depth=8, classes=4, width=0.5, seed=0), samples()
    scores = score_blocks(Discrimination(samples=240), kp.trace(model), data)
    assert all(abs(value) < 0.5 for value in scores.values())


def test_the_least_go():
    scores = {"a": 0.3, "b": 0.1, "c": 0.1, "d": -0.2}
    assert least_blocks(scores, 0) == ()
    assert least_blocks(scores, 2) == ("b", "d")  # of equal ones the first goes; in the order of the network
    assert least_blocks(scores, 4) == ("a", "b", "c", "d")
    with pytest.raises(kp.PruneError, match="0 to 4 blocks.*Received: 5"):
        least_blocks(scores, 5)


def test_random_scores_are_a_function_of_the_seed():
    graph = kp.trace(kp.models.resnet_cifar(depth=14))
    one, again, other = (score_blocks("random", graph, seed=seed) for seed in (1, 1, 2))
    assert one == again != other


def test_sample_weights_have_no_say():
    graph, data = kp.trace(kp.models.resnet_cifar(depth=8, classes=4, width=0.25, seed=0)), samples()
    weighted = [(images, labels, np.ones(len(labels))) for images, labels in data]
    assert score_blocks(RIDGE, graph, weighted) == score_blocks(RIDGE, graph, data)


def test_whole_arrays_are_taken_too():
    graph, data = kp.trace(kp.models.resnet_cifar(depth=8, classes=4, width=0.25, seed=0)), samples()
    arrays = tuple(np.concatenate(part) for part in zip(*data, strict=True))
    scores = score_blocks(RIDGE, graph, data)
    assert score_blocks(RIDGE, graph, arrays) == pytest.approx(scores)


def test_bad_input():
    graph = kp.trace(kp.models.resnet_cifar(depth=14))
    for arguments in (
        {"classifier": "logstic"},
        {"samples": 3},
        {"held_out": 1.0},
        {"samples_per_class": 0},
        {"samples": 100, "samples_per_class": 10},
    ):
        with pytest.raises(kp.PruneError, match="Received"):
            Discrimination(**arguments)
    with pytest.raises(kp.PruneError, match="data=None"):
        score_blocks("discrimination", graph)
    with pytest.raises(kp.PruneError, match="several classes"):
        score_blocks(RIDGE, graph, [(np.zeros((20, 8, 8, 3), "float32"), np.zeros(20, int))])
    with pytest.raises(kp.PruneError, match="Expected batches of .inputs, labels.*type ndarray"):
        score_blocks(RIDGE, graph, [np.zeros((20, 8, 8, 3), "float32"), np.zeros(20, int)])
    with pytest.raises(kp.PruneError, match="Did you mean 'discrimination'"):
        score_blocks("discrimnation", graph)


def test_channels_that_come_first_are_features_too():
    def model(form: str) -> keras.Model:
        axis = 1 if form == "channels_first" else -1
        how = {"padding": "same", "data_format": form}
        x = inputs = keras.Input((3, 8, 8) if axis == 1 else (8, 8, 3))
        x = layers.Conv2D(4, 3, activation="relu", **how)(x)
        for number in range(2):
            y = layers.BatchNormalization(axis=axis)(layers.Conv2D(4, 3, **how)(x))
            x = layers.ReLU()(layers.Add(name=f"add{number}")([x, y]))
        return keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D(data_format=form)(x)))

    last, first, data = randomise(model("channels_last"), 0), model("channels_first"), samples()
    first.set_weights(last.get_weights())
    moved = [(x.transpose(0, 3, 1, 2), y) for x, y in data]
    expected = score_blocks(RIDGE, kp.trace(last), data)
    assert len(set(expected.values())) == 2
    assert score_blocks(RIDGE, kp.trace(first), moved) == pytest.approx(expected, abs=1e-9)


def test_labels_that_are_no_classes_are_said():
    inputs = keras.Input((4,))
    x = layers.Add()([inputs, layers.Dense(4)(inputs)])
    images, numbers = np.ones((20, 4), "float32"), np.linspace(0, 1, 20)
    with pytest.raises(kp.PruneError, match="instead of classes.*'random'"):
        score_blocks("discrimination", kp.trace(keras.Model(inputs, layers.Dense(1)(x))), [(images, numbers)])
    two = keras.Model(inputs, {name: layers.Dense(2, name=name)(x) for name in "ab"})
    with pytest.raises(kp.PruneError, match="labels of 2 outputs"):
        score_blocks("discrimination", kp.trace(two), [(images, {"a": numbers > 0.5, "b": numbers > 0.2})])
    with pytest.raises(kp.PruneError, match=r"labels of shape \(20, 3, 1\)"):
        score_blocks("discrimination", kp.trace(keras.Model(inputs, x)), [(images, np.ones((20, 3, 1)))])
    with pytest.raises(kp.PruneError, match="come from a generator that was read before"):
        score_blocks("discrimination", kp.trace(keras.Model(inputs, x)), iter(()))
