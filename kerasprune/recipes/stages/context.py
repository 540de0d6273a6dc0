"""The run that every stage is given, and the steps that several stages share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import keras

from kerasprune.budgets.reconfigure import reconfigure
from kerasprune.criteria.labels import check_labels
from kerasprune.criteria.objective import losses_by_output
from kerasprune.errors import Key, PruneError, raise_faults
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import trace
from kerasprune.graph.walk import functional
from kerasprune.plans import Plan
from kerasprune.recipes import lookup, pruning, schema
from kerasprune.recipes.ahead import Ahead
from kerasprune.recipes.examples import examples, labelled, own_examples
from kerasprune.recipes.fit import fit
from kerasprune.recipes.objective import Objective, objective
from kerasprune.recipes.run_folder import RunFolder, load_model
from kerasprune.surgery.example_batches import leaves_side_free
from kerasprune.surgery.inline import at_unknown, plain
from kerasprune.training.callback import declared
from kerasprune.training.distillation import distil

if TYPE_CHECKING:
    from rich.console import Console

    from kerasprune.data.examples import Examples


WEIGHT = 0.9  # of the teacher in the loss, where there are labels too


@dataclass(frozen=True)
class Run:
    """What every stage is given: what to do, where the files are, where to speak."""

    recipe: schema.Recipe
    folder: RunFolder
    console: Console

    @cached_property
    def held(self) -> Examples | None:
        """A user's own examples, read once and held as long as the run; `None` for images by name."""
        return own_examples(self.recipe.data)

    def examples(self, split: str, model: keras.Model, batch: int | None = None, size: int | None = None) -> Any:
        """Returns the examples of a split, in batches; at a size, where not at that of the recipe."""
        return examples(self.recipe, split, model, batch, size, self.held)

    def plain_examples(self, model: keras.Model) -> Any:
        """Returns the training examples as they are, not augmented."""
        data = self.recipe.data.model_copy(update={"augment": None})
        return examples(self.recipe.model_copy(update={"data": data}), "train", model, held=self.held)

    def validation(self, model: keras.Model, size: int | None = None) -> Any:
        """Returns the validation examples, or `None` where the recipe has none."""
        split = self.recipe.data.validation
        return None if split is None else self.examples(split, model, size=size)

    def objective(self, model: keras.Model) -> Objective:
        """Returns what the models of the run are trained and judged by."""
        if not self.labelled(model):
            return Objective(None)
        return objective(self.recipe, model, lambda: self.examples("train", model).element_spec[1])

    def labelled(self, model: keras.Model) -> bool:
        """Returns whether the examples of the run have labels; images by name always have."""
        return self.held is None or labelled(self.examples("train", model))

    def check_labels(self, model: keras.Model) -> None:
        """Says what cannot be done without labels, where the examples have none.

        Raises:
            PruneError: The recipe asks for it.
        """
        if self.labelled(model):
            return
        recipe, faults = self.recipe, []
        if recipe.train or recipe.prune and (recipe.prune.callback or recipe.prune.judged):
            judged = ", ".join(f"prune.{name}" for name in pruning.JUDGED)
            faults.append(f"Expected labels for train, and for prune.callback, {judged}.")
        teaching = recipe.finetune and recipe.finetune.distil
        if recipe.finetune and not teaching:
            taught = ("Expected labels for ", Key("finetune"), " without ", Key("finetune.distil", "distil"))
            faults.append(PruneError(*taught, ". Add ", Key("finetune.distil", "distil: {}"), "."))
        elif teaching and teaching.weight not in (None, 1.0):
            faults.append(
                f"Expected labels beside finetune.distil.weight={teaching.weight:g}. Leave it out, or give 1.0."
            )
        raise_faults(f"The data {recipe.data.name!r} have no labels:", faults)

    def side(self, name: str) -> int | None:
        """Returns the image side of the model called `name` where a plan has changed it, else `None`."""
        path = self.folder.file("plan.json")
        return Plan.load(path).resolution if name != "dense" and path.exists() else None

    def final(self) -> str:
        """Returns the name of the model that comes out of the run."""
        return "slim" if self.recipe.prune else "dense"


def dense_model(recipe: schema.Recipe) -> keras.Model:
    """Returns the model that a recipe begins with: built for its image size, reconfigured, or its checkpoint."""
    if isinstance(recipe.model, schema.Start):
        return plain(load_model(recipe.model.path))
    name, arguments = recipe.model.name, recipe.model.arguments
    if lookup.takes("model", name, "input_shape"):
        arguments.setdefault("input_shape", (recipe.data.size, recipe.data.size, 3))
    if lookup.takes("model", name, "seed"):
        arguments.setdefault("seed", recipe.seed)
    model = lookup.make("model", name, arguments)
    widths = recipe.reconfigure
    if widths is None:
        return model
    return reconfigure(
        model, params=widths.params, macs=widths.macs, resolution=free_side(model, recipe), seed=recipe.seed
    )


def free_side(model: keras.Model, recipe: schema.Recipe) -> int | None:
    """Returns the image side for a model whose sides are free, `None` for one that has its own."""
    if not leaves_side_free(functional(model)):
        return None
    return recipe.data.size if recipe.data else getattr(recipe.model, "size", None)


def traced(
    recipe: schema.Recipe,
    model: keras.Model,
    spec: pruning.PlanStep | pruning.PreCrop | pruning.Space | pruning.MetaPruning,
) -> ChannelGraph:
    """Returns the graph of a model as a section of a recipe asks for."""
    side = free_side(model, recipe)
    unknown = at_unknown(model, spec.unknown)
    return trace(model, coupling=spec.coupling, freeze=spec.freeze, unknown=unknown, resolution=side)


def callback_of(spec: schema.Named, plan: Plan | None, model: keras.Model, recipe: schema.Recipe) -> Any:
    """Returns the callback that a recipe names, given the plan where it takes one, and the image side where it asks.

    A callback that picks by itself is only told how many channels of each group the plan keeps.
    """
    arguments = spec.arguments
    declaration = declared(lookup.member("callback", spec.name))
    if "resolution" in declaration.takes:
        arguments.setdefault("resolution", free_side(model, recipe))
    if plan is not None and declaration.decides:
        raise PruneError(
            f"Expected no plan beside {spec.name!r}, which decides by the scales that it finds. Received: prune.plan. "
            "Take it out; say how much stays with prune.callback.macs."
        )
    if plan is not None and "plan" in declaration.takes:
        arguments["plan"] = plan
    elif plan is not None and "keep" in declaration.takes:
        if plan.coupling != "free":
            raise PruneError(
                f"Expected a plan with coupling: free beside {spec.name!r}, which picks inside the residual "
                f"branches. Received: coupling={plan.coupling!r}."
            )
        groups = trace(model, coupling="free", unknown="freeze").groups
        arguments["keep"] = {name: len(kept) / groups[name].size for name, kept in plan.keep.items()}
    elif plan is not None:
        raise PruneError(
            f"Expected no plan beside {spec.name!r}, which takes none. Received: prune.plan. Take it out; how much "
            "stays is an argument of the callback."
        )
    return lookup.make("callback", spec.name, arguments)


def measured(model: keras.Model, examples: Any, objective: Objective) -> dict[str, float]:
    """Returns loss and metrics of a model on examples, compiled as for training; nothing where they have no labels.

    Raises:
        PruneError: The labels do not go with the loss.
    """
    if not labelled(examples):
        return {}
    twin = objective.compile(keras.Model(model.inputs, model.outputs))
    try:
        return twin.evaluate(examples, verbose=0, return_dict=True)
    except Exception:
        losses, _ = losses_by_output(twin)
        for batch in examples:  # to say whether labels are the reason, and which
            check_labels(twin, losses, batch[1])
        raise


def worth(logs: Mapping[str, float]) -> float:
    """Returns how good a model is by its loss and metrics, higher = better: the accuracy, or else minus the loss.

    Where the loss is no number, that is −∞.
    """
    found = logs["accuracy"] if "accuracy" in logs else -logs["loss"]
    return float(found) if math.isfinite(found) else -math.inf


def train_model(
    run: Run, stage: str, model: keras.Model, spec: schema.Fit, more: Sequence[keras.callbacks.Callback] = ()
) -> None:
    """Fits a model as a section of the recipe says, on the training split."""
    side = run.side("rebuilt") if stage == "finetune" else None
    training = run.examples("train", model, spec.batch, side)
    fit(
        model,
        spec,
        stage=stage,
        epochs=spec.epochs,
        training=training,
        validation=run.validation(model, side),
        objective=run.objective(model),
        folder=run.folder,
        console=run.console,
        twin=_student(run, model, spec.distil) if isinstance(spec, schema.Finetune) and spec.distil else None,
        ahead=Ahead.of(run.recipe, stage),
        callbacks=[*more, *(callback_of(callback, None, model, run.recipe) for callback in spec.callbacks)],
    )


def _student(run: Run, model: keras.Model, spec: schema.Distil) -> keras.Model:
    """Returns the slim model as the student of the dense one."""
    path = run.folder.file("plan.json")
    weight = spec.weight if spec.weight is not None else WEIGHT if run.labelled(model) else 1.0
    plan = Plan.load(path) if spec.features and path.exists() else None
    teacher = run.folder.model("dense.keras")
    return distil(model, teacher, spec.temperature, weight, features=spec.features, plan=plan)
