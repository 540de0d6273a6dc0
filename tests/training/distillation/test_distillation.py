"""Distillation against its definition in NumPy, on outputs of every kind, with everything that `fit` may be given."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers
from support.processes import run_python

import kerasprune as kp
from kerasprune.surgery.output_kind import kind_of

T, WEIGHT = 4.0, 0.9
ON_TENSORFLOW = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="replicas are TensorFlow's")


def classifier(activation=None, width=8):
    inputs = keras.Input((4,))
    x = layers.Dense(width, activation="relu", name="hidden")(inputs)
    return keras.Model(inputs, layers.Dense(3, activation=activation, name="classes")(x))


def pair(model, keep=0.5):
    plan = kp.plan(model, keep=keep)
    return kp.rebuild(model, plan), plan


def numbers(model, x):
    """What a model puts out, in NumPy, in the structure that it has."""
    return keras.tree.map_structure(keras.ops.convert_to_numpy, model(x, training=False))


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def soft_targets(t, s):
    """The definition, sample by sample and class by class."""
    total = 0.0
    for logits_t, logits_s in zip(t, s, strict=True):
        p, q = softmax(logits_t / T), softmax(logits_s / T)
        total += T**2 * sum(a * np.log(a / b) for a, b in zip(p, q, strict=True))
    return total / len(t)


def loss_of(student, x, y=None, sample_weight=None, training=True):
    """The loss of one batch as `fit` computes it."""
    y_pred = student(x, training=training)
    return float(student.compute_loss(x, y, y_pred, sample_weight, training=training))


def examples(seed=0, samples=16):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(samples, 4)).astype("float32"), generator.integers(0, 3, samples)


def test_logits_are_compared_by_soft_targets():
    keras.utils.set_random_seed(1)
    model = classifier()
    slim, _ = pair(model)
    x, y = examples()
    student = kp.distil(slim, model, temperature=T, weight=WEIGHT)
    student.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    slim.layers[1].kernel.regularizer = keras.regularizers.L2(0.1)
    s, t = (numbers(m, x) for m in (slim, model))
    task = -np.mean(np.log(softmax(s))[np.arange(len(y)), y])
    penalty = 0.1 * np.sum(np.square(keras.ops.convert_to_numpy(slim.layers[1].kernel)))
    expected = (1 - WEIGHT) * task + WEIGHT * soft_targets(t, s) + penalty
    assert student.kinds == {"classes": "logits"}
    assert loss_of(student, x, y) == pytest.approx(expected, rel=1e-5)
    assert loss_of(student, x, y, training=False) == pytest.approx(task + penalty, rel=1e-5)  # judged by the labels


def test_probabilities_give_the_same_as_their_logits():
    keras.utils.set_random_seed(1)
    model, probable = classifier(), classifier("softmax")
    probable.set_weights(model.get_weights())
    x, _ = examples()
    found = []
    for dense, loss in ((model, keras.losses.SparseCategoricalCrossentropy(from_logits=True)), (probable, None)):
        student = kp.distil(pair(dense)[0], dense, temperature=T, weight=1.0)
        student.compile("sgd", loss)
        found.append(loss_of(student, x))
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_samples_weigh_what_they_are_given():
    model = classifier("softmax")
    slim, _ = pair(model)
    x, _ = examples()
    student = kp.distil(slim, model, temperature=T, weight=1.0)
    student.compile("sgd")
    each = [loss_of(student, x[i : i + 1]) for i in range(len(x))]
    weights = np.linspace(0, 2, len(x), dtype="float32")
    assert loss_of(student, x, None, weights) == pytest.approx(np.mean(weights * each), rel=1e-4)


def test_sigmoid_and_values_and_several_outputs():
    keras.utils.set_random_seed(2)
    inputs = keras.Input((4,))
    x = layers.Dense(8, activation="relu", name="hidden")(inputs)
    made = {
        "labels": layers.Dense(2, activation="sigmoid", name="labels")(x),
        "amount": layers.Dense(1, name="amount")(x),
    }
    model = keras.Model(inputs, made)
    slim, _ = pair(model)
    data, _ = examples()
    student = kp.distil(slim, model, weight=1.0)
    student.compile(
        "sgd", {"labels": "binary_crossentropy", "amount": "mse"}, loss_weights={"labels": 3.0, "amount": 0.5}
    )
    t, s = (numbers(m, data) for m in (model, slim))
    cross = -np.mean(t["labels"] * np.log(s["labels"]) + (1 - t["labels"]) * np.log(1 - s["labels"]))
    expected = 3.0 * cross + 0.5 * np.mean((t["amount"] - s["amount"]) ** 2)
    assert student.kinds == {"amount": "values", "labels": "sigmoid"}
    assert loss_of(student, data) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("shared", [True, False])
def test_outputs_without_a_loss_do_not_count_and_samples_weigh_in_all_others(shared):
    inputs = keras.Input((4,))
    x = layers.Dense(8, activation="relu")(inputs)
    model = keras.Model(inputs, [layers.Dense(2, name=name)(x) for name in ("one", "two", "three")])
    slim, _ = pair(model)
    student = kp.distil(slim, model, weight=1.0)
    student.compile("sgd", ["mse", None, "mse"], loss_weights=[3.0, 1.0, 0.5])
    data, _ = examples()
    first, third = np.linspace(0, 2, len(data)), np.linspace(3, 1, len(data))
    weights = [first, first, first if shared else third]
    apart = [((t - s) ** 2).mean(-1) for t, s in zip(numbers(model, data), numbers(slim, data), strict=True)]
    expected = 3.0 * np.mean(weights[0] * apart[0]) + 0.5 * np.mean(weights[2] * apart[2])
    assert loss_of(student, data, None, first if shared else weights) == pytest.approx(expected, rel=1e-4)


def test_several_losses_of_one_output_count_as_keras_counts_them():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(1, name="amount")(layers.Dense(8, activation="relu")(inputs)))
    slim, _ = pair(model)
    student = kp.distil(slim, model)
    student.compile("sgd", ["mse", "mae"])
    x, y = np.ones((8, 4)), np.full((8, 1), 3.0)
    apart = float(slim(x[:1])[0, 0] - model(x[:1])[0, 0])
    slim.compile("sgd", ["mse", "mae"])
    own = slim.evaluate(x, y, verbose=0, return_dict=True)["loss"]
    assert student.kinds == {"amount": "values"}
    assert loss_of(student, x, y) == pytest.approx(WEIGHT * apart**2 + (1 - WEIGHT) * own, rel=1e-4)


def test_arguments_in_the_wrong_order_are_warned_of():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(3)(layers.Dense(8, activation="relu", name="hidden")(inputs)))
    slim, _ = pair(model)
    with pytest.warns(UserWarning, match=r"slim of 67 weights, and a teacher of 35. Is it the other way round\?"):
        kp.distil(model, slim)


def test_a_loss_of_probabilities_for_logits_is_warned_of():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(3, name="classes")(layers.Dense(8, activation="relu")(inputs)))
    slim, _ = pair(model)
    student = kp.distil(slim, model)
    student.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.warns(UserWarning, match=r"'classes', a layer without an activation, whose outputs are logits"):
        student.fit(np.ones((8, 4)), np.zeros(8, int), verbose=0)


def test_outputs_in_nested_dicts_are_known_by_their_losses():
    inputs = keras.Input((4,))
    x = layers.Dense(8, activation="relu", name="hidden")(inputs)
    heads = {"inner": {"labels": layers.Dense(2)(x), "classes": layers.Dense(3)(x)}, "amount": layers.Dense(1)(x)}
    model = keras.Model(inputs, heads)
    slim, _ = pair(model)
    binary, classes = (
        getattr(keras.losses, f"{name}Crossentropy")(from_logits=True) for name in ("Binary", "Categorical")
    )
    student = kp.distil(slim, model, weight=1.0)
    student.compile("sgd", {"inner": {"labels": binary, "classes": classes}, "amount": "mse"})
    assert student.kinds == {"amount": "values", "inner/classes": "logits", "inner/labels": "binary_logits"}


@pytest.mark.parametrize(
    ("loss", "activation", "kind"),
    [
        (keras.losses.CategoricalCrossentropy(from_logits=True), None, "logits"),
        ("sparse_categorical_crossentropy", "softmax", "softmax"),
        (keras.losses.BinaryCrossentropy(from_logits=True), None, "binary_logits"),
        ("mse", "sigmoid", "sigmoid"),
        ("mse", None, "values"),
        (lambda y, p: p, None, "values"),
        (None, "softmax", "softmax"),
    ],
)
def test_what_an_output_is(loss, activation, kind):
    assert kind_of(classifier(activation).output, [loss]) == kind


def test_an_activation_of_its_own_layer_counts():
    inputs = keras.Input((4, 3))
    ends = {
        "softmax": layers.Activation("linear", dtype="float32")(layers.Softmax()(inputs)),
        "values": layers.Softmax(axis=1)(inputs),
        "sigmoid": keras.ops.sigmoid(inputs),
    }
    ends["softmax of pixels"] = layers.Reshape((2, 2, 3))(ends["softmax"])
    ends["values of all"] = layers.Flatten()(ends["softmax"])
    assert {name: kind_of(end, [None]) for name, end in ends.items()} == {name: name.split()[0] for name in ends}


def residual():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, padding="same", name="stem")(inputs)
    for name in ("one", "two"):
        y = layers.BatchNormalization(name=f"{name}_bn")(layers.Conv2D(6, 3, padding="same", name=name)(x))
        x = layers.Add(name=f"{name}_sum")([x, layers.ReLU(name=f"{name}_relu")(y)])
    return keras.Model(inputs, layers.Dense(3, name="classes")(layers.GlobalAveragePooling2D()(x)))


def test_the_ends_of_blocks_are_compared_channel_by_channel():
    keras.utils.set_random_seed(3)
    model = residual()
    slim, plan = pair(model)
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")
    plain, seeing = (kp.distil(slim, model, weight=1.0, features=f, plan=plan) for f in (0.0, 2.0))
    for student in (plain, seeing):
        student.compile("sgd")
    expected = 0.0
    kept = plan.keep["stem"]
    for name in ("one_sum", "two_sum"):
        t, s = (numbers(keras.Model(m.input, m.get_layer(name).output), x) for m in (model, slim))
        expected += np.mean((s - t[..., kept]) ** 2) / np.mean(t[..., kept] ** 2) / 2
    found = loss_of(seeing, x, training=False) - loss_of(plain, x, training=False)
    assert found == pytest.approx(2.0 * expected, rel=1e-4)
    with pytest.raises(kp.PruneError, match="Expected the plan that slim was rebuilt with"):
        kp.distil(slim, model, features=2.0, plan=kp.plan(model, keep=0.9))


@ON_TENSORFLOW
def test_replicas_share_every_part_of_the_loss(monkeypatch):
    """Gradients of replicas are summed: each has its share, penalties and features too, as in Keras."""
    keras.utils.set_random_seed(3)
    model = residual()
    slim, plan = pair(model)
    slim.get_layer("stem").kernel.regularizer = keras.regularizers.L2(0.1)
    student = kp.distil(slim, model, weight=1.0, features=2.0, plan=plan)
    student.compile("sgd")
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")
    alone = loss_of(student, x, training=False)
    monkeypatch.setattr("tensorflow.distribute.get_strategy", lambda: SimpleNamespace(num_replicas_in_sync=2))
    assert loss_of(student, x, training=False) == pytest.approx(alone / 2, rel=1e-5)


# Two devices in one process; TensorFlow compiles no model with XLA for two replicas of one host.
ON_TWO_REPLICAS = """
import sys
import tensorflow as tf
cpus = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, numpy as np, kerasprune as kp
from keras import layers

generator = np.random.default_rng(0)
x, y = generator.normal(size=(64, 6)) * np.resize([1, 3], (64, 1)), generator.integers(0, 3, 64)

def network(after=layers.ReLU, **settings):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6,))
    stem = after()(layers.Dense(8, **settings)(inputs))
    branch = layers.Dense(8, activation="relu")(layers.Dense(8, activation="relu")(stem))
    return keras.Model(inputs, layers.Dense(3)(layers.Add()([stem, branch])))

def trained(model, *callbacks):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.02, momentum=0.9), loss, jit_compile=False)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    model.fit(data, epochs=2, verbose=0, callbacks=list(callbacks))
    return model.get_weights()

def greg():
    model = network()
    schedule = {"step": 0.01, "every": 1, "ceiling": 0.05, "settle": 2}
    return trained(model, kp.callbacks.GReg1(kp.plan(model, keep=0.5), schedule=schedule))

def polarization():
    model = network(lambda: layers.BatchNormalization(synchronized=True))
    return trained(model, kp.callbacks.Polarization(strength=0.05))

def penalties():
    return trained(network(kernel_regularizer="l2", activity_regularizer=keras.regularizers.L2(0.05)))

def distilled(features=0.0):
    dense = network(kernel_regularizer="l2", activity_regularizer=keras.regularizers.L2(0.05))
    plan = kp.plan(dense, keep=0.5)
    return trained(kp.distil(kp.rebuild(dense, plan), dense, weight=0.5, features=features, plan=plan))

def with_features():
    return distilled(0.7)

way = globals()[sys.argv[1]]
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    assert tf.distribute.get_strategy().num_replicas_in_sync == 2
    two = way()
print(max(np.abs(a - b).max() for a, b in zip(way(), two)))
"""


@ON_TENSORFLOW
@pytest.mark.thorough
@pytest.mark.parametrize("way", ["greg", "polarization", "penalties", "distilled", "with_features"])
def test_two_replicas_train_as_one_device(way):
    assert float(run_python(ON_TWO_REPLICAS, way).splitlines()[-1]) < 1e-5


@pytest.mark.thorough
def test_students_learn_and_files_hold_the_slim_model_alone(tmp_path):
    keras.utils.set_random_seed(4)
    model = classifier(width=16)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    before = model.get_weights()
    plan = kp.plan(model, keep=0.5)
    slim = kp.rebuild(model, plan, compile="same")
    student = kp.distil(slim, model)
    x, y = examples(samples=64)
    checkpoint = keras.callbacks.ModelCheckpoint(str(tmp_path / "best.keras"))
    history = student.fit(x, y, epochs=5, batch_size=8, verbose=0, validation_data=(x, y), callbacks=[checkpoint])
    assert history.history["loss"][-1] < history.history["loss"][0] and "val_accuracy" in history.history
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    student.save(tmp_path / "student.keras")
    for name in ("best.keras", "student.keras"):
        loaded = keras.saving.load_model(tmp_path / name)
        assert type(loaded) is type(slim) and loaded.count_params() == slim.count_params()
        assert np.allclose(numbers(loaded, x), numbers(slim, x), atol=1e-6)
    assert (tmp_path / "student.keras").stat().st_size < 1.5 * (tmp_path / "best.keras").stat().st_size
    with pytest.raises(kp.PruneError, match=r"student\.save\(path\)"):
        keras.saving.save_model(student, tmp_path / "wrong.keras")
    assert kp.cost(student).params == slim.count_params()


@pytest.mark.parametrize("kind", ["functional", "sequential", "aware"])
def test_a_file_of_a_student_goes_on_as_the_fit_would(kind, tmp_path):
    keras.utils.set_random_seed(4)
    model = classifier()
    slim, _ = pair(model)
    slim = keras.Sequential(slim.layers) if kind == "sequential" else slim
    student = kp.distil(kp.quantization_aware(slim) if kind == "aware" else slim, model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    student.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    x, y = examples()
    student.fit(x, y, verbose=0, callbacks=[keras.callbacks.ModelCheckpoint(str(tmp_path / "last.keras"))])
    with warnings.catch_warnings(record=True) as heard:
        loaded = keras.saving.load_model(tmp_path / "last.keras")
    assert not any("optimizer" in str(each.message) for each in heard)  # that it has no state
    assert not slim.compiled and type(loaded) is type(slim)
    slim.compile(loss=loss, metrics=["accuracy"])
    assert loaded.evaluate(x, y, verbose=0) == pytest.approx(slim.evaluate(x, y, verbose=0), rel=1e-5)
    for a, b in zip(loaded.optimizer.variables, student.optimizer.variables, strict=True):
        assert np.array_equal(*map(keras.ops.convert_to_numpy, (a, b)))


@pytest.mark.thorough
def test_callbacks_masks_mixed_precision_and_accumulation_go_together():
    keras.utils.set_random_seed(5)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = residual()
    finally:
        keras.config.set_dtype_policy("float32")
    slim, _ = pair(model, keep=0.67)
    student = kp.distil(slim, model)
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01, gradient_accumulation_steps=2))
    student.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), steps_per_execution=2)
    later = kp.plan(slim, keep=0.5)
    greg = kp.callbacks.GReg1(later, schedule={"step": 0.01, "every": 1, "ceiling": 0.04, "settle": 2, "stop": False})
    x = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype("float32")
    student.fit(x, np.arange(16) % 3, batch_size=2, epochs=2, verbose=0, callbacks=[greg])
    assert all(np.isfinite(w).all() for w in slim.get_weights())
    assert kp.rebuild(student, greg.plan).count_params() < slim.count_params()


def u_net():
    inputs = keras.Input((8, 8, 1))
    down = layers.Conv2D(6, 3, padding="same", activation="relu", name="down")(inputs)
    deep = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="deep")(down)
    up = layers.Conv2DTranspose(6, 2, strides=2, name="up")(deep)
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid", name="mask")(layers.Concatenate()([down, up])))


def autoencoder():
    inputs = keras.Input((12,))
    code = layers.Dense(6, activation="relu", name="code")(inputs)
    return keras.Model(inputs, layers.Dense(12, name="decoded")(code))


def regression():
    return keras.Sequential([keras.Input((4,)), layers.Dense(8, activation="tanh"), layers.Dense(1, name="amount")])


@pytest.mark.thorough
@pytest.mark.parametrize(("make", "kind"), [(u_net, "sigmoid"), (autoencoder, "values"), (regression, "values")])
def test_models_that_are_no_classifiers_come_nearer_to_their_teacher(make, kind):
    keras.utils.set_random_seed(7)
    model = make()
    slim, _ = pair(model)
    x = np.random.default_rng(0).normal(size=(32, *model.input_shape[1:])).astype("float32")
    student = kp.distil(slim, model, weight=1.0)
    student.compile("adam")
    before = np.mean((numbers(slim, x) - numbers(model, x)) ** 2)
    student.fit(x, batch_size=8, epochs=8, verbose=0)
    assert list(student.kinds.values()) == [kind]
    assert np.mean((numbers(slim, x) - numbers(model, x)) ** 2) < 0.95 * before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0}, "temperature=0"),
        ({"weight": 1.5}, "weight=1.5"),
        ({"features": 1.0}, "plan=None"),
        ({"outputs": "softmaxx"}, "softmaxx"),
        ({"outputs": {"class": "values"}}, "classes"),
        ({"teacher": "self"}, "weights of its own"),
        ({"teacher": "other"}, "the outputs of slim"),
    ],
)
def test_what_does_not_fit_is_said(change, message):
    model = classifier()
    slim, _ = pair(model)
    inputs = keras.Input((4,))
    teachers = {"self": slim, "other": keras.Model(inputs, layers.Dense(5)(inputs)), "dense": model}
    with pytest.raises(kp.PruneError, match=message):
        kp.distil(slim, teachers[change.pop("teacher", "dense")], **change)


def test_missing_labels_are_asked_for():
    model = classifier()
    slim, _ = pair(model)
    student = kp.distil(slim, model)
    student.compile("sgd", "mse")
    with pytest.raises(kp.PruneError, match="weight=1"):
        student.fit(examples()[0], verbose=0)
    student = kp.distil(slim, model, weight=1.0)
    student.compile("sgd", metrics=["accuracy"])
    with pytest.raises(kp.PruneError, match="without metrics"):
        student.fit(examples()[0], verbose=0)


def test_weights_of_examples_if_one_output_of_two_has_labels():
    inputs = keras.Input((4,))
    hidden = layers.Dense(8, activation="relu", name="hidden")(inputs)
    model = keras.Model(inputs, {name: layers.Dense(2, name=name)(hidden) for name in ("b", "a")})
    slim, _ = pair(model)
    slim.compile("sgd", {"b": "mse"})
    student, (x, y) = kp.distil(slim, model, weight=0.5), examples()
    weights, y = np.linspace(0.0, 1.0, len(x)), np.stack([y, y], axis=1).astype("float32")
    s, t = (numbers(each, x)["b"] for each in (slim, model))
    expected = 0.5 * sum(np.mean(weights * np.mean((s - target) ** 2, axis=1)) for target in (y, t))
    found = student.fit(x, {"b": y}, sample_weight=weights, batch_size=len(x), verbose=0).history["loss"]
    assert found == [pytest.approx(expected, rel=1e-4)]
