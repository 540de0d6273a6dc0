"""The first step: the model without the channels and blocks that a plan removes, compared with the masked model."""

from __future__ import annotations

import keras

from kerasprune.data.examples import Examples
from kerasprune.errors import warn
from kerasprune.files.keras_model import reading_fault
from kerasprune.graph.walk import has_free_axes
from kerasprune.surgery.costs.cost import UNCOUNTED, not_counted
from kerasprune.surgery.cut import Cut
from kerasprune.surgery.random_inputs import structure_inputs
from kerasprune.surgery.rebuild import rebuild_cut
from kerasprune.surgery.verification import RandomInputsRefused, Verdict, verify_cut

_COMPARED = 4


def remove(cut: Cut, *, verified: bool = True, examples: Examples | None = None) -> tuple[keras.Model, Verdict | None]:
    """Returns the slim model of a cut with its verdict.

    Args:
        cut: The cut.
        verified: Whether the slim model is compared with the masked dense model. Defaults to `True`.
        examples: What they are compared on if the model does not take random inputs. Defaults to `None`.

    Raises:
        PruneError: The slim model does not match its plan.
    """
    _warn_of_uncounted(cut)
    slim = rebuild_cut(cut)
    if not verified:
        return slim, None
    try:
        return slim, verify_cut(cut, slim, strict=True, reload=False)
    except RandomInputsRefused:
        if examples is None:
            raise
    inputs = structure_inputs(cut.model, examples.first(cut.model, _COMPARED)[0])
    return slim, verify_cut(cut, slim, inputs, strict=True, reload=False)


def warn_if_unreadable(slim: keras.Model) -> None:
    """Warns if the file of a slim model could not be read again in safe mode."""
    if fault := reading_fault(slim):
        warn(
            f"slim.save(path) will write a file that Keras does not load in safe mode. {fault} "
            "A Lambda is written out by kp.functional(model), before it is pruned; a class of your own needs a config "
            "that its constructor takes."
        )


def _warn_of_uncounted(cut: Cut) -> None:
    """Warns if more than a twentieth of the multiply–adds is estimated, or most of them are products of tensors."""
    if cut.whole.size is None and has_free_axes(cut.model):
        return
    found, told = cut.dense_cost(), "The multiply–adds of this model and of the slim one do not include"
    if found.uncounted > UNCOUNTED:
        warn(f"{told} everything: {not_counted(found)}.")
    if found.products > found.macs:
        warn(
            f"{told} products of tensors: {found.products:,}, where {found.macs:,} are counted; e.g. those with "
            "weights that a layer multiplies itself. Use keras.layers.Dense in the layer: it can be pruned, too."
        )
