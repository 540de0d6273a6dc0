"""Every rule against the oracle; being registered is being tested. Then what only whole models show."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops
from support.rule_cases import CASES, cases

import kerasprune as kp
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import classes, table, tensor_rule
from kerasprune.testing import check_rebuild, check_rule, random_plan, randomise

_APART = ("augmentation", "preprocessing")  # stand at the inputs: see test_at_the_inputs
_OWN = [
    cls
    for cls in classes()
    if cls.__module__.startswith("keras.")
    and cls is not layers.Lambda  # see test_lambda
    and not table.load()[cls].function.__module__.endswith(_APART)
]


@pytest.mark.parametrize("cls, case", cases())
def test_rule_is_exact(cls, case):
    if keras.backend.backend() != "tensorflow" and not _runs(case):
        pytest.skip("Keras itself does not run it on this backend")
    graph = check_rule(case.make(), case.shapes, plans=case.plans)
    met = {type(call.operation) for call in graph.calls}
    assert cls in met or _without_own_rule(cls, met), f"the case never calls {cls.__name__}"
    before = [group for name, group in graph.groups.items() if name.startswith("before")]
    assert any(group.prunable for group in before) == case.prunable, graph.report()


def _runs(case):
    shapes = case.shapes if isinstance(case.shapes, list) else [case.shapes]
    inputs = [np.ones((2, *shape), "float32") for shape in shapes]
    try:
        made = case.make()
        made(inputs) if isinstance(made, layers.Layer) and len(inputs) > 1 else made(*inputs)
    except Exception:  # noqa: BLE001
        try:
            made(*inputs)
        except Exception:  # noqa: BLE001
            return False
    return True


def _without_own_rule(cls, met):
    """The rule of `keras.Operation` is that of operations which have none."""
    return cls is keras.Operation and bool(met - table.load().keys())


def test_every_rule_has_a_case():
    missing = [cls.__name__ for cls in _OWN if cls not in CASES]
    assert not missing, f"add cases to tests/support/rule_cases.py for {missing}"


# ---- whole models ----------------------------------------------------------------------------------------------------


def check(inputs, outputs, plans=3, coupling="tied", tolerance=1e-5):
    """Checks a model on random plans; returns its graph."""
    model = randomise(keras.Model(inputs, outputs), seed=1)
    graph = kp.trace(model, coupling=coupling)
    for seed in range(plans):
        check_rebuild(model, random_plan(graph, seed), tolerance=tolerance)
    return graph


def group_of(graph, layer):
    """Returns the group that a layer makes."""
    return next(group for group in graph.groups.values() if layer in group.layers)


def conv(filters, name, kernel=1, **kwargs):
    return layers.Conv2D(filters, kernel, name=name, **kwargs)


def head(x, name="logits"):
    return layers.Dense(3, name=name)(layers.Flatten()(x))


def test_shared_convolution_called_on_two_makers():
    inputs = keras.Input((4, 4, 3))
    shared = conv(8, "shared", activation="elu")
    left, right = conv(6, "left")(inputs), conv(6, "right")(inputs)
    graph = check(inputs, head(layers.Concatenate()([shared(left), shared(right)])))
    assert set(group_of(graph, "left").layers) == {"left", "right"}  # one kernel reads both
    assert graph.groups["shared"].size == 8


def test_shared_convolution_called_on_its_own_output():
    inputs = keras.Input((4, 4, 3))
    shared = conv(6, "shared", activation="elu")
    graph = check(inputs, head(shared(shared(conv(6, "stem")(inputs)))))
    assert graph.groups["stem"].layers == ("stem", "shared")


@pytest.mark.matrix
@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Reshape((16, 6)),
        lambda: layers.BatchNormalization(),
        lambda: layers.BatchNormalization(scale=False, center=False),
        lambda: layers.LayerNormalization(scale=False, center=False),
        lambda: layers.GroupNormalization(6, scale=False, center=False),
        lambda: keras.Sequential([layers.ReLU(), layers.MaxPooling2D(2)]),
        lambda: keras.Sequential([layers.DepthwiseConv2D(2), layers.BatchNormalization(), layers.ReLU()]),
        lambda: layers.ReLU(),
        lambda: layers.Flatten(),
    ],
    ids=["reshape", "bn", "bare-bn", "bare-ln", "bare-gn", "nested", "nested-depthwise", "relu", "flatten"],
)
def test_shared_layer_without_channels_of_its_own(make):
    """A layer that is called on two tensors has one config: what it says of channels must fit both."""
    inputs = keras.Input((4, 4, 3))
    shared = make()
    ends = [shared(conv(6, name)(inputs)) for name in ("left", "right")]
    check(inputs, layers.Add()([head(end, f"logits_{n}") for n, end in enumerate(ends)]), plans=4)


def test_shared_nested_model_with_a_constant():
    inner_input = keras.Input((4, 4, 6))
    inner = keras.Model(inner_input, ops.relu(inner_input * np.linspace(0.5, 2, 6, dtype="float32")))
    inputs = keras.Input((4, 4, 3))
    ends = [head(inner(conv(6, name)(inputs)), f"logits_{name}") for name in ("left", "right")]
    check(inputs, layers.Add()(ends), plans=4)


def test_nested_models_with_equal_layer_names():
    def part(name):
        return keras.Sequential([conv(6, "same", use_bias=False), layers.BatchNormalization(name="norm")], name=name)

    inputs = keras.Input((4, 4, 3))
    x = layers.ELU()(part("one")(inputs))
    x = layers.ELU()(part("two")(x))
    graph = check(inputs, head(conv(5, "last", use_bias=False)(x)))
    assert graph.groups["same"].size == graph.groups["same#2"].size == 6


def test_sequential_in_functional_in_sequential():
    inner = keras.Sequential([conv(6, "a"), layers.BatchNormalization(), layers.ReLU()], name="inner")
    x = keras.Input((4, 4, 5))
    middle = keras.Model(x, layers.Add()([x, conv(5, "b")(inner(x))]), name="middle")
    model = keras.Sequential([keras.Input((4, 4, 3)), conv(5, "stem"), middle, layers.Flatten(), layers.Dense(3)])
    model = randomise(model)
    graph = kp.trace(model)
    assert graph.groups["stem"].layers == ("stem", "b")
    for seed in range(3):
        check_rebuild(model, random_plan(graph, seed))


def test_several_inputs_and_outputs_in_dicts():
    inputs = {"image": keras.Input((4, 4, 3), name="image"), "side": keras.Input((5,), name="side")}
    x = layers.GlobalMaxPooling2D()(conv(6, "seen")(inputs["image"]))
    y = layers.Dense(6, name="told")(inputs["side"])
    z = layers.Dense(7, activation="relu", name="joint")(layers.Concatenate()([x, y]))
    graph = check(inputs, {"label": layers.Dense(3, name="label")(z), "score": layers.Dense(1, name="score")(z)})
    assert [name for name, group in graph.groups.items() if group.prunable] == ["seen", "told", "joint"]


def test_an_output_that_is_read_on_stays():
    inputs = keras.Input((4,))
    x = layers.Dense(5, name="feature")(inputs)
    graph = check(inputs, [x, layers.Dense(2, name="end")(layers.Dense(6, name="more")(x))])
    assert not graph.groups["feature"].prunable
    assert graph.groups["feature"].reason == "an output of the model"


@pytest.mark.matrix
@pytest.mark.parametrize("coupling", ["tied", "free", "padded"])
def test_residual_trunk(coupling):
    inputs = keras.Input((4, 4, 3))
    x = layers.ReLU()(layers.BatchNormalization()(conv(6, "stem", 3, padding="same")(inputs)))
    for n in range(2):
        y = layers.ReLU()(layers.BatchNormalization()(conv(5, f"inner{n}")(x)))
        x = layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(conv(6, f"outer{n}")(y))]))
    graph = check(inputs, head(x), coupling=coupling)
    assert graph.groups["inner0"].prunable and graph.groups["inner1"].prunable
    if coupling == "tied":
        assert graph.groups["stem"].layers == ("stem", "outer0", "outer1")
    assert graph.groups["stem"].prunable == (coupling != "free")


def test_densely_connected():
    inputs = x = keras.Input((4, 4, 3))
    for n in range(3):
        y = conv(4, f"grow{n}")(layers.ReLU()(layers.BatchNormalization()(x)))
        x = layers.Concatenate()([x, y])
    graph = check(inputs, head(x))
    assert [graph.groups[f"grow{n}"].size for n in range(3)] == [4, 4, 4]


def test_broadcast_over_the_channels_of_a_narrow_tensor():
    inputs = keras.Input((4, 4, 3))
    gate = conv(1, "gate", activation="sigmoid")(inputs)
    graph = check(inputs, head(layers.Multiply()([conv(6, "wide")(inputs), gate])))
    assert graph.groups["gate"].size == 1 and graph.groups["wide"].size == 6


def test_single_channels_are_tied_as_others_are():
    """A tensor one wide broadcasts over wider ones only; added to another one it is coupled."""
    inputs = keras.Input((4,))
    x = layers.Add()([layers.Dense(1, name="left")(inputs), layers.Dense(1, name="right")(inputs)])
    graph = kp.trace(keras.Model(inputs, layers.Dense(2)(x)))
    assert set(group_of(graph, "left").layers) == {"left", "right"}


def test_free_input_side():
    inputs = keras.Input((None, None, 3))
    x = layers.ReLU()(layers.BatchNormalization()(conv(6, "a", 3, padding="same")(inputs)))
    x = layers.Multiply()([x, layers.GlobalAveragePooling2D(keepdims=True)(x)])
    logits = layers.Dense(3)(layers.GlobalAveragePooling2D()(conv(5, "b", 2, strides=2)(x)))
    check(inputs, logits)


def test_nested_model_with_a_free_side_is_counted_where_it_is_called():
    inner = keras.Sequential([keras.Input((None, None, 3)), conv(6, "inner", 3, padding="same")])
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, head(inner(inputs)))
    assert kp.cost(model).macs == 9 * 3 * 6 * 64 + 6 * 64 * 3


def test_softmax_over_channels_pins():
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, head(conv(5, "after")(layers.Softmax(name="soft")(conv(6, "scores")(inputs)))))
    graph = kp.trace(model)
    assert not graph.groups["scores"].prunable and "'soft'" in graph.groups["scores"].reason
    assert graph.groups["after"].prunable


@pytest.mark.parametrize(
    "along",
    [
        lambda x: layers.LSTM(4)(x),
        lambda x: layers.Bidirectional(layers.GRU(4))(x),
        lambda x: layers.Flatten()(layers.MultiHeadAttention(2, 3)(x, x)),
        lambda x: layers.Flatten()(layers.GroupQueryAttention(3, 2, 2)(x, x)),
    ],
    ids=["recurrent", "bidirectional", "attention", "group-query"],
)
def test_positions_that_a_layer_made_stay_where_one_runs_along_them(along):
    inputs = keras.Input((6, 5))
    x = layers.EinsumDense("abc,bd->adc", output_shape=(8, 5), name="mixed")(inputs)
    graph = kp.trace(keras.Model(inputs, layers.Dense(2)(along(x))))
    (reason,) = [group.reason for group in graph.groups.values() if "mixed" in group.layers]
    assert reason.endswith("along that axis")


# ---- what is not known -----------------------------------------------------------------------------------------------


class Mystery(layers.Layer):
    """A layer without a rule."""

    def call(self, x):
        return ops.flip(x, -1) * 2.0


class MysteryCell(layers.Layer):
    """A cell of a user."""

    state_size = 5

    def call(self, x, states):
        return x[:, :5], [x[:, :5] + states[0]]


class MysteryDense(layers.Dense):
    """A known layer with a `call` of its own."""

    def call(self, x):
        return super().call(ops.flip(x, -1))


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: layers.RNN(MysteryCell(), name="around"), "layer of Keras's cells.*'around'.*MysteryCell"),
        (lambda: layers.RNN([layers.GRUCell(6), MysteryCell()], name="around"), "StackedRNNCells"),
        (lambda: layers.SpectralNormalization(MysteryDense(5), name="around"), "inside 'around'.*MysteryDense"),
        (lambda: layers.TimeDistributed(MysteryDense(5), name="around"), "inside 'around'.*MysteryDense"),
        (lambda: layers.TimeDistributed(layers.PReLU(shared_axes=[1]), name="around"), None),
    ],
)
def test_what_is_wrapped_is_named(make, words):
    inputs = keras.Input((4, 3))
    x = layers.Flatten()(make()(layers.Dense(6, name="feeds")(inputs)))
    model = keras.Model(inputs, layers.Dense(2)(x))
    if words is None:
        assert kp.trace(model).prunable
        return
    with pytest.raises(kp.PruneError, match=words):
        kp.trace(model)
    graph = kp.trace(model, unknown="freeze")
    assert not graph.groups["feeds"].prunable and [each.name for each in graph.unknown] == ["around"]


class MysteryActivation(layers.ReLU):
    """A known layer with a `call` of its own is not known."""

    def call(self, x):
        return ops.softmax(x)


def mysterious(layer):
    inputs = keras.Input((4, 4, 3))
    x = layer(conv(6, "before")(conv(5, "early")(inputs)))
    return keras.Model(inputs, head(conv(7, "after")(x)), name="mysterious")


@pytest.mark.parametrize("cls", [Mystery, MysteryActivation])
def test_unknown_layer_raises_and_names_the_cures(cls):
    with pytest.raises(kp.PruneError) as error:
        kp.trace(mysterious(cls(name="what")))
    for word in ("'what'", cls.__name__, f"@kp.rule({cls.__name__})", "unknown='freeze'"):
        assert word in str(error.value)


def test_unknown_layer_can_be_frozen():
    model = randomise_custom(mysterious(Mystery(name="what")))
    graph = kp.trace(model, unknown="freeze")
    prunable = {name: graph.groups[name].prunable for name in ("early", "before", "after", "logits")}
    assert prunable == {"early": True, "before": False, "after": True, "logits": False}
    assert "'what'" in graph.groups["before"].reason
    assert [(u.name, u.kind) for u in graph.unknown] == [("what", "Mystery")]
    assert "what" in graph.report()
    check_rebuild(model, random_plan(graph))


def randomise_custom(model):
    """Randomises in a scope that knows the custom classes."""
    with keras.saving.custom_object_scope({"Mystery": Mystery}):
        return randomise(model)


def test_unknown_must_be_a_known_word():
    with pytest.raises(kp.PruneError, match="unknown='ignore'"):
        kp.trace(mysterious(layers.ReLU()), unknown="ignore")


def test_freeze_names_and_wildcards():
    model = mysterious(layers.ReLU())
    assert not kp.trace(model, freeze=["before"]).groups["before"].prunable
    assert kp.trace(model, freeze=["before"]).groups["after"].prunable
    frozen = kp.trace(model, freeze=["be*", "a????"]).groups
    assert not frozen["before"].prunable and not frozen["after"].prunable and frozen["early"].prunable
    assert frozen["before"].reason == "named in freeze="
    with pytest.raises(kp.PruneError, match="Did you mean 'before'"):
        kp.trace(model, freeze=["befor"])


def test_a_rule_can_be_taught(monkeypatch):
    class ChannelShuffle(layers.Layer):
        """Channel `g·n + k` goes to `k·groups + g`."""

        def __init__(self, groups, **kwargs):
            super().__init__(**kwargs)
            self.groups = groups

        def call(self, x):
            shape = ops.shape(x)
            x = ops.reshape(x, (*shape[:-1], self.groups, x.shape[-1] // self.groups))
            return ops.reshape(ops.swapaxes(x, -1, -2), shape)

        def compute_output_shape(self, shape):
            return shape

        def get_config(self):
            return {**super().get_config(), "groups": self.groups}

    with pytest.raises(kp.PruneError, match="ChannelShuffle"):
        check_rule(ChannelShuffle(2), (4, 4, 6))

    monkeypatch.setattr("kerasprune.graph.rule.table.rules", dict(table.load()))

    @kp.rule(ChannelShuffle)
    def channel_shuffle(graph, layer, x):
        rows = x.reshape(layer.groups, -1)
        graph.tie(*rows)
        return rows.T.ravel()

    graph = check_rule(ChannelShuffle(2), (4, 4, 6))
    assert graph.groups["before"].size == 3 and graph.groups["before"].prunable


def test_a_rule_of_wrong_length_is_refused(monkeypatch):
    monkeypatch.setattr("kerasprune.graph.rule.table.rules", dict(table.load()))

    @kp.rule(Mystery)
    def mystery(graph, layer, x):
        return x[:-1]

    with pytest.raises(kp.PruneError, match=r"one id per output channel \(6\)\. Received: 5 ids for 'what'"):
        kp.trace(mysterious(Mystery(name="what")))


# ---- negative controls: the oracle must catch what is wrong ----------------------------------------------------------


def broken(monkeypatch, cls, function):
    """Replaces a rule by a wrong one for the time of a test."""
    monkeypatch.setattr("kerasprune.graph.rule.table.rules", dict(table.load()))
    tensor_rule(cls, constant="unknown")(function)


def test_flatten_in_the_wrong_order_is_caught(monkeypatch):
    def repeated(graph, layer, x):
        return Ids(graph.call.outputs[0], {1: np.repeat(x.axes[3], x.shape[1] * x.shape[2])})

    broken(monkeypatch, layers.Flatten, repeated)
    with pytest.raises(AssertionError, match="to equal mask"):
        check_rule(layers.ReLU(), (4, 4, 6))


def test_a_tie_in_the_wrong_order_is_caught(monkeypatch):
    def reversed_tie(graph, layer, inputs):
        axis = len(inputs[0].shape) - 1
        graph.tie(inputs[0].axes[axis], inputs[1].axes[axis][::-1])
        return inputs[0]

    broken(monkeypatch, layers.Add, reversed_tie)
    with pytest.raises(AssertionError, match="to equal mask"):
        check_rule(layers.Add(), [(4, 4, 6), (4, 4, 6)])


def test_a_missing_tie_is_caught(monkeypatch):
    broken(monkeypatch, layers.Add, lambda graph, layer, inputs: inputs[0])
    with pytest.raises((AssertionError, ValueError)):
        check_rule(layers.Add(), [(4, 4, 6), (4, 4, 6)])


def test_a_forgotten_slice_is_caught(monkeypatch):
    def only_gamma(graph, layer, x):
        graph.slices(layer, layer.gamma, x.axes[3], role="scale")
        return x

    broken(monkeypatch, layers.BatchNormalization, only_gamma)
    with pytest.raises((AssertionError, ValueError)):
        check_rule(layers.BatchNormalization(), (4, 4, 6))


def test_a_wrong_slice_of_a_bias_is_caught(monkeypatch):
    def shifted(graph, layer, x):
        ids = x.axes[3]
        for variable in (layer.gamma, layer.moving_mean, layer.moving_variance):
            graph.slices(layer, variable, ids)
        graph.slices(layer, layer.beta, np.roll(ids, 1))
        return x

    broken(monkeypatch, layers.BatchNormalization, shifted)
    with pytest.raises(AssertionError, match="to equal mask"):
        check_rule(layers.BatchNormalization(), (4, 4, 6))


def test_a_miscounted_kernel_is_caught(monkeypatch):
    def uncounted(graph, layer, x):
        out = graph.new(layer, layer.filters)
        graph.kernel(layer, layer.kernel, None, None, graph.on(x, 3), out, reads=(2,), makes=(3,), positions=7)
        graph.slices(layer, layer.bias, out, role="bias")
        graph.sets(layer, "filters", out)
        return Ids(graph.call.outputs[0], {3: out})

    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, head(conv(6, "one")(inputs)))
    right = kp.cost(model).macs
    broken(monkeypatch, layers.Conv2D, uncounted)
    assert kp.cost(model).macs != right  # what tests/surgery/costs/test_cost.py would see


def test_outputs_that_cannot_differ_are_refused():
    inputs = keras.Input((4, 4, 3))
    x = conv(6, "one")(inputs)
    model = randomise(keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x * 1e-9))))
    with pytest.raises(AssertionError, match="no comparison can fail"):
        check_rebuild(model, kp.Plan({"one": [0, 1]}))


def test_a_plan_without_effect_is_refused():
    inputs = keras.Input((4,))
    x = layers.Dense(6, name="one")(inputs)
    model = randomise(keras.Model(inputs, layers.Dense(3, name="logits")(x)))
    kernel = model.get_layer("logits").kernel
    kernel.assign(np.asarray(kernel) * np.array([1, 1, 1, 1, 1, 0])[:, None])
    with pytest.raises(AssertionError, match="comparison cannot fail"):
        check_rebuild(model, kp.Plan({"one": [0, 1, 2, 3, 4]}))
