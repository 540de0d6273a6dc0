"""What the tests of GReg-1 and GReg-2 compare with: Algorithm 1 as a loop over a network written out in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import keras
import numpy as np
from keras import layers

RATE, MOMENTUM, DECAY = 0.05, 0.9, 0.01
WIDTHS = (8, 6, 5, 3)
BATCH, BATCHES = 16, 4


def network(seed: int = 3) -> keras.Model:
    """Returns 8 → 6 → 5 → 3 with relu, and weight decay as L2 in the loss."""
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input((WIDTHS[0],))
    for width, name in zip(WIDTHS[1:], ("one", "two", "out"), strict=True):
        activation = None if name == "out" else "relu"
        decay = keras.regularizers.L2(DECAY / 2)
        x = layers.Dense(width, activation, kernel_regularizer=decay, bias_initializer="normal", name=name)(x)
    return keras.Model(inputs, x)


def compiled(model: keras.Model | None = None, **arguments) -> keras.Model:
    """Returns the network, ready for `fit`."""
    model = network() if model is None else model
    accumulate = arguments.pop("gradient_accumulation_steps", None)
    optimizer = keras.optimizers.SGD(RATE, MOMENTUM, gradient_accumulation_steps=accumulate)
    model.compile(arguments.pop("optimizer", optimizer), "mse", **arguments)
    return model


def samples(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns four batches of inputs and targets."""
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(BATCHES * BATCH, WIDTHS[0])).astype("float32")
    return inputs, np.tanh(inputs @ generator.normal(size=(WIDTHS[0], WIDTHS[-1]))).astype("float32")


def train(
    model: keras.Model,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    epochs: int = 1000,
    passes: int = 1,
    **arguments,
):
    """Fits on the four batches, in order, and so many times over in an epoch."""
    inputs, targets = (np.tile(each, (passes, 1)) for each in samples())
    return model.fit(inputs, targets, BATCH, epochs, shuffle=False, verbose=0, callbacks=list(callbacks), **arguments)


class Reference:
    """The network in float64: mean squared error, L2 in the loss, SGD with momentum.

    With `decoupled` the penalties stand apart: `w ← (1 − ηλ) w` after each update.
    """

    def __init__(self, model: keras.Model, accumulate: int = 1, decoupled: bool = False) -> None:
        values = [value.astype("float64") for value in model.get_weights()]
        self.kernels, self.biases = values[0::2], values[1::2]
        self.speeds = [np.zeros_like(value) for value in values]
        self.accumulate = accumulate
        self.decoupled = decoupled
        self.waiting = [np.zeros_like(value) for value in values]
        self.steps = 0

    def gradients(self, inputs: np.ndarray, targets: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Returns the gradients of `mean (out − targets)²` with respect to kernels and biases."""
        seen = [inputs.astype("float64")]
        for level, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            before = seen[-1] @ kernel + bias
            seen.append(before if level == 2 else np.maximum(before, 0))
        error = 2 * (seen[-1] - targets) / targets.size
        of_kernels, of_biases = [None] * 3, [None] * 3
        for level in (2, 1, 0):
            of_kernels[level], of_biases[level] = seen[level].T @ error, error.sum(axis=0)
            error = (error @ self.kernels[level].T) * (seen[level] > 0)
        return of_kernels, of_biases

    def step(self, penalties: Sequence[np.ndarray | float] | Callable[[], Sequence]) -> None:
        """Takes one step, with one penalty factor per weight; apart from the moments they are asked for afterwards."""
        inputs, targets = samples()
        begin = self.steps % BATCHES * BATCH
        of_kernels, of_biases = self.gradients(inputs[begin : begin + BATCH], targets[begin : begin + BATCH])
        of_kernels = [
            g + DECAY * w + factor * w
            for g, w, factor in zip(of_kernels, self.kernels, [0.0] * 3 if self.decoupled else penalties, strict=True)
        ]
        self.steps += 1
        for level in range(3):
            self.waiting[2 * level] += of_kernels[level]
            self.waiting[2 * level + 1] += of_biases[level]
        if self.steps % self.accumulate == 0:
            for index, gradient in enumerate(self.waiting):
                (self.biases if index % 2 else self.kernels)[index // 2] += self.change(index, gradient)
                gradient[:] = 0
            if self.decoupled:
                for kernel, factor in zip(self.kernels, penalties(), strict=True):
                    kernel *= 1 - RATE * np.asarray(factor)

    def change(self, index: int, gradient: np.ndarray) -> np.ndarray:
        """Returns what the optimizer adds to a variable."""
        speed = self.speeds[index]
        speed[:] = MOMENTUM * speed - RATE * gradient / self.accumulate
        return speed

    def weights(self) -> list[np.ndarray]:
        """Returns kernels and biases as `model.get_weights()` does."""
        return [value for pair in zip(self.kernels, self.biases, strict=True) for value in pair]

    # ---- what competes: for each granularity, (kernel, axis) of each unit; axis None = single weights ------------

    def units(self, granularity: str) -> list[tuple[int, int | None]]:
        """Returns which kernel holds the entries of each unit, and along which axis."""
        if granularity == "filter":
            return [(0, 1), (1, 1)]
        if granularity == "channel":
            return [(1, 0), (2, 0)]
        return [(0, None), (1, None), (2, None)]

    def lowest(self, kernel: int, axis: int | None, keep: float) -> np.ndarray:
        """Returns which entries have the lowest L1 norms, as ones in a shape that broadcasts to the kernel."""
        size = np.abs(self.kernels[kernel])
        norms = size if axis is None else size.sum(axis=1 - axis, keepdims=True)
        gone = min(int(np.ceil(round((1 - keep) * norms.size, 9))), norms.size - 1)
        ranked = np.argsort(norms, axis=None)
        goes = np.zeros(norms.size)
        goes[ranked[:gone]] = 1
        return goes.reshape(norms.shape)

    def run(self, steps: int, penalties: Callable[[int], Sequence]) -> Reference:
        """Takes many steps; `penalties(step)` is asked before each."""
        for step in range(steps):
            self.step(partial(penalties, step) if self.decoupled else penalties(step))
        return self


class AdamReference(Reference):
    """The same under Adam, as Kingma & Ba have it."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__(model, decoupled=True)
        self.seconds = [np.zeros_like(speed) for speed in self.speeds]

    def change(self, index: int, gradient: np.ndarray) -> np.ndarray:
        """Returns what Adam adds to a variable."""
        first, second = self.speeds[index], self.seconds[index]
        first += 0.1 * (gradient - first)
        second += 0.001 * (gradient**2 - second)
        rate = RATE * np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        return -rate * first / (np.sqrt(second) + 1e-7)


def greg1(reference: Reference, granularity: str, keep: float, *, step: float, every: int, ceiling: float):
    """Returns `penalties(step)` of GReg-1, which keeps its own books."""
    goes = {unit: reference.lowest(*unit, keep) for unit in reference.units(granularity)}
    factor = 0.0

    def penalties(now: int) -> list:
        nonlocal factor
        if now % every == 0:
            factor = min(round(factor + step, 9), ceiling)
        by_kernel = {kernel: factor * goes[kernel, axis] for kernel, axis in goes}
        return [by_kernel.get(level, 0.0) for level in range(3)]

    return penalties


def greg2(
    reference: Reference,
    granularity: str,
    keep: float,
    *,
    pick_step: float,
    push_step: float,
    pick_at: float,
    every: int,
    ceiling: float,
):
    """Returns `penalties(step)` of GReg-2, which keeps its own books; `penalties.goes` holds the pick."""
    units, factor = reference.units(granularity), 0.0

    def penalties(step: int) -> list:
        nonlocal factor
        if step % every == 0:
            if not penalties.goes and factor > pick_at:
                penalties.goes = {unit: reference.lowest(*unit, keep) for unit in units}
            factor = min(round(factor + (push_step if penalties.goes else pick_step), 9), ceiling)
        by_kernel = {}
        for kernel, axis in units:
            goes = penalties.goes.get((kernel, axis))
            by_kernel[kernel] = factor if goes is None else np.where(goes, factor, -DECAY)
        return [by_kernel.get(level, 0.0) for level in range(3)]

    penalties.goes = {}
    return penalties
