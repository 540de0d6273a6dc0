"""Examples drawn from a model: their moments, noise, ranges, inputs of all kinds, faults, interruption."""

from __future__ import annotations

from importlib.util import find_spec

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.repair.synthesis import drawing as draws
from kerasprune.repair.synthesis.drawing import Drawing
from kerasprune.repair.synthesis.fitting import InputFit
from kerasprune.repair.synthesis.noise import Noise
from kerasprune.repair.synthesis.stored_moments import StoredMoments
from kerasprune.repair.synthesis.value_range import UNBOUNDED, ValueRange, declared_range


@pytest.fixture(scope="module")
def trained():
    """A small network whose BatchNorm layers hold statistics of images in [0, 1]."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((16, 16, 3))
    for channels in (8, 12):
        x = layers.Conv2D(channels, 3, padding="same")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    model = keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))
    return kp.recalibrate(model, images())


def images() -> np.ndarray:
    noise = Noise((16, 16, 3), ValueRange.between(0.0, 1.0))
    return keras.ops.convert_to_numpy(noise.compose(noise.draw(256, np.random.default_rng(5))))


def test_the_distance_is_that_of_the_formula(trained):
    x = images()[:32]
    norms = [each for each in trained.layers if isinstance(each, layers.BatchNormalization)]
    features = keras.Model(trained.input, [each.input for each in norms])(x)
    wanted = 0.0
    for norm, feature in zip(norms, features, strict=True):
        flat = keras.ops.convert_to_numpy(feature).reshape(-1, feature.shape[-1]).astype("float64")
        mean, variance = (keras.ops.convert_to_numpy(v) for v in (norm.moving_mean, norm.moving_variance))
        terms = (flat.mean(0) - mean) ** 2 / variance + (flat.std(0) / np.sqrt(variance) - 1) ** 2
        wanted += terms.mean()
    stored = StoredMoments(trained)
    assert float(stored.distance(stored.of([keras.ops.convert_to_tensor(x)]))) == pytest.approx(wanted, rel=1e-3)


def test_constant_channels_do_not_count(trained):
    model = keras.models.clone_model(trained)
    model.set_weights(trained.get_weights())
    norm = next(each for each in model.layers if isinstance(each, layers.BatchNormalization))
    variance = keras.ops.convert_to_numpy(norm.moving_variance).copy()
    variance[2] = 0.0
    norm.moving_variance.assign(variance)
    weights = next(iter(StoredMoments(model).layers.values())).weight
    assert weights[2] == 0 and np.allclose(np.delete(weights, 2), 1 / 7)


def test_fitted_examples_have_the_stored_moments_and_noise_does_not(trained):
    stored = StoredMoments(trained)

    def distance(x):
        return float(stored.distance(stored.of([keras.ops.convert_to_tensor(x)])))

    noise = kp.synthesise(trained, 64, method="noise", verbose=0)
    fitted = kp.synthesise(trained, 64, steps=60, verbose=0)
    assert distance(fitted) < 0.05 * distance(noise)
    assert fitted.shape == (64, 16, 16, 3) and fitted.dtype == "float32"


@pytest.mark.thorough
def test_the_usual_scale_that_fits_is_found(trained):
    drawn = Drawing(trained, 8)
    assert (float(drawn._suited[0].noise.value_range.low), float(drawn._suited[0].noise.value_range.high)) == (0, 1)
    assert kp.synthesise(trained, 8, steps=2, verbose=0).min() >= 0
    wide = kp.synthesise(trained, 8, method="noise", value_range=(-3, 9), verbose=0)
    assert -3 <= wide.min() < -1 and 7 < wide.max() <= 9


@pytest.mark.parametrize(
    ("layer", "low", "high"),
    [
        (layers.Rescaling(1 / 255), 0, 255),
        (layers.Rescaling(1 / 127.5, -1), 0, 255),
        (layers.Rescaling(2.0, -1), 0, 1),
        (layers.Rescaling(-1 / 255, 1), 0, 255),
    ],
)
def test_the_range_of_a_rescaling_is_read(layer, low, high):
    model = keras.Sequential([keras.Input((4, 4, 3)), layer])
    found = declared_range(model, model.inputs[0])
    assert (float(found.low), float(found.high)) == pytest.approx((low, high), abs=1e-3)


@pytest.mark.parametrize(("shape", "axis"), [((3,), -1), ((4, 4, 3), -1), ((3, 4, 5), 1)])
def test_the_moments_of_a_normalization_are_those_of_the_noise(shape, axis):
    known = {"mean": [1.0, 20.0, -5.0], "variance": [1.0, 4.0, 9.0]}
    x = inputs = keras.Input(shape)
    if len(shape) > 1:
        x = layers.Conv2D(2, 1, data_format="channels_first" if axis == 1 else None)(x)
    model = keras.Model(inputs, [layers.Normalization(axis, **known)(inputs), x])
    drawn = np.moveaxis(kp.synthesise(model, 4000, method="noise", verbose=0), axis, -1).reshape(-1, 3)
    assert np.allclose(drawn.mean(0), [1, 20, -5], atol=0.2) and np.allclose(drawn.std(0), [1, 2, 3], rtol=0.1)


def test_pixels_beyond_what_their_type_holds_are_its_ends():
    inputs = keras.Input((8, 8, 3), dtype="uint8")
    model = keras.Model(inputs, layers.Normalization(mean=[40.0] * 3, variance=[1600.0] * 3)(inputs))
    drawn = kp.synthesise(model, 50, method="noise", verbose=0)
    assert (drawn == 0).mean() == pytest.approx(0.16, abs=0.05)  # one deviation below the mean
    assert (drawn > 200).mean() < 0.01


def test_pixels_of_whole_numbers_are_fitted_and_rounded():
    inputs = keras.Input((8, 8, 3), dtype="uint8")
    x = layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, layers.BatchNormalization()(x))
    pixels = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 3)).astype("uint8")
    model = kp.recalibrate(model, pixels)
    drawn, distances = Drawing(model, 32, steps=30).batch(0)
    assert drawn[0].dtype == np.uint8 and distances[-1] < 0.5 * distances[0]


def test_tokens_masks_and_several_inputs():
    words = keras.Input((6,), dtype="int32", name="words")
    mask = keras.Input((6,), dtype="int32", name="mask")
    table = layers.Embedding(30, 4)(words)
    y = layers.Dense(2)(layers.Flatten()(table * keras.ops.cast(mask, "float32")[..., None]))
    model = keras.Model({"words": words, "mask": mask}, y)
    found = kp.synthesise(model, 400, method="noise", verbose=0)
    assert set(found) == {"words", "mask"} and (found["mask"] == 1).all()
    assert set(np.unique(found["words"])) == set(range(30))
    shares = np.zeros(30)
    shares[7] = 2.0
    assert (kp.synthesise(model, 9, method="noise", frequencies=shares, verbose=0)["words"] == 7).all()
    assert model(found).shape == (400, 2)


def test_every_fault_is_named(trained):
    with pytest.raises(kp.PruneError) as caught:
        kp.synthesise(trained, 0, method="statistic", seed=-1, value_range=(2, 1), frequencies=[1.0])
    for part in ("samples=0", "'statistics'", "seed=-1", "(2, 1)", "frequencies"):
        assert part in str(caught.value)


def _statistics(mean, variance):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.BatchNormalization()])
    model.layers[-1].moving_mean.assign(mean)
    model.layers[-1].moving_variance.assign(variance)
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: keras.Sequential([keras.Input((4,)), layers.Dense(3)]), "has none"),
        (lambda: _statistics([0.0] * 3, [1.0] * 3), "never trained"),
        (lambda: _statistics([0.5] * 3, [0.0] * 3), "no channel that varies"),
        (lambda: _statistics([float("nan")] * 3, [1.0] * 3), "NaN"),
        (lambda: keras.Sequential([keras.Input((None, 4)), layers.BatchNormalization()]), "size"),
        pytest.param(
            lambda: keras.Sequential([keras.Input((1,), dtype="string"), layers.StringLookup(vocabulary=["a"])]),
            "texts",
            marks=pytest.mark.skipif(find_spec("tensorflow") is None, reason="Keras's layer needs TensorFlow"),
        ),
    ],
)
def test_a_model_that_cannot_be_drawn_from_is_refused(model, message):
    with pytest.raises(kp.PruneError, match=message):
        kp.synthesise(model(), 4, verbose=0)


@pytest.mark.thorough
def test_an_interrupted_draw_continues_and_another_is_refused(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(draws, "BATCH", 8)
    whole = kp.synthesise(trained, 24, steps=4, verbose=0)
    batch, calls = Drawing.batch, []

    def interrupted(self, number):
        calls.append(number)
        if number == 1 and len(calls) == 2:
            raise KeyboardInterrupt
        return batch(self, number)

    monkeypatch.setattr(Drawing, "batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kp.synthesise(trained, 24, steps=4, store=tmp_path / "drawn", verbose=0)
    again = kp.synthesise(trained, 24, steps=4, store=tmp_path / "drawn", verbose=0)
    assert calls == [0, 1, 1, 2] and np.array_equal(again, whole)
    with pytest.raises(kp.PruneError, match="another folder"):
        kp.synthesise(trained, 24, steps=5, store=tmp_path / "drawn", verbose=0)


def _edited(file, **arrays):
    with np.load(file) as found:
        parts = {**found, **arrays}
    np.savez(file, **{name: array for name, array in parts.items() if array is not None})


@pytest.mark.parametrize(
    ("edit", "word"),
    [
        (lambda folder: (folder / "drawn.json").unlink(), "weights"),
        (lambda folder: _edited(folder / "0000.npz", made_of=None), "made of"),
        (lambda folder: _edited(folder / "0000.npz", input_0=np.full((24, 6), np.nan, "float32")), "finite"),
        (lambda folder: _edited(folder / "0000.npz", input_0=np.zeros((24, 3), "float32")), "each input"),
    ],
)
def test_stored_examples_of_another_model_or_edited_ones_are_refused(trained, tmp_path, edit, word):
    draw = {"samples": 24, "steps": 2, "store": tmp_path, "verbose": 0}
    first = kp.synthesise(trained, **draw)
    assert np.array_equal(first, kp.synthesise(trained, **draw))
    edit(tmp_path)
    model = trained
    if not (tmp_path / "drawn.json").exists():
        assert np.array_equal(first, kp.synthesise(trained, **draw))  # the files themselves say whose they are
        (tmp_path / "drawn.json").unlink()
        model = keras.models.clone_model(trained)
        model.set_weights([each + 0.01 for each in trained.get_weights()])
    with pytest.raises(kp.PruneError, match=word):
        kp.synthesise(model, **draw)
    assert model is trained or not (tmp_path / "drawn.json").exists()


def test_the_model_is_left_as_it_was(trained):
    before = [each.copy() for each in trained.get_weights()]
    kp.synthesise(trained, 8, steps=3, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, trained.get_weights(), strict=True))


def test_large_models_get_fewer_steps_in_smaller_parts(trained, monkeypatch):
    assert Drawing(trained, 10).steps == 100
    monkeypatch.setattr(draws, "_MOST_MACS", 40 * 10 * kp.cost(trained).macs)
    assert Drawing(trained, 10).steps == 40
    monkeypatch.setattr(draws, "MOST_BYTES", 3 * Drawing(trained, 10)._bytes)
    drawing = Drawing(trained, 10)
    assert drawing.steps == 30 and drawing.batches == 1  # the moments first: four passes in place of three
    assert drawing.estimate.bytes == draws.MOST_BYTES and drawing.estimate.seconds > 0


def test_compiling_and_noise_are_in_the_estimate(trained, monkeypatch):
    times = iter([7.0, 3.0])  # the first step, and a noise
    monkeypatch.setattr(draws, "timeit", lambda *_, **__: next(times))
    monkeypatch.setattr(draws, "repeat", lambda *_, **__: [1.0, 2.0])  # later steps, of 32 examples
    steps, short, noises = 410 * 20, 2 * 50 * 60, 5 + 5 + 4 + 3
    assert Drawing(trained, 410, steps=20).estimate.seconds == steps / 32 + 2 * 6 + noises * 3  # batches of 200 and 10
    times = iter([7.0, 3.0])
    assert Drawing(trained, 400, steps=100).estimate.seconds == (40_000 + short) / 32 + 3 * 6 + noises * 3


@pytest.mark.thorough
@pytest.mark.parametrize("parts", [2, 3])
def test_parts_have_the_gradient_of_the_whole_batch(trained, parts):
    start = draws._start(Drawing(trained, 7, steps=2)._inputs, 7, [0])
    whole, cut = (InputFit(StoredMoments(trained), Drawing(trained, 7)._inputs, start, each) for each in (1, parts))
    found = [fit.fit(start, 3) for fit in (whole, cut)]
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-5)
    assert np.abs(found[0][0][0] - found[1][0][0]).max() < 1e-3
    assert np.abs(found[0][0][0] - whole_start(trained, start)).max() > 0.01  # three steps that moved


def whole_start(model, start) -> np.ndarray:
    (each,) = Drawing(model, 7)._inputs
    return keras.ops.convert_to_numpy(each.noise.compose(start[0]))


@pytest.mark.parametrize("shape", [(16, 16, 3), (9, 16, 1), (20, 5), (7,), (4, 4, 4, 2)])
def test_noise_has_the_deviation_of_its_range_and_smoothness_of_its_slope(shape):
    def drawn(slope):
        noise = Noise(shape, UNBOUNDED, slope=slope, stretch=2.0)
        return keras.ops.convert_to_numpy(noise.compose(noise.draw(400, np.random.default_rng(0))))

    white, smooth = drawn(-4.0), drawn(2.0)
    assert white.shape == (400, *shape) and white.std() == pytest.approx(2.0, rel=0.05)
    if len(shape) in (2, 3):
        steps = [np.abs(np.diff(x, axis=1)).mean() / x.std() for x in (white, smooth)]
        assert steps[1] < 0.5 * steps[0]


def test_channels_first_are_the_same_noise_with_the_axes_moved():
    for shape in ((16, 12, 3), (20, 5)):
        last, first = Noise(shape, UNBOUNDED), Noise((shape[-1], *shape[:-1]), UNBOUNDED, channels_first=True)
        one, two = (
            keras.ops.convert_to_numpy(each.compose(each.draw(4, np.random.default_rng(0)))) for each in (last, first)
        )
        np.testing.assert_array_equal(np.moveaxis(one, -1, 1), two)


def test_a_model_whose_channels_come_first_gets_images_smooth_along_both_sides():
    inputs = keras.Input((3, 16, 16))
    x = layers.BatchNormalization(axis=1)(layers.Conv2D(4, 3, data_format="channels_first")(inputs))
    images = kp.synthesise(keras.Model(inputs, x), 50, method="noise", verbose=0)
    for axis in (2, 3):
        assert np.abs(np.diff(images, axis=axis)).mean() < 0.5 * images.std()


def test_colours_share_what_they_have_in_common():
    noise = Noise((16, 16, 3), UNBOUNDED, colour=0.1)
    x = keras.ops.convert_to_numpy(noise.compose(noise.draw(200, np.random.default_rng(0)))).reshape(-1, 3)
    assert np.corrcoef(x.T)[0, 1] == pytest.approx(0.9, abs=0.05)
