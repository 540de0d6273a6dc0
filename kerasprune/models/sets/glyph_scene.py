"""Draws an image of a letter or digit: a pure function of `(seed, split, index)` with Pillow and numpy.

The image is built in layers: a textured background, fragments of other glyphs, the glyph itself under a random affine
map, strokes or patches that cover part of it, then blur and noise of the camera.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from kerasprune.data.scaling import LUMINANCE

SIDE = 64
CLASSES = tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
# The splits use separate random streams, so no image can occur twice.
STREAMS = {"train": 0, "validation": 1, "test": 2}
# The text fonts that matplotlib ships; its symbol and size-variant fonts have no capitals.
_STYLES = {
    "DejaVuSans": ("", "-Bold", "-Oblique", "-BoldOblique"),
    "DejaVuSansMono": ("", "-Bold", "-Oblique", "-BoldOblique"),
    "DejaVuSerif": ("", "-Bold", "-Italic", "-BoldItalic"),
    "STIXGeneral": ("", "Bol", "Italic", "BolIta"),
    "cm": ("b10", "r10", "ss10", "ti10", "tt10"),
}
FONTS = tuple(family + style for family, styles in _STYLES.items() for style in styles)
STENCIL = 48  # height in pixels to which every stencil is drawn before it is mapped
CONTRAST = 80  # least difference of luminance between glyph and background, of 255


def draw(seed: int, split: str, index: int) -> tuple[np.ndarray, int]:
    """Returns image number `index` of a split, and its class.

    Classes are cyclic (`index % 36`), so every split and every prefix of it is balanced.

    Args:
        seed: Seed of the whole data set.
        split: `"train"`, `"validation"` or `"test"`.
        index: Number of the image, from 0.

    Returns:
        `(image, label)`: uint8 of shape (64, 64, 3), and 0 to 35, in the order of `CLASSES`.

    Example:
        >>> from kerasprune.models.sets.glyph_scene import CLASSES
        >>> image, label = draw(seed=0, split="train", index=10)
        >>> image.shape, CLASSES[label]
        ((64, 64, 3), 'A')
    """
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, STREAMS[split], index])))
    label = index % len(CLASSES)
    paper, ink = _contrasting(random)
    scene = surface(random, paper)
    for _ in range(random.integers(0, 4)):
        _add_fragment(random, scene)
    scene.paste(surface(random, ink), mask=_glyph(random, label))
    for _ in range(random.integers(0, 3)):
        cover(random, scene)
    return photograph(random, scene), label


def _contrasting(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns two colours whose luminance differs by at least `CONTRAST`."""
    while True:
        colours = random.uniform(0, 255, (2, 3))
        if abs(np.subtract(*(colours @ LUMINANCE))) >= CONTRAST:
            return colours[0], colours[1]


def surface(random: np.random.Generator, colour: np.ndarray, side: int = SIDE) -> Image.Image:
    """Returns a full image of one colour, varied by smooth noise on a grid of 2 to 16 cells a side."""
    cells = int(random.choice((2, 4, 8, 16)))
    noise = random.standard_normal((cells, cells, 3)) * random.uniform(3, 20)
    grid = np.clip(colour + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(grid).resize((side, side), Image.Resampling.BICUBIC)


@functools.cache
def stencil_of(font: str, label: int) -> Image.Image:
    """Returns the glyph in white on black, cropped to its ink and two pixels of rim."""
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"
    typeface = ImageFont.truetype(str(path), 64, layout_engine=ImageFont.Layout.BASIC)
    canvas = Image.new("L", (160, 160))
    ImageDraw.Draw(canvas).text((40, 40), CLASSES[label], fill=255, font=typeface)
    ink = canvas.crop(canvas.getbbox())
    width = max(1, round(ink.width * STENCIL / ink.height))
    stencil = Image.new("L", (width + 4, STENCIL + 4))
    stencil.paste(ink.resize((width, STENCIL), Image.Resampling.LANCZOS), (2, 2))
    return stencil


def _glyph(random: np.random.Generator, label: int) -> Image.Image:
    """Returns the mask of the glyph to recognise: near the middle, 30 to 50 pixels high, tilted up to 25°."""
    height = random.uniform(30, 50)
    return place_stencil(
        stencil_of(FONTS[random.integers(len(FONTS))], label),
        angle=math.radians(random.uniform(-25, 25)),
        shear=random.uniform(-0.3, 0.3),
        scale=(height / STENCIL * random.uniform(0.8, 1.25), height / STENCIL),
        centre=SIDE / 2 + random.uniform(-7, 7, 2),
    )


def place_stencil(
    stencil: Image.Image,
    *,
    angle: float,
    shear: float,
    scale: tuple[float, float],
    centre: np.ndarray,
    side: int = SIDE,
) -> Image.Image:
    """Returns a mask of the whole image: `x -> R(angle) [[1, shear], [0, 1]] diag(scale) x + centre`."""
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    forward = turn @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag(scale)
    # Pillow needs the inverse map, from a position in the image to one in the stencil.
    back = np.linalg.inv(forward)
    offset = np.array(stencil.size) / 2 - back @ np.asarray(centre)
    numbers = (*back[0], offset[0], *back[1], offset[1])
    return stencil.transform((side, side), Image.Transform.AFFINE, numbers, Image.Resampling.BILINEAR)


def _add_fragment(random: np.random.Generator, scene: Image.Image) -> None:
    """Paints part of another glyph near the rim of the image."""
    bearing, size = random.uniform(0, 2 * math.pi), random.uniform(0.4, 0.9)
    centre = SIDE / 2 + random.uniform(24, 40) * np.array([math.cos(bearing), math.sin(bearing)])
    mask = place_stencil(
        stencil_of(FONTS[random.integers(len(FONTS))], int(random.integers(len(CLASSES)))),
        angle=random.uniform(-math.pi, math.pi),
        shear=0.0,
        scale=(size, size),
        centre=centre,
    )
    scene.paste(_colour(random), mask=mask)


def cover(random: np.random.Generator, scene: Image.Image) -> None:
    """Paints a stroke or a patch over the image, which may hide part of the glyph."""
    pen, side = ImageDraw.Draw(scene), scene.width
    if random.random() < 0.5:
        pen.line(random.uniform(0, side, 4).tolist(), fill=_colour(random), width=int(random.integers(1, 4)))
    else:
        left, top = random.uniform(4, side - 16, 2)
        width, height = random.uniform(4, 14, 2)
        pen.rectangle([left, top, left + width, top + height], fill=_colour(random))


def _colour(random: np.random.Generator) -> tuple[int, int, int]:
    return tuple(random.integers(0, 256, 3).tolist())


def photograph(random: np.random.Generator, scene: Image.Image) -> np.ndarray:
    """Returns the scene out of focus by up to 1.3 pixels and with sensor noise of up to 20 of 255."""
    blurred = scene.filter(ImageFilter.GaussianBlur(random.uniform(0, 1.3)))
    noise = random.standard_normal((scene.height, scene.width, 3), dtype=np.float32) * random.uniform(0, 20)
    return np.clip(np.asarray(blurred, dtype=np.float32) + noise + 0.5, 0, 255).astype(np.uint8)
