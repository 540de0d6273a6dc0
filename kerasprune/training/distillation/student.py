"""Distillation: a slim model learns from the outputs of the dense one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import ops, tree

from kerasprune._keras import (
    Functional,
    added_loss,
    compile_arguments,
    compiled_loss,
    computes_graph,
    is_functional,
    structures,
)
from kerasprune.checks import interval_faults, kind_faults, non_negative_faults, positive_faults
from kerasprune.criteria.data_checks import explain_errors
from kerasprune.data.arrays_or_batches import is_array, reads_once
from kerasprune.data.signature import alike
from kerasprune.errors import PruneError, raise_faults, warn
from kerasprune.graph.built_model import LOAD, body_of
from kerasprune.graph.graph import check_finite_weights
from kerasprune.graph.plans import Plan
from kerasprune.graph.ranged_model import without_ranges
from kerasprune.surgery.compiled import compile_like, compiled_as
from kerasprune.surgery.custom_train_step import check_keras_step
from kerasprune.surgery.output_kind import compiled_argument, kind_of, output_names, pick_by_output, warn_of_logits
from kerasprune.training.distillation.block_features import BlockFeatures, block_features
from kerasprune.training.distillation.soft_targets import (
    given_kinds,
    imitation,
    judged_weights,
)


def distil(
    slim: keras.Model,
    teacher: keras.Model,
    *,
    temperature: float = 4.0,
    weight: float = 0.9,
    outputs: str | Mapping[str, str] | None = None,
    features: float = 0.0,
    plan: Plan | None = None,
) -> keras.Model:
    """Returns a student: the slim model with a loss that also compares its outputs with the teacher's.

    With D the distance of an output `s` from the teacher's `t`, and P the model's own regularization losses,

        loss = (1 − weight) · L(y, s) + weight · Σ D(t, s) + P
        D = T² · KL(softmax(t / T) ‖ softmax(s / T))   classes: softmax, or logits of it
        D = binary cross-entropy of s with t           sigmoid, or logits of it
        D = mean (s − t)²                              anything else

    summed over all outputs with their compiled loss weights. The student shares the layers of `slim`, so training it
    trains `slim`. `student.save` writes the slim model alone, compiled as the student is; the file loads without
    kerasprune and without the teacher. `evaluate` uses the labels, if there are any.

    For classes, T² makes the gradient large: with T = 4 do not exceed the learning rate of plain fine-tuning (0.01 for
    SGD with momentum); a rate four times as large lowered the accuracy.

    Args:
        slim: The functional or Sequential model to train. If it is compiled, so is the student.
        teacher: The dense model, or another with the same inputs and outputs. It is not trained.
        temperature: T, the temperature of the soft targets. Defaults to 4.0.
        weight: Share of the teacher in the loss, in [0, 1]. With 1.0 neither labels nor a loss in `compile` are
            needed. Defaults to 0.9.
        outputs: Kind of the outputs: `"softmax"`, `"logits"`, `"sigmoid"`, `"binary_logits"` or `"values"`; or a dict
            of these by output name. Defaults to `None`: inferred from the compiled cross-entropy, else from the
            teacher's, else from the last activation, else `"values"`.
        features: Weight of the distance at the ends of blocks, `mean (s − t)² / mean t²` over the channels kept,
            averaged over the blocks. Defaults to 0.0.
        plan: The plan that `slim` was built from. Required with `features`.

    Returns:
        The student: a `keras.Model` to compile and fit. `student.student` is `slim`; `student.kinds` has the
        kinds of its outputs.

    Raises:
        PruneError: An argument is out of range, or the inputs or outputs of slim and teacher differ.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> inputs = keras.Input((4,))
        >>> x = keras.layers.Dense(8, activation="relu", name="hidden")(inputs)
        >>> model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="classes")(x))
        >>> slim = kp.rebuild(model, kp.plan(model, keep=0.5))
        >>> student = kp.distil(slim, model, weight=1.0)
        >>> student.compile("sgd")
        >>> _ = student.fit(np.ones((8, 4)), verbose=0)  # no labels
        >>> student.kinds
        {'classes': 'softmax'}

    Reference:
        Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015, arXiv 1503.02531, §2.
    """
    _check(slim, teacher, temperature, weight, features, plan)
    given = given_kinds(output_names(slim), outputs)
    seen = block_features(body_of(slim), body_of(teacher), plan) if features else None
    student = Student(slim, Teaching(teacher, float(temperature), float(weight), given, float(features), seen))
    if slim.compiled:
        compile_like(student, slim)
    return student


@dataclass(eq=False)
class Teaching:
    """The teacher and its weight in the loss: a plain object that Keras does not track, so no file holds the teacher.

    Args:
        teacher: The teacher.
        temperature: T of soft targets.
        weight: Share of the teacher in the loss.
        given: The given kinds of the outputs, or `None`.
        features: Weight of the distance at the ends of blocks.
        blocks: Models with the outputs of blocks. Defaults to `None`.
    """

    teacher: keras.Model
    temperature: float
    weight: float
    given: list[str | None]
    features: float = 0.0
    blocks: BlockFeatures | None = None
    seen: list[Any] = field(default_factory=list)


class Student(keras.Model):
    """A model over the layers of another whose loss includes a teacher; made by `distil`.

    Args:
        slim: The model whose layers are trained.
        teaching: The teacher and its settings.
    """

    def __init__(self, slim: keras.Model, teaching: Teaching) -> None:
        super().__init__(*structures(body_of(slim)), name=slim.name)
        vars(self).update(_slim=slim, _teaching=teaching)  # past Keras's tracking

    @property
    def student(self) -> keras.Model:
        """The slim model, whose weights are trained."""
        return self._slim

    @property
    def kinds(self) -> dict[str, str]:
        """The kind of each output by name."""
        models, names = (self, self._teaching.teacher), output_names(self)
        mine, others = (compiled_argument(model, "loss", names) for model in models)
        warn_of_logits(self, dict(zip(names, mine, strict=True)))
        losses = zip(mine, others, strict=True)
        found = zip(names, self._teaching.given, self.outputs, losses, strict=True)
        return {name: given or kind_of(output, both) for name, given, output, both in found}

    # ---- the loss -------------------------------------------------------------------------------------------

    @computes_graph
    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Returns the outputs; records those of blocks, if they are part of the loss."""
        blocks = self._teaching.blocks
        if blocks is None:
            return super().call(inputs, training=training, mask=mask)
        outputs, self._teaching.seen = blocks.student(inputs, training=training, mask=mask)
        return outputs

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Returns the loss of a batch: in training that of `distil`, otherwise that of the labels, if any."""
        weight = self._teaching.weight
        labelled = y is not None and any(
            loss is not None for loss in compiled_argument(self, "loss", output_names(self))
        )
        if not training and labelled:
            return super().compute_loss(x, y, y_pred, sample_weight, training=training)
        if weight < 1 and not labelled:
            raise PruneError(
                f"Expected labels, and a loss in compile(), with weight={weight:g}. Received: "
                f"{'no loss' if y is not None else 'batches without labels'}. Give them, or take weight=1.0."
            )
        penalties = sum(added_loss(self, penalty) for penalty in self.losses)  # before another replica calls
        loss = weight * self._distance(x, y_pred, sample_weight) + penalties
        if weight < 1:
            loss = loss + (1 - weight) * compiled_loss(self, y, y_pred, sample_weight)
        return loss

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Returns the logs of a batch.

        Raises:
            PruneError: There are metrics, but no labels.
        """
        asked = compile_arguments(self)
        if y is None and (asked.get("metrics") or asked.get("weighted_metrics")):
            raise PruneError(
                "Expected labels for the metrics of compile(). Received: batches without labels. Compile without "
                "metrics; the loss is the distance from the teacher."
            )
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def _distance(self, x: Any, y_pred: Any, sample_weight: Any) -> Any:
        """Returns `Σ D(t, s)` plus the distance at the ends of blocks."""
        teaching = self._teaching
        if teaching.blocks is None:
            targets, features = teaching.teacher(x, training=False), 0.0
        else:
            targets, ends = teaching.blocks.teacher(x, training=False)
            features = added_loss(self, teaching.features * teaching.blocks.distance(ends, teaching.seen))
        names = output_names(self)
        scales, shares = judged_weights(self, names), tree.flatten(sample_weight)
        if len(shares) != len(scales):  # one for all outputs, or for those with labels
            shares = pick_by_output(sample_weight, names, "sample weights").values()
        found = zip(self.kinds.values(), scales, shares, strict=True)
        pairs = zip(tree.flatten(targets), tree.flatten(y_pred), strict=True)
        return features + sum(
            scale * imitation(kind, teaching.temperature)(ops.stop_gradient(target), output, sample_weight=each)
            for (kind, scale, each), (target, output) in zip(found, pairs, strict=True)
            if scale
        )

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Trains the slim model; see `keras.Model.fit`. Examples that do not fit are named."""
        with self._explained(*args, **kwargs):
            return super().fit(*args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluates the slim model; see `keras.Model.evaluate`. Examples that do not fit are named."""
        with self._explained(*args, **kwargs):
            return super().evaluate(*args, **kwargs)

    def _explained(
        self, x: Any = None, y: Any = None, *_: Any, sample_weight: Any = None, **__: Any
    ) -> AbstractContextManager[None]:
        """Returns a context in which faults of examples are named, if they can be read again."""
        if x is None or reads_once(x) or not self.compiled:
            return nullcontext()
        arrays = isinstance(x, tuple | list | Mapping) or is_array(x)
        return explain_errors(self, (x, y, sample_weight) if arrays else x)

    # ---- files ----------------------------------------------------------------------------------------------

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Saves the slim model, compiled as the student is; see `keras.Model.save`."""
        compiled_as(without_ranges(self.student), self).save(filepath, *args, **kwargs)

    def export(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Exports the slim model; see `keras.Model.export`."""
        self.student.export(filepath, *args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Always raises: a file would have to hold the teacher."""
        raise PruneError(
            "Expected a model to save or copy. Received: a student, made by kp.distil, which needs its teacher. "
            "Call student.save(path), or take student.student, the slim model, which holds the trained weights."
        )


def teaching_faults(
    temperature: float = 1.0, weight: float = 0.0, outputs: Any = None, features: float = 0.0
) -> list[str]:
    """Returns the faults of arguments of `distil` that need no model; those of `outputs` do."""
    del outputs
    numbers = positive_faults(temperature=temperature) + interval_faults("[0, 1]", "a number", weight=weight)
    return [*numbers, *non_negative_faults(features=features)]


def _check(
    slim: keras.Model, teacher: keras.Model, temperature: float, weight: float, features: float, plan: Plan | None
) -> None:
    faults = kind_faults(keras.Model, LOAD, slim=slim, teacher=teacher)
    wrong = teaching_faults(temperature, weight, features=features)
    faults += wrong
    if not wrong and features and plan is None:
        faults.append(f"Expected plan, which slim was rebuilt with. Received: features={features!r}, plan=None.")
    raise_faults("Invalid arguments for distil:", faults)
    for model in (slim, teacher):
        check_finite_weights(model)
    if isinstance(slim, Student):
        raise PruneError("Expected a slim model. Received: a student. Give student.student.")
    body_of(slim)
    check_keras_step(slim, "Call the teacher in that step.")
    if slim.count_params() > teacher.count_params():
        warn(
            f"Expected a teacher that is no smaller than slim: kp.distil(slim, teacher). Received: slim of "
            f"{slim.count_params():,} weights, and a teacher of {teacher.count_params():,}. Is it the other way round?"
        )
    if {id(v) for v in slim.variables} & {id(v) for v in teacher.variables}:
        raise PruneError(
            "Expected a teacher with weights of its own. Received: one that shares variables with slim, and would "
            "change with it. Give the dense model that slim was rebuilt from."
        )
    if is_functional(teacher):
        raise_faults("The teacher does not fit the slim model:", _misfits(body_of(slim), body_of(teacher)))


def _misfits(slim: Functional, teacher: Functional) -> list[str]:
    """Returns a fault for inputs or outputs that differ between slim and teacher."""
    faults = []
    for what in ("inputs", "outputs"):
        mine, others = ([tuple(x.shape) for x in getattr(model, what)] for model in (slim, teacher))
        if len(mine) != len(others) or not all(map(alike, mine, others)):
            faults.append(f"Expected a teacher with the {what} of slim, {mine}. Received: {others}.")
    keys = [structures(model)[1] for model in (slim, teacher)]
    if not faults and all(isinstance(each, dict) for each in keys) and set(keys[0]) != set(keys[1]):
        faults.append(f"Expected outputs {sorted(keys[0])} of the teacher. Received: {sorted(keys[1])}.")
    return faults
