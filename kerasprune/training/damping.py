"""The strongest penalty that an optimizer can follow: critical damping, and the learning rate at every step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune._keras import learning_rate_variable
from kerasprune.training.optimizer import batches_per_update, inner_optimizer, is_adaptive
from kerasprune.training.session import Session

_SAMPLES = 64
_SLOWEST = 0.01  # of the highest rate: below it λ = x/η stops growing


@dataclass(frozen=True)
class Damping:
    """How an optimizer follows a penalty `½ λ w²`.

    Args:
        critical: `η·λ` up to which a weight decays without changing its sign.
        lasting: The fraction of a weight left after a step at `critical`; no λ shrinks it faster.
        learning_rate: Returns the learning rate η at a step of the fit; called inside the compiled step too.
        slowest: Lower bound on the rate that a growing penalty uses.
    """

    critical: float
    lasting: float
    learning_rate: Callable[[Any], Any]
    slowest: float

    @classmethod
    def of(cls, session: Session, decoupled: bool, length: int) -> Damping | None:
        """Returns the damping of a fit; `None` if the optimizer divides gradients by their size.

        Args:
            session: The session of the callback.
            decoupled: Whether the penalty bypasses momentum and moments.
            length: Steps of the schedule.
        """
        optimizer = session.model.optimizer
        if is_adaptive(optimizer) and not decoupled:
            return None
        critical, lasting = critical_damping(optimizer, decoupled)
        rate = _rate(session, decoupled)
        highest = max(float(ops.convert_to_numpy(rate(step))) for step in _samples(length))
        return cls(critical, lasting, rate, max(_SLOWEST * highest, 1e-8))

    def rate(self, step: Any) -> Any:
        """Returns the learning rate η of `λ = x/η`, bounded below so that λ stays finite."""
        return ops.maximum(self.learning_rate(step), self.slowest)

    def products(self, strength: Callable[[Any], Any], length: int) -> np.ndarray:
        """Returns `η·λ` at steps spread over a schedule of `length` steps, with λ = `strength(step)`."""
        pairs = ((self.learning_rate(step), strength(step)) for step in _samples(length))
        return np.array([float(ops.convert_to_numpy(rate)) * float(ops.convert_to_numpy(λ)) for rate, λ in pairs])

    def exponent(self, products: np.ndarray, length: int) -> float:
        """Returns k if the penalty alone leaves exp(−k) of a weight.

        A step with `η·λ = x` shrinks its logarithm by `x/(1 − β)` far below critical damping, and by `−ln √β` at and
        above it.

        Args:
            products: `η·λ` at steps spread over the schedule.
            length: Steps of the schedule.
        """
        momentum = self.lasting**2
        fastest = -np.log(max(self.lasting, 1e-3))
        return float(np.minimum(products / (1 - momentum), fastest).mean() * length)


def critical_damping(optimizer: keras.Optimizer, decoupled: bool) -> tuple[float, float]:
    """Returns `η·λ` at critical damping, and the fraction of a weight left after a step there.

    On `½ λ w²` alone momentum β makes a weight a heavy ball, `w'' = (1 + β − ηλ) w' − β w`, with a double root at

    `ηλ = (1 − √β)²`,

    where it decays by √β a step. Above it both roots are complex, of modulus √β: the weight rings through zero, and
    decays no faster. With Nesterov's momentum it is at `((1 − β)/(1 + β))²`, with 2β/(1 + β) left. Without momentum, or
    with a decoupled penalty, the weight is zero after one step with ηλ = 1.

    Args:
        optimizer: The optimizer, one that does not divide gradients by their size.
        decoupled: Whether the penalty bypasses momentum and moments.

    Example:
        >>> import keras
        >>> [round(each, 4) for each in critical_damping(keras.optimizers.SGD(0.01, momentum=0.9), False)]
        [0.0026, 0.9487]
    """
    inner = inner_optimizer(optimizer)
    momentum = 0.0 if decoupled else float(getattr(inner, "momentum", 0.0) or 0.0)
    if momentum and getattr(inner, "nesterov", False):
        return ((1 - momentum) / (1 + momentum)) ** 2, 2 * momentum / (1 + momentum)
    return (1 - momentum**0.5) ** 2, momentum**0.5


def _rate(session: Session, decoupled: bool) -> Callable[[Any], Any]:
    """Returns the learning rate as a function of the step of the fit."""
    optimizer = inner_optimizer(session.model.optimizer)
    held, batches = learning_rate_variable(optimizer), batches_per_update(optimizer)
    if isinstance(held, keras.optimizers.schedules.LearningRateSchedule):
        return lambda step: ops.cast(held((step + session.start) * batches), "float32")
    if keras.backend.backend() == "jax" and not decoupled:  # a loss does not see the variables of the optimizer there
        held = float(ops.convert_to_numpy(held))
    return lambda step: ops.cast(ops.convert_to_tensor(held), "float32")


def _samples(length: int) -> list[int]:
    return np.unique(np.linspace(0, max(length - 1, 0), _SAMPLES).astype(int)).tolist()
