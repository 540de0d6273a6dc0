"""SNIP, GraSP and SynFlow against finite differences, changes of the gradient's norm, and sums over paths."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune import criteria
from kerasprune.criteria import GraSP
from kerasprune.criteria.synflow import Flow
from kerasprune.testing.toys import toy_data, toy_model

# These run on JAX too, by the path of this file; continuous integration runs test_gradients.py there.

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _small() -> keras.Model:
    """A smooth net with BatchNorm, of 51 weights."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    x = layers.BatchNormalization()(layers.Dense(5, name="a")(inputs))
    x = layers.Dense(4, activation="tanh", name="b")(layers.Activation("softplus")(x))
    return keras.Model(inputs, layers.Dense(4, name="c")(x))


def _data(number: int = 24):
    generator = np.random.default_rng(1)
    x, y = generator.normal(size=(number, 3)).astype("float32"), generator.integers(0, 4, number)
    return [(x[:10], y[:10]), (x[10:], y[10:])]


class Loss64:
    """Mean cross-entropy of `_small` in NumPy and float64, as a function of its kernels; gradients by differences."""

    def __init__(self, model: keras.Model, data, temperature: float = 1.0) -> None:
        self.kernels = [model.get_layer(name).kernel.numpy().astype("float64") for name in "abc"]
        self.x = np.concatenate([x for x, _ in data]).astype("float64")
        self.y = np.concatenate([y for _, y in data])
        self.temperature = temperature

    def __call__(self, line: np.ndarray) -> float:
        a, b, c = self.split(line)
        h = self.x @ a / np.sqrt(1 + 1e-3)
        z = np.tanh(np.log1p(np.exp(h)) @ b) @ c / self.temperature
        z -= z.max(1, keepdims=True)
        return float(np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), self.y]))

    @property
    def line(self) -> np.ndarray:
        return np.concatenate([kernel.ravel() for kernel in self.kernels])

    def split(self, line: np.ndarray) -> list[np.ndarray]:
        parts = np.split(line, np.cumsum([kernel.size for kernel in self.kernels])[:-1])
        return [part.reshape(kernel.shape) for part, kernel in zip(parts, self.kernels, strict=True)]

    def gradient(self, line: np.ndarray, step: float = 1e-4) -> np.ndarray:
        return np.array([(self(line + step * e) - self(line - step * e)) / (2 * step) for e in np.eye(line.size)])


def _line(saliency) -> np.ndarray:
    return np.concatenate([array.ravel() for array in saliency.values()])


def test_snip_against_finite_differences():
    model, data = _small(), _data()
    found = _line(criteria.get("snip").saliency_of(model, data, LOSS))
    reference = Loss64(model, data)
    expected = np.abs(reference.line * reference.gradient(reference.line))
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-3, atol=1e-6)
    assert found.sum() == pytest.approx(1)


@pytest.mark.thorough
@pytest.mark.parametrize("temperature", [1.0, 200.0])
def test_grasp_against_finite_differences(temperature):
    model, data = _small(), _data()
    found = _line(GraSP(temperature).saliency_of(model, data, LOSS))
    reference = Loss64(model, data, temperature)
    here, step = reference.line, 1e-3
    g = reference.gradient(here)
    unit = g / np.linalg.norm(g)
    product = (reference.gradient(here + step * unit) - reference.gradient(here - step * unit)) / (2 * step)
    expected = here * product * np.linalg.norm(g)
    np.testing.assert_allclose(found, expected, rtol=2e-2, atol=1e-4 * np.abs(expected).max())
    magnitude = _line(criteria.get({"name": "abs_grasp", "temperature": temperature}).saliency_of(model, data, LOSS))
    np.testing.assert_allclose(magnitude, np.abs(found), rtol=1e-6)


def test_the_lowest_grasp_raises_the_norm_of_the_gradient_most():
    """On a small net: a little less of each weight, and the norm changes by −2 θHg times that."""
    model, data = _small(), _data()
    found = _line(GraSP().saliency_of(model, data, LOSS))
    reference = Loss64(model, data)
    here, less = reference.line, 1e-3
    before = np.sum(reference.gradient(here) ** 2)
    chosen = [*np.argsort(found)[:3], *np.argsort(found)[-3:]]
    for at in chosen:
        changed = here.copy()
        changed[at] *= 1 - less
        change = (np.sum(reference.gradient(changed) ** 2) - before) / less
        assert change == pytest.approx(-2 * found[at], rel=0.05)
    assert found[chosen[0]] < 0 < found[chosen[-1]]


def test_grasp_on_a_quadratic():
    """½ Σ x² of x = A w: g = AᵀA w and H = AᵀA; without a weight the norm changes as the score says, to first order."""
    generator = np.random.default_rng(0)
    a = generator.normal(size=(6, 4)).astype("float32")
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, use_bias=False)])
    w = np.array([[0.5], [-1.0], [2.0], [0.1]], "float32")
    model.set_weights([w])
    score = _line(GraSP().saliency_of(model, [(a, np.zeros((6, 1), "float32"))], "mse"))
    hessian = 2 * a.T.astype("float64") @ a / 6
    np.testing.assert_allclose(score, w[:, 0] * (hessian @ hessian @ w)[:, 0], rtol=1e-4)
    for at in range(4):
        without = w[:, 0].astype("float64")
        without[at] = 0
        change = np.sum((hessian @ without) ** 2) - np.sum((hessian @ w) ** 2)
        second = float((w[at, 0] * hessian[:, at]) @ (w[at, 0] * hessian[:, at]))
        assert change == pytest.approx(-2 * score[at] + second, rel=1e-4)


def test_grasp_is_snip_but_for_the_sign_where_the_hessian_is_the_identity():
    """A linear layer, squared error: one-hot inputs make H a multiple of I, inputs of several sizes do not."""
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, use_bias=False)])
    targets = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    for sizes, same in ([1, 1, 1], True), ([1, 2, 3], False):
        data = [(np.diag(sizes).astype("float32"), targets)]
        grasp, snip = (_line(criteria.get(name).saliency_of(model, data, "mse")) for name in ("grasp", "snip"))
        assert np.allclose(np.abs(grasp) / np.abs(grasp).sum(), snip, rtol=1e-4) == same
        assert grasp.min() < 0 < grasp.max()


def test_a_temperature_wants_logits():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, activation="softmax")])
    with pytest.raises(kp.PruneError, match="Expected logits for temperature=200"):
        GraSP(200.0).saliency_of(model, _data(), "sparse_categorical_crossentropy")
    with pytest.raises(kp.PruneError, match="temperature=0"):
        GraSP(temperature=0)
    with pytest.raises(kp.PruneError, match="gradients that are all 0"):
        x = np.zeros((4, 3), "float32")
        criteria.get("snip").saliency_of(keras.Sequential([keras.Input((3,)), layers.Dense(2)]), [(x, x[:, :2])], "mse")


def test_training_mode_takes_the_statistics_of_the_batch_and_keeps_those_of_the_model():
    model, (x, y) = toy_model(), toy_data(16)
    before = model.get_weights()
    still, moving = (
        _line(criteria.get({"name": "snip", "training": flag}).saliency_of(model, [(x, y)], LOSS))
        for flag in (False, True)
    )
    assert all(map(np.array_equal, before, model.get_weights()))
    assert np.corrcoef(still, moving)[0, 1] < 0.99


def test_synflow_sums_over_all_paths():
    """Every path of |weights| from an input to an output, one by one; a skip beside two layers and a BatchNorm."""
    inputs = keras.Input((3,))
    x = layers.Dense(3, name="a")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Add()([layers.ReLU()(x), inputs])
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="b")(x))
    generator = np.random.default_rng(0)
    model.set_weights([generator.normal(size=w.shape) if w.ndim > 1 else np.abs(w + 1) for w in model.get_weights()])
    a, b = (np.abs(model.get_layer(name).kernel.numpy().astype("float64")) for name in "ab")
    norm = model.get_layer("norm")
    scale = norm.gamma.numpy() / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
    through_a, through_b = np.zeros((3, 3)), np.zeros((3, 2))
    for i, j, k in itertools.product(range(3), range(3), range(2)):
        flow = a[i, j] * scale[j] * b[j, k]
        through_a[i, j] += flow
        through_b[j, k] += flow
    through_b += b
    whole = through_b.sum()
    shares = criteria.get("synflow").saliency_of(model)
    for expected, found in zip((through_a, through_b), shares.values(), strict=True):
        np.testing.assert_allclose(found, expected / whole, rtol=1e-5)


@pytest.mark.experiments
def test_synflow_is_conserved_by_every_unit_and_by_every_cut():
    model = kp.models.vgg_cifar(16, input_shape=(16, 16, 3), width=0.125, seed=0)
    shares = list(criteria.get("synflow").saliency_of(model).values())
    for before, after in itertools.pairwise(shares):
        into, out = before.sum(axis=(0, 1, 2)), after.sum(axis=tuple(range(after.ndim - 2)) + (after.ndim - 1,))
        np.testing.assert_allclose(into, out, rtol=1e-4, atol=1e-9)
    for share in shares:
        assert share.sum() == pytest.approx(1, rel=1e-4) and (share >= 0).all()


class Skipping:
    """Three dense layers with biases and relu; the second's outputs are added to its inputs. R's slopes by hand."""

    def __init__(self) -> None:
        inputs = keras.Input((3,))
        given = {"activation": "relu", "bias_initializer": keras.initializers.RandomNormal(seed=1)}
        first, second = (layers.Dense(5, name=name, kernel_initializer="orthogonal", **given) for name in "ab")
        x = first(inputs)
        x = layers.Add()([second(x), x])
        self.model = keras.Model(inputs, layers.Dense(4, name="c", bias_initializer="ones")(x))
        generator = np.random.default_rng(2)
        self.model.set_weights([generator.normal(size=each.shape) for each in self.model.weights])
        self.x, self.y = generator.normal(size=(20, 3)).astype("float32"), generator.integers(0, 4, 20)

    def bias_saliencies(self, of_outputs) -> list[np.ndarray]:
        """Returns −b·∂R/∂b of the three layers, where `of_outputs` are an example's slopes ∂R/∂z, by the chain rule."""
        (a, a0), (b, b0), (c, c0) = (
            [each.numpy().astype("float64") for each in self.model.get_layer(name).weights] for name in "abc"
        )
        h = np.maximum(self.x @ a + a0, 0)
        g = np.maximum(h @ b + b0, 0)
        z = (g + h) @ c + c0
        slope_c = of_outputs(z, self.y)
        slope_b = slope_c @ c.T * (g > 0)
        slope_a = (slope_c @ c.T + slope_b @ b.T) * (h > 0)
        slopes = zip((a0, b0, c0), (slope_a, slope_b, slope_c), strict=True)
        return [-bias * slope.sum(0) for bias, slope in slopes] + [-(z * slope_c).sum()]


def _cross_entropy_slopes(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    shares = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return (shares - np.eye(z.shape[1])[y]) / len(z)


def _sum_of_cubes(y, z):
    return keras.ops.sum(z**3, axis=-1)


@pytest.mark.parametrize(
    ("loss", "slopes"),
    [(LOSS, _cross_entropy_slopes), (_sum_of_cubes, lambda z, y: 3 * z**2 / len(z))],
    ids=["R = cross-entropy", "R = Σ z³"],
)
def test_synaptic_saliency_is_conserved_by_every_unit_and_every_cut(loss, slopes):
    """Theorems 1 and 2, whatever R: into a unit of relu, its bias included, goes what comes out of it."""
    net = Skipping()
    found = criteria.get("skeletonization").saliency_of(net.model, [(net.x, net.y)], loss)
    a, b, c = found.values()
    bias_a, bias_b, bias_c, whole = net.bias_saliencies(slopes)
    into, out = a.sum(0) + bias_a + b.sum(0) + bias_b, b.sum(1) + c.sum(1)  # of a unit and the one that is added to it
    assert np.abs(into).max() > 1e-2
    np.testing.assert_allclose(into, out, rtol=1e-4, atol=1e-5 * np.abs(out).max())
    cuts = a.sum() + bias_a.sum() + bias_b.sum() + bias_c.sum(), c.sum() + bias_c.sum()
    np.testing.assert_allclose(cuts, whole, rtol=1e-4)  # what enters, and what leaves: ⟨∂R/∂z, z⟩


def test_synflow_does_not_overflow():
    """Forty layers of weights far from 1: float64 would overflow, and the shares are those of small weights."""
    inputs = x = keras.Input((4,))
    for _ in range(40):
        x = layers.Dense(4, use_bias=False)(x)
    model = keras.Model(inputs, x)
    generator = np.random.default_rng(0)
    small = [generator.uniform(0.5, 1, w.shape) for w in model.get_weights()]
    model.set_weights([1e10 * w for w in small])
    shares = list(criteria.get("synflow").saliency_of(model).values())
    left = [np.ones(4)]
    for w in small:
        left.append(left[-1] @ w / (left[-1] @ w).sum())
    right = np.ones(4)
    for w, share, flow in zip(small[::-1], shares[::-1], left[-2::-1], strict=True):
        expected = flow[:, None] * w * right
        np.testing.assert_allclose(share, expected / expected.sum(), rtol=1e-3)
        right = w @ right / (w @ right).sum()


def test_synflow_of_a_residual_net_is_that_in_double_precision():
    """Branches far stronger than the trunk: tensors that meet are brought to one power of two."""
    inputs = x = keras.Input((3,))
    for number in range(12):
        y = layers.Dense(3, use_bias=False, name=f"d{number}")(x)
        x = layers.Concatenate()([x, y]) if number == 5 else x + layers.Dense(3 if number < 5 else 6)(y)
    model = keras.Model(inputs, [layers.Dense(2, name="one")(x), layers.Dense(1, name="two")(y)])
    generator = np.random.default_rng(0)
    model.set_weights([1e3 * generator.normal(size=w.shape) for w in model.get_weights()])
    found = criteria.get("synflow").saliency_of(model)
    layer = model.get_layer("d3")
    kernel, at, share = layer.kernel.numpy(), (1, 2), found[layer.kernel.path]

    def whole(factor: float) -> float:
        weights = {v.path: np.abs(v.numpy()).astype("float64") for v in model.trainable_variables if len(v.shape) > 1}
        weights[layer.kernel.path][at] *= factor
        x = np.ones((1, 3))
        rest = iter([each for each in model.layers if each.name.startswith("dense")])
        for number in range(12):
            y = x @ weights[model.get_layer(f"d{number}").kernel.path]
            x = np.concatenate([x, y], 1) if number == 5 else x + y @ weights[next(rest).kernel.path]
        return sum(float((z @ weights[model.get_layer(n).kernel.path]).sum()) for n, z in (("one", x), ("two", y)))

    assert kernel[at] != 0
    assert share[at] == pytest.approx((whole(1) - whole(0)) / whole(1), rel=1e-4)


@pytest.mark.parametrize(("policy", "tolerance"), [("float64", 1e-5), ("mixed_float16", 1e-2), ("float16", 2e-2)])
def test_synflow_in_other_precisions(policy, tolerance):
    """Several outputs, of which one may be of another precision than the rest."""

    def scored(policy):
        x = inputs = keras.Input((8, 8, 2), dtype="float32")
        x = layers.Conv2D(6, 3, activation="relu", name="first", dtype=policy)(x)
        x = layers.GlobalAveragePooling2D(dtype=policy)(layers.Conv2D(5, 3, name="second", dtype=policy)(x))
        model = keras.Model(inputs, [layers.Dense(3, dtype=policy)(x), layers.Dense(2, dtype="float32")(x)])
        generator = np.random.default_rng(0)
        model.set_weights([generator.normal(size=each.shape) for each in model.weights])
        return criteria.get("synflow").score(kp.trace(model))

    found, expected = scored(policy), scored("float32")
    for name, scores in expected.items():
        np.testing.assert_allclose(found[name], scores, rtol=tolerance)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only TensorFlow holds texts")
def test_synflow_refuses_texts():
    words = keras.Input((1,), dtype="string")
    known = layers.StringLookup(vocabulary=["good", "bad"], output_mode="one_hot")(words)
    model = keras.Model(words, layers.Dense(2)(layers.Dense(4, "relu")(known)))
    with pytest.raises(kp.PruneError, match="inputs of texts"):
        criteria.get("synflow").score(kp.trace(model))


def test_synflow_names_what_it_cannot_follow():
    inputs = keras.Input((6, 4))
    attention = keras.Model(inputs, layers.MultiHeadAttention(2, 3, name="mha")(inputs, inputs))
    with pytest.raises(kp.PruneError, match="'mha' of class MultiHeadAttention"):
        criteria.get("synflow").saliency_of(attention)
    gated = keras.Model(inputs, layers.Dense(2)(layers.Multiply()([layers.Dense(4)(inputs), inputs])))
    with pytest.raises(kp.PruneError, match="as gates do"):
        criteria.get("synflow").saliency_of(gated)
    nodes, adjacency = keras.Input((4,)), keras.Input((None,))
    graph = keras.Model([nodes, adjacency], layers.Dense(2)(keras.ops.matmul(adjacency, layers.Dense(8)(nodes))))
    with pytest.raises(kp.PruneError, match="ones that it does not take"):  # a row by itself
        criteria.get("synflow").saliency_of(graph)
    with pytest.raises(kp.PruneError, match="side"):
        criteria.get({"name": "synflow", "side": 0})


def test_synflow_of_an_embedding_and_a_recurrent_layer():
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(7, 3, mask_zero=True, name="table")(inputs)
    x = layers.GRU(4, name="cell")(x)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="out")(x))
    shares = criteria.get("synflow").saliency_of(model)
    graph = kp.trace(model, unknown="freeze")
    sums = {kernel.variable.name: shares[kernel.variable.path].sum() for kernel in graph.kernels}
    assert sums["embeddings"] == pytest.approx(1) and sums["kernel"] == pytest.approx(1)
    cell = model.get_layer("cell").cell
    w, u = (np.abs(k.numpy()).reshape(-1, 3, 4).sum(1) for k in (cell.kernel, cell.recurrent_kernel))
    a = np.abs(model.get_layer("table").embeddings.numpy()).sum(0) @ w
    out = np.abs(model.get_layer("out").kernel.numpy()).sum(1)
    assert sums["recurrent_kernel"] == pytest.approx((a @ u) @ out / ((a + a @ u) @ out), rel=1e-5)
    assert Flow(graph).pipes.model.count_params()
