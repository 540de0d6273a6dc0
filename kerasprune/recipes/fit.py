"""One fit of one stage, with its files: optimizer, weight decay, metrics, state to resume from."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import keras

from kerasprune._keras import replaced_attributes
from kerasprune.callbacks.resume import Resume
from kerasprune.data.examples import Examples
from kerasprune.recipes import learning, progress, prune_section
from kerasprune.recipes.optimizers import optimizer
from kerasprune.recipes.progress import Ahead
from kerasprune.recipes.stages.context import Run
from kerasprune.steps.finetune import fit as train
from kerasprune.steps.objective import Objective


def train_stage(
    run: Run,
    stage: str,
    model: keras.Model,
    spec: learning.Fit,
    *,
    size: int | None = None,
    twin: keras.Model | None = None,
    more: Sequence[keras.callbacks.Callback] = (),
) -> None:
    """Fits a model on the training split by a section of the recipe.

    Args:
        run: The run.
        stage: Name of the stage.
        model: The model.
        spec: The section.
        size: Image side, if not the recipe's.
        twin: The model that is compiled and fitted, over the same layers. Defaults to a new one.
        more: Callbacks before those of the section. Defaults to none.
    """
    fit(
        run,
        model,
        spec,
        stage=stage,
        epochs=spec.epochs,
        training=run.examples("train", model, batch=spec.batch, size=size),
        validation=run.validation(model, size),
        twin=twin,
        ahead=Ahead.of(run.recipe, stage),
        callbacks=[*more, *(run.callback(callback, None, model) for callback in spec.callbacks)],
    )


def fit(
    run: Run,
    model: keras.Model,
    spec: learning.Training | prune_section.Prune,
    *,
    stage: str,
    epochs: int,
    training: Examples,
    validation: Examples | None = None,
    objective: Objective | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    span: float | None = None,
    place: str | None = None,
    twin: keras.Model | None = None,
    ahead: Ahead | None = None,
) -> None:
    """Trains the weights of a model, which is not compiled itself.

    The state is saved below the run's `resume/`: if the same fit was interrupted, it resumes from there.

    Args:
        run: The run, for the objective, the files and the terminal.
        model: The model.
        spec: Optimizer, `l2` and `label_smoothing` of the stage.
        stage: Name of the stage in `metrics.csv` and on the terminal.
        epochs: Number of passes over the training examples.
        training: The training examples.
        validation: Examples that every epoch is evaluated on. Defaults to `None`.
        objective: Loss and metrics. Defaults to the run's, with the label smoothing of the stage.
        callbacks: Callbacks of the method. Defaults to none.
        span: Epochs that the learning-rate schedule spans, for methods that rewind it. Defaults to all.
        place: Name of the folder of its state, if the stage has several fits. Defaults to the stage.
        twin: The model that is compiled and fitted, over the same layers. Defaults to a new one.
        ahead: The fits that follow. Defaults to those after the pruning stage.
    """
    terminal = progress.Terminal(run.console, stage, epochs, ahead or Ahead.of(run.recipe, "prune"))
    resume = Resume(run.folder.state(place or stage))
    done = resume.epoch  # of an earlier fit that was interrupted
    if done:
        left = f"resumes with epoch {done + 1} of {epochs}; what was trained of that epoch is repeated"
        whole = "is trained already; nothing is repeated"
        run.console.print(f"{stage}: {left if done < epochs else whole}", highlight=False)
    earlier = [row for row in run.folder.rows_of(stage) if int(row["epoch"]) <= done]
    metrics = progress.Metrics(lambda rows: run.folder.set_metrics(stage, rows), earlier)
    try:
        with weight_decay(model, spec.l2, spec.l2_on):
            train(
                model,
                training,
                objective or run.objective(model, spec.label_smoothing),
                optimizer(spec.optimizer, span or epochs, training.steps(), run.compiled_optimizer()),
                epochs,
                twin=twin,
                validation=validation,
                callbacks=[*callbacks, resume, metrics, terminal],
            )
    finally:
        terminal.close()


def weight_decay(model: keras.Model, l2: float, on: str = "kernels") -> AbstractContextManager[None]:
    """Adds the papers' weight decay to the loss within the block: `½ · l2 · Σ w²` over the trainable kernels.

    It passes through momentum, as SGD's weight decay does in the papers' code; Keras's own `weight_decay` does not.

    Args:
        model: The model. Its variables get their own regularisers back afterwards.
        l2: The weight decay. With 0 nothing changes.
        on: `"kernels"`, or `"weights"`: all trainable variables. Defaults to `"kernels"`.
    """
    kernels = [v for v in model.trainable_variables if on == "weights" or v.name.endswith("kernel")]
    decay = keras.regularizers.L2(l2 / 2)
    return replaced_attributes(*((kernel, "regularizer", decay) for kernel in kernels if l2))
