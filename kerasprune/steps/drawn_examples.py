"""Examples for a pruning without data, drawn from the model."""

from __future__ import annotations

from collections.abc import Callable

import keras

from kerasprune.data.examples import Examples
from kerasprune.data.held_out import held_out
from kerasprune.errors import Key, PruneError, join_messages
from kerasprune.graph.built_model import body_of, fixed_batch
from kerasprune.graph.sizes import Size
from kerasprune.repair.synthesis.drawing import Drawing
from kerasprune.repair.synthesis.synthesise import draw_batches
from kerasprune.steps.judge import check_examples
from kerasprune.steps.objective import Objective

AT_ONCE = 300  # seconds that "auto" may take
REMARK = "errors are measured on examples drawn from the model, which no step has seen; they are not accuracies"


def affordable(make: Callable[[], Drawing]) -> tuple[Drawing | None, PruneError | None]:
    """Returns a draw of examples, if it fits them to statistics in at most five minutes; else `None` and the reason.

    Args:
        make: Makes the draw.
    """
    only, noise = "only cut, since ", Key("examples", 'data=kp.synthesise(model, method="noise")')
    try:
        drawing = make()
        if not drawing.fitted:
            lacking = f"{' and no '.join(drawing.lacking)}, which fitting examples needs"
            return None, PruneError(only, f"the model has no {lacking}. Give ", noise, ", which draws noise.")
        seconds = drawing.estimate.seconds
    except Exception as error:  # layers of the user's may have no gradients: what was possible before still is
        parts = error.args if isinstance(error, PruneError) else (f"{type(error).__name__} was raised.",)
        parts = join_messages(" ", getattr(error, "faults", ())) or parts
        return None, PruneError(only, "no examples can be drawn from the model. ", *parts)
    if seconds > AT_ONCE:
        drawn, stored = Key("examples", "data=kp.synthesise(model)"), "kp.synthesise(model, store=folder)"
        told = f"; {stored} can be interrupted."
        return None, PruneError(only, f"drawing examples takes {drawing.estimate}. Give ", drawn, told)
    return drawing, None


def drawn_examples(
    model: keras.Model, size: Size | None, batch: int, seed: int, verbose: int
) -> tuple[Examples | None, Examples | None, str]:
    """Returns examples to solve on and to judge on, and a remark; `None` for both if none are affordable, or fit.

    Args:
        model: The dense model.
        size: Size of free axes.
        batch: Examples per batch.
        seed: Random seed.
        verbose: Progress, 0 or more.
    """
    drawing, reason = affordable(lambda: Drawing(model, method=None, size=size, seed=seed))
    if drawing is None:
        return None, None, " ".join(str(reason).split())
    drawn = draw_batches(drawing, verbose=verbose)
    if drawing.misfit:
        return None, None, f"only cut, since {drawing.misfit}Give real examples, data="
    found = Examples(drawn, batch, len(body_of(model).inputs), fixed_batch(model))
    check_examples(model, Objective(), found)
    return (*(held_out(found, seed) or (found, found)), REMARK)
