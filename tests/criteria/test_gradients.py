"""Criteria of first derivatives against differences of a loss in NumPy; what they refuse; what they leave alone."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from support.two_layer import KERNELS, cross_entropies, network, numbers, scaled, slopes

import kerasprune as kp
from kerasprune import criteria
from kerasprune.criteria.batch_loss import batch_loss
from kerasprune.criteria.gradients import GradientCriterion, mean_gradients
from kerasprune.data.batches import batches

pytestmark = [pytest.mark.jax, pytest.mark.torch]
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
GENERATOR = np.random.default_rng(0)
X, Y = GENERATOR.normal(size=(30, 4)).astype("float32"), GENERATOR.integers(0, 3, 30)
DATA = [(X[:20], Y[:20]), (X[20:], Y[20:])]
GATES = {True: ("norm/gamma", "norm/beta"), False: ("hidden/kernel", "hidden/bias")}


def close(found, expected, tolerance=1e-4):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.fixture(scope="module", params=[True, False], ids=["norm", "plain"])
def net(request):
    """A network, its numbers, the products w·g of its kernels and the derivatives by a gate on each channel."""
    model = network(request.param)
    p = numbers(model)

    def loss(p):
        return cross_entropies(p, X, Y).mean()

    products = {f"{name}/kernel": p[f"{name}/kernel"] * slopes(loss, p, f"{name}/kernel") for name in KERNELS}
    ends = [[loss(scaled(p, GATES[request.param], c, 1 + e)) for c in range(5)] for e in (1e-5, -1e-5)]
    return model, products, np.subtract(*ends) / 2e-5


SINGLE = {
    "taylor_fo": np.square,
    "taylor_fo_gate": np.square,
    "gradient_magnitude": np.abs,
    "skeletonization": np.negative,
}


@pytest.mark.parametrize("name", SINGLE)
def test_single_weights(net, name):
    model, products, _ = net
    found = criteria.get(name).saliency_of(model, DATA, LOSS)
    assert list(found) == list(products)
    for path, product in products.items():
        close(found[path], SINGLE[name](product))


def test_channels(net):
    model, products, gates = net
    expected = {
        "taylor_fo": (products["hidden/kernel"] ** 2).sum(axis=0),
        "taylor_fo_gate": gates**2,
        "gradient_magnitude": np.abs(products["hidden/kernel"]).sum(axis=0),
        "skeletonization": -gates,
    }
    for name, scores in expected.items():
        close(criteria.get(name).score(kp.trace(model), DATA, LOSS)["hidden"], scores)


def test_a_channel_of_two_layers_has_one_gate_on_both():
    inputs = keras.Input((4,))
    both = [layers.Dense(3, name=name)(inputs) for name in ("a", "b")]
    model = keras.Model(inputs, layers.Dense(3)(layers.Activation("tanh")(layers.Add()(both))))
    graph = kp.trace(model)
    (name,) = graph.prunable
    paths = [model.get_layer(n).weights for n in ("a", "b")]
    found = mean_gradients(model, [v for pair in paths for v in pair], DATA, LOSS)
    expected = 0
    for kernel, bias in paths:
        expected = expected + (keras.ops.convert_to_numpy(kernel) * found[id(kernel)]).sum(axis=0)
        expected = expected + keras.ops.convert_to_numpy(bias) * found[id(bias)]
    close(criteria.get("taylor_fo_gate").score(graph, DATA, LOSS)[name], expected**2)


def test_the_loss_is_the_compiled_one_or_the_one_that_is_given():
    model = network()
    model.compile("sgd", LOSS)
    plan = kp.plan(model, "taylor_fo", keep=0.4, data=DATA)
    assert plan.keep == kp.plan(network(), "taylor_fo", keep=0.4, data=DATA, loss=LOSS).keep
    scores = [criteria.get("taylor_fo").score(kp.trace(model), DATA)["hidden"]]
    one_hot = [(x, np.eye(3)[y]) for x, y in DATA]
    scores.append(criteria.get("taylor_fo").score(kp.trace(model), one_hot, "mse")["hidden"])
    assert not np.allclose(*scores, rtol=0.1)


def test_losses_and_labels_of_several_outputs_with_weights_of_examples():
    inputs = keras.Input((4,), name="x")
    x = layers.Dense(5, name="hidden")(inputs)
    outputs = [layers.Dense(n, name=name)(x) for n, name in ((1, "a"), (3, "b"))]
    model = keras.Model({"x": inputs}, outputs)
    model.compile("sgd", {"a": "mse", "b": LOSS}, loss_weights={"a": 0.5, "b": 2.0})
    answers = X[:, :1] ** 2, Y
    share = np.linspace(0, 1, 30).astype("float32")
    mean = batch_loss(model)({"x": X}, list(answers), share)
    a, b = (np.asarray(keras.ops.convert_to_numpy(y)) for y in model({"x": X}))
    logs = np.log(np.exp(b).sum(axis=1)) - b[np.arange(30), Y]
    expected = (share * (0.5 * (a - answers[0])[:, 0] ** 2 + 2 * logs)).mean()
    assert float(keras.ops.convert_to_numpy(mean)) == pytest.approx(expected, rel=1e-5)
    assert batch_loss(model, model.loss)({"x": X}, list(answers), share) == mean
    named = {"a": answers[0], "b": answers[1]}
    assert batch_loss(model)({"x": X}, named, share) == mean
    with pytest.raises(kp.PruneError, match=r"labels for each of the outputs \['a', 'b'\]"):
        batch_loss(model)({"x": X}, Y)
    with pytest.raises(kp.PruneError, match="'c'"):
        batch_loss(model, {"c": "mse"})


NESTS = {  # outputs; the loss, labels and weights by them
    "other keys": lambda a, b: {"first": a, "second": b},
    "nested": lambda a, b: {"inner": {"first": a}, "second": b},
    "list": lambda a, b: [a, b],
}


@pytest.mark.parametrize("form", NESTS)
def test_outputs_of_every_form_have_the_loss_that_keras_evaluates(form):
    inputs = keras.Input((4,), name="x")
    x = layers.Dense(5, name="hidden")(inputs)
    packed = NESTS[form](layers.Dense(1, name="b")(x), layers.Dense(3, name="a")(x))  # names in the other order
    model = keras.Model({"x": inputs}, packed)
    model.compile("sgd", NESTS[form]("mse", LOSS), loss_weights=NESTS[form](0.5, 2.0))
    labels = NESTS[form](X[:, :1] ** 2, Y)
    mean = float(keras.ops.convert_to_numpy(batch_loss(model)({"x": X}, labels, None)))
    found = model.evaluate({"x": X}, labels, batch_size=len(X), verbose=0, return_dict=True)
    assert mean == pytest.approx(found["loss"])
    scores = criteria.get("taylor_fo").score(kp.trace(model), [({"x": X}, labels)])
    assert scores["hidden"].shape == (5,)


def test_of_several_losses_for_one_output_the_first_counts_as_in_keras():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(1)(layers.Dense(5, name="hidden")(inputs)))
    model.compile("sgd", ["mse", "mae"])
    labels = X[:, :1] ** 2
    mean = float(keras.ops.convert_to_numpy(batch_loss(model)(X, labels, None)))
    assert mean == pytest.approx(model.evaluate(X, labels, batch_size=len(X), verbose=0, return_dict=True)["loss"])


@pytest.mark.parametrize("last", [layers.Dense(3), layers.BatchNormalization()])
def test_a_loss_of_probabilities_on_logits_is_warned_of(last):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, last(layers.Dense(3, name="hidden")(inputs)))
    for loss in ("sparse_categorical_crossentropy", keras.losses.SparseCategoricalCrossentropy()):
        with pytest.warns(UserWarning, match=r"logits.*take keras.losses.SparseCategoricalCrossentropy\(from_logits"):
            batch_loss(model, loss)
    with pytest.warns(UserWarning, match=r"logits.*take keras.losses.BinaryCrossentropy\(from_logits"):
        batch_loss(model, "binary_crossentropy")


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", LOSS, "mse"])
def test_losses_that_fit_are_not(loss, recwarn):
    inputs = keras.Input((4,))
    softmax = keras.Model(inputs, layers.Dense(3, activation="softmax")(inputs))
    logits = keras.Model(inputs, layers.Dense(3)(inputs))
    batch_loss(softmax if isinstance(loss, str) else logits, loss)
    assert not recwarn.list


@pytest.mark.thorough
def test_a_criterion_of_ones_own():
    class Steepness(GradientCriterion):
        def saliency(self, weight, gradient=None):
            return abs(gradient)

    kp.testing.check_criterion(Steepness)
    model = network()
    kernel = model.get_layer("hidden").kernel
    expected = np.abs(mean_gradients(model, [kernel], DATA, LOSS)[id(kernel)])
    np.testing.assert_array_equal(Steepness().saliency_of(model, DATA, LOSS)["hidden/kernel"], expected)


class Endless:
    def __len__(self):
        raise TypeError("The dataset is infinite.")

    def __iter__(self):
        return iter(DATA)


BAD = {
    "no data": (None, LOSS, r"Expected data for TaylorFO, which needs data, gradients. Received: data=None"),
    "no loss": (DATA, None, "Expected a loss to differentiate.*not compiled with one. Give loss="),
    "labels of another shape": ([(X, np.eye(3)[Y])], LOSS, r"labels of shape \(n\) for sparse.*Received.*\(30, 3\)"),
    "labels that would be broadcast": ([(X, Y[:, None])], "mse", r"labels of shape \(n, 3\) for mse"),
    "classes from 1, in a later batch": ([(X, Y), (X, Y + 1)], LOSS, "from 0 to 2.*labels such as 3. Subtract 1"),
    "not batched": (
        list(zip(X, Y, strict=True)),
        LOSS,
        r"\(None, 4\) .*shape \(4,\). It lacks the batch axis",
    ),
    "two arrays in a list": ([X, Y], LOSS, r"Give arrays as a tuple, data=\(x, y\)"),
    "arrays of two lengths": ((X, Y[:7]), LOSS, r"as many labels as inputs, 30. Received: labels of shape \(7,\)"),
    "no labels": ([X], LOSS, "This criterion needs labels"),
    "inputs by name, no labels": ([{"x": X}], LOSS, "This criterion needs labels"),
    "another input shape": ([(X[:, :3], Y)], LOSS, r"\(None, 4\) .*Received: shape \(30, 3\). Resize the data"),
    "too few labels": ([(X, Y[:7])], LOSS, "as many labels as inputs, 30. Received: labels of shape"),
    "two inputs": ([((X, X), Y)], LOSS, r"Expected data for the inputs \['\w+'\]. Received: 2 arrays"),
    "nothing": ([], LOSS, "Expected examples in data. Received: none"),
    "no batches": (7, LOSS, "Received: data=7"),
    "endless": (Endless(), LOSS, r"repeats forever. Leave .repeat\(\) out, or give data.take"),
    "not a number": ([(X * np.nan, Y)], LOSS, "Expected numbers for the input .*Received: NaN or infinity"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_and_the_model_left_as_it_is(case):
    data, loss, message = BAD[case]
    model = network()
    before = numbers(model)
    with pytest.raises(kp.PruneError, match=message):
        kp.plan(model, "taylor_fo", keep=0.5, data=data, loss=loss)
    after = numbers(model)
    assert all(np.array_equal(before[path], after[path]) for path in before)


def test_gradients_that_are_not_finite_are_refused():
    model = network()
    model.get_layer("logits").kernel.assign(np.full((5, 3), np.nan))
    with pytest.raises(kp.PruneError, match="Expected finite gradients. Received: NaN or infinity by hidden/kernel"):
        kp.plan(model, "taylor_fo", keep=0.5, data=DATA, loss=LOSS)


def test_whole_arrays_are_batches_of_32():
    random = np.random.default_rng(3)
    x, y = random.normal(size=(70, 4)).astype("float32"), random.integers(0, 3, 70)
    cut = [(x[begin : begin + 32], y[begin : begin + 32]) for begin in (0, 32, 64)]
    whole, by_hand = (kp.criteria.get("taylor_fo").score(kp.trace(network()), data, LOSS) for data in ((x, y), cut))
    assert all(np.array_equal(whole[name], by_hand[name]) for name in by_hand) and whole


def test_a_dead_group_is_named():
    model = network()
    model.get_layer("logits").kernel.assign(np.zeros((5, 3)))
    for name in ("taylor_fo", "skeletonization"):
        with pytest.raises(kp.PruneError, match="group 'hidden' is dead.*gradients that are all 0"):
            kp.plan(model, name, keep=0.5, data=DATA, loss=LOSS)
    assert kp.plan(model, "l1", keep=0.5).keep


def test_numbered_batches_are_read_to_their_end():
    class Numbered(keras.utils.PyDataset):
        def __getitem__(self, index):
            return X[10 * index : 10 * index + 10], Y[10 * index : 10 * index + 10]

        @property
        def num_batches(self):
            return 3

    assert [batch.size for batch in batches(Numbered(), network())] == [10, 10, 10]
    kernel = (model := network()).get_layer("hidden").kernel
    parts, whole = (mean_gradients(model, [kernel], data, LOSS)[id(kernel)] for data in (Numbered(), DATA))
    close(parts, whole, 1e-5)
