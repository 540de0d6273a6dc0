"""Blocks: what can be dropped whole, and that dropping it is what the closed form says."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.testing import check_rebuild, compare, random_inputs, random_plan, randomise

SHAPE = (16, 16, 3)


def small_vit(depth=2, width=8):
    """A vision transformer: patches, then attention and a dense branch in turn."""
    inputs = keras.Input(SHAPE)
    x = layers.Reshape((16, width))(layers.Conv2D(width, 4, 4, name="patches")(inputs))
    for n in range(depth):
        y = layers.LayerNormalization(name=f"norm{n}a")(x)
        x = layers.Add(name=f"attended{n}")([x, layers.MultiHeadAttention(2, 4, name=f"attention{n}")(y, y)])
        y = layers.Dense(2 * width, "gelu", name=f"wide{n}")(layers.LayerNormalization(name=f"norm{n}b")(x))
        x = layers.Add(name=f"fed{n}")([x, layers.Dense(width, name=f"narrow{n}")(y)])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization(name="last_norm")(x))
    return keras.Model(inputs, layers.Dense(3, name="logits")(x), name="small_vit")


MAKERS = {
    "resnet-identity": lambda: kp.models.resnet_cifar(14, input_shape=SHAPE, width=0.5),
    "resnet-projection": lambda: kp.models.resnet_cifar(14, input_shape=SHAPE, width=0.5, shortcut="projection"),
    "densenet": lambda: kp.models.densenet_cifar(13, input_shape=SHAPE, growth=4),
    "vgg": lambda: kp.models.vgg_cifar(16, input_shape=SHAPE, width=0.125),
    "mobilenet": lambda: kp.models.mobilenet_v2(4, SHAPE, stem="cifar", width=0.35),
    "vit": small_vit,
}


@pytest.fixture(scope="module")
def made():
    """Returns a function that makes each model once, with random weights."""
    models = {}

    def make(name):
        if name not in models:
            models[name] = randomise(MAKERS[name](), seed=3)
        return models[name]

    return make


def kinds(model):
    return {name: block.kind for name, block in kp.trace(model).blocks.items()}


# ---- which blocks there are ----------------------------------------------------------------------------------------


@pytest.mark.experiments
def test_blocks_of_a_residual_network(made):
    """Every block whose shortcut is the identity; the first of stages 2 and 3 changes the shape."""
    names = {f"stage{s}_block{b}_add" for s, b in ((1, 1), (1, 2), (2, 2), (3, 2))}
    for name in ("resnet-identity", "resnet-projection"):
        found = kinds(made(name))
        assert {n for n, kind in found.items() if kind == "residual"} == names
        assert set(found.values()) == {"residual"}


@pytest.mark.experiments
def test_layers_of_a_residual_block(made):
    block = kp.trace(made("resnet-identity")).blocks["stage2_block2_add"]
    parts = ("conv1", "bn1", "relu1", "conv2", "bn2")
    assert set(block.layers) == {f"stage2_block2_{part}" for part in parts}


@pytest.mark.experiments
def test_blocks_of_a_densely_connected_network(made):
    found = kinds(made("densenet"))
    assert {name for name, kind in found.items() if kind == "dense"} == {
        f"block{b}_layer{n}_concat" for b in (1, 2, 3) for n in (1, 2, 3)
    }


@pytest.mark.experiments
def test_blocks_of_a_plain_network(made):
    """Convolutions that change neither the side nor the width: all but the first of a stage that widens."""
    found = kinds(made("vgg"))
    convolutions = [layer for layer in made("vgg").layers if isinstance(layer, layers.Conv2D)]
    same = {layer.name for layer in convolutions if layer.input.shape == layer.output.shape}
    assert found == dict.fromkeys([layer.name for layer in convolutions if layer.name in same], "plain")
    block = kp.trace(made("vgg")).blocks["stage3_conv2"]
    assert block.layers == ("stage3_conv2", "stage3_bn2", "stage3_relu2")


@pytest.mark.experiments
@pytest.mark.thorough
def test_blocks_of_inverted_residuals(made):
    model = made("mobilenet")
    sums = {layer.name for layer in model.layers if isinstance(layer, layers.Add)}
    residual = {name for name, kind in kinds(model).items() if kind == "residual"}
    assert residual == sums and len(sums) == 11  # the paper's 10, and stage 2 is as narrow as stage 1 at this width


@pytest.mark.experiments
def test_blocks_of_a_transformer(made):
    assert kinds(made("vit")) == dict.fromkeys(["attended0", "fed0", "attended1", "fed1"], "residual")


def test_what_is_read_from_outside_is_no_block():
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(6, 1, name="stem")(inputs)
    y = layers.Conv2D(6, 1, name="seen")(x)
    joined = layers.Add(name="sum")([x, layers.ReLU()(y)])
    model = keras.Model(inputs, [layers.Dense(2)(layers.Flatten()(joined)), layers.Flatten()(y)])
    assert "sum" not in kp.trace(model).blocks


@pytest.mark.parametrize("over_channels", [False, True])
def test_a_dense_layer_of_which_channels_must_stay_is_no_block(over_channels):
    """A softmax over the joined channels pins them; the block cannot be dropped without them."""
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(6, 1, name="stem")(inputs)
    x = layers.Concatenate(name="join")([x, layers.Conv2D(4, 3, padding="same", name="grow")(x)])
    x = layers.Softmax(axis=-1 if over_channels else 1)(x)
    graph = kp.trace(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))
    assert ("join" in graph.blocks) is not over_channels
    assert graph.groups["grow"].prunable is not over_channels


# ---- that dropping is exact ----------------------------------------------------------------------------------------


def zeroed(model, *names):
    """Returns a copy of a model in which the weights of some layers are zero."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for name in names:
        for variable in copy.get_layer(name).trainable_variables:
            variable.assign(np.zeros(variable.shape))
    return copy


def slim(model, removed, keep=None, coupling="tied"):
    return kp.rebuild(model, kp.Plan(keep or {}, removed, coupling=coupling), absorb=False)


@pytest.mark.experiments
@pytest.mark.parametrize("name", ["resnet-identity", "resnet-projection"])
def test_without_a_residual_block_is_with_its_last_scale_zero(made, name):
    model, removed = made(name), ["stage1_block2_add", "stage3_block2_add"]
    silent = zeroed(model, "stage1_block2_bn2", "stage3_block2_bn2")
    without = slim(model, removed)
    assert compare(silent, without, random_inputs(model)).error < 1e-5
    assert compare(model, without, random_inputs(model)).error > 1e-3
    assert not any("stage1_block2_conv" in layer.name for layer in without.layers)


@pytest.mark.experiments
@pytest.mark.thorough
def test_without_an_inverted_residual_is_with_its_last_scale_zero(made):
    model = made("mobilenet")
    silent = zeroed(model, "stage3_block2_project_bn", "stage6_block3_project_bn")
    without = slim(model, ["stage3_block2_add", "stage6_block3_add"])
    assert compare(silent, without, random_inputs(model)).error < 1e-5


@pytest.mark.experiments
def test_without_attention_is_with_its_projection_zero(made):
    model = made("vit")
    silent = zeroed(model, "attention1", "narrow0")
    without = slim(model, ["attended1", "fed0"])
    assert compare(silent, without, random_inputs(model)).error < 1e-5


@pytest.mark.experiments
def test_without_a_dense_layer_is_with_the_rows_zero_that_read_it(made):
    """What layer 2 of a block adds lies in the last channels; all later convolutions of the block, and the transition,
    read it."""
    model, growth = made("densenet"), 4
    start = model.get_layer("block1_layer1_concat").output.shape[-1]
    silent = zeroed(model)
    for name in ("block1_layer3_conv", "transition1_conv"):
        kernel = silent.get_layer(name).kernel
        values = np.array(kernel)
        values[:, :, start : start + growth] = 0
        kernel.assign(values)
    without = slim(model, ["block1_layer2_concat"])
    assert compare(silent, without, random_inputs(model)).error < 1e-5
    assert compare(model, without, random_inputs(model)).error > 1e-3
    assert (
        without.get_layer("transition1_conv").kernel.shape[2]
        == model.get_layer("transition1_conv").kernel.shape[2] - growth
    )


@pytest.mark.experiments
def test_without_a_plain_block_is_the_shorter_chain(made):
    model = made("vgg")
    inputs = x = keras.Input(SHAPE)
    gone = kp.trace(model).blocks["stage4_conv3"].layers
    for layer in model.layers[1:]:
        x = x if layer.name in gone else layer(x)
    assert compare(keras.Model(inputs, x), slim(model, ["stage4_conv3"]), random_inputs(model)).error < 1e-6


@pytest.mark.experiments
@pytest.mark.thorough
@pytest.mark.parametrize(
    "name, removed",
    [
        ("resnet-identity", ["stage1_block1_add", "stage2_block2_add"]),
        ("densenet", ["block1_layer1_concat", "block2_layer3_concat"]),
        ("mobilenet", ["stage2_block2_add", "stage4_block4_add"]),
        ("vit", ["attended0", "fed1"]),
    ],
)
def test_blocks_and_channels_together(made, name, removed):
    """In one plan, channels first, blocks first: always the same model."""
    model = made(name)
    keep = random_plan(kp.trace(model), seed=5).keep
    both = kp.Plan(keep, removed)
    check_rebuild(model, both, inputs=random_inputs(model))
    at_once = kp.rebuild(model, both, absorb=False)
    blocks_last = slim(slim(model, (), keep), removed)
    shorter = slim(model, removed)
    blocks_first = slim(shorter, (), {n: kept for n, kept in keep.items() if n in kp.trace(shorter).groups})
    assert all(map(np.array_equal, at_once.get_weights(), blocks_last.get_weights()))
    assert all(map(np.array_equal, at_once.get_weights(), blocks_first.get_weights()))
    assert kp.cost(model, both).macs == kp.cost(at_once).macs < kp.cost(model).macs


@pytest.mark.experiments
@pytest.mark.thorough
def test_all_blocks_at_once(made):
    for name in ("resnet-identity", "densenet", "vgg", "mobilenet", "vit"):
        model = made(name)
        plan = kp.Plan({}, list(kp.trace(model).blocks))
        check_rebuild(model, plan, inputs=random_inputs(model))


# ---- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.experiments
def test_unknown_block(made):
    with pytest.raises(kp.PruneError, match="'stage1_block3_add'.*Did you mean 'stage1_block2_add'"):
        slim(made("resnet-projection"), ["stage1_block3_add"])


def chain(pooled):
    """A plain block between others; pooled, its channels end in a sum with those of another layer."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 1, name="stem")(inputs)
    x = layers.ReLU()(layers.Conv2D(6, 3, padding="same", name="plain")(x))
    if pooled:
        x = layers.Add()([layers.MaxPooling2D()(x), layers.Conv2D(6, 2, 2, name="beside")(inputs)])
    x = layers.Conv2D(5, 1, name="head")(x)
    return randomise(keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))))


@pytest.mark.parametrize(
    "follower",
    [
        layers.BatchNormalization(),
        layers.Activation("tanh"),
        layers.ReLU(),
        layers.LeakyReLU(),
        layers.PReLU(),
        layers.ELU(),
    ],
    ids=lambda layer: layer.name,
)
def test_what_follows_a_plain_convolution_goes_with_it(follower):
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(5, 1, name="stem")(inputs)
    x = follower(layers.Conv2D(5, 3, padding="same", name="plain")(x))
    model = randomise(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))))
    assert kp.trace(model).blocks["plain"].layers == ("plain", follower.name)
    check_rebuild(model, kp.Plan({}, ["plain"]))


def test_a_plain_convolution_that_is_an_output_is_a_block():
    inputs = keras.Input((4, 4, 3))
    stem = layers.Conv2D(5, 1, name="stem")(inputs)
    read = layers.Conv2D(5, 3, padding="same", name="plain")(stem)
    last = layers.Conv2D(5, 1, name="last")(read)
    found = kinds(keras.Model(inputs, [read, last]))
    assert found == {"plain": "plain", "last": "plain"}


@pytest.mark.parametrize("keep", [{"plain": [0, 1]}, {"stem": [0, 4]}, {"plain": [0, 1], "stem": [2, 3, 4]}])
def test_the_group_of_a_dropped_plain_block_has_no_say(keep):
    model = chain(pooled=False)
    check_rebuild(model, kp.Plan(keep, ["plain"]))
    read = slim(model, ["plain"], keep).get_layer("head").kernel.shape[2]
    assert read == len(keep.get("stem", range(6)))


@pytest.mark.parametrize("keep", [{"plain": [0, 1]}, {"stem": [0, 1]}, {"plain": [0, 1], "stem": [0, 2]}])
def test_groups_that_become_one_without_a_plain_block_must_agree(keep):
    model = chain(pooled=True)
    words = "without the dropped blocks, 'stem', 'beside' share their channels. Keep the same indices in the groups"
    with pytest.raises(kp.PruneError, match=f"{words} 'stem', 'plain'"):
        slim(model, ["plain"], keep)
    check_rebuild(model, kp.Plan({"stem": [0, 2], "plain": [0, 2]}, ["plain"]))


def test_a_copy_of_the_trunk_is_no_block():
    """Its channels are those of the trunk: they could only go together."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="trunk")(inputs)
    y = keras.layers.Concatenate(name="doubled")([x, keras.layers.ReLU()(x)])
    y = keras.layers.Concatenate(name="grown")([y, keras.layers.Conv2D(2, 3, padding="same", name="new")(y)])
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(y)))
    assert [block.name for block in kp.trace(model).blocks.values() if block.kind == "dense"] == ["grown"]


@pytest.mark.parametrize("coupling, dense", [("padded", []), ("tied", ["grown"])])
def test_a_dense_layer_that_a_narrower_branch_is_added_to_is_no_block(coupling, dense):
    """What the branch adds to its channels would have nowhere to go."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="trunk")(inputs)
    x = keras.layers.Concatenate(name="grown")([x, keras.layers.Conv2D(2, 3, padding="same", name="new")(x)])
    y = keras.layers.Conv2D(6, 3, padding="same", name="branch")(keras.layers.ReLU()(x))
    x = keras.layers.Add(name="sum")([x, y])
    model = randomise(keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x))))
    graph = kp.trace(model, coupling=coupling)
    assert [block.name for block in graph.blocks.values() if block.kind == "dense"] == dense
    if dense:
        check_rebuild(model, kp.Plan({}, dense))
    else:
        with pytest.raises(kp.PruneError, match="grown"):
            kp.rebuild(model, kp.Plan({}, ["grown"], coupling=coupling))
