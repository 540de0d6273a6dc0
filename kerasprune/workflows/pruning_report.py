"""What each step of pruning has gained: the models on the way, measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from kerasprune._keras import structures
from kerasprune.criteria.labels import check_labels
from kerasprune.criteria.objective import losses_by_output
from kerasprune.data.examples import Examples
from kerasprune.graph.walk import functional
from kerasprune.surgery.comparison import output_error
from kerasprune.surgery.compiled import compile_like

SAMPLES = 256  # examples that the error of the outputs is measured on


@dataclass(frozen=True)
class Step:
    """A model on the way, and how good it is.

    Args:
        name: `"dense"`, `"removed"`, `"reconstructed"` or `"fine-tuned"`.
        error: Of its outputs beside the dense model's: 0 = the same, 1 = no better than a constant. `None`
            without data.
        metrics: Loss and metrics where there are labels and the model is compiled.
    """

    name: str
    error: float | None
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Report:
    """What each step has gained.

    Args:
        steps: The models on the way.
        macs: Fraction of the multiply–adds kept.
        params: Fraction of the parameters kept.
        removed: Blocks that were dropped whole. Defaults to none.
    """

    steps: tuple[Step, ...]
    macs: float
    params: float
    removed: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Returns a line for each step."""
        lines = [f"kept: {self.macs:.3f} of the multiply–adds, {self.params:.3f} of the parameters"]
        lines += [f"dropped whole: {', '.join(self.removed)}"] if self.removed else []
        for step in self.steps:
            found = {**({} if step.error is None else {"error of the outputs": step.error}), **step.metrics}
            lines.append(f"{step.name}: " + ", ".join(f"{name} {value:.4g}" for name, value in found.items()))
        return "\n".join(lines)


class Judge:
    """Measures models on the way.

    Args:
        model: The dense model.
        loss: The loss, where not the compiled one.
        examples: What they are measured on; `None` for nothing.
    """

    def __init__(self, model: keras.Model, loss: Any, examples: Examples | None) -> None:
        self.model, self.loss, self.examples = model, loss, examples

    def step(self, name: str, model: keras.Model) -> Step:
        """Returns a model's name and figures."""
        if self.examples is None:
            return Step(name, None, {})
        batches = self.examples.first(model, SAMPLES)
        packed = [keras.tree.pack_sequence_as(structures(functional(model))[0], batch) for batch in batches]
        return Step(name, output_error(model, self.model, packed), self._metrics(model))

    def _metrics(self, model: keras.Model) -> dict[str, float]:
        if not self.examples.labelled or not (self.model.compiled or self.loss):
            return {}
        twin = keras.Model(*structures(functional(model)))
        compile_for(twin, self.model, self.loss)
        return twin.evaluate(**self.examples.fit_arguments(), verbose=0, return_dict=True)


def has_loss(model: keras.Model, loss: Any) -> bool:
    """Says whether there is a loss: a given one, or the one that the model is compiled with."""
    return loss is not None or bool(model.compiled and model.loss)


def check_examples(model: keras.Model, loss: Any, *given: Examples | None) -> None:
    """Says what is wrong with the loss, and with labels beside it, before anything is measured.

    Args:
        model: The dense model.
        loss: The loss, where not the compiled one.
        given: Examples; those without labels, and the same ones again, are passed over.

    Raises:
        PruneError: Labels have another shape than the loss takes, or are classes that the model does not have.
    """
    labelled = [each for each in dict.fromkeys(given) if each is not None and each.labelled]
    if not labelled or not has_loss(model, loss):
        return
    losses, _ = losses_by_output(model, loss)
    for each in labelled:
        check_labels(model, losses, each.labels)


def compile_for(model: keras.Model, dense: keras.Model, loss: Any, **others: Any) -> None:
    """Compiles a model as the dense one, or for a loss of its own."""
    others = {**others, **({} if loss is None else {"loss": loss})}
    if dense.compiled:
        compile_like(model, dense, **others)
    else:
        model.compile(**others)
