"""Images of glyphs: the same for the same numbers, unlike each other, and looking as when first drawn."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageFont

from kerasprune.models.sets import glyph_scene as drawing

# Mean of each 16x16 block of the green channel of training images 0 and 10, and test image 35, as first drawn.
GOLDEN = {
    ("train", 0): [
        [236.9, 227.0, 249.6, 248.8],
        [236.7, 200.6, 191.3, 212.2],
        [238.7, 172.8, 161.1, 223.9],
        [248.2, 154.2, 237.1, 143.7],
    ],
    ("train", 10): [
        [178.8, 185.1, 147.6, 159.0],
        [144.7, 152.7, 75.6, 124.5],
        [92.7, 61.2, 71.7, 132.3],
        [162.2, 171.4, 129.3, 163.4],
    ],
    ("test", 35): [
        [57.0, 106.7, 141.1, 29.1],
        [58.2, 89.1, 120.3, 34.3],
        [58.6, 140.1, 84.0, 46.3],
        [61.5, 93.4, 103.5, 59.0],
    ],
}


def blocks(image: np.ndarray) -> np.ndarray:
    return image[..., 1].reshape(4, 16, 4, 16).mean(axis=(1, 3))


@pytest.mark.parametrize(("split", "index"), GOLDEN)
def test_a_image_looks_as_it_did_when_first_drawn(split, index):
    # Means of blocks, with a tolerance, as another release of FreeType may shade an outline differently.
    image, _ = drawing.draw(0, split, index)
    np.testing.assert_allclose(blocks(image), GOLDEN[split, index], atol=1.5)


def test_a_image_depends_on_its_numbers_only():
    first, label = drawing.draw(3, "test", 77)
    for other in range(5):
        drawing.draw(3, "test", other)
    again, _ = drawing.draw(3, "test", 77)
    np.testing.assert_array_equal(first, again)
    assert (first.shape, first.dtype, label) == ((64, 64, 3), np.uint8, 77 % 36)


def test_no_two_images_are_alike():
    images = {
        drawing.draw(seed, split, index)[0].tobytes()
        for seed in (0, 1)
        for split in ("train", "validation", "test")
        for index in range(30)
    }
    assert len(images) == 2 * 3 * 30


def test_the_global_random_state_is_neither_used_nor_moved():
    np.random.seed(0)
    before, expected = np.random.get_state()[1].copy(), drawing.draw(0, "train", 4)[0]
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    np.random.seed(1)
    np.testing.assert_array_equal(drawing.draw(0, "train", 4)[0], expected)


@pytest.mark.parametrize("font", drawing.FONTS)
def test_every_font_shows_36_different_glyphs(font):
    import matplotlib

    typeface = ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/{font}.ttf", 64)
    masks = [typeface.getmask(name) for name in drawing.CLASSES]
    assert len({(mask.size, bytes(mask)) for mask in masks}) == 36
    assert min(sum(bytes(mask)) for mask in masks) > 255 * 100


def test_a_stencil_keeps_the_proportions_of_its_glyph():
    wide, narrow = drawing.stencil_of("DejaVuSans", 32), drawing.stencil_of("DejaVuSans", 18)  # W and I
    assert wide.height == narrow.height == 52
    assert wide.width > 4 * narrow.width


def test_placing_maps_the_middle_of_the_stencil_to_the_centre_and_scales_its_area():
    from PIL import Image

    stencil = Image.new("L", (20, 10), 255)
    mask = np.asarray(
        drawing.place_stencil(stencil, angle=0.7, shear=0.3, scale=(1.5, 2.0), centre=np.array([30.0, 36.0])), float
    )
    rows, columns = np.mgrid[:64, :64] + 0.5
    # A rotation and a shear keep areas: 20 x 10 pixels become 3 times as many.
    assert mask.sum() / 255 == pytest.approx(20 * 10 * 1.5 * 2.0, rel=0.05)
    assert (mask * columns).sum() / mask.sum() == pytest.approx(30, abs=0.3)
    assert (mask * rows).sum() / mask.sum() == pytest.approx(36, abs=0.3)


def test_ink_and_paper_differ_in_luminance():
    random = np.random.default_rng(0)
    for _ in range(200):
        paper, ink = drawing._contrasting(random)
        difference = 0.299 * (paper[0] - ink[0]) + 0.587 * (paper[1] - ink[1]) + 0.114 * (paper[2] - ink[2])
        assert abs(difference) >= drawing.CONTRAST
