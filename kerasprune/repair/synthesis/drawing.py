"""The draw of examples for a model, batch by batch, and its cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, prod
from timeit import repeat, timeit
from typing import Any

import keras
import numpy as np

from kerasprune.checks import choice_faults, seed_faults, whole_number_faults
from kerasprune.data.signature import Signature, inputs_of
from kerasprune.errors import PruneError, raise_faults
from kerasprune.files.made_of import digest
from kerasprune.graph.built_model import body_of, fixed_batch
from kerasprune.graph.graph import check_finite_weights
from kerasprune.graph.sizes import Size, input_shapes, size_faults
from kerasprune.graph.trace import shapes_at, trace
from kerasprune.repair.synthesis.arguments import argument_faults, drawn_inputs
from kerasprune.repair.synthesis.fitting import InputFit, Start
from kerasprune.repair.synthesis.inputs import InputDraw
from kerasprune.repair.synthesis.noise import STEPS_TRIED, TRIED
from kerasprune.repair.synthesis.stored_moments import StoredMoments
from kerasprune.repair.synthesis.value_range import CANDIDATES
from kerasprune.surgery.compute_dtype import computing_types, copied_in
from kerasprune.surgery.costs.cost import cost
from kerasprune.surgery.inlining.plain import plain

METHODS = ("statistics", "noise")
_ANY = "Expected a model that takes any number of examples at a time."
BATCH, STEPS, FEWEST_STEPS = 200, 100, 10
MOST_BYTES = 4 << 30  # of activations
_TENSORS = 2  # of the size of each activation that a step holds: the value and its gradient
_MOST_MACS = 3e13  # of all forward passes of fitting: less than an hour on two cores
_TWICE = 4 / 3  # time of a step whose moments are taken first: another forward pass
_FITTING = 0.1  # distance from the statistics of a layer: means are off by a third of a deviation
_FEW, _SHORT = 50, 60  # examples and steps of a short fit
_NEAR = {"colour": 1.25}  # over the least distance: colours that a start lacks are hardly fitted
_TRIED, _TIMED = 64, 32  # examples that a scale, and the time of a step, are measured on


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

    `fitted` is whether they are fitted to stored statistics, `lacking` what the model lacks for it.

    Args: See `synthesise`; with `method=None` it is `"noise"` if the model has no statistics.
    """

    def __init__(
        self,
        model: keras.Model,
        samples: int = 600,
        *,
        method: str | None = "statistics",
        steps: int | None = None,
        size: Size | None = None,
        value_range: Any = None,
        frequencies: Any = None,
        seed: int = 0,
    ) -> None:
        model = plain(model)
        model = copied_in(model, "float32")[0] if "float64" in computing_types(model) else model
        self._body, fixed = body_of(model), fixed_batch(model)
        self._inputs = drawn_inputs(self._body, size, value_range, frequencies)
        faults = [
            *whole_number_faults(1, samples=samples, **({} if steps is None else {"steps": steps})),
            *([] if method is None else choice_faults(METHODS, method=method)),
            *seed_faults(seed=seed),
            *size_faults(input_shapes(self._body), size),
            *argument_faults(self._inputs, value_range, frequencies),
            *([] if fixed in (None, 1) else [f"{_ANY} Received: {fixed}, which the inputs fix. Give data."]),
        ]
        raise_faults("Invalid arguments for synthesise:", faults)
        check_finite_weights(self._body)
        self.samples, self._seed = samples, np.random.SeedSequence(seed).entropy
        self._stored = _stored(self._body, method)
        needed = {"input of numbers": any(each.noise for each in self._inputs)}
        needed |= {"statistics of BatchNormalization": self._stored is not None}
        self.lacking = [name for name, there in needed.items() if not there]
        self.fitted = not self.lacking
        if method is not None and self._stored is not None and not self.fitted:
            raise PruneError(
                "Expected an input of numbers, which can be fitted. Received: "
                f"{', '.join(each.dtype for each in self._inputs)}. Take method='noise'."
            )
        self.steps, self._held, self._bytes = 0, BATCH, 0
        if self.fitted:
            self._bytes = _activation_bytes(self._body, size)
            self._held = min(BATCH, max(1, MOST_BYTES // self._bytes))
            passes = samples * (1 if self._held >= min(BATCH, samples) else _TWICE)
            self.steps = steps or _affordable_steps(self._body, size, passes)
        self._fits: dict[int, InputFit] = {}
        self._reached: list[tuple[float, float]] = []  # distances before and after the fit of each batch

    @cached_property
    def _suited(self) -> list[InputDraw]:
        """The inputs with the noise, and the exponent of steps, with which a short fit comes nearest."""
        nearest = self._nearest() if self.fitted else self._inputs
        if self.steps < _SHORT:
            return nearest

        def distance(inputs: list[InputDraw]) -> float:
            start = _start(inputs, _FEW, [0])
            return self._fit_of(inputs, start).fit(start, _SHORT)[1][-1]

        return min(([each.changed(step=step) for each in nearest] for step in STEPS_TRIED), key=distance)

    def _nearest(self) -> list[InputDraw]:
        """Returns the inputs with the noise that is nearest to the stored moments, one argument after the other."""
        inputs = self._inputs
        for name, values in (("value_range", CANDIDATES), *TRIED.items()):
            tried = [[each.changed(**{name: value}) for each in inputs] for value in values]
            distances = list(map(self._distance, tried))
            near = _NEAR.get(name, 1.0) * min(distances)
            inputs = [each for each, distance in zip(tried, distances, strict=True) if distance <= near][-1]
        return inputs

    def _distance(self, inputs: Sequence[InputDraw]) -> float:
        """Returns the distance of noise from the stored moments; infinite if it overflows."""
        noise = _composed(inputs, _start(inputs, min(_TRIED, self._held), [0]))  # the same for every seed
        found = float(self._stored.distance(self._stored.of([keras.ops.convert_to_tensor(x) for x in noise])))
        return found if np.isfinite(found) else np.inf

    @property
    def signature(self) -> Signature:
        """The inputs of the model."""
        return inputs_of(self._body)

    @property
    def batches(self) -> int:
        """Number of batches."""
        return ceil(self.samples / BATCH)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that determine the examples, as JSON."""
        noise = [repr(each.noise) for each in self._inputs]
        weights = digest(keras.ops.convert_to_numpy(each) for each in self._body.weights)
        return {
            "samples": self.samples, "batch": BATCH, "part": self._held, "steps": self.steps, "seed": str(self._seed),
            "shapes": [list(each.shape) for each in self._inputs], "noise": noise, "weights": weights,
        }  # fmt: skip

    @cached_property
    def estimate(self) -> Estimate:
        """Time and memory of all batches, measured by one noise and three steps on a few examples.

        `seconds = examples · steps · a step of one + fits · compiling + noises · a noise`
        """
        if not self.fitted:
            return Estimate(0.0, 0)
        several = self._held < min(BATCH, self.samples)
        size = 2 * self._held if several else min(_TIMED, self._held)
        start = _start(self._inputs, size, [self._seed, 0])
        fit = self._fit_of(self._inputs, start)
        fit.begin(start, self.steps)
        first = timeit(fit.step, number=1)  # compiles
        step = min(repeat(fit.step, number=1, repeat=2))
        noise = timeit(lambda: self._distance(self._inputs), number=1)
        short = len(STEPS_TRIED) if self.steps >= _SHORT else 0
        fits = short + len({min(BATCH, self.samples), (self.samples - 1) % BATCH + 1})  # one for each size
        seconds = step / size * (self.samples * self.steps + short * _FEW * _SHORT)
        seconds += fits * max(first - step, 0.0) + noise * sum(map(len, (CANDIDATES, *TRIED.values())))
        return Estimate(seconds, self._bytes * min(self._held, self.samples))

    def batch(self, number: int) -> tuple[list[np.ndarray], list[float]]:
        """Returns the flat inputs of a batch, and the distance before each step.

        Args:
            number: From 0.
        """
        size = min(BATCH, self.samples - number * BATCH)
        start = _start(self._suited, size, [self._seed, number])
        if not self.fitted:
            return _composed(self._suited, start), []
        inputs, distances = self._fit(start).fit(start, self.steps)
        self._reached.append((distances[0], distances[-1]))
        return [each.cast(x) for each, x in zip(self._inputs, inputs, strict=True)], distances

    @property
    def misfit(self) -> str:
        """What is wrong with the batches that were drawn, if they do not fit the statistics; otherwise empty."""
        near = _FITTING * len(self._stored.layers) if self.fitted else 0.0
        far = [each for each in self._reached if not each[1] <= max(each[0] / 2, near)]
        if not far:
            return ""
        return (
            "the drawn examples do not fit the statistics of the BatchNormalization layers: their distance fell from "
            f"{far[0][0]:.3g} to {far[0][1]:.3g} only. "
        )

    def pack(self, flat: Sequence[np.ndarray]) -> Any:
        """Returns flat inputs in the structure that the model takes."""
        return self.signature.pack(flat)

    def _fit(self, start: Start) -> InputFit:
        size = _size(start)
        if size not in self._fits:
            self._fits[size] = self._fit_of(self._suited, start)
        return self._fits[size]

    def _fit_of(self, inputs: Sequence[InputDraw], start: Start) -> InputFit:
        """Returns the fit of a batch, in parts whose activations are within `MOST_BYTES`."""
        return InputFit(self._stored, inputs, start, parts=ceil(_size(start) / self._held))


def _size(start: Start) -> int:
    return len(start[0] if isinstance(start[0], np.ndarray) else start[0][0])


def _start(inputs: Sequence[InputDraw], size: int, seed: Sequence[int]) -> Start:
    """Returns the random batch that a fit begins with."""
    generator = np.random.default_rng(seed)
    return [each.draw(size, generator) if each.noise is None else each.noise.draw(size, generator) for each in inputs]


def _composed(inputs: Sequence[InputDraw], start: Start) -> list[np.ndarray]:
    """Returns the flat inputs of a batch that is not fitted."""
    pairs = zip(inputs, start, strict=True)
    return [
        part if each.noise is None else each.cast(keras.ops.convert_to_numpy(each.noise.compose(part)))
        for each, part in pairs
    ]


def _stored(body: keras.Model, method: str | None) -> StoredMoments | None:
    """Returns the statistics that a method uses, or `None`."""
    try:
        return None if method == "noise" else StoredMoments(body)
    except PruneError:
        if method is not None:
            raise
        return None


def _activation_bytes(body: keras.Model, size: Size | None) -> int:
    """Returns the memory of the activations of an example while it is fitted."""
    return _TENSORS * 4 * sum(prod(shape[1:]) for shapes in shapes_at(body, size) for shape in shapes)


def _affordable_steps(body: keras.Model, size: Size | None, passes: float) -> int:
    """Returns the number of steps, of so many forward passes each, within `_MOST_MACS`."""
    macs = cost(trace(body, unknown="freeze", size=size)).macs
    return int(np.clip(_MOST_MACS / (passes * max(macs, 1)), FEWEST_STEPS, STEPS))
