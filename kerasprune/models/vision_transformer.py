"""A vision transformer on the first stages of a trained convolutional network, or on patches of pixels."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from kerasprune.checks import is_number, whole_number_faults
from kerasprune.errors import PruneError
from kerasprune.models import arguments
from kerasprune.models.parts import layer_seed
from kerasprune.models.stem import first_layers, load_stem

_EPSILON = 1e-6


def vit(
    classes: int = 10,
    input_shape: arguments.InputShape = (32, 32, 3),
    blocks: int = 6,
    width: int = 96,
    heads: int = 6,
    patch: int = 2,
    hidden: int = 4,
    stem: str | None = None,
    stem_end: str = "stage2_block3_relu2",
    seed: int | None = None,
) -> keras.Model:
    """Builds a vision transformer: patches are tokens, and logits are made of the mean of all.

    A block computes `x + attention(norm(x))`, then `x + dense(gelu(dense(norm(x))))`. Where tokens are is told by a
    depthwise convolution before the blocks, `x + conv(x)`, so images may have other sides. From few images a
    transformer of patches hardly learns; on the first stages of a trained network, which stay as they are, it does.

    Args:
        classes: Number of logits. Defaults to 10.
        input_shape: `(height, width, channels)`; the sides are multiples of the patch on what the stem leaves of them.
            Defaults to `(32, 32, 3)`.
        blocks: Number of blocks. Defaults to 6.
        width: Numbers of a token, a multiple of the heads. Defaults to 96.
        heads: Heads of each attention. Defaults to 6.
        patch: Side of a patch. Defaults to 2.
        hidden: Hidden units of the dense layers, in multiples of `width`. Defaults to 4.
        stem: Path of a `.keras` model whose first layers are the stem, frozen; also one beside the package's recipes,
            as `checkpoints/glyphs-base.keras`. Defaults to `None`: patches of pixels.
        stem_end: The last layer of the stem. Defaults to that of the second stage of `resnet_cifar(20)`.
        seed: Random seed of the initial weights. Defaults to `None`: different weights in every call.

    Returns:
        A functional model from images to logits of shape `(batch, classes)`.

    Raises:
        PruneError: An argument is out of range, or the stem is no such model.

    Example:
        >>> vit(10, (16, 16, 3), blocks=1, width=24, heads=2, patch=4).count_params()
        8938

    Reference:
        Dosovitskiy et al., An Image is Worth 16×16 Words, ICLR 2021; the stem as in Xiao et al., Early Convolutions
        Help Transformers See Better, NeurIPS 2021; positions as in Chu et al., Conditional Positional Encodings for
        Vision Transformers, ICLR 2023.
    """
    numbers = {"blocks": blocks, "width": width, "heads": heads, "patch": patch, "hidden": hidden}
    faults = whole_number_faults(1, **numbers)
    if not faults and width % heads:
        faults.append(f"Expected width to be a multiple of heads. Received: width={width}, heads={heads}.")
    images = arguments.checked_images("vit", classes, input_shape, seed, faults)
    x = images
    if stem is not None:
        x = first_layers(load_stem(stem, {"stem_end": stem_end}), [stem_end], images, frozen=True)[0]
    sides = [side for side in x.shape[1:3] if is_number(side) and side % patch]
    if sides:
        raise PruneError(
            f"Expected sides that are multiples of patch={patch} where the patches begin. Received: {sides[0]}. Give "
            "another patch, or other sides."
        )
    x = layers.Conv2D(width, patch, strides=patch, name="patches")(x)
    x = layers.Add(name="placed")([x, layers.DepthwiseConv2D(3, padding="same", name="places")(x)])
    x = layers.Reshape((-1, width), name="tokens")(x)
    for number in range(1, blocks + 1):
        name = f"block{number}"
        y = layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_norm1")(x)
        y = layers.MultiHeadAttention(heads, width // heads, name=f"{name}_attention")(y, y)
        x = layers.Add(name=f"{name}_add1")([x, y])
        y = layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_norm2")(x)
        y = layers.Dense(hidden * width, "gelu", name=f"{name}_dense1")(y)
        x = layers.Add(name=f"{name}_add2")([x, layers.Dense(width, name=f"{name}_dense2")(y)])
    x = layers.LayerNormalization(epsilon=_EPSILON, name="norm")(x)
    x = layers.GlobalAveragePooling1D(name="mean")(x)
    model = keras.Model(images, layers.Dense(classes, name="logits")(x), name="vit")
    if seed is not None:
        _draw(model, seed)
    return model


def _draw(model: keras.Model, seed: int) -> None:
    """Draws the kernels outside the stem: each a function of the seed and of its own path."""
    for weight in model.trainable_variables:
        if weight.name.endswith("kernel"):
            random = np.random.default_rng(layer_seed(weight.path, seed))
            fan = weight.shape[0] if len(weight.shape) == 2 else int(np.prod(weight.shape[:-1]))
            weight.assign(random.normal(0, min(0.02, fan**-0.5) if len(weight.shape) < 4 else fan**-0.5, weight.shape))
