"""A recipe as objects: its model, its examples, its objective. It reads the files that the recipe names, no others."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from kerasprune import criteria
from kerasprune.data.batches import free_size
from kerasprune.data.examples import Examples
from kerasprune.defaults import BEFORE_TRAINING
from kerasprune.errors import Key, PruneError, raise_faults
from kerasprune.files.keras_model import load_model, read_compile_config
from kerasprune.graph.built_model import body_of, fixed_batch
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.graph.sizes import Size, input_shapes, size_faults
from kerasprune.graph.trace import trace
from kerasprune.graph.walk import has_free_axes
from kerasprune.models.registered import import_named
from kerasprune.models.sets.lookup import SYNTHETIC, own
from kerasprune.planning import budgets
from kerasprune.planning.make_plan import plan as make_plan
from kerasprune.planning.targets.base import Target
from kerasprune.recipes import lookup, plan_section, schema
from kerasprune.recipes.examples import SMOKE_SAMPLES, examples, own_examples
from kerasprune.recipes.prune_section import SECTIONS
from kerasprune.recipes.registry import beginnings
from kerasprune.steps.finetune import teacher_weight
from kerasprune.steps.judge import Judge, check_examples
from kerasprune.steps.objective import Objective, by_name, classification, of_config
from kerasprune.surgery.inlining.plain import at_unknown, plain

if TYPE_CHECKING:
    from kerasprune.data.splits import SplitExamples
    from kerasprune.repair.synthesis.drawing import Drawing


@dataclass(frozen=True)
class Experiment:
    """The model, the examples and the objective that a recipe names.

    Args:
        recipe: The recipe.
    """

    recipe: schema.Recipe
    _targets: dict[str, Target] = field(default_factory=dict, init=False, repr=False, compare=False)

    # ---- the model --------------------------------------------------------------------------------------------

    def dense_model(self) -> keras.Model:
        """Returns the initial model: built for the image size, reconfigured, or loaded."""
        recipe = self.recipe
        if isinstance(recipe.model, schema.Start):
            model = plain(load_model(recipe.model.path))
            for fault in size_faults(input_shapes(body_of(model)), recipe.model.size, "model.size"):
                raise fault
            return model
        model, widths = self._by_name(), recipe.reconfigure
        if widths is None:
            return model
        return beginnings.member(schema.RECONFIGURE)(
            model, params=widths.params, macs=widths.macs, size=self.free_side(model), seed=recipe.seed
        )

    def _by_name(self) -> keras.Model:
        """Returns the model that the recipe names, of its own widths."""
        recipe, name, arguments = self.recipe, self.recipe.model.name, self.recipe.model.arguments
        taken = lookup.arguments_of("model", name)
        if "input_shape" in taken:
            side = recipe.data.side if recipe.data else schema.SIDE
            arguments.setdefault("input_shape", (side, side, 3))
        if "seed" in taken:
            arguments.setdefault("seed", recipe.seed)
        return lookup.make("model", name, arguments)

    def free_side(self, model: keras.Model) -> Size | None:
        """Returns the size of the inputs for a model that leaves it free, `None` for one that fixes it."""
        if not has_free_axes(body_of(model)):
            return None
        data = self.recipe.data
        if data is None or data.size is None and self.draws:
            return getattr(self.recipe.model, "size", None)
        if data.size is None and own(data.name) is not None:
            inputs = keras.tree.flatten(self.examples("train", model).data.element_spec[0])
            return free_size(body_of(model), [each.shape for each in inputs]) or data.side
        return data.size or data.side

    def traced(self, model: keras.Model, spec: plan_section.Traced) -> ChannelGraph:
        """Traces a model as a section of the recipe specifies."""
        unknown = at_unknown(model, spec.unknown)
        side = self.free_side(model)
        return trace(model, coupling=spec.coupling, freeze=spec.freeze, unknown=unknown, size=side)

    def plan(self, graph: ChannelGraph, spec: plan_section.PlanStep) -> Plan:
        """Returns the plan of the recipe's plan section."""
        criterion = lookup.make("criterion", spec.criterion.name, spec.criterion.arguments)
        budget = lookup.make("budget", spec.budget.name, spec.budget.arguments)
        measures = bool(criteria.get(criterion).needs or budgets.get(budget).needs)
        data = self.recipe.data is not None and (measures or not self.draws)
        target = self.target(graph, spec)
        return make_plan(
            graph,
            criterion=criterion,
            budget=budget,
            target=target,
            keep=spec.keep,
            macs=spec.macs,
            params=spec.params,
            data=self.examples("train", graph.model).batches() if data else None,
            loss=self.objective(graph.model).loss if data else None,
            min_keep=spec.min_keep,
            round_to=target.table if spec.round_to == "table" else spec.round_to,
            seed=self.recipe.seed,
        )

    def target(self, graph: ChannelGraph, spec: plan_section.PlanStep) -> Target | None:
        """Returns the target of a plan section, measured once, or `None`."""
        if spec.target is None:
            return None
        key = f"{graph.fingerprint} {spec.target}"
        if key not in self._targets:
            made = lookup.make("target", spec.target.name, spec.target.arguments)
            self._targets[key] = made.prepared(graph).after_repair()
        return self._targets[key]

    # ---- the examples -----------------------------------------------------------------------------------------

    @cached_property
    def held(self) -> SplitExamples | None:
        """A user's own examples, read once, or drawn ones; `None` for images by name."""
        if not self.draws:
            return own_examples(self.recipe.data)
        from kerasprune.data.arrays import inputs_by_split
        from kerasprune.repair.synthesis.synthesise import draw_batches, warn_of_misfit

        drawing = self.drawing
        del vars(self)["drawing"]  # with its model
        signature = drawing.signature
        arrays = signature.flatten(draw_batches(drawing, self.folder_of_drawn, self.verbose))
        warn_of_misfit(drawing)
        return inputs_by_split(
            {each.name: array for each, array in zip(signature.inputs, arrays, strict=True)}, SYNTHETIC
        )

    @property
    def draws(self) -> bool:
        """Whether the examples are drawn from the initial model."""
        return self.recipe.data is not None and self.recipe.data.name == SYNTHETIC

    @property
    def folder_of_drawn(self) -> Path | None:
        """The folder in which drawn examples are saved; `None` if they are drawn again each time."""
        return None

    @property
    def verbose(self) -> int:
        """Progress that is shown while examples are drawn, 0 or 1."""
        return 1

    @cached_property
    def drawing(self) -> Drawing:
        """The draw of examples for the initial model, which is checked and not begun."""
        from kerasprune.repair.synthesis.drawing import Drawing  # of few recipes

        spec, model = self.recipe.data, self.dense_model()
        side = (spec.size or getattr(self.recipe.model, "size", None)) if has_free_axes(model) else None
        samples = SMOKE_SAMPLES if self.recipe.smoke else spec.samples
        return Drawing(model, samples, method=None, size=side, seed=self.recipe.seed)

    def examples(
        self, split: str, model: keras.Model, *, batch: int | None = None, size: int | None = None
    ) -> Examples:
        """Returns the examples of a split, in batches; at another image size if one is given."""
        found = examples(self.recipe, split, model, batch, size, self.held)
        return Examples(found, self.recipe.data.batch, fixed=fixed_batch(model))

    def plain_examples(self, model: keras.Model) -> Examples:
        """Returns the training examples without augmentation."""
        data = self.recipe.data.model_copy(update={"augment": None})
        recipe = self.recipe.model_copy(update={"data": data})
        return Examples(examples(recipe, "train", model, held=self.held), data.batch, fixed=fixed_batch(model))

    def validation(self, model: keras.Model, size: int | None = None) -> Examples | None:
        """Returns the validation examples, or `None` if the recipe has none."""
        split = self.recipe.data and self.recipe.data.validation
        return None if split is None else self.examples(split, model, size=size)

    def labelled(self, model: keras.Model) -> bool:
        """Returns whether the examples have labels."""
        return not self.draws and (self.held is None or self.examples("train", model).labelled)

    def check_labels(self, model: keras.Model) -> None:
        """Checks a user's labels.

        Raises:
            PruneError: They do not fit the loss; or they are missing, and the recipe needs some.
        """
        if not self.draws and self.held is not None:
            check_examples(model, self.objective(model), self.examples("train", model))
        if self.labelled(model):
            return
        recipe, faults = self.recipe, []
        scoring = recipe.prune and (recipe.prune.plan or recipe.prune.at_initialisation)
        criterion = scoring and scoring.criterion
        if criterion and "gradients" in lookup.make("criterion", criterion.name, criterion.arguments).needs:
            differentiates = f": {criterion.name}, which differentiates the loss. Choose another, or give "
            key = Key(f"prune.{recipe.prune.section or 'plan'}.criterion")
            wanted = ("Expected labels for ", key, differentiates, Key("data.name"))
            faults.append(PruneError(*wanted, " with labels."))
        if recipe.train or recipe.prune and (recipe.prune.callback or recipe.prune.judged):
            judged = [f"prune.{name}" for name, section in SECTIONS.items() if section.judged]
            faults.append(f"Expected labels for train, and for {', '.join(['prune.callback', *judged])}.")
        teaching = recipe.finetune and recipe.finetune.distil
        alone = recipe.prune and recipe.prune.alone
        if recipe.finetune and alone and alone.untaught:
            section = f" with {recipe.prune.section}, {alone.untaught}."
            faults.append(PruneError("Expected labels for ", Key("finetune"), section))
        elif recipe.finetune and not teaching:
            taught = ("Expected labels for ", Key("finetune"), " without ", Key("finetune.distil", "distil"))
            faults.append(PruneError(*taught, ". Add ", Key("finetune.distil", "distil: {}"), "."))
        elif teaching and teaching.weight not in (None, 1.0):
            faults.append(
                f"Expected labels with finetune.distil.weight={teaching.weight:g}. Leave it out, or give 1.0."
            )
        raise_faults(f"The data {recipe.data.name!r} have no labels:", faults)

    # ---- training and judging ---------------------------------------------------------------------------------

    def objective(self, model: keras.Model, label_smoothing: float = 0.0) -> Objective:
        """Returns the loss and metrics that the models are trained and judged by.

        In this order: the loss that the recipe names; classification for a data set of images; the loss that the
        checkpoint was compiled with; classification, if the labels are class indices. Empty without labels.

        Raises:
            PruneError: None of these applies.
        """
        if not self.labelled(model):
            return Objective()
        return replace(self._objective(model), label_smoothing=label_smoothing)

    def _objective(self, model: keras.Model) -> Objective:
        recipe = self.recipe
        if recipe.data is None or own(recipe.data.name) is None:
            return classification(model) if recipe.loss is None else by_name(recipe.loss, model)
        found = of_config(self._compile_config, model, recipe.loss)
        if found is not None:
            return found
        if _numbers_of_classes(self.examples("train", model).data.element_spec[1], model):
            return classification(model)
        raise PruneError(
            f"Expected a loss for {recipe.data.name!r}, since the model has none. Received: loss=None. Give ",
            Key("loss"),
            ", such as mean_squared_error; or save the model compiled.",
        )

    @cached_property
    def _compile_config(self) -> dict[str, Any]:
        """The compile settings of the checkpoint, or that a model by name brings; empty if it is not compiled."""
        start = self.recipe.model
        if not isinstance(start, schema.Start):
            return {} if self.recipe.loss else self._by_name().get_compile_config() or {}
        config = read_compile_config(start.path)
        import_named(config)
        return config

    def compiled_optimizer(self) -> keras.Optimizer | None:
        """Returns the optimizer that the checkpoint is compiled with; `None` if it has none, or an unknown one."""
        config = self._compile_config.get("optimizer") if isinstance(self.recipe.model, schema.Start) else None
        try:
            return config and keras.optimizers.get(config)
        except (ValueError, TypeError):
            return None

    def judge(self, dense: keras.Model, split: str | None = None) -> Judge:
        """Returns a judge by validation examples, or by those of a split."""
        examples = self.examples(split, dense) if split is not None else self.validation(dense)
        return Judge(dense, self.objective(dense), examples)

    def metrics(self, model: keras.Model, examples: Examples | None) -> dict[str, float]:
        """Returns loss and metrics of a model on examples; empty without examples."""
        return {} if examples is None else Judge(model, self.objective(model), examples).metrics(model)

    def worth(self, model: keras.Model) -> float:
        """Returns the accuracy of a model on validation examples, or minus its loss."""
        return self.judge(model).worth(model)

    def aware(self, slim: keras.Model) -> keras.Model:
        """Returns the model that is fine-tuned: the slim one, or one over its weights that rounds as int8 does."""
        spec = self.recipe.finetune.quantization_aware
        if spec is None:
            return slim
        from kerasprune.export.quantization.aware import quantization_aware  # of few recipes

        return quantization_aware(slim, delay=spec.delay)

    def student(self, slim: keras.Model, dense: keras.Model, plan: Plan | None) -> keras.Model | None:
        """Returns the slim model as the student of the dense one, or `None` without `distil`."""
        spec = self.recipe.finetune.distil
        if spec is None:
            return None
        weight = teacher_weight(self.labelled(slim)) if spec.weight is None else spec.weight
        plan = plan if spec.features else None
        from kerasprune.training.distillation.student import distil

        return distil(slim, dense, temperature=spec.temperature, weight=weight, features=spec.features, plan=plan)

    @property
    def slack(self) -> float:
        """The slack of a reconstruction; by default, it depends on whether training follows."""
        given = self.recipe.reconstruct and self.recipe.reconstruct.slack
        if given is not None:
            return given
        return BEFORE_TRAINING if self.recipe.finetune else 0.0


def _numbers_of_classes(targets: Any, model: keras.Model) -> bool:
    """Returns whether the specification of a batch of labels is that of class indices."""
    outputs = [tuple(each.shape) for each in model.outputs]
    if isinstance(targets, dict | tuple | list) or not targets.dtype.is_integer or targets.shape.rank != 1:
        return False
    return len(outputs) == 1 and len(outputs[0]) == 2 and outputs[0][1] > 1
