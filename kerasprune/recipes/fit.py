"""One fit of one stage: optimiser, loss, weight decay, and what is noted on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import keras

from kerasprune.callbacks.resume import Resume
from kerasprune.recipes import learning, progress, pruning
from kerasprune.recipes.optimizers import optimizer

if TYPE_CHECKING:
    import tensorflow as tf
    from rich.console import Console

    from kerasprune.recipes.ahead import Ahead
    from kerasprune.recipes.objective import Objective
    from kerasprune.recipes.run_folder import RunFolder


def fit(
    model: keras.Model,
    spec: learning.Training | pruning.Prune,
    *,
    stage: str,
    epochs: int,
    training: tf.data.Dataset,
    validation: tf.data.Dataset | None,
    objective: Objective,
    folder: RunFolder,
    console: Console,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    span: float | None = None,
    place: str | None = None,
    twin: keras.Model | None = None,
    ahead: Ahead | None = None,
) -> None:
    """Trains the weights of a model; the model itself stays as it is, not compiled.

    The state is kept below the run's `resume/`: where the same fit was broken off, it goes on from there.

    Args:
        model: The model.
        spec: Optimiser, `l2` and `label_smoothing` of the stage.
        stage: Name of the stage in `metrics.csv` and on the terminal.
        epochs: Number of passes over the training examples.
        training: Batches to train on, `(inputs, targets)`.
        validation: The same for validation, or `None`.
        objective: Loss and metrics.
        folder: Where the metrics go.
        console: Where progress is shown.
        callbacks: Callbacks of the method. Defaults to none.
        span: Epochs that the learning-rate schedule spans, for methods that rewind it. Defaults to all.
        place: Name of the folder of its state, other than that of any other fit of the stage. Defaults to the stage.
        twin: What is compiled and fitted in its place, over the same layers. Defaults to a model of its own.
        ahead: What the run trains afterwards. Defaults to `None`: not told.
    """
    # A second model over the same layers: what is saved later holds neither optimiser nor loss.
    twin = twin or keras.Model(model.inputs, model.outputs, name=model.name)
    steps = len(training)
    objective = replace(objective, label_smoothing=spec.label_smoothing)
    objective.compile(twin, optimizer(spec.optimizer, span or epochs, steps))
    terminal = progress.Terminal(console, stage, epochs, ahead)
    resume = Resume(folder.state(place or stage))
    done = _gone_on_with(resume, stage, epochs, console)
    earlier = [row for row in folder.rows_of(stage) if int(row["epoch"]) <= done]
    metrics = progress.Metrics(lambda rows: folder.set_metrics(stage, rows), earlier)
    try:
        with weight_decay(model, spec.l2, spec.l2_on):
            twin.fit(
                training,
                validation_data=validation,
                epochs=epochs,
                shuffle=False,  # the data set has an order of its own
                verbose=0,
                callbacks=[*callbacks, resume, metrics, terminal],
            )
    finally:
        terminal.close()


def _gone_on_with(resume: Resume, stage: str, epochs: int, console: Console) -> int:
    """Returns how many epochs an earlier, broken fit has finished; says what is repeated."""
    done = resume.epoch
    if 0 < done < epochs:
        console.print(
            f"{stage}: goes on with epoch {done + 1} of {epochs}; what was trained of that epoch is repeated",
            highlight=False,
        )
    elif done:
        console.print(f"{stage}: was trained to its end; nothing is repeated", highlight=False)
    return done


@contextmanager
def weight_decay(model: keras.Model, l2: float, on: str = "kernels") -> Iterator[None]:
    """Puts the papers' weight decay in the loss, `½ · l2 · Σ w²` over the trainable kernels, for a while.

    So it passes through momentum, as SGD's weight decay does in the papers' codes; Keras's own
    `weight_decay` does not.

    Args:
        model: The model. Its variables have their own regularisers back afterwards.
        l2: The weight decay. With 0 nothing is changed.
        on: `"kernels"`, or `"weights"`: all trainable variables. Defaults to `"kernels"`.
    """
    kernels = [v for v in model.trainable_variables if on == "weights" or v.name.endswith("kernel")]
    before = [kernel.regularizer for kernel in kernels]
    try:
        if l2:
            for kernel in kernels:
                kernel.regularizer = keras.regularizers.L2(l2 / 2)
        yield
    finally:
        for kernel, regularizer in zip(kernels, before, strict=True):
            kernel.regularizer = regularizer
