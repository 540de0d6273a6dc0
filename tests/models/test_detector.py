"""A detector: sizes, seeds, its stem; it is pruned exactly, as are five heads of other detectors."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.errors import PruneError
from kerasprune.files.shipped import here_or_shipped
from kerasprune.models.sets.mean_precision import mean_precision
from kerasprune.models.sets.point_scenes import point_scenes
from kerasprune.models.stem import load_stem

STEM = "checkpoints/glyphs-base.keras"


@pytest.mark.matrix
@pytest.mark.parametrize(("side", "points"), [((32, 48), 126), ((64, 64), 336)])
def test_it_has_points_on_three_levels(side, points):
    model = kp.models.fcos(5, (*side, 3), width=16, seed=0)
    assert {name: each.shape[1:] for name, each in model.output.items()} == {
        "classes": (points, 5),
        "distances": (points, 4),
    }
    names = [layer.name for layer in model.layers]
    assert len({*names}) == len(names) and not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert model.get_layer("distance_head").activation is keras.activations.softplus
    np.testing.assert_allclose(keras.ops.sigmoid(model.get_layer("class_head").bias), 0.01, rtol=1e-5)


@pytest.mark.thorough
def test_sides_may_be_free():
    model = kp.models.fcos(2, (None, 32, 3), width=8, seed=0)
    assert model(np.zeros((1, 48, 32, 3), "float32"))["distances"].shape == (1, 126, 4)


@pytest.mark.thorough
def test_weights_are_a_function_of_the_seed_and_of_the_layer():
    one, same, other, fresh = (
        {weight.path: np.asarray(weight) for weight in kp.models.fcos(4, (32, 32, 3), 8, seed=seed).weights}
        for seed in (3, 3, 4, None)
    )
    kernels = [path for path in one if path.endswith("kernel")]
    assert all(np.array_equal(one[path], same[path]) for path in one) and len(kernels) > 30
    assert not any(np.array_equal(one[path], each[path]) for path in kernels for each in (other, fresh))
    assert len({one[path].tobytes() for path in kernels}) == len(kernels)


@pytest.mark.thorough
def test_on_a_stem_it_has_the_weights_of_its_stages_and_trains_them():
    model = kp.models.fcos(stem=STEM, seed=0)
    assert model.count_params() == 605_438
    trained = load_stem(STEM, {})
    for name in ("stem_conv", "stage2_block3_bn2", "stage3_block3_conv2"):
        for one, other in zip(model.get_layer(name).get_weights(), trained.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
        assert model.get_layer(name).trainable


def test_faults_are_gathered_and_another_stem_is_refused(tmp_path):
    with pytest.raises(PruneError) as error:
        kp.models.fcos(0, (40, 32, 3), width=12, seed="x")
    for argument in ("classes=0", "input_shape=(40, 32, 3)", "width=12", "seed='x'"):
        assert f"Received: {argument}" in str(error.value)
    path = tmp_path / "shallow.keras"
    keras.Sequential([keras.Input((None, None, 3)), layers.ReLU(name="stage2_block1_relu2")]).save(path)
    with pytest.raises(PruneError, match="Expected the end of stage 2, 'stage2_block3_relu2', to be a layer"):
        kp.models.fcos(input_shape=(32, 32, 3), stem=str(path))
    with pytest.raises(PruneError, match="images of 3 channels, as the stem has. Received: input_shape=.*1"):
        kp.models.fcos(input_shape=(32, 32, 1), stem=STEM)


@pytest.mark.thorough
def test_the_one_that_comes_with_the_package_finds_digits():
    scenes = kp.data.scenes(split="validation", side=128, labels="boxes", number=64, batch=32, seed=5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained = keras.models.load_model(here_or_shipped("checkpoints/scenes-fcos.keras"))
    assert mean_precision(trained, scenes) > 0.6
    blank = keras.models.clone_model(trained)  # its weights are drawn anew
    assert mean_precision(blank, scenes) < 0.05


@pytest.mark.thorough
def test_it_is_pruned_exactly():
    model = kp.models.fcos(3, (64, 64, 3), width=32, seed=0)
    random = np.random.default_rng(0)
    for layer in model.layers:  # statistics, scales and shifts that outputs depend on
        if isinstance(layer, layers.BatchNormalization | layers.GroupNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, each.shape) for each in layer.get_weights()])
    plan = kp.plan(model, "l1", macs=0.5)
    slim = kp.rebuild(model, plan)
    assert kp.cost(slim).macs == pytest.approx(0.5 * kp.cost(model).macs, rel=0.1)
    verdict = kp.verify(model, slim, plan)
    assert verdict.passed, verdict
    x = random.random((2, 64, 64, 3), "float32")
    exact, wanted = (each(x) for each in (kp.rebuild(model, plan, absorb=False), kp.mask(model, plan)))
    for name in ("classes", "distances"):
        scale = np.abs(wanted[name]).max()
        np.testing.assert_allclose(np.asarray(exact[name]) / scale, np.asarray(wanted[name]) / scale, atol=1e-5)
    assert slim.output["classes"].shape == model.output["classes"].shape


@pytest.mark.thorough
def test_growing_penalties_prune_it_while_it_trains():
    model, data = kp.models.fcos(10, (32, 32, 3), width=16, seed=0), point_scenes(side=32, number=48, batch=16)
    growth = kp.schedules.GeometricGrowth(steps=20)
    callback = kp.callbacks.GReg1(keep=0.5, schedule=growth, granularity="channel", decoupled=True)
    history = model.fit(data, epochs=-(-callback.length // 3), verbose=0, callbacks=[callback]).history
    assert history["removed_to_kept"][-1] < 1e-6 < history["removed_to_kept"][0]
    slim = kp.rebuild(model, callback.plan)
    assert kp.cost(slim).macs < 0.6 * kp.cost(model).macs
    x = np.concatenate([images for images, *_ in data])
    found, wanted = (each.predict(x, verbose=0) for each in (slim, kp.mask(model, callback.plan)))
    for name in ("classes", "distances"):  # not those of the model: channels that a GroupNormalization counts are gone
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-3, atol=1e-4)


# ---- heads of other detectors ----------------------------------------------------------------------------------------


def _backbone(activation: str = "relu") -> tuple[keras.KerasTensor, list[keras.KerasTensor]]:
    """Returns images and the feature maps of two levels."""
    x = images = keras.Input((32, 32, 3), name="images")
    levels = []
    for number, channels in enumerate((8, 16, 16)):
        x = layers.Conv2D(channels, 3, 2, "same", use_bias=False)(x)
        x = layers.Activation(activation)(layers.BatchNormalization()(x))
        levels += [x] if number else []
    return images, levels


def _line(x: keras.KerasTensor, numbers: int) -> keras.KerasTensor:
    return layers.Reshape((-1, numbers))(x)


def anchors() -> keras.Model:
    """Returns a RetinaNet: shared towers, three boxes and three classes of each of three anchors a point."""
    images, levels = _backbone()
    tower = layers.Conv2D(16, 3, padding="same", activation="relu")
    classes, boxes = layers.Conv2D(3 * 3, 3, padding="same"), layers.Conv2D(3 * 4, 3, padding="same")
    found = [
        layers.Concatenate(axis=1)([_line(end(tower(level)), numbers) for level in levels])
        for end, numbers in ((classes, 3), (boxes, 4))
    ]
    return keras.Model(images, found)


def two_outputs_a_level() -> keras.Model:
    """Returns a detector whose levels are not joined: four outputs."""
    images, levels = _backbone()
    tower = layers.Conv2D(16, 3, padding="same", activation="relu")
    classes, boxes = layers.Conv2D(3, 1), layers.Conv2D(4, 1)
    return keras.Model(images, [end(tower(level)) for level in levels for end in (classes, boxes)])


def dict_outputs() -> keras.Model:
    """Returns a detector with outputs by name, and one more for the centres."""
    images, levels = _backbone()
    ends = {"scores": layers.Conv2D(3, 1), "corners": layers.Conv2D(4, 1), "centres": layers.Conv2D(1, 1)}
    tower = layers.Conv2D(16, 3, padding="same", activation="relu")
    outputs = {
        name: layers.Concatenate(axis=1, name=name)([_line(end(tower(level)), end.filters) for level in levels])
        for name, end in ends.items()
    }
    return keras.Model(images, outputs)


def separate_towers() -> keras.Model:
    """Returns a YOLO: each level has towers of its own, after a path down and one up again."""
    images, (fine, coarse) = _backbone("silu")
    fine = layers.Concatenate()([fine, layers.UpSampling2D(2)(coarse)])
    coarse = layers.Concatenate()([layers.Conv2D(16, 3, 2, "same", activation="silu")(fine), coarse])
    found = []
    for channels in (4, 3):
        towers = [layers.Conv2D(16, 3, padding="same", activation="silu")(level) for level in (fine, coarse)]
        found.append(layers.Concatenate(axis=1)([_line(layers.Conv2D(channels, 1)(x), channels) for x in towers]))
    return keras.Model(images, layers.Concatenate()(found))


def relu6() -> keras.Model:
    """Returns an SSDLite: heads of a depthwise and a 1×1 convolution, bounded activations."""
    images, levels = _backbone("relu6")
    found = []
    for numbers in (3, 4):
        lines = []
        for level in levels:
            x = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(level))
            lines.append(_line(layers.Conv2D(2 * numbers, 1)(layers.ReLU(6)(x)), numbers))
        found.append(layers.Concatenate(axis=1)(lines))
    return keras.Model(images, found)


def of_cells(wanted, found):
    """Returns the loss of boxes and logits in one output; labels are a box and the number of a class."""
    classes = keras.losses.sparse_categorical_crossentropy(wanted[..., 4], found[..., 4:], from_logits=True)
    return classes + ops.mean(ops.abs(wanted[..., :4] - found[..., :4]), axis=-1)


FOCAL = keras.losses.BinaryFocalCrossentropy(from_logits=True)
LOSSES = {
    anchors: [FOCAL, "huber"],
    two_outputs_a_level: [FOCAL, "huber"] * 2,
    dict_outputs: {"scores": FOCAL, "corners": "huber", "centres": "mse"},
    separate_towers: of_cells,
    relu6: [FOCAL, "mae"],
}


@pytest.mark.thorough
@pytest.mark.parametrize("build", LOSSES)
def test_heads_of_other_detectors_are_pruned_and_tuned(build):
    keras.utils.set_random_seed(0)
    model, random = build(), np.random.default_rng(0)
    model.compile("adam", LOSSES[build], jit_compile=False)
    x = random.random((64, 32, 32, 3), "float32")
    y = keras.tree.map_structure(lambda each: random.integers(0, 2, (64, *each.shape[1:])) * 1.0, model.output)
    slim, plan, _ = kp.prune(
        model, macs=0.5, data=(x, y[..., :5] if build is separate_towers else y), epochs=1, verbose=0
    )
    assert kp.cost(slim).macs < 0.6 * kp.cost(model).macs and slim.output_shape == model.output_shape
    assert kp.verify(model, kp.rebuild(model, plan), plan).passed
