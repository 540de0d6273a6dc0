"""Examples for a pruning without data, drawn from the model."""

from __future__ import annotations

from typing import Any

import keras

from kerasprune.data.examples import Examples
from kerasprune.data.held_out import held_out
from kerasprune.errors import PruneError
from kerasprune.synthesis.drawing import Drawing
from kerasprune.synthesis.synthesise import drawn

CHOICES = ("auto", "none")
AT_ONCE = 300  # seconds that "auto" may take
REMARK = "errors are measured on examples drawn from the model, which no step has seen; they are not accuracies"


def affordable(model: keras.Model, resolution: int | None, seed: int) -> tuple[Drawing | None, str]:
    """Returns the draw of examples for a model, if it takes at most five minutes; else `None` and the reason.

    Args:
        model: The dense model.
        resolution: Size of free axes.
        seed: Random seed.
    """
    try:
        drawing = Drawing(model, resolution=resolution, seed=seed)
        estimate = drawing.estimate
    except Exception as error:  # layers of the user's may have no gradients: what was possible before still is
        reason = " ".join(str(error).split()) if isinstance(error, PruneError) else type(error).__name__
        advice = "A number, as examples=600, draws noise if there are no statistics"
        return None, f"only cut, since no examples can be drawn from the model. {reason} {advice}."
    if estimate.seconds > AT_ONCE:
        call = "kp.synthesise(model, store=folder) can be interrupted"
        return None, f"only cut, since drawing examples takes {estimate}. To reconstruct, give data: {call}"
    return drawing, ""


def drawn_examples(
    model: keras.Model, examples: str | int, resolution: int | None, batch: int, seed: int, verbose: int
) -> tuple[Examples | None, Examples | None, str]:
    """Returns examples to solve on and to judge on, and a remark; `None` for both if none are drawn.

    Args:
        model: The dense model.
        examples: `"auto"`, see `affordable`; or their number.
        resolution: Size of free axes.
        batch: Examples per batch.
        seed: Random seed.
        verbose: Progress, 0 or more.

    Raises:
        PruneError: A number of examples is given, and they cannot be drawn.
    """
    if examples == "auto":
        drawing, reason = affordable(model, resolution, seed)
        if drawing is None:
            return None, None, reason
    else:
        drawing = Drawing(model, examples, method=None, resolution=resolution, seed=seed)
    found = Examples(drawn(drawing, verbose=verbose), batch)
    return (*(held_out(found, seed) or (found, found)), REMARK)


def examples_faults(examples: Any, data: Any) -> list[str]:
    """Returns a fault if `examples` is neither a choice nor an integer above 0, or given beside data."""
    if examples == "auto" and isinstance(examples, str):
        return []
    if examples != "none" and not (type(examples) is int and examples > 0):
        return [f"Expected examples to be one of {CHOICES}, or their number. Received: examples={examples!r}."]
    if data is not None:
        return [f"Expected examples= without data=, in whose place they are drawn. Received: examples={examples!r}."]
    return []
