"""Copies keep what no weight and no config holds; arrays in configs are cut as the weights that start from them."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from support.rule_cases import cases

import kerasprune as kp
from kerasprune._keras import inner_layers
from kerasprune.surgery.clone import copy_model
from kerasprune.surgery.compute_dtype import in_precision
from kerasprune.testing import check_rebuild, compare, random_inputs, random_plan, randomise
from kerasprune.testing.oracle import check_saved
from kerasprune.testing.rules import surrounded

ROOT = Path(kp.__file__).parent


# ---- one way to copy -------------------------------------------------------------------------------------------------

_WRITERS = {"surgery/clone.py", "surgery/copy_layer.py"}
_OF_NO_LAYER = {  # optimizers, metrics and schedules
    "training/rewinding.py", "surgery/compiled.py", "steps/finetune.py"
}  # fmt: skip
_OF_OTHER_SIZES = {"hub/same_class.py"}  # the same class, built from another config
_OF_FILES = {"models/keras_applications.py", "models/stem.py"}  # just loaded, called on other inputs


def test_layers_are_copied_in_one_place():
    """`from_config` forgets what no config holds; `set_weights` what is derived from weights."""
    found = set()
    for file in sorted(ROOT.rglob("*.py")):
        place = file.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                of_layer = node.func.attr == "set_weights" and not ast.unparse(node.func.value).endswith("model")
                if of_layer and ast.unparse(node.func.value) != "self._slim" or node.func.attr == "from_config":
                    found.add(place)
                if node.func.attr == "clone_model" and place not in _OF_FILES:
                    found.add(place)
    assert found <= _WRITERS | _OF_NO_LAYER | _OF_OTHER_SIZES


def _adapted():
    layer = layers.Normalization()
    layer.adapt(np.random.default_rng(0).normal(70.0, 30.0, (64, 6)))
    return layer


def _after_a_batch():
    layer = layers.GRU(6, stateful=True, return_sequences=True)
    layer(np.random.default_rng(0).normal(size=(2, 5, 6)))
    return layer


def _with_lora():
    layer = layers.Dense(6)
    layer.build((None, 6))
    layer.enable_lora(2, lora_alpha=8)
    layer.lora_kernel_b.assign(np.random.default_rng(0).normal(size=layer.lora_kernel_b.shape))
    return layer


@keras.saving.register_keras_serializable("copies")
class Doubled(layers.Dense):
    """A class of a user with a call of its own, and an attribute set from outside."""

    factor = 2.0

    def call(self, x):
        return self.factor * super().call(x)


def _doubled():
    layer = Doubled(6)
    layer.factor = 3.0
    return layer


STATEFUL = {
    "Normalization": (_adapted, (6,)),
    "Normalization of an own axis": (lambda: layers.Normalization(mean=3.0, variance=4.0), (6,)),
    "Normalization inside": (lambda: keras.Sequential([keras.Input((6,)), _adapted()]), (6,)),
    "TimeDistributed Normalization": (lambda: layers.TimeDistributed(_adapted()), (5, 6)),
    "GRU": (_after_a_batch, (5, 6)),
    "LoRA": (_with_lora, (6,)),
    "SpectralNormalization": (lambda: layers.SpectralNormalization(layers.Dense(6)), (6,)),
    "BatchNormalization": (layers.BatchNormalization, (6,)),
    "own activation": (lambda: layers.Dense(6, activation=lambda x: x * keras.ops.tanh(x)), (6,)),
    "own activation inside": (
        lambda: layers.TimeDistributed(layers.Dense(6, activation=lambda x: keras.ops.sin(x))),
        (5, 6),
    ),
    "own class": (_doubled, (6,)),
}
COPIES = {
    "copied": copy_model,
    "gated": lambda model: kp.surgery.gated(model),
    "in float32": lambda model: in_precision(model, "float32")[0],
    "cut": lambda model: kp.rebuild(kp.trace(model, unknown="freeze"), kp.Plan({})),
    "masked": lambda model: kp.mask(kp.trace(model, unknown="freeze"), kp.Plan({})),
    "thinned at its start": lambda model: _at_init(model),
}


def _at_init(model):
    from kerasprune.training.sparsity.at_initialisation import _copy

    return _copy(model)


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("kind", STATEFUL)
def test_a_copy_computes_the_same(kind, way):
    make, shape = STATEFUL[kind]
    layer = make()
    stateful = getattr(layer, "stateful", False)
    inputs = keras.Input(batch_shape=(2 if stateful else None, *shape))
    x = layer(inputs)
    model = keras.Model(inputs, layers.Dense(3)(layers.Dense(4, activation="relu")(x)))
    data = np.random.default_rng(1).normal(70.0, 30.0, (2, *shape)).astype("float32")
    copy = COPIES[way](model)  # before the first call, which moves states
    if copy is model:
        return  # in float32 already
    np.testing.assert_allclose(copy(data), model(data), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("half", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("kind", ["Normalization", "own activation", "own class", "BatchNormalization"])
def test_a_copy_in_full_precision_computes_what_the_same_weights_compute(kind, half):
    make, shape = STATEFUL[kind]
    whole = keras.Sequential([keras.Input(shape), make(), layers.Dense(3)])
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(half)
    try:
        model = keras.Sequential([keras.Input(shape), make(), layers.Dense(3)])
    finally:
        keras.config.set_dtype_policy(policy)
    for source, target in zip(whole.weights, model.weights, strict=True):
        target.assign(source)
    data = np.random.default_rng(1).normal(70.0, 30.0, (8, *shape)).astype("float32")
    if kind.startswith("own"):
        data /= 70
    copy = in_precision(model, "float32")[0]
    np.testing.assert_allclose(copy(data), whole(data), rtol=1e-4, atol=1e-4)


def test_a_fresh_start_keeps_what_is_no_weight():
    """The from-scratch control sees normalised inputs, draws other weights, and starts word vectors as they were."""
    words = np.random.default_rng(0).normal(size=(9, 6)).astype("float32")
    inputs, ids = keras.Input((6,)), keras.Input((4,), dtype="int32")
    start = keras.initializers.Constant(words)
    x = layers.Flatten()(layers.Embedding(9, 6, embeddings_initializer=start, name="words")(ids))
    x = layers.Concatenate()([layers.Dense(5, name="hidden")(_adapted()(inputs)), x])
    model = keras.Model([inputs, ids], layers.Dense(2, activation=lambda x: keras.ops.sin(x))(x))
    other = kp.surgery.reinitialise(model, seed=1)
    old, new = (next(x for x in m.layers if isinstance(x, layers.Normalization)) for m in (model, other))
    np.testing.assert_array_equal(old(np.ones((1, 6))), new(np.ones((1, 6))))
    np.testing.assert_array_equal(other.get_layer("words").embeddings, words)
    assert not np.allclose(other.get_layer("hidden").kernel, model.get_layer("hidden").kernel)
    assert other.layers[-1].activation is model.layers[-1].activation


# ---- arrays in configs -----------------------------------------------------------------------------------------------


def hold_arrays(model):
    """Lets every initializer of a built model hold an array of the shape of the weight that it starts."""
    held = 0
    for layer in inner_layers(model):
        own = [v for v in layer.weights if not any(v is w for each in inner_layers(layer)[1:] for w in each.weights)]
        for name, value in list(vars(layer).items()):
            if name.endswith("_initializer") and isinstance(value, keras.initializers.Initializer):
                stem = name.strip("_").removesuffix("_initializer")
                started = [v for v in own if v.name.startswith(stem)]
                if started:
                    shape = tuple(started[0].shape)
                    if stem == "bias" and getattr(layer, "unit_forget_bias", False):
                        shape = (shape[0] // 4,)  # it is called for one gate at a time
                    array = np.random.default_rng(held).normal(size=shape)
                    vars(layer)[name] = keras.initializers.Constant(array.astype("float32"))
                    held += 1
    return held


def arrays_of(config):
    """Yields the shapes of the arrays in a config."""
    if isinstance(config, dict) and config.get("class_name") in ("__numpy__", "__tensor__"):
        yield np.shape(config["config"]["value"])
    elif isinstance(config, dict | list):
        for each in config.values() if isinstance(config, dict) else config:
            yield from arrays_of(each)


@pytest.mark.matrix(first=4)
@pytest.mark.parametrize("cls, case", cases())
def test_arrays_in_initializers_are_cut(cls, case):
    shapes = [case.shapes] if isinstance(case.shapes[0], int) else list(case.shapes)
    made = case.make()
    if not isinstance(made, layers.Layer):
        pytest.skip("no layer")
    model = surrounded(made, shapes)
    randomise(model)
    if not hold_arrays(model):
        pytest.skip("no initializer")
    plan = random_plan(kp.trace(model), 0)
    check_rebuild(model, plan, inputs=random_inputs(model))
    slim = kp.rebuild(model, plan)
    check_saved(slim, random_inputs(model), {type(made).__name__: type(made)})
    left = set(arrays_of(json.loads(slim.to_json())))
    assert left <= {tuple(variable.shape) for variable in slim.variables}


@keras.saving.register_keras_serializable("copies")
class Towards(keras.regularizers.Regularizer):
    """Pulls weights towards given ones."""

    def __init__(self, target):
        self.target = np.asarray(target, "float32")

    def __call__(self, x):
        return keras.ops.sum((x - self.target) ** 2)

    def get_config(self):
        return {"target": self.target.tolist()}


@pytest.mark.parametrize("wrapper", [lambda layer: layer, layers.TimeDistributed])
def test_arrays_in_regularizers_are_cut(wrapper):
    """The slim model trains on, towards the kept part of what the dense one is pulled to."""
    target = np.random.default_rng(0).normal(size=(6, 8))
    inputs = keras.Input((5, 6))
    x = layers.Dense(6, name="first")(inputs)
    dense = layers.Dense(8, kernel_regularizer=Towards(target), name="second")
    model = keras.Model(inputs, layers.Dense(2)(wrapper(dense)(x)))
    kept = {name: list(range(0, group.size, 2)) for name, group in kp.trace(model).prunable.items()}
    slim = kp.rebuild(model, kp.Plan(kept))
    second = next(layer for layer in inner_layers(slim) if layer.name == "second")
    np.testing.assert_allclose(second.kernel_regularizer.target, target.astype("float32")[::2, ::2])
    slim.compile("sgd", "mse")
    slim.fit(np.ones((2, 5, 6)), np.ones((2, 5, 2)), verbose=0)
    np.testing.assert_array_equal(dense.kernel_regularizer.target, target.astype("float32"))


def test_recurrent_arrays_of_a_square_cell_are_told_apart():
    """Kernel and recurrent kernel have one shape; their channels are other ones."""
    inputs = keras.Input((5, 8))
    cell = layers.SimpleRNN(8, name="cell")
    model = keras.Model(inputs, layers.Dense(2)(cell(layers.Dense(8, name="first")(inputs))))
    hold_arrays(model)
    held = {name: vars(cell.cell)[name].value for name in ("kernel_initializer", "recurrent_initializer")}
    slim = kp.rebuild(model, kp.Plan({"first": [0, 1, 2], "cell": [5, 6]}))
    new = slim.get_layer("cell").cell
    np.testing.assert_array_equal(new.kernel_initializer.value, held["kernel_initializer"][:3, 5:7])
    np.testing.assert_array_equal(new.recurrent_initializer.value, held["recurrent_initializer"][5:7, 5:7])
    assert compare(model, copy_model(model), random_inputs(model)).error < 1e-6
