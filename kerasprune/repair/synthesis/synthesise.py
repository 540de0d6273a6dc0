"""`synthesise`: examples for a model, drawn from the model itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasprune.errors import raise_faults, warn
from kerasprune.graph.sizes import Size
from kerasprune.progress import ProgressLine, level_of, say, verbose_faults
from kerasprune.repair.synthesis.drawing import Drawing
from kerasprune.repair.synthesis.saved_batches import SavedBatches


def synthesise(
    model: keras.Model,
    samples: int = 600,
    *,
    method: str = "statistics",
    steps: int | None = None,
    size: Size | None = None,
    value_range: tuple[float, float] | Mapping[str, tuple[float, float]] | None = None,
    frequencies: Any = None,
    seed: int = 0,
    store: str | Path | None = None,
    verbose: int | str = "auto",
) -> Any:
    """Synthesises examples from a trained model, for use in place of unlabelled data.

    `"statistics"` starts from the smooth noise whose slope, colour and range fit best. It optimises the inputs x of a
    batch with Adam until the mean μ and standard deviation σ of their activations match the mean m and variance v that
    the BatchNorm layers b have stored:

    `min over x of Σ_b mean over channels of [(μ − m)² / v + (σ / √v − 1)²]`

    `"noise"` is the starting noise alone, a sum of Gaussian noise at several scales. Integers that an `Embedding` looks
    up are drawn at random from its table; other integers and booleans are 1, as in a mask without padding.

    Args:
        model: A trained functional or Sequential model, which is not changed.
        samples: Number of examples. Defaults to 600.
        method: `"statistics"` or `"noise"`. Defaults to `"statistics"`.
        steps: Maximum number of Adam steps; it stops early if the distance is below that of real images. Defaults to
            100, or fewer (at least 10) for large models that would take more than about an hour on two cores.
        size: Size of free axes, such as the image side, see `kp.trace`. Defaults to `None`: the model has none.
        value_range: `(lowest, highest)` input value, or a dict of such pairs by input name. Defaults to that of a
            `Rescaling`, `Normalization` or `BatchNormalization` at the input, otherwise for images to the usual scale
            that fits the stored statistics best.
        frequencies: Relative frequency of each token, of shape `(vocabulary,)`. Defaults to equal frequencies.
        seed: Random seed. Defaults to 0.
        store: Folder in which finished batches are saved, and from which an interrupted call continues. Defaults to
            `None`.
        verbose: 0 = silent, 1 = progress. Defaults to `"auto"`: 1.

    Returns:
        The examples in the structure of the model's inputs: an array for one input. Pass them as any `data=`. If the
        distance falls by less than a half, a warning is given: they do not fit.

    Raises:
        PruneError: An argument is out of range; the model has no stored statistics, a text input, or weights that are
            not finite; or the size of a free axis is not given.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> layers = keras.layers
        >>> model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.BatchNormalization()])
        >>> _ = model.layers[-1].moving_mean.assign([0.1, 0.0, -0.1, 0.2])
        >>> kp.synthesise(model, samples=4, steps=2, verbose=0).shape
        (4, 8, 8, 3)

    Reference:
        Yin et al., Dreaming to Distill: Data-free Knowledge Transfer via DeepInversion, CVPR 2020, §3.2; Cai et al.,
        ZeroQ, CVPR 2020, §3.1. Smooth noise as the start is ours.
    """
    raise_faults("Invalid arguments for synthesise:", verbose_faults(1, verbose))
    drawing = Drawing(
        model, samples, method=method, steps=steps, size=size, value_range=value_range,
        frequencies=frequencies, seed=seed,
    )  # fmt: skip
    drawn = draw_batches(drawing, store, level_of(verbose))
    warn_of_misfit(drawing)
    return drawn


def warn_of_misfit(drawing: Drawing) -> None:
    """Warns if the examples of a draw do not fit the statistics of the model."""
    if drawing.misfit:
        warn(f"{drawing.misfit[0].upper()}{drawing.misfit[1:]}Give real examples in their place, or more steps=.")


def draw_batches(drawing: Drawing, store: str | Path | None = None, verbose: int = 1) -> Any:
    """Returns the examples of a draw in the structure that the model takes.

    Args:
        drawing: The draw.
        store: See `synthesise`. Defaults to `None`.
        verbose: See `synthesise`. Defaults to 1.
    """
    kept = SavedBatches(store, {} if store is None else drawing.settings)  # their digest reads all weights
    if verbose and drawing.steps and len(kept) < drawing.batches:
        say(f"draw {drawing.samples} examples: {drawing.estimate}")
    parts, fell = [], ""
    with ProgressLine("draw", drawing.batches, "batches", verbose) as line:
        for number in range(drawing.batches):
            part = kept.read(number)
            if part is None:
                part, distances = drawing.batch(number)
                kept.write(number, part)
                fell = f"distance {distances[0]:.3g} → {distances[-1]:.3g}" if distances else ""
                line.write(number + 1, fell)
            parts.append(part)
    if verbose and fell:
        say(f"drawn: {fell} in the last batch")
    return drawing.pack([np.concatenate(arrays) for arrays in zip(*parts, strict=True)])
