"""`prune`: from a trained model to a slim one in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from kerasprune import defaults
from kerasprune.attaching.custom_train_step import has_own_step
from kerasprune.budgets.base import Budget
from kerasprune.costs.cost import cost, shares_of
from kerasprune.criteria.base import Criterion
from kerasprune.data.batches import image_side
from kerasprune.data.examples import Examples
from kerasprune.data.held_out import held_out
from kerasprune.data.signature import leaves_side_free
from kerasprune.distillation.student import distil as taught
from kerasprune.errors import (
    PruneError,
    choice_faults,
    kind_faults,
    raise_faults,
    seed_faults,
    warn,
    whole_number_faults,
)
from kerasprune.graph.built_model import LOAD
from kerasprune.graph.trace import trace
from kerasprune.inlining.plain import at_unknown, plain
from kerasprune.planning import plan as make_plan
from kerasprune.plans import Plan
from kerasprune.reconstruction.reconstruct import reconstructed
from kerasprune.steps import finetune
from kerasprune.steps.best_epoch import Delivery
from kerasprune.steps.drawn import drawn_examples, examples_faults
from kerasprune.steps.judge import Judge, check_examples, nearer
from kerasprune.steps.objective import Objective, of_model
from kerasprune.steps.progress import Progress
from kerasprune.steps.ready import remove
from kerasprune.steps.report import PruningReport, StepReport
from kerasprune.steps.scale import warn_of_scale
from kerasprune.surgery.compiled import compile_like

KEPT = 0.5  # default fraction of the multiply–adds


class Pruned(NamedTuple):
    """The result of `prune`.

    Args:
        slim: The slim model, compiled if the dense one is.
        plan: The plan.
        report: Error and metrics after each step.
    """

    slim: keras.Model
    plan: Plan
    report: PruningReport


def prune(
    model: keras.Model,
    macs: float | None = None,
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
    min_keep: float = 1,
    round_to: int = 1,
    resolution: int | None = None,
    reconstruct: bool = True,
    distil: bool = True,
    verify: bool = True,
    validation: Any = None,
    examples: str | int = "auto",
    loss: Any = None,
    optimizer: Any = None,
    batch: int = defaults.BATCH,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    deliver: str = "best",
    seed: int = 0,
    verbose: int = 1,
) -> Pruned:
    """Prunes a trained model: removes channels, reconstructs the outputs and, if asked, fine-tunes with distillation.

    The steps are also available separately: `kp.plan`, `kp.rebuild`, `kp.verify`, `kp.reconstruct`, `kp.distil` and
    `fit`. The command `kerasprune prune` runs the same steps, saves files in between and can be resumed; with the same
    data, target, seed, epochs and batch it ends with the same weights.

    Args:
        model: The trained model, which is not changed. If it is compiled, its loss and metrics are used.
        macs: Fraction of the multiply–adds kept. Defaults to 0.5, if neither `keep` nor `params` is given.
        data: `(x, y)` or `x`, as arrays or pandas tables, or batches that can be read repeatedly, such as a
            `tf.data.Dataset`. Labels are optional. Defaults to `None`: see `examples`.
        epochs: Epochs of fine-tuning. Defaults to 0.
        keep: Fraction of the channels kept, instead of `macs`.
        params: Fraction of the parameters kept, instead of `macs`.
        criterion: See `kp.plan`. Defaults to `"l1"`.
        budget: See `kp.plan`. Defaults to `"uniform"`.
        coupling: See `kp.trace`. Defaults to `"tied"`.
        freeze: Names of layers that keep all channels, with wildcards. Defaults to none.
        unknown: `"raise"` at a layer whose channels cannot be followed, or `"freeze"`, which keeps all channels that
            touch it. Layers without a rule are inlined if possible, otherwise kept whole with a warning. Defaults to
            `"raise"`.
        min_keep: Fewest channels kept in a group; values below 1 are a fraction of the group. Defaults to 1.
        round_to: The number of channels kept is a multiple of this. Defaults to 1.
        resolution: Input side in pixels for counting, if the model's is free. Defaults to that of the data.
        reconstruct: Whether the kernels are solved by least squares; the result is used if its outputs are closer to
            the dense model's. Defaults to `True`.
        distil: Whether the dense model is the teacher during fine-tuning, for 0.9 of the loss, or all of it without
            labels. Defaults to `True`.
        verify: Whether the slim model is compared with the masked dense model after removal. Defaults to `True`.
        validation: Data for the report and for validation in `fit`, in the form of `data`. Defaults to a held-out tenth
            of `data` if the best epoch is selected, otherwise to `data`.
        examples: Without data, the examples to reconstruct on, see `kp.synthesise`: `"auto"` draws 600 from the
            BatchNorm statistics, if the model has any and if this takes no more than about five minutes; a number draws
            that many; `"none"` only removes channels. Defaults to `"auto"`.
        loss: Loss of fine-tuning: a loss, a function or a name; named losses take logits unless the model ends in
            softmax or sigmoid. Defaults to the compiled one.
        optimizer: A Keras optimizer, or a name; the learning rate decays by half a cosine. Defaults to a new optimizer
            with the class and settings of the compiled one, starting at a tenth of its rate (SGD: at 0.01); to SGD with
            momentum 0.9 if the model is not compiled.
        batch: Examples per batch, of arrays. Defaults to 128.
        callbacks: Callbacks of `fit`. Defaults to none.
        deliver: The model that is returned after fine-tuning: the `"best"` of all steps after removal and all epochs,
            by the first compiled metric, else by the loss, or without labels by the error of the outputs; or the
            `"last"`. Epochs before the end of a callback's schedule are not considered. Defaults to `"best"`.
        seed: Random seed of the plan, of the order of the examples and, through `keras.utils.set_random_seed`, of the
            layers during fine-tuning. Defaults to 0.
        verbose: Progress on standard error: 0 = none, 1 = a line per step, 2 = also a line per epoch. Defaults to 1.

    Returns:
        `(slim, plan, report)`: the slim model, compiled if the dense one is; the plan; and the report, which can be
        printed.

    Raises:
        PruneError: An argument is out of range, two targets are given, an argument that a step needs is missing, or
            the slim model does not match its plan.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> inputs = keras.Input((4,))
        >>> x = keras.layers.Dense(16, activation="relu")(inputs)
        >>> model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
        >>> slim, plan, report = kp.prune(model, macs=0.5, data=np.random.default_rng(0).normal(size=(64, 4)))
        >>> [step.name for step in report.steps]
        ['dense', 'removed', 'reconstructed']
    """
    targets = {"macs": macs, "keep": keep, "params": params}
    _check(model, targets, epochs, optimizer, deliver, seed, verbose, examples, data)
    given = None if data is None else Examples(data, batch)
    judged = given if validation is None else Examples(validation, batch)
    objective = of_model(model, loss)
    _check_training(model, objective, epochs, given, distil)
    check_examples(model, objective, given, judged)
    remarks = []
    if epochs and deliver == "best" and validation is None:
        given, judged, remark = _set_aside(given, seed)
        remarks.append(remark)
    elif given is not None and given is judged and (reconstruct or epochs):
        remarks.append("measured on the examples that the model was made with; give validation= for other data")
    progress = Progress(verbose)
    dense, solved_on = plain(model), given
    if given is None and reconstruct and examples != "none":
        with progress.step("draw examples"):
            solved_on, drawn, remark = drawn_examples(dense, examples, resolution, batch, seed, verbose)
        judged = drawn if validation is None else judged
        remarks += [remark] if remark else []
    with progress.step("measure"):
        judge = Judge(dense, objective, judged)
        warn_of_scale(judge)
        steps = [judge.step("dense", dense)]
    training = None if given is None else finetune.to_train_on(given, seed)
    side = resolution
    if side is None and training is not None and leaves_side_free(dense):
        side = image_side(dense, training.first(dense, 1))
    with progress.step("plan"):
        graph = trace(dense, coupling=coupling, freeze=freeze, unknown=at_unknown(dense, unknown), resolution=side)
        plan = make_plan(
            graph, criterion, budget,
            keep=keep, macs=KEPT if macs is None and keep is None and params is None else macs, params=params,
            data=None if training is None else training.batches(), loss=objective.loss,
            min_keep=min_keep, round_to=round_to, resolution=side, seed=seed,
        )  # fmt: skip
    with progress.step("remove"):
        removed, verdict = remove(graph, plan, verified=verify)
        slim = removed
        steps.append(judge.step("removed", slim))
    if solved_on is not None and reconstruct:
        with progress.step("reconstruct"):
            slack = defaults.BEFORE_TRAINING if epochs else 0.0
            slim, nearest, left = _solve(judge, slim, plan, solved_on, steps[-1], slack, seed, drawn=given is None)
            remarks += left
            steps += [] if nearest is None else [nearest]
    if epochs:
        with progress.step("fine-tune"):
            training = finetune.to_train_on(given, seed)
            delivery = Delivery(deliver, judge, slim)
            finetune.seed_layers(slim, seed + defaults.SEED_OF_FINETUNING)
            finetune.fit(
                slim,
                training,
                objective if given.labelled else Objective(),
                finetune.optimizer(optimizer, model.optimizer if model.compiled else None, epochs, training.steps()),
                epochs,
                twin=taught(slim, dense, weight=finetune.teacher_weight(given.labelled)) if distil else None,
                validation=None if validation is None else judged,
                callbacks=[*callbacks, *delivery.callbacks, *progress.callbacks("fine-tune", epochs)],
            )
            tuned, delivered = delivery.result(steps[1:])
            steps.append(tuned)
        remarks += judge.measure.remarks(*steps[-2:])
        slim = removed if delivered is steps[1] else slim
    if model.compiled:
        compile_like(slim, model)
    kept = shares_of(cost(graph, plan), cost(graph))
    found = {} if verdict is None else {"verified": verdict.error, "reason": verdict.reason}
    found |= {"delivered": delivered.name} if epochs else {}
    report = PruningReport(tuple(steps), **kept, removed=plan.removed, remarks=tuple(remarks), **found)
    return Pruned(slim, plan, report)


def _solve(
    judge: Judge, slim: keras.Model, plan: Plan, on: Examples, before: StepReport, slack: float, seed: int, drawn: bool
) -> tuple[keras.Model, StepReport | None, list[str]]:
    """Returns the reconstructed model, its report and remarks; the given model if that does not help.

    A fault of examples that were drawn, which nobody asked for, is a remark.
    """
    try:
        inputs = finetune.to_train_on(on, seed).inputs
        solved, remarks = reconstructed(slim, judge.dense, plan, inputs, slack=slack, seed=seed)
    except PruneError as error:
        if not drawn:
            raise
        return slim, None, [f"only cut. {' '.join(str(error).split())}"]
    return *nearer(judge, slim, solved, before), remarks


def _set_aside(examples: Examples, seed: int) -> tuple[Examples, Examples, str]:
    """Returns training and validation examples, and a remark on these."""
    parts = held_out(examples, seed)
    if parts is not None:
        return *parts, "measured on a tenth of the data, which no step has seen; give validation= for other data"
    remark = "measured on the training data, no part of which can be held out; give validation="
    warn(f"The best epoch is {remark}.")
    return examples, examples, remark


def _check(
    model: keras.Model,
    targets: dict[str, float | None],
    epochs: int,
    optimizer: Any,
    deliver: str,
    seed: int | None,
    verbose: int,
    examples: Any,
    data: Any,
) -> None:
    given = {name: value for name, value in targets.items() if value is not None}
    faults = [
        *kind_faults(keras.Model, LOAD, model=model),
        *whole_number_faults(0, epochs=epochs),
        *seed_faults(seed=seed),
        *choice_faults(defaults.DELIVERED, deliver=deliver),
        *([] if verbose in (0, 1, 2) else [f"Expected verbose to be 0, 1 or 2. Received: verbose={verbose!r}."]),
        *_optimizer_faults(optimizer),
        *examples_faults(examples, data),
    ]
    if len(given) > 1:
        received = ", ".join(f"{name}={value!r}" for name, value in given.items())
        faults.append(f"Expected one of macs, keep and params, the fraction that is kept. Received: {received}.")
    raise_faults("Invalid arguments for prune:", faults)


def _check_training(
    model: keras.Model, objective: Objective, epochs: int, examples: Examples | None, distil: bool
) -> None:
    """Raises if the model cannot be fine-tuned, before any step."""
    if not epochs:
        return
    if examples is None:
        raise PruneError(f"Expected data to fine-tune on. Received: epochs={epochs}, data=None.")
    if not examples.labelled and not distil:
        raise PruneError("Expected labels beside distil=False. Received: inputs alone. Leave distil=True.")
    if examples.labelled and objective.loss is None:
        raise PruneError(
            f"Expected a loss to fine-tune with. Received: loss=None, and {model.name!r} is not compiled. "
            "Compile it, or give loss=."
        )
    if has_own_step(model):
        warn(
            f"{type(model).__name__}.train_step is not used for fine-tuning, which trains as Keras does, on the "
            "loss. If it matters, leave epochs=0 and train the slim model with the step."
        )


def _optimizer_faults(optimizer: Any) -> list[str]:
    try:
        keras.optimizers.get("sgd" if optimizer is None else optimizer)
    except (ValueError, TypeError):
        known = "Give a Keras optimizer, or a name such as 'adam' or 'sgd'."
        return [f"Expected an optimizer that Keras knows. Received: optimizer={optimizer!r}. {known}"]
    return []
