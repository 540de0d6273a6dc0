"""Pruning callbacks in a custom training loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras

from kerasprune._keras import first_epoch
from kerasprune.checks import whole_number_faults
from kerasprune.errors import PruneError, raise_faults
from kerasprune.training.callback import PruningCallback
from kerasprune.training.fit import detach


class Loop:
    """Calls the hooks of callbacks in a custom loop; made by `custom_loop`.

    Args:
        model: The model.
        callbacks: The callbacks of the loop.
        epochs: Number of epochs.
    """

    def __init__(self, model: keras.Model, callbacks: keras.callbacks.CallbackList, epochs: int) -> None:
        self._model, self._callbacks, self._epochs = model, callbacks, epochs
        self._batch = 0

    def epochs(self) -> Iterator[int]:
        """Yields the number of every epoch to train, until a callback stops the training."""
        for epoch in range(first_epoch(self._model) or 0, self._epochs):
            self._batch = 0
            self._callbacks.on_epoch_begin(epoch)
            yield epoch
            self._callbacks.on_epoch_end(epoch, {})
            if self.stopped:
                return

    def step(self, **logs: Any) -> None:
        """To be called after every update of the weights."""
        self._callbacks.on_train_batch_end(self._batch, logs)
        self._batch += 1

    @property
    def stopped(self) -> bool:
        """Whether a callback wants the training to end."""
        return bool(self._model.stop_training)


@contextmanager
def custom_loop(
    model: keras.Model, callbacks: Sequence[keras.callbacks.Callback], *, epochs: int, steps: int
) -> Iterator[Loop]:
    """Attaches callbacks to a custom training loop, and detaches them at its end.

    Your loop must minimise its loss plus `sum(model.losses)`, which includes the penalties, and update with
    `model.optimizer.apply(gradients, model.trainable_variables)`, which applies masks and clamps. Compile the step
    (`tf.function`, `jax.jit`) inside the `with` block. On JAX, pass the step the variables of model and optimizer as
    they are inside the block; callbacks with penalties are refused there.

    Args:
        model: A compiled model, whose optimizer the loop uses.
        callbacks: Callbacks of kerasprune, or others that only use hooks of epochs and batches.
        epochs: Number of epochs.
        steps: Number of steps per epoch.

    Yields:
        The loop: `loop.epochs()`, `loop.step()` after every update, `loop.stopped`.

    Raises:
        PruneError: The model is not compiled, a number is not positive, or a callback needs `fit` on this backend.

    Example:
        >>> import keras, numpy as np, tensorflow as tf
        >>> from kerasprune.callbacks import GradualMagnitude
        >>> from kerasprune.training.schedules import cubic
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.SGD(0.01))
        >>> callback = GradualMagnitude(cubic(keep=0.25, end="2ep"), every=1)
        >>> with custom_loop(model, [callback], epochs=2, steps=3) as loop:
        ...     for epoch in loop.epochs():
        ...         for _ in range(3):
        ...             with tf.GradientTape() as tape:
        ...                 loss = tf.reduce_mean(model(np.ones((2, 4))) ** 2) + sum(model.losses)
        ...             variables = model.trainable_variables
        ...             model.optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        ...             loop.step()
        >>> callback.kept
        0.25
    """
    raise_faults("Invalid arguments for custom_loop:", whole_number_faults(1, epochs=epochs, steps=steps))
    if not model.compiled:
        raise PruneError(
            f"Expected a compiled model. Received: {model.name!r} without an optimizer. Call model.compile(optimizer)."
        )
    listed = keras.callbacks.CallbackList(list(callbacks), model=model, epochs=epochs, steps=steps, loop=True)
    model.stop_training = False
    try:
        listed.on_train_begin()
        ours = [each for each in callbacks if isinstance(each, PruningCallback)]
        bound = [type(each).__name__ for each in ours if each.used().needs_fit]
        if bound:
            raise PruneError(
                f"Expected callbacks that act in a custom loop on JAX. Received: {', '.join(bound)}, whose "
                "penalties follow the step, which Keras passes to them in model.fit only. Use fit, or TensorFlow."
            )
        yield Loop(model, listed, epochs)
        listed.on_train_end()
    finally:
        detach(model)
