"""The draw of examples for a model, batch by batch, and its cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from math import ceil, prod
from timeit import repeat
from typing import Any

import keras
import numpy as np

from kerasprune.costs.cost import cost
from kerasprune.data.signature import inputs_of
from kerasprune.errors import PruneError, choice_faults, raise_faults, seed_faults, whole_number_faults
from kerasprune.graph.built_model import functional
from kerasprune.graph.trace import shapes_at, trace
from kerasprune.inlining.plain import plain
from kerasprune.synthesis.arguments import argument_faults, check_finite, drawn_inputs
from kerasprune.synthesis.fitting import InputFit
from kerasprune.synthesis.inputs import InputDraw
from kerasprune.synthesis.stored_moments import StoredMoments
from kerasprune.synthesis.value_range import CANDIDATES, STANDARD, ValueRange

METHODS = ("statistics", "noise")
BATCH, STEPS, FEWEST_STEPS = 200, 100, 10
MOST_BYTES = 4 << 30  # of activations
_TENSORS = 2  # of the size of each activation that a step holds: the value and its gradient
_MOST_MACS = 5e13  # of all forward passes: about an hour on two cores
_TRIED, _TIMED = 8, 32  # examples that a scale, and the time of a step, are measured on


@dataclass(frozen=True)
class Estimate:
    """The cost of drawing examples, measured on a few.

    Args:
        seconds: The time.
        bytes: The memory for activations.
    """

    seconds: float
    bytes: int

    def __str__(self) -> str:
        """Returns time and memory in words."""
        time = f"{self.seconds:.0f} s" if self.seconds < 100 else f"{self.seconds / 60:.0f} min"
        return f"about {time} and {self.bytes / 2**30:.1f} GiB"


class Drawing:
    """The draw of examples for a model: batches that depend on the seed and their number alone.

    Args: See `synthesise`.
    """

    def __init__(
        self,
        model: keras.Model,
        samples: int = 600,
        *,
        method: str = "statistics",
        steps: int | None = None,
        resolution: int | None = None,
        value_range: Any = None,
        frequencies: Any = None,
        seed: int = 0,
    ) -> None:
        self._body = functional(plain(model))
        self._inputs = drawn_inputs(self._body, resolution, value_range, frequencies)
        faults = [
            *whole_number_faults(1, samples=samples, **({} if steps is None else {"steps": steps})),
            *choice_faults(METHODS, method=method),
            *seed_faults(seed=seed),
            *argument_faults(self._inputs, resolution, value_range, frequencies),
        ]
        raise_faults("Invalid arguments for synthesise:", faults)
        check_finite(self._body)
        self.samples, self._seed = samples, np.random.SeedSequence(seed).entropy
        self._stored = StoredMoments(self._body) if method == "statistics" else None
        self._fitted = [n for n, each in enumerate(self._inputs) if each.numeric and self._stored is not None]
        if self._stored is not None and not self._fitted:
            raise PruneError(
                "Expected an input of numbers, which can be fitted. Received: "
                f"{', '.join(each.dtype for each in self._inputs)}. Take method='noise'."
            )
        self.steps, self._most, self._bytes = 0, BATCH, 0
        if self._fitted:
            self._bytes = _activation_bytes(self._body, resolution)
            self._most = min(BATCH, max(1, MOST_BYTES // self._bytes))
            self.steps = steps or _affordable_steps(self._body, resolution, samples)
        self._inputs = self._closed()
        self._fits: dict[int, InputFit] = {}

    def _closed(self) -> list[InputDraw]:
        """Returns the inputs with a range for each: images without one get the usual one that fits best."""

        def at(usual: ValueRange) -> list[InputDraw]:
            return [replace(each, value_range=usual) if each.is_open else each for each in self._inputs]

        if self._stored is None or not any(each.is_open for each in self._inputs):
            return at(STANDARD)
        return min(map(at, CANDIDATES), key=self._distance)

    def _distance(self, inputs: Sequence[InputDraw]) -> float:
        """Returns the distance of noise from the stored moments."""
        generator = np.random.default_rng(self._seed)
        noise = [keras.ops.convert_to_tensor(each.cast(each.noise(_TRIED, generator))) for each in inputs]
        return float(self._stored.distance(self._stored.of(noise)))

    @property
    def batches(self) -> int:
        """Number of batches."""
        return ceil(self.samples / self._most)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that determine the examples, as JSON."""
        ranges = [repr(each.value_range) for each in self._inputs]
        digest = sha256(b"".join(keras.ops.convert_to_numpy(v).tobytes() for v in self._body.weights))
        return {
            "samples": self.samples, "batch": self._most, "steps": self.steps, "seed": str(self._seed),
            "shapes": [list(each.shape) for each in self._inputs], "ranges": ranges, "weights": digest.hexdigest(),
        }  # fmt: skip

    @cached_property
    def estimate(self) -> Estimate:
        """Time and memory of all batches, measured by a step on a few examples."""
        if not self._fitted:
            return Estimate(0.0, 0)
        size = min(_TIMED, self._most)
        fit = self._fit(size)
        start = self._noise(0, size)
        fit.start([start[each] for each in self._fitted])
        fit.step()  # compiles
        seconds = min(repeat(fit.step, number=1, repeat=2)) / size * self.samples * self.steps
        return Estimate(seconds, self._bytes * min(self._most, self.samples))

    def batch(self, number: int) -> tuple[list[np.ndarray], list[float]]:
        """Returns the flat inputs of a batch, and the distance before each step.

        Args:
            number: From 0.
        """
        size = min(self._most, self.samples - number * self._most)
        inputs, distances = self._noise(number, size), []
        if self._fitted:
            found, distances = self._fit(size).fit([inputs[each] for each in self._fitted], self.steps)
            for each, array in zip(self._fitted, found, strict=True):
                inputs[each] = array
        return [each.cast(x) for each, x in zip(self._inputs, inputs, strict=True)], distances

    def pack(self, flat: Sequence[np.ndarray]) -> Any:
        """Returns flat inputs in the structure that the model takes."""
        return inputs_of(self._body).pack(flat)

    def _fit(self, size: int) -> InputFit:
        if size not in self._fits:
            chosen = [self._inputs[each] for each in self._fitted]
            shapes = [(size, *each.shape) for each in chosen]
            self._fits[size] = InputFit(self._stored, [each.value_range for each in chosen], shapes)
        return self._fits[size]

    def _noise(self, number: int, size: int) -> list[np.ndarray]:
        generator = np.random.default_rng([self._seed, number])
        return [each.noise(size, generator) for each in self._inputs]


def _activation_bytes(body: keras.Model, resolution: int | None) -> int:
    """Returns the memory of the activations of an example while it is fitted."""
    return _TENSORS * 4 * sum(prod(shape[1:]) for shapes in shapes_at(body, resolution) for shape in shapes)


def _affordable_steps(body: keras.Model, resolution: int | None, samples: int) -> int:
    macs = cost(trace(body, unknown="freeze", resolution=resolution)).macs
    return int(np.clip(_MOST_MACS / (samples * max(macs, 1)), FEWEST_STEPS, STEPS))
