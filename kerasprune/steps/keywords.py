"""Keywords of other functions, such as `model.fit`, and what replaces them in `kp.prune`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from kerasprune.errors import nearest, raise_faults

Function = TypeVar("Function", bound=Callable[..., Any])


def _nested(argument: str, *names: str) -> dict[str, str]:
    """Returns the remedies for arguments of other functions that `kp.prune` takes in a dict."""
    return {name: f'Give {argument}={{"{name}": …}}.' for name in names}


_KEPT = "Give the fraction that is kept: keep=0.3 for a sparsity of 0.7."
REMEDIES = {
    "x": "Give data=x or data=(x, y).",
    "y": "Give labels with the inputs: data=(x, y).",
    "batch_size": "Give batch=; batches, such as a tf.data.Dataset, keep their size.",
    "sample_weight": "Give data=(x, y, sample_weight).",
    "class_weight": "Give a weight for each example: data=(x, y, np.array([class_weight[label] for label in y])).",
    "validation_data": "Give validation=(x, y), or another form that data= takes.",
    "validation_split": "Leave it out: fine-tuning holds out a tenth of data=; or give validation=(x, y).",
    "validation_batch_size": "Give batch=, which is also that of validation=.",
    "validation_steps": "Give fewer batches as validation=; all are used.",
    "validation_freq": "Leave it out: every epoch is validated.",
    "steps_per_epoch": "Give fewer batches as data=; an epoch uses all.",
    "initial_epoch": "Give the number of epochs that are left as epochs=.",
    "shuffle": "Leave it out: arrays are shuffled by seed=, unless the loss depends on the order; batches keep theirs.",
    "metrics": "Compile the model with them.",
    "learning_rate": "Give an optimizer= with this rate.",
    **dict.fromkeys(("sparsity", "target_sparsity", "final_sparsity", "amount", "ratio", "pruning_ratio"), _KEPT),
    "importance": "Give criterion=.",
    "ignored_layers": "Give their names as freeze=.",
    **_nested("plan", "coupling", "unknown", "min_keep", "round_to", "macs_of"),
    **_nested("reconstruct", "samples", "positions", "ridge", "slack"),
    **_nested("distil", "temperature", "weight", "outputs", "features"),
    "examples": "Give data=kp.synthesise(model, number); or reconstruct=False, which only cuts.",
    "resolution": "Give size=.",
    "example_inputs": "Leave it out: the model knows the shapes of its inputs.",
}
"""Keywords of `fit`, of `compile` and of other libraries of pruning, each with its remedy."""


def answer_unknown_keywords(function: Function) -> Function:
    """Returns the function, whose errors also name the remedy for keywords that it does not take.

    Raises:
        PruneError: On a call with such a keyword.
    """
    known = inspect.signature(function).parameters

    @wraps(function)
    def answering(*args: Any, **kwargs: Any) -> Any:
        faults = [
            f"Expected one of its arguments. Received: the keyword {name}."
            + (f" {REMEDIES[name]}" if name in REMEDIES else nearest(name, known))
            for name in kwargs
            if name not in known
        ]
        raise_faults(f"Invalid arguments for {function.__name__}:", faults)
        return function(*args, **kwargs)

    return answering  # type: ignore[return-value]
