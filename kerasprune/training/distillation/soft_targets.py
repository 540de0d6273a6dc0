"""The loss between an output of a student and of its teacher, by the kind of the output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import losses, ops

from kerasprune.checks import choice_faults
from kerasprune.errors import raise_faults
from kerasprune.surgery.output_kind import compiled_argument

KINDS = ("softmax", "logits", "sigmoid", "binary_logits", "values")
"""Kinds of outputs: class probabilities, their logits, independent probabilities, their logits, and other values."""

_LEAST = 1e-30  # the smallest probability whose logarithm is taken


class SoftTargets(losses.Loss):
    """`T² · KL(softmax(t / T) ‖ softmax(s / T))` over the last axis, for logits `t` of a teacher and `s` of a student.

    T² makes the size of the gradient independent of T.

    Args:
        temperature: T.
        from_logits: `False` for probabilities, whose logarithms are logits. Defaults to `True`.

    Example:
        >>> import numpy as np
        >>> loss = SoftTargets(temperature=4.0)
        >>> float(loss(np.array([[2.0, 0.0]]), np.array([[2.0, 0.0]])))
        0.0

    Reference:
        Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015, arXiv 1503.02531, §2.
    """

    def __init__(self, temperature: float, from_logits: bool = True) -> None:
        super().__init__(name="soft_targets")
        self.temperature = temperature
        self.from_logits = from_logits

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns one number per sample and position."""
        logits = [y if self.from_logits else ops.log(ops.maximum(y, _LEAST)) for y in (y_true, y_pred)]
        target, found = (ops.log_softmax(y / self.temperature) for y in logits)
        return self.temperature**2 * ops.sum(ops.exp(target) * (target - found), axis=-1)


class BinaryTargets(losses.BinaryCrossentropy):
    """Binary cross-entropy with the probabilities of a teacher as targets; both outputs may be logits."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns one number per sample and position."""
        return super().call(ops.sigmoid(y_true) if self.from_logits else y_true, y_pred)


def imitation(kind: str, temperature: float) -> losses.Loss:
    """Returns the loss between an output and the teacher's.

    Args:
        kind: One of `KINDS`.
        temperature: T of soft targets.
    """
    if kind == "values":
        return losses.MeanSquaredError()
    from_logits = kind.endswith("logits")
    return SoftTargets(temperature, from_logits) if kind in ("softmax", "logits") else BinaryTargets(from_logits)


def given_kinds(names: Sequence[str], given: str | Mapping[str, str] | None) -> list[str | None]:
    """Returns the given kind of each output, or `None`.

    Args:
        names: Names of the outputs.
        given: A kind for all, `{name: kind}`, or `None`.

    Raises:
        PruneError: A kind or a name is unknown.
    """
    kinds = dict.fromkeys(names, given) if given is None or isinstance(given, str) else dict(given)
    faults = [fault for name in kinds for fault in choice_faults(names, **{"the name of an output": name})]
    for name, kind in kinds.items():
        faults += choice_faults(KINDS, **{f"outputs[{name!r}]": kind}) if kind is not None else []
    raise_faults("Invalid arguments for distil:", faults)
    return [kinds.get(name) for name in names]


def judged_weights(model: keras.Model, names: Sequence[str]) -> list[float]:
    """Returns the weight of each output in the loss: the compiled one, by default 1.

    It is 0 for an output without a loss if other outputs have one.
    """
    found = compiled_argument(model, "loss", names)
    weights = [1.0 if weight is None else weight for weight in compiled_argument(model, "loss_weights", names)]
    some = any(loss is not None for loss in found)
    return [0.0 if some and loss is None else weight for loss, weight in zip(found, weights, strict=True)]
