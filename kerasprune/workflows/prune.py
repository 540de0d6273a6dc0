"""`prune`: the whole way from a trained model to a slim one, in one call."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from kerasprune._keras import structures
from kerasprune.budgets.base import Budget
from kerasprune.costs.cost import cost
from kerasprune.criteria.base import Criterion
from kerasprune.data.example_batches import image_side
from kerasprune.data.examples import Examples
from kerasprune.data.signature import leaves_side_free
from kerasprune.errors import PruneError, kind_faults, raise_faults, seed_faults, whole_number_faults
from kerasprune.graph.trace import trace
from kerasprune.graph.walk import LOAD
from kerasprune.planning import plan as make_plan
from kerasprune.plans import Plan
from kerasprune.surgery.compiled import compile_like
from kerasprune.surgery.inline import at_unknown, plain
from kerasprune.surgery.rebuild import rebuild
from kerasprune.surgery.reconstruct import BEFORE_TRAINING, NO_GAIN
from kerasprune.surgery.reconstruct import reconstruct as reconstructed
from kerasprune.training.distillation import distil as taught
from kerasprune.training.own_step import has_own_step
from kerasprune.workflows.pruning_report import Judge, Report, check_examples, compile_for, has_loss

RATE, MOMENTUM = 0.01, 0.9  # of fine-tuning, where no optimizer is given
WEIGHT = 0.9  # of the teacher in the loss, where there are labels too


class Pruned(NamedTuple):
    """What `prune` returns."""

    slim: keras.Model
    plan: Plan
    report: Report


def prune(
    model: keras.Model,
    macs: float | None = 0.5,
    data: Any = None,
    epochs: int = 0,
    *,
    keep: float | None = None,
    params: float | None = None,
    criterion: str | dict | type | Criterion = "l1",
    budget: str | dict | type | Budget = "uniform",
    coupling: str = "tied",
    freeze: Sequence[str] = (),
    unknown: str = "raise",
    resolution: int | None = None,
    reconstruct: bool = True,
    distil: bool = True,
    validation: Any = None,
    loss: Any = None,
    optimizer: Any = None,
    batch: int = 32,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    seed: int = 0,
) -> Pruned:
    """Prunes a trained model: plan, rebuild; with data reconstruct; with epochs fine-tune with the dense model's help.

    Every step can be had by itself: `kp.plan`, `kp.rebuild`, `kp.reconstruct`, `kp.distil` and `fit`. The command
    `kerasprune prune` takes the same steps, keeps its files on the way and can be resumed.

    Args:
        model: The trained model, which is left untouched. Where it is compiled its loss and metrics are taken.
        macs: Fraction of the multiply–adds that stays. Defaults to 0.5.
        data: What `fit` takes: arrays or tables of pandas, `(x, y)` or `x`; or batches that can be read again, such as
            a `tf.data.Dataset`. Labels are needed only to fine-tune on them. Defaults to `None`: the model is only cut.
        epochs: Epochs of fine-tuning. Defaults to 0.
        keep: Fraction of the channels that stays, in place of `macs`.
        params: Fraction of the parameters that stays, in place of `macs`.
        criterion: What matters, as for `kp.plan`. Defaults to `"l1"`.
        budget: How much stays where. Defaults to `"uniform"`.
        coupling: See `kp.trace`. Defaults to `"tied"`.
        freeze: Names of layers that keep all channels, with wildcards. Defaults to none.
        unknown: What to do at a layer that cannot be followed: `"raise"`, or `"freeze"`, which keeps the channels that
            touch it. Layers without a rule are written out where that can be done, and kept whole, with a warning,
            where not. Defaults to `"raise"`.
        resolution: Input side, in pixels, to count at where the model's is free. Defaults to that of the data.
        reconstruct: Whether kernels are solved by least squares where there are data, and taken where the outputs come
            nearer to the dense ones. Defaults to `True`.
        distil: Whether the dense model teaches while the slim one is fine-tuned: for 0.9 of the loss, without labels
            for all of it. Defaults to `True`.
        validation: What the report is measured on, and `fit` validates on, in the form of `data`. Defaults to `data`.
        loss: Loss of fine-tuning. Defaults to the one that the model is compiled with.
        optimizer: A Keras optimizer or its name. Defaults to SGD, momentum 0.9, rate 0.01 falling by half a cosine.
        batch: Examples per batch, of arrays. Defaults to 32.
        callbacks: Callbacks of `fit`. Defaults to none.
        seed: Of everything random in the choice and the reconstruction; `fit` draws as
            `keras.utils.set_random_seed` says. Defaults to 0.

    Returns:
        `(slim, plan, report)`: the slim model, compiled where the dense one is; the plan; and what each step has
        gained, to be printed.

    Raises:
        PruneError: An argument is out of range, or something that a step needs is not given.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> inputs = keras.Input((4,))
        >>> x = keras.layers.Dense(16, activation="relu")(inputs)
        >>> model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
        >>> slim, plan, report = kp.prune(model, macs=0.5, data=np.random.default_rng(0).normal(size=(64, 4)))
        >>> [step.name for step in report.steps]
        ['dense', 'removed', 'reconstructed']
    """
    given = {name: value for name, value in (("keep", keep), ("params", params)) if value is not None}
    target = given or {"macs": macs}
    examples = None if data is None else Examples(data, batch)
    _check(model, epochs, examples, distil, loss, optimizer, seed)
    dense = plain(model)
    judge = Judge(model, loss, examples if validation is None else Examples(validation, batch))
    check_examples(model, loss, examples, judge.examples)
    steps = [judge.step("dense", dense)]
    side = resolution
    if side is None and examples is not None and leaves_side_free(dense):
        side = image_side(dense, examples.first(dense, 1))
    graph = trace(dense, coupling=coupling, freeze=freeze, unknown=at_unknown(dense, unknown), resolution=side)
    used = model.loss if loss is None and model.compiled else loss
    looked_at = None if examples is None else examples.batches()
    plan = make_plan(graph, criterion, budget, **target, data=looked_at, loss=used, resolution=side, seed=seed)
    slim = rebuild(graph, plan)
    steps.append(judge.step("removed", slim))
    if examples is not None and reconstruct:
        slack = BEFORE_TRAINING if epochs else 0.0
        solved = reconstructed(slim, dense, plan, examples.inputs, slack=slack, seed=seed)
        found = judge.step("reconstructed", solved)
        if found.error > steps[-1].error:
            warnings.warn(NO_GAIN, stacklevel=2)
        else:
            slim = solved
            steps.append(found)
    if epochs:
        if has_own_step(model):
            warnings.warn(
                f"{type(model).__name__}.train_step is not taken for fine-tuning, which trains as Keras does, on the "
                "loss. Leave epochs=0 and train the slim model with the step, where that matters.",
                stacklevel=2,
            )
        _finetune(slim, model, examples, judge, epochs, optimizer, loss, distil, callbacks)
        steps.append(judge.step("fine-tuned", slim))
    if model.compiled:
        compile_like(slim, model)
    before, after = cost(graph), cost(graph, plan)
    kept = {"macs": after.macs / max(before.macs, 1), "params": after.params / before.params}
    return Pruned(slim, plan, Report(tuple(steps), **kept, removed=plan.removed))


def _finetune(
    slim: keras.Model,
    dense: keras.Model,
    examples: Examples,
    judge: Judge,
    epochs: int,
    optimizer: Any,
    loss: Any,
    distil: bool,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Trains the slim model, with the dense one for a teacher where that is asked for."""
    labelled = examples.labelled
    student = taught(slim, dense, weight=WEIGHT if labelled else 1.0) if distil else keras.Model(*structures(slim))
    if optimizer is None:
        schedule = keras.optimizers.schedules.CosineDecay(RATE, max(epochs * examples.steps(), 1))
        optimizer = keras.optimizers.SGD(schedule, momentum=MOMENTUM)
    if labelled:
        compile_for(student, dense, loss, optimizer=optimizer)
    else:
        student.compile(optimizer)
    beside = judge.examples.validation_arguments() if judge.examples is not examples else {}
    student.fit(**examples.fit_arguments(), **beside, epochs=epochs, verbose=0, callbacks=list(callbacks))


def _check(
    model: keras.Model,
    epochs: int,
    examples: Examples | None,
    distil: bool,
    loss: Any,
    optimizer: Any,
    seed: int | None,
) -> None:
    faults = [
        *kind_faults(keras.Model, LOAD, model=model),
        *whole_number_faults(0, epochs=epochs),
        *seed_faults(seed=seed),
        *_optimizer_faults(optimizer),
    ]
    raise_faults("The model cannot be pruned:", faults)
    if not epochs:
        return
    if examples is None:
        raise PruneError(f"Expected data to fine-tune on. Received: epochs={epochs}, data=None.")
    if not examples.labelled and not distil:
        raise PruneError("Expected labels beside distil=False. Received: inputs alone. Leave distil=True.")
    if examples.labelled and not has_loss(model, loss):
        raise PruneError(
            f"Expected a loss to fine-tune with. Received: loss=None, and {model.name!r} is not compiled. "
            "Compile it, or give loss=."
        )


def _optimizer_faults(optimizer: Any) -> list[str]:
    try:
        keras.optimizers.get("sgd" if optimizer is None else optimizer)
    except (ValueError, TypeError):
        known = "Give a Keras optimizer, or a name such as 'adam' or 'sgd'."
        return [f"Expected an optimizer that Keras knows. Received: optimizer={optimizer!r}. {known}"]
    return []
