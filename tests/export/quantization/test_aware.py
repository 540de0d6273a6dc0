"""A model with fake quantization beside its int8 file, and beside the plain model whose variables it trains."""

from __future__ import annotations

import functools
import warnings

import keras
import numpy as np
import pytest
from keras import layers
from support.digits import digits
from support.interruption import Break, assert_equal

import kerasprune as kp
from kerasprune.callbacks import Resume
from kerasprune.errors import PruneError
from kerasprune.export.quantization.fake_quantize import FASTEST, FollowedRange, SharedScale
from kerasprune.export.quantization.rounding import grid
from kerasprune.export.tflite_interpreter import open_interpreter

STEPS = 3


def numbers(tensor):
    return keras.ops.convert_to_numpy(tensor)


def residual_network(seed=0):
    """A residual network with BatchNorm of random statistics, scales of both signs, and a BatchNorm behind a sum."""
    keras.utils.set_random_seed(seed)

    def conv(x, width, stride=1, kernel=layers.Conv2D):
        width = () if kernel is layers.DepthwiseConv2D else (width,)
        x = kernel(*width, 3, strides=stride, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    image = keras.Input((16, 16, 1), name="image")
    x = layers.ReLU()(conv(image, 8))
    x = layers.ReLU()(layers.Add()([x, conv(layers.ReLU(6.0)(conv(x, 8, kernel=layers.DepthwiseConv2D)), 8)]))
    x = layers.ReLU()(layers.BatchNormalization()(x + conv(x, 8)))
    x = layers.Concatenate()([conv(x, 8, 2), layers.AveragePooling2D(2)(x)])
    x = layers.ReLU()(x)
    gate = layers.Dense(16, activation="sigmoid")(layers.GlobalAveragePooling2D()(x))
    x = layers.Flatten()(x * layers.Reshape((1, 1, 16))(gate))
    model = keras.Model(image, layers.Dense(10, name="logits")(x))
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        name, shape = variable.name, variable.shape
        if name in ("gamma", "moving_variance"):
            sign = generator.choice([-1, 1], shape) if name == "gamma" else 1
            variable.assign(sign * generator.uniform(0.5, 1.5, shape))
        elif name in ("beta", "moving_mean", "bias"):
            variable.assign(0.1 * generator.normal(size=shape))
    return model


def followed(model, images, delay=0):
    """The model with fake quantization, whose ranges have followed some batches."""
    aware = kp.quantization_aware(model, delay=delay)
    for batch in np.split(images[: 64 * STEPS], STEPS):
        aware(batch, training=True)
    return aware


@pytest.fixture(scope="module")
def images():
    return digits()[0].astype("float32")


@pytest.fixture(scope="module")
def exported(images, tmp_path_factory):
    """A model, its twin with fake quantization, its file and the report."""
    model = residual_network()
    aware = followed(model, images)
    path = tmp_path_factory.mktemp("files") / "aware.tflite"
    return model, aware, path, kp.export.tflite(aware, path, quantize="int8", data=images[:200])


def interpreted(path):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    interpreter.allocate_tensors()
    return interpreter


def run(path, images):
    """The outputs of a file with the kernels that LiteRT takes by itself, XNNPACK's."""
    runner = open_interpreter(path).get_signature_runner()
    (name,) = runner.get_input_details()
    return np.array([next(iter(runner(**{name: image[None]}).values()))[0] for image in images])


# ---- the file -------------------------------------------------------------------------------------------------


@pytest.mark.whole
def test_the_file_computes_what_the_model_computes(exported, images):
    _, aware, path, report = exported
    expected, found = numbers(aware(images[:200], training=False)), run(path, images[:200])
    low, high = (float(end) for end in aware.get_layer("logits_range").scale.ends())
    assert np.ptp(expected, axis=0).min() > 10 * (high - low) / 255  # outputs that differ
    assert np.mean(expected.argmax(1) == found.argmax(1)) >= 0.99
    assert np.mean(np.abs(expected - found) <= 1.001 * (high - low) / 255) >= 0.99
    assert report.error < 0.01


def test_kernels_compute_the_same_bits(images, tmp_path):
    """Rounding of another kind somewhere grows from layer to layer, so that deep networks are only alike if equal."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((16, 16, 1))
    for width in (8, 16, 24):
        x = layers.Conv2D(width, 1, use_bias=width > 8, bias_initializer="random_normal")(x)
        x = layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(layers.ReLU()(x))
        x = layers.ReLU(6.0)(
            layers.BatchNormalization(
                beta_initializer="random_normal", gamma_initializer=keras.initializers.Constant(8)
            )(x)
        )
    model = keras.Model(inputs, layers.Dense(10)(layers.Dense(64, activation="relu")(layers.Flatten()(x))))
    aware = followed(model, images)
    kp.export.tflite(aware, tmp_path / "a.tflite", quantize="int8")
    found = run(tmp_path / "a.tflite", images[:200])
    assert len(np.unique(found)) > 100
    np.testing.assert_allclose(numbers(aware(images[:200])), found, atol=1e-5)  # a step is some hundredths


def test_all_operators_are_integer_ones(exported):
    interpreter = interpreted(exported[2])
    made = {
        operator["op_name"]: interpreter._get_tensor_details(operator["outputs"][0], 0)["dtype"]
        for operator in interpreter._get_ops_details()
    }
    assert {name for name, dtype in made.items() if dtype is not np.int8} == {"DEQUANTIZE"}
    assert {"CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MUL", "MEAN", "CONCATENATION", "FULLY_CONNECTED"} <= set(made)


@pytest.mark.thorough
def test_other_examples_leave_the_file_unchanged(exported, images, tmp_path):
    kp.export.tflite(exported[1], tmp_path / "other.tflite", quantize="int8", data=5 * images[500:560])
    assert (tmp_path / "other.tflite").read_bytes() == exported[2].read_bytes()


def test_the_integers_of_kernels_are_those_of_the_folded_kernel(exported):
    model, _, path, _ = exported
    interpreter = interpreted(path)
    stored = [each for each in interpreter.get_tensor_details() if each["dtype"] is np.int8 and len(each["shape"]) == 4]
    constants = [
        interpreter.get_tensor(each["index"]) for each in stored if each["shape"][0] != 1 or each["shape"][1] == 3
    ]
    checked = 0
    calls = [(each, each.output) for each in model.layers if isinstance(each, layers.Conv2D | layers.DepthwiseConv2D)]
    for layer, output in calls:
        norm = next(n for n in model.layers if isinstance(n, layers.BatchNormalization) and n.input is output)
        depthwise = isinstance(layer, layers.DepthwiseConv2D)
        scale = numbers(norm.gamma) / np.sqrt(numbers(norm.moving_variance) + norm.epsilon)
        kernel = numbers(layer.kernel).astype("float64")
        folded = kernel[..., 0] * scale if depthwise else kernel * scale
        codes = np.round(127 * folded / np.abs(folded).max(axis=(0, 1) if depthwise else (0, 1, 2)))
        codes = codes[None] if depthwise else codes.transpose(3, 0, 1, 2)
        alike = [each for each in constants if each.shape == codes.shape]
        assert min(np.mean(each != codes) for each in alike) <= 0.001, layer.name  # but for ties
        checked += 1
    assert checked == 5


@pytest.mark.thorough
def test_zeros_stay_zero(images, tmp_path):
    model = residual_network()
    layer = model.layers[1]
    mask = np.random.default_rng(0).random(layer.kernel.shape) < 0.5
    layer.kernel.assign(numbers(layer.kernel) * mask)
    kp.export.tflite(followed(model, images), tmp_path / "a.tflite", quantize="int8")  # no examples are needed
    interpreter = interpreted(tmp_path / "a.tflite")
    assert list(interpreter.get_signature_list()["serving_default"]["outputs"]) == ["logits"]  # as of the plain model
    kernels = [
        interpreter.get_tensor(each["index"])
        for each in interpreter.get_tensor_details()
        if tuple(each["shape"]) == (8, 3, 3, 1) and each["dtype"] is np.int8
    ]
    (kernel,) = kernels
    assert not kernel.transpose(1, 2, 3, 0)[~mask].any() and kernel.any()


@pytest.mark.thorough
def test_scales_that_tflite_demands(images, tmp_path):
    inputs = keras.Input((16, 16, 1))
    x = layers.Conv2D(4, 3, activation="tanh")(inputs)
    x = layers.MaxPooling2D(2)(x)
    conv = functools.partial(layers.Conv2D, 4, 3, padding="same")
    x = layers.Concatenate()([conv(name="narrow")(x), 5.0 * conv()(x)])
    x = layers.Dense(6, activation="silu")(layers.Flatten()(x))
    model = keras.Model(inputs, layers.Dense(10, activation="softmax")(x))
    with pytest.warns(UserWarning, match="integer operators are known. Received: .* with multiply"):
        aware = kp.quantization_aware(model)
    aware(images[:64], training=True)
    kp.export.tflite(aware, tmp_path / "a.tflite", quantize="int8", data=images[:50], io="int8")
    interpreter = interpreted(tmp_path / "a.tflite")
    scales = {}
    for operator in interpreter._get_ops_details():
        each = [interpreter._get_tensor_details(index, 0)["quantization"] for index in operator["outputs"]]
        scales.setdefault(operator["op_name"], []).extend(each)
    assert scales["TANH"] == scales["MAX_POOL_2D"] == [(1 / 128, 0)]
    assert scales["LOGISTIC"] == scales["SOFTMAX"] == [(1 / 256, -128)]
    (joined,) = scales["CONCATENATION"]
    assert joined in scales["CONV_2D"] and scales["MUL"][0] == joined  # both inputs, the wider and the narrower
    narrow = aware.get_layer("narrow_range")  # the model has the file's scale there, too
    assert float(narrow.step()) == pytest.approx(joined[0], rel=1e-4)  # the last bits differ with the processor
    assert joined[0] > 3 * float(grid(narrow.low, narrow.high)[2])


BRANCHES = {
    "tanh": lambda x: layers.Dense(6, activation="tanh")(x),
    "sigmoid, reshaped": lambda x: layers.Reshape((6,))(
        layers.Reshape((2, 3))(layers.Dense(6, activation="sigmoid")(x))
    ),
    "softmax": lambda x: layers.Softmax()(layers.Dense(6)(x)),
    "dropped out": lambda x: layers.Dropout(0.5)(layers.Activation("tanh")(layers.Dense(6)(x))),
}
OTHERS = {
    "wide": lambda x: 5.0 * layers.Dense(6, activation="leaky_relu")(x),
    "input": lambda x: x,
    "fixed": lambda x: layers.Dense(6, activation="tanh")(layers.Dense(4, activation="sigmoid")(x)),
    "logits": lambda x: layers.Dense(6, activation="sigmoid")(x),
}


@pytest.mark.matrix
@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("branch", BRANCHES)
def test_a_fixed_scale_is_rounded_again_where_others_join_it(branch, other, tmp_path):
    keras.utils.set_random_seed(0)
    left, right = keras.Input((20,), name="left"), keras.Input((20,), name="right")
    joined = layers.Concatenate()([BRANCHES[branch](left), OTHERS[other](right), BRANCHES[branch](right)])
    model = keras.Model([left, right], layers.Dense(3, name="last")(joined))
    data = np.random.default_rng(0).normal(size=(2, 256, 20)).astype("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a product with a constant
        aware = kp.quantization_aware(model)
    aware(list(data), training=True)
    report = kp.export.tflite(aware, tmp_path / "a.tflite", quantize="int8", data=tuple(data))
    expected, plain = numbers(aware(list(data), training=False)), numbers(model(list(data)))
    runner = open_interpreter(tmp_path / "a.tflite").get_signature_runner()
    pairs = zip(*data, strict=True)
    found = np.array([next(iter(runner(left=a[None], right=b[None]).values()))[0] for a, b in pairs])
    step = float(aware.get_layer("last_range").step())
    assert np.mean(np.abs(expected - found) <= 1.001 * step) >= 0.99
    assert np.abs(plain - expected).mean() < 0.1 * plain.std() and report.error < 0.05


# ---- the plain model ------------------------------------------------------------------------------------------


def test_variables_are_shared_and_the_plain_model_is_as_before(images):
    model = residual_network()
    before, outputs = [numbers(v).copy() for v in model.variables], numbers(model(images[:8]))
    aware = kp.quantization_aware(model)
    assert {id(v) for v in model.trainable_variables} == {id(v) for v in aware.trainable_variables}
    assert {id(v) for v in model.variables} <= {id(v) for v in aware.variables}
    assert all(np.array_equal(a, numbers(v)) for a, v in zip(before, model.variables, strict=True))
    assert np.array_equal(outputs, numbers(model(images[:8])))
    assert all(layer.output is not None for layer in model.layers)  # each has one call only
    assert aware.plain is model and aware.name == model.name


@pytest.mark.jax
def test_a_step_trains_the_plain_model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, kernel_regularizer=keras.regularizers.L2(0.1))(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.ReLU()(x))))
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    aware = kp.quantization_aware(model, delay=1)
    assert float(sum(aware.losses)) == pytest.approx(float(sum(model.losses)))
    before = [numbers(v).copy() for v in model.variables]
    x = np.random.default_rng(0).normal(size=(32, 8, 8, 1)).astype("float32")
    history = aware.fit(x, np.arange(32) % 3, batch_size=16, epochs=4, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert not any(np.array_equal(a, numbers(v)) for a, v in zip(before, model.variables, strict=True))
    assert [int(layer.seen) for layer in aware.layers if isinstance(layer, FollowedRange)] == 4 * [8]


@pytest.mark.thorough
def test_the_saved_file_is_that_of_the_plain_model(images, tmp_path):
    model = residual_network()
    aware = followed(model, images)
    aware.compile("adam", "mse")
    aware.fit(images[:8], numbers(model(images[:8])), verbose=0)
    aware.save(tmp_path / "plain.keras")
    with warnings.catch_warnings(record=True) as heard:
        loaded = keras.models.load_model(tmp_path / "plain.keras")
    assert loaded.compiled and not any("optimizer" in str(each.message) for each in heard)  # that it has no state
    np.testing.assert_allclose(numbers(loaded(images[:8])), numbers(model(images[:8])), atol=1e-6)
    aware.save_weights(tmp_path / "a.weights.h5")
    other = kp.quantization_aware(residual_network(1))
    other.load_weights(tmp_path / "a.weights.h5")
    np.testing.assert_allclose(numbers(other(images[:8])), numbers(aware(images[:8])), atol=1e-5)


def test_ranges_have_names_of_their_own_whenever_they_are_made():
    model = residual_network()  # with a BatchNorm behind a sum, too
    one, two = ([variable.path for variable in kp.quantization_aware(model).ranges] for _ in range(2))
    assert one == two and len(set(one)) == len(one)


def test_after_the_delay_training_is_inference(images):
    model = residual_network()
    aware = followed(model, images)  # without delay: statistics and ranges are held
    before = [numbers(v).copy() for v in model.variables]
    trained, inferred = (numbers(aware(images[:32], training=training)) for training in (True, False))
    assert all(np.array_equal(a, numbers(v)) for a, v in zip(before, model.variables, strict=True))
    step = np.ptp([float(end) for end in aware.get_layer("logits_range").scale.ends()]) / 255
    assert np.mean(np.abs(trained - inferred) <= 1.001 * step) >= 0.98  # ties may fall on the other side


@pytest.mark.jax
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("before", [lambda x: layers.Dense(6, use_bias=False)(x), lambda x: x], ids=["folded", "alone"])
def test_epsilon_is_that_of_the_layer(before, training):
    """With variances as small as epsilon, another one would change the outputs by a third."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    norm = layers.BatchNormalization(epsilon=0.01, momentum=1.0)
    model = keras.Model(inputs, norm(before(inputs)))
    x = 0.1 * np.random.default_rng(0).normal(size=(256, 6)).astype("float32")
    norm.moving_variance.assign(np.full(6, 0.01))
    aware = kp.quantization_aware(model, delay=200 * training)  # so that the range is that of the outputs
    aware(x, training=True)
    expected = numbers(model(x, training=training))
    found = numbers(aware(x, training=training))
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()


@pytest.mark.jax
def test_before_the_delay_batches_give_the_statistics():
    """Moving statistics are those of BatchNorm on the rounded layer, until the delay."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5,)), layers.Dense(3), layers.BatchNormalization(momentum=0.8)])
    aware, (dense, norm) = kp.quantization_aware(model, delay=2), model.layers
    kernel = numbers(dense.kernel)
    scale = np.abs(kernel).max(0) / 127
    mean, variance, low, high = np.zeros(3), np.ones(3), 0.0, 0.0
    for step in range(3):
        x = np.random.default_rng(step).normal(size=(64, 5)).astype("float32")
        aware(x, training=True)
        low, high = ((step * a + b) / (step + 1) for a, b in ((low, x.min()), (high, x.max())))
        levels = (high - low) / 255
        y = np.clip(np.round(x / levels), np.round(low / levels), np.round(low / levels) + 255) * levels
        y = y @ (np.round(kernel / scale) * scale)
        if step < 2:
            mean, variance = 0.8 * mean + 0.2 * y.mean(0), 0.8 * variance + 0.2 * y.var(0)
        np.testing.assert_allclose(numbers(norm.moving_mean), mean, atol=1e-3)
        np.testing.assert_allclose(numbers(norm.moving_variance), variance, atol=2e-3)


@pytest.mark.jax
@pytest.mark.parametrize("constant", [False, True])
def test_a_softmax_keeps_its_mask(constant):
    inputs, seen = keras.Input((4,)), np.tile([[True, False, True, True]], (8, 1))
    mask = keras.Input((4,), dtype="bool")
    scores = layers.Softmax()(inputs, seen if constant else mask)
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    data = x if constant else [x, seen]
    model = keras.Model(inputs if constant else [inputs, mask], scores)
    with pytest.warns(UserWarning, match="softmax"):
        aware = kp.quantization_aware(model)
    aware(data, training=True)
    np.testing.assert_allclose(aware(data), model(data), atol=0.02)


@pytest.mark.parametrize("kernel", [False, True])
@pytest.mark.parametrize("options", [{}, {"training": False}])
def test_statistics_are_those_of_the_plain_model(kernel, options):
    """Padding is left out of them, and they are held if the call says so."""

    def trained(make):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6,), dtype="int32")
        x = layers.Embedding(20, 4, mask_zero=not options)(inputs)
        x = layers.Dense(4)(x) if kernel else x
        x = layers.BatchNormalization(momentum=0.0)(x, **options)
        model = keras.Model(inputs, x)
        make(model)(np.array([[1, 2, 3, 0, 0, 0], [4, 5, 0, 0, 0, 0]]), training=True)
        return model.layers[-1]

    expected = trained(lambda model: model)
    with pytest.warns(UserWarning, match="batch_normalization"):
        found = trained(kp.quantization_aware)
    np.testing.assert_allclose(found.moving_mean, expected.moving_mean, atol=0.002)


def test_ranges_are_moving_averages_that_are_held():
    layer, expected = FollowedRange(150), 0.0
    for step in range(200):
        high = 1.0 + step % 7
        layer(np.array([0.5, high], "float32"), training=True)
        expected += max(1 / (step + 1), FASTEST) * (high - expected) * (step < 150)
    assert float(layer.high) == pytest.approx(expected, rel=1e-5) and float(layer.low) == 0  # zero is in the range
    wider = FollowedRange(1)
    wider(np.array([-3.0, 0.1], "float32"), training=True)
    layer.scale.join(wider.scale)
    assert [float(end) for end in wider.scale.ends()] == pytest.approx([-3.0, expected], rel=1e-5)
    assert isinstance(layer.scale, SharedScale) and layer.scale is wider.scale


def test_nested_models_and_shared_layers():
    keras.utils.set_random_seed(0)
    inner_inputs = keras.Input((6,))
    inner = keras.Model(inner_inputs, layers.Dense(4, activation="relu", name="same")(inner_inputs), name="inner")
    a, b, shared = keras.Input((6,), name="a"), keras.Input((6,), name="b"), layers.Dense(6, name="same")
    outputs = {"sum": inner(shared(a)) + inner(shared(b)), "other": layers.Dense(2, name="other")(shared(a))}
    model = keras.Model({"a": a, "b": b}, outputs)
    aware = kp.quantization_aware(model, delay=0)
    x = {name: np.random.default_rng(i).normal(size=(256, 6)).astype("float32") for i, name in enumerate("ab")}
    aware(x, training=True)
    expected, found = model(x), aware(x)
    assert len(aware.trainable_variables) == len(model.trainable_variables) == 6
    for name in outputs:
        y = numbers(expected[name])
        assert np.abs(numbers(found[name]) - y).max() < 0.05 * np.abs(y).max()


@pytest.mark.thorough  # three fits
def test_a_fit_that_was_broken_off_goes_on_bit_by_bit(tmp_path):
    """Ranges, their counters and those of BatchNorm are in the state, as the optimizer is."""
    x = np.random.default_rng(0).normal(size=(64, 8, 8, 1)).astype("float32")

    def fitted(*callbacks, seed=0):
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((8, 8, 1))
        hidden = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3)(inputs)))
        model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(hidden)))
        aware = kp.quantization_aware(model, delay=10)  # within the second epoch, held within the third
        aware.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        aware.fit(x, np.arange(64) % 3, batch_size=8, epochs=18, shuffle=False, verbose=0, callbacks=list(callbacks))
        return aware

    alone = fitted()
    with pytest.raises(KeyboardInterrupt):
        fitted(Resume(tmp_path), Break(12))
    with pytest.warns(UserWarning, match="The fit resumes"):
        again = fitted(Resume(tmp_path), seed=1)
    assert_equal(again, alone.get_weights())
    counters = [int(each.seen) for each in again.layers if isinstance(each, FollowedRange)]
    assert counters == 3 * [8 * 18]


# ---- beside other parts ---------------------------------------------------------------------------------------


def test_a_teacher_sees_the_kind_of_the_outputs():
    inputs = keras.Input((4,))
    teacher = keras.Model(inputs, layers.Dense(3, activation="softmax", name="classes")(layers.Dense(9)(inputs)))
    slim = keras.Model(inputs, layers.Dense(3, activation="softmax", name="classes")(inputs))
    student = kp.distil(kp.quantization_aware(slim), teacher, weight=1.0)
    student.compile("sgd")
    before = numbers(slim.layers[1].kernel).copy()
    student.fit(np.random.default_rng(0).normal(size=(32, 4)).astype("float32"), verbose=0)
    assert list(student.kinds.values()) == ["softmax"]
    assert np.abs(numbers(slim.layers[1].kernel) - before).max() > 0


def dense(activation=None, dtype="float32"):
    return keras.Sequential([keras.Input((4,)), layers.Dense(3, activation=activation, dtype=dtype)])


@pytest.mark.parametrize(
    ("make", "arguments", "words"),
    [
        (lambda: keras.Sequential([layers.Dense(3)]), {}, "Expected a built model"),
        (lambda: type("Own", (keras.Model,), {})(), {}, "Expected a model with a call"),
        (lambda: "slim.keras", {}, "slim='slim.keras'"),
        (dense, {"bits": 4}, "bits=4"),
        (dense, {"delay": -1}, "delay=-1"),
        (lambda: kp.quantization_aware(dense()), {}, "Give aware.plain"),
        (lambda: dense(dtype="mixed_float16"), {}, "in float16"),
    ],
)
def test_what_is_refused(make, arguments, words):
    with pytest.raises(kp.PruneError, match=words):
        kp.quantization_aware(make(), **arguments)


def test_exports_that_are_refused(tmp_path):
    aware = kp.quantization_aware(dense())
    with pytest.raises(kp.PruneError, match="not trained yet"):
        kp.export.tflite(aware, tmp_path / "a.tflite", quantize="int8")
    aware(np.ones((2, 4), "float32"), training=True)
    with pytest.raises(kp.PruneError, match=r"float32. Export model.plain"):
        kp.export.tflite(aware, tmp_path / "a.tflite")
    with pytest.raises(kp.PruneError, match=r"a SavedModel. Export model.plain"):
        kp.export.saved_model(aware, tmp_path / "a")
    with pytest.raises(kp.PruneError, match=r"aware\.plain"):
        aware.get_config()
    for copy in (keras.models.clone_model, kp.quantization.equalise):
        with pytest.raises(kp.PruneError, match=r"Give aware\.plain"):
            copy(aware)
    aware(np.full((2, 4), np.nan, "float32"), training=True)
    with pytest.raises(kp.PruneError, match=r"NaN or infinity in .*range"):  # LiteRT would end the process
        kp.export.tflite(aware, tmp_path / "a.tflite", quantize="int8")
    assert not list(tmp_path.iterdir())


def test_plans_and_costs_are_those_of_the_plain_model():
    slim = residual_network()
    aware = kp.quantization_aware(slim)
    assert kp.plan(aware, macs=0.5) == kp.plan(slim, macs=0.5) and kp.cost(aware) == kp.cost(slim)
    with pytest.raises(PruneError, match="aware.plain.quantize"):
        aware.quantize("int8")  # it would replace the kernels of the plain model
