"""Scores against numbers worked out by hand."""

from __future__ import annotations

import json
import weakref

import keras
import numpy as np
import pytest
from keras import layers
from support.processes import run_python
from support.random_models import built

import kerasprune as kp
from kerasprune import criteria
from kerasprune.criteria import Criterion
from kerasprune.criteria.base import sum_by_unit
from kerasprune.surgery.compute_dtype import in_precision
from kerasprune.testing import check_criterion
from kerasprune.testing.randomness import randomise
from kerasprune.testing.toys import toy_model


def _dense(kernel) -> keras.Model:
    """A dense layer `hidden` with a given kernel, and the logits."""
    kernel = np.asarray(kernel, "float32")
    inputs = keras.Input((kernel.shape[0],))
    hidden = layers.Dense(kernel.shape[1], name="hidden")
    model = keras.Model(inputs, layers.Dense(2, name="logits")(hidden(inputs)))
    hidden.kernel.assign(kernel)
    return model


def _score(criterion, model, **options):
    return criteria.score(criteria.get(criterion), kp.trace(model, **options))


@pytest.mark.whole
@pytest.mark.parametrize("name", criteria.names())
def test_contract_of_every_criterion(name):
    check_criterion(name, equivariant="random" not in name)


SCORED = """
import json, os
os.environ["KERAS_BACKEND"] = sys.argv[1]
import keras
import kerasprune as kp
from kerasprune import criteria
from kerasprune.testing.toys import toy_data, toy_model

images, labels = toy_data(16)
model, data = toy_model(), [(images[:10], labels[:10]), (images[10:], labels[10:])]
given = data, keras.losses.SparseCategoricalCrossentropy(from_logits=True), 0
newton = {"name": "obd", "curvature": "gauss_newton"}
found = {}
for name in [*criteria.names(), newton]:
    scores = criteria.get(name).score(kp.trace(model), *given)
    found[str(name)] = {group: each.tolist() for group, each in scores.items()}
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", [pytest.param("jax", marks=pytest.mark.jax), "torch"])
def test_other_backends_score_as_tensorflow_does(backend):
    pytest.importorskip(backend)
    one, other = (json.loads(run_python(SCORED, each).splitlines()[-1]) for each in ("tensorflow", backend))
    for name, groups in one.items():
        for group, scores in groups.items():
            atol = 1e-4 * np.abs(scores).max()
            np.testing.assert_allclose(other[name][group], scores, rtol=0, atol=atol, err_msg=f"{name} {group}")


@pytest.mark.experiments
@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["resnet_cifar", "mobilenet_v2"])
@pytest.mark.parametrize("name", criteria.names())
def test_contract_of_every_criterion_on_real_networks(name, architecture):
    sizes = {"depth": 20} if architecture == "resnet_cifar" else {"width": 0.35, "stem": "cifar"}
    model = randomise(kp.models.get({"name": architecture, "classes": 10, "input_shape": (32, 32, 3), **sizes}))
    # In float32 one unit at the kink of its ReLU6 moves scores of all layers before it by a per cent.
    model, _ = in_precision(model, "float64")
    generator = np.random.default_rng(0)
    data = [(generator.normal(size=(8, 32, 32, 3)).astype("float32"), generator.integers(0, 10, 8)) for _ in range(2)]
    tolerance = 0.1 if name == "apoz" or name.startswith("hrank") else 1e-4  # a zero, a rank may hang on the last bit
    check_criterion(name, equivariant="random" not in name, tolerance=tolerance, model=model, data=data)


def test_l1_and_l2_of_single_weights():
    model = _dense([[0.1, 0.9, -0.2, 0.5]])
    np.testing.assert_allclose(_score("l1", model)["hidden"], [0.1, 0.9, 0.2, 0.5], rtol=1e-6)
    np.testing.assert_allclose(_score("l2", model)["hidden"], [0.1, 0.9, 0.2, 0.5], rtol=1e-6)
    assert kp.plan(model, keep=0.5).keep["hidden"] == (1, 3)


def test_l1_and_l2_of_filters_differ():
    model = _dense([[3.0, -5.0], [-4.0, 1.0]])
    np.testing.assert_allclose(_score("l1", model)["hidden"], [7, 6])
    np.testing.assert_allclose(_score("l2", model)["hidden"], [5, np.sqrt(26)])


def test_scores_sum_over_every_kernel_that_makes_a_channel():
    """Tied by the residual sum: stem_conv and outer_conv; wide_conv and the depthwise kernel make the same channels."""
    model = toy_model()
    kernels = {name: model.get_layer(name).kernel.numpy().astype("float64") for name in ("stem_conv", "outer_conv")}
    wide, lanes = (model.get_layer(name).kernel.numpy().astype("float64") for name in ("wide_conv", "lanes"))
    for name, power in (("l1", 1), ("l2", 2)):
        scores = _score(name, model)
        root = 1 / power
        expected = sum((np.abs(kernel) ** power).sum(axis=(0, 1, 2)) for kernel in kernels.values()) ** root
        np.testing.assert_allclose(scores["stem_conv"], expected)
        expected = ((np.abs(wide) ** power).sum(axis=(0, 1, 2)) + (np.abs(lanes) ** power).sum(axis=(0, 1, 3))) ** root
        np.testing.assert_allclose(scores["wide_conv"], expected)


def test_scores_follow_channels_through_concatenation():
    inputs = keras.Input((6, 6, 3))
    a, b = (layers.Conv2D(n, 3, name=name)(inputs) for n, name in ((2, "a"), (3, "b")))
    x = layers.Concatenate()([b, a])
    x = layers.BatchNormalization(name="norm")(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalMaxPooling2D()(x)))
    model.get_layer("norm").gamma.assign([1.0, -2.0, 3.0, 4.0, -5.0])
    scores = _score("bn_scale", model)
    assert scores["b"].tolist() == [1, 2, 3] and scores["a"].tolist() == [4, 5]


def test_bn_scale_sums_the_scales_of_a_channel():
    model = toy_model()
    gamma = {name: np.abs(model.get_layer(name).gamma.numpy()) for name in ("stem_norm", "outer_norm", "inner_norm")}
    scores = _score("bn_scale", model)
    np.testing.assert_allclose(scores["stem_conv"], gamma["stem_norm"] + gamma["outer_norm"], rtol=1e-6)
    np.testing.assert_allclose(scores["inner_conv"], gamma["inner_norm"], rtol=1e-6)


@pytest.mark.matrix
@pytest.mark.parametrize("seed", range(6))
def test_scores_are_the_sums_that_are_taken_inside_the_step(seed):
    keras.utils.clear_session(free_memory=False)
    graph = kp.trace(built(seed), unknown="freeze")
    for name, power in (("l1", 1), ("l2", 2)):
        scores = criteria.get(name).score(graph)
        for group, found in scores.items():
            worth = [
                sum_by_unit(np.abs(keras.ops.convert_to_numpy(kernel.variable)) ** power, axis, channel, found.size)
                for kernel, axis, channel in graph.made_by(group)
            ]
            expected = sum((np.asarray(each, "float64") for each in worth), np.zeros(found.size)) ** (1 / power)
            np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.experiments
def test_what_weights_are_worth_is_held_for_one_kernel_at_a_time():
    held = []

    class Counting(Criterion):
        def saliency(self, weight, gradient=None):
            assert sum(each() is not None for each in held) <= 1  # that of the kernel before may still have a name
            worth = np.abs(weight)
            held.append(weakref.ref(worth))
            return worth

    graph = kp.trace(kp.models.vgg_cifar(16, input_shape=(32, 32, 3), width=0.125))
    criteria.score(Counting(), graph)
    assert len(held) == len(graph.kernels) and not any(each() is not None for each in held)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_scores_of_half_precision_neither_overflow_nor_vanish(dtype):
    inputs = keras.Input((2,))
    x = layers.Dense(3, name="hidden", dtype=dtype)(inputs)
    model = keras.Model(inputs, layers.Dense(2)(x))
    model.get_layer("hidden").kernel.assign([[1e-4, 1.0, 300.0], [0.0, 0.0, 300.0]])
    np.testing.assert_allclose(_score("l2", model)["hidden"], [1e-4, 1.0, 300 * 2**0.5], rtol=1e-2)


def test_bn_scale_names_the_groups_without_one():
    inputs = keras.Input((6, 6, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, name="with")(inputs))
    x = layers.BatchNormalization(scale=False)(layers.Conv2D(4, 3, name="unscaled")(x))
    x = layers.Conv2D(4, 3, name="without", padding="same")(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalMaxPooling2D()(x)))
    with pytest.raises(kp.PruneError, match="none in unscaled, without. Use criterion='l1', or freeze"):
        kp.plan(model, criterion="bn_scale", keep=0.5)
    graph = kp.trace(model, freeze=("unscaled", "without"))
    assert list(kp.plan(graph, criterion="bn_scale", keep=0.5).keep) == ["with"]


def test_random_is_a_function_of_the_seed_alone():
    graph = kp.trace(_dense(np.ones((2, 50))))
    first, again, other = (criteria.get("random").score(graph, seed=s)["hidden"] for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all() and ((first >= 0) & (first < 1)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["l1", "l2", "bn_scale"])
def test_weights_that_are_not_finite_are_refused(bad, name):
    model = toy_model()
    for layer in ("inner_conv", "inner_norm"):
        variable = model.get_layer(layer).weights[0]
        value = variable.numpy()
        value.flat[-1] = bad
        variable.assign(value)
    with pytest.raises(kp.PruneError, match="in the groups inner_conv. Check the weights: training may have diverged"):
        kp.plan(model, criterion=name, keep=0.5)


def test_a_criterion_of_ones_own_is_three_lines():
    class Largest(Criterion):
        def saliency(self, weight):
            return weight**4

    scores = _score(Largest, _dense([[1.0, 2.0], [3.0, 0.0]]))
    assert scores["hidden"].tolist() == [82, 16]
    assert _score(Largest(), _dense([[1.0, 2.0]]))["hidden"].tolist() == [1, 16]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({}, r"group 'hidden' has 3 channels. Received: scores of shape \(\)"),
        ({"hidden": np.ones(2)}, r"scores of shape \(2,\)"),
        ({"hidden": np.ones((3, 1))}, r"scores of shape \(3, 1\)"),
    ],
)
def test_wrong_scores_of_ones_own_criterion_are_refused(scores, message):
    class Wrong(Criterion):
        def score(self, graph, data=None, loss=None, seed=0):
            return scores

    with pytest.raises(kp.PruneError, match=message):
        kp.plan(_dense(np.ones((2, 3))), criterion=Wrong(), keep=0.5)


def test_a_criterion_without_a_method_says_so():
    class Nothing(Criterion):
        pass

    with pytest.raises(kp.PruneError, match=r"Nothing, which has neither saliency\(\) nor score\(\)"):
        kp.plan(_dense(np.ones((2, 3))), criterion=Nothing, keep=0.5)
    with pytest.raises(kp.PruneError, match=r"saliency\(\).*l1, l2.*Received: BatchNormScale, which has only score"):
        criteria.get("bn_scale").saliency(np.ones(3))


def test_names_dicts_classes_and_instances_are_accepted():
    model = _dense([[0.1, 0.9]])
    for criterion in ("l1", {"name": "l1"}, criteria.L1, criteria.L1()):
        assert kp.plan(model, criterion, keep=0.5).keep["hidden"] == (1,)
    with pytest.raises(kp.PruneError, match="Did you mean 'l1'"):
        kp.plan(model, "l11", keep=0.5)
    with pytest.raises(kp.PruneError, match="with a 'name'"):
        kp.plan(model, {"criterion": "l1"}, keep=0.5)
    with pytest.raises(kp.PruneError, match="could not be made"):
        kp.plan(model, {"name": "l1", "power": 2}, keep=0.5)


SIZES = {"wide": 12, "narrow": 7}


def _two_groups() -> keras.Model:
    """Groups of unlike sizes and unlike kernels, so that ways of comparing them would differ."""
    generator = np.random.default_rng(0)
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(12, 5, name="wide")(inputs)
    x = layers.Conv2D(7, 1, name="narrow")(layers.ReLU()(x))
    model = keras.Model(inputs, layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(x)))
    for name, spread in (("wide", 0.3), ("narrow", 2.0)):
        kernel = model.get_layer(name).kernel
        kernel.assign(spread * generator.standard_normal(kernel.shape) * generator.uniform(0.2, 2, kernel.shape[-1]))
    return model


@pytest.mark.thorough
@pytest.mark.parametrize("criterion", ["l1", "l2"])
def test_plans_and_masks_rank_channels_alike(criterion):
    model = _two_groups()
    plan = kp.plan(model, criterion, "global", keep=0.5)
    callback = kp.callbacks.GradualMagnitude(
        kp.schedules.constant(keep=0.5, begin="0it"), criterion=criterion, granularity="filter", scope="global", every=1
    )
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(np.zeros((2, 12, 12, 3)), np.zeros((2, 3)), verbose=0, callbacks=[callback])
    assert callback.plan.keep == plan.keep
    kernels = {name: model.get_layer(name).kernel.numpy().reshape(-1, size) for name, size in SIZES.items()}
    norms = {name: np.linalg.norm(each, ord=int(criterion[1]), axis=0) for name, each in kernels.items()}
    relative = {name: norm / norm.mean() for name, norm in norms.items()}
    threshold = np.sort(np.concatenate(list(relative.values())))[-sum(len(kept) for kept in plan.keep.values())]
    assert {n: tuple(np.flatnonzero(r >= threshold)) for n, r in relative.items()} == plan.keep


@pytest.mark.parametrize("criterion", ["l1", "l2"])
def test_saliencies_of_single_weights_are_magnitudes(criterion):
    model = _two_groups()
    found = criteria.get(criterion).saliency_of(model)
    assert list(found) == [model.get_layer(name).kernel.path for name in ("wide", "narrow", "logits")]
    for variable in (model.get_layer("wide").kernel, model.get_layer("logits").kernel):
        np.testing.assert_allclose(found[variable.path], np.abs(variable.numpy()), rtol=1e-6)


def test_what_a_criterion_needs_is_asked_for_first():
    class Needy(Criterion):
        needs = frozenset({"data"})

        def saliency(self, weight, gradient=None):
            return abs(weight)

    class Steep(Needy):
        needs = frozenset({"data", "gradients"})

    with pytest.raises(kp.PruneError, match="Needy, which needs data. Received: data=None"):
        kp.plan(_two_groups(), Needy, keep=0.5)
    assert kp.plan(_two_groups(), Needy, keep=0.5, data=[0]).keep
    with pytest.raises(kp.PruneError, match="does not need gradients. Received: Steep"):
        Steep().saliency_of(_two_groups(), data=[0])
