"""The argument of every stage: the experiment, its files, its models, and a console."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from kerasprune.errors import PruneError
from kerasprune.export.registry import formats
from kerasprune.files.keras_model import save_and_load
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.graph.trace import trace
from kerasprune.recipes import lookup, plan_section, schema
from kerasprune.recipes.experiment import Experiment
from kerasprune.recipes.reports import tables
from kerasprune.recipes.run_folder import NAMES, RunFolder
from kerasprune.steps.judge import Judge
from kerasprune.steps.report import StepReport
from kerasprune.surgery.cut import Cut
from kerasprune.training.callback import declaring_class

if TYPE_CHECKING:
    from rich.console import Console

HELD = 3
"""Number of models of a run that are kept in memory."""


@dataclass(frozen=True)
class Run(Experiment):
    """An experiment with files and a console.

    A stage takes models from the run and saves models to it. They are on disk when the stage is finished, so that an
    interrupted run can resume, and in memory for the next stage: the dense model and the two latest others.

    Args:
        recipe: The recipe.
        folder: The run folder.
        console: The console.
    """

    folder: RunFolder
    console: Console
    _models: dict[str, keras.Model] = field(default_factory=dict, init=False, repr=False, compare=False)
    _plans: list[Plan] = field(default_factory=list, init=False, repr=False, compare=False)
    _graphs: dict[tuple[int, str], ChannelGraph] = field(default_factory=dict, init=False, repr=False, compare=False)
    _cuts: dict[int, Cut] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def exports(self) -> list[str]:
        """The formats of the recipe that this machine has the modules for."""
        return [name for name in self.recipe.export if formats.member(name).is_installed]

    # ---- models -----------------------------------------------------------------------------------------------

    def model(self, name: str) -> keras.Model:
        """Returns a model of the run, which must not be changed, from memory or its file."""
        if name not in self._models:
            self._hold(name, self.folder.model(f"{name}.keras"))
        return self._models[name]

    def take(self, name: str) -> keras.Model:
        """Returns a model of the run to be trained, and removes it from memory."""
        model = self.model(name)
        for other in [other for other, each in self._models.items() if each is model]:
            del self._models[other]
        return model

    def save(self, name: str, model: keras.Model) -> None:
        """Saves a model, and keeps it in memory."""
        self.folder.save_model(f"{name}.keras", model)
        self._hold(name, model)

    def hand_over(self, name: str, model: keras.Model) -> None:
        """Saves a slim model, and keeps it as its file has it, so that all that follows is measured on the file."""
        self._hold(name, save_and_load(model, self.folder.file(f"{name}.keras")))

    def _hold(self, name: str, model: keras.Model) -> None:
        self._models.pop(name, None)
        self._models[name] = model
        while len({id(each) for each in self._models.values()}) > HELD:
            del self._models[next(other for other in self._models if other != "dense")]

    @property
    def folder_of_drawn(self) -> Path:
        """The folder in which drawn examples are saved."""
        return self.folder.file("drawn")

    @property
    def verbose(self) -> int:
        """Progress that is shown within long steps, 0 or 1."""
        return int(not self.console.quiet)

    # ---- the plan and graphs -------------------------------------------------------------------------------------

    def plan_of(self) -> Plan | None:
        """Returns the plan of the run, read once, or `None` before it is made."""
        path = self.folder.file("plan.json")
        if not self._plans and path.exists():
            self.keep_plan(Plan.load(path))
        return self._plans[-1] if self._plans else None

    def keep_plan(self, plan: Plan) -> None:
        """Keeps the plan of the run for the stages that follow."""
        self._plans[:] = [plan]

    def cut(self) -> Cut:
        """Returns the cut that the plan of the run makes in the pruned model, made once."""
        model, plan = self.model("pruned"), self.plan_of()
        if id(model) not in self._cuts or self._cuts[id(model)].plan is not plan:
            self._cuts.clear()
            self._cuts[id(model)] = Cut.of(self.graph(model, plan.coupling), plan)
        return self._cuts[id(model)]

    def side(self, name: str) -> int | None:
        """Returns the image side of the model called `name` if a plan has changed it, else `None`."""
        plan = None if name == "dense" else self.plan_of()
        return None if plan is None else plan.resolution

    def final(self) -> str:
        """Returns the name of the final model."""
        return "slim" if self.recipe.prune else "dense"

    def traced(self, model: keras.Model, spec: plan_section.Traced) -> ChannelGraph:
        """Traces a model as a section of the recipe specifies, and keeps the graph."""
        graph = super().traced(model, spec)
        self._remember(graph)
        return graph

    def graph(self, model: keras.Model, coupling: str) -> ChannelGraph:
        """Returns the graph of a model, traced once; layers without a rule are frozen."""
        if self._graphs.get((id(model), coupling)) is None:
            self._remember(trace(model, coupling=coupling, unknown="freeze"))
        return self._graphs[id(model), coupling]

    def _remember(self, graph: ChannelGraph) -> None:
        if not graph.freeze and graph.size is None:
            self._graphs[id(graph.model), graph.coupling] = graph

    def for_format(self, name: str, form: str) -> keras.Model:
        """Returns a model of the run to be exported; in int8 the final one has the ranges of its training, if any."""
        model, ranges = self.model(name), self.folder.arrays("ranges.npz")
        if ranges is None or (name, form) != (self.final(), "tflite-int8"):
            return model
        aware = self.aware(model)
        for variable in aware.ranges:
            variable.assign(ranges[variable.path])
        return aware

    # ---- callbacks and judging ----------------------------------------------------------------------------------

    def callback(self, spec: schema.Named, plan: Plan | None, model: keras.Model) -> Any:
        """Returns the callback that the recipe names, with the plan and the image side if it takes them.

        A callback that picks channels itself gets only the fraction of each group that the plan keeps.
        """
        arguments = spec.arguments
        declaration = declaring_class(lookup.member("callback", spec.name))
        if "size" in declaration.takes:
            arguments.setdefault("size", self.free_side(model))
        if plan is not None and declaration.decides:
            raise PruneError(
                f"Expected no plan with {spec.name!r}, which decides by the scales that it finds. Received: "
                "prune.plan. Remove it; give the fraction kept as prune.callback.macs."
            )
        if plan is not None and "plan" in declaration.takes:
            arguments["plan"] = plan
        elif plan is not None and "keep" in declaration.takes:
            if plan.coupling != "free":
                raise PruneError(
                    f"Expected a plan with coupling: free with {spec.name!r}, which picks inside the residual "
                    f"branches. Received: coupling={plan.coupling!r}."
                )
            groups = self.graph(model, "free").groups
            arguments["keep"] = {name: len(kept) / groups[name].size for name, kept in plan.keep.items()}
        elif plan is not None:
            raise PruneError(
                f"Expected no plan with {spec.name!r}, which takes none. Received: prune.plan. Remove it; the "
                "fraction kept is an argument of the callback."
            )
        return lookup.make("callback", spec.name, arguments)

    @cached_property
    def validation_judge(self) -> Judge:
        """The judge of the models of the run, on validation examples if there are some."""
        return self.judge(self.model("dense"))


def judge_after(run: Run, step: str, model: keras.Model) -> Judge:
    """Returns the judge of a model after a stage, on validation examples.

    A model with another image side than the dense one is judged by labels alone.
    """
    side = run.side(step)
    if side is None or run.recipe.data is None:
        return run.validation_judge
    return Judge(None, run.objective(model), run.validation(model, side))


def write(run: Run, step: str, found: StepReport) -> None:
    """Records a measured step in `steps.json` and `metrics.csv`, and prints it."""
    if found.error is None and not found.metrics:
        return
    row: dict[str, Any] = {
        "step": step,
        "accuracy": found.metrics.get("accuracy"),
        "loss": found.metrics.get("loss"),
        "output_error": found.error,
        "unjudged": found.unjudged,
        "balanced": found.balanced,
        "metrics": dict(found.metrics),
        "epoch": found.epoch,
    }
    earlier = [one for one in run.folder.json("steps.json") or [] if one["step"] != step]
    run.folder.write_json("steps.json", [*earlier, row])
    if found.metrics and step in ("rebuild", "reconstruct"):
        run.folder.set_metrics(step, [{"epoch": 0, **{f"val_{key}": value for key, value in found.metrics.items()}}])
    words = tables.step_in_words(row)
    if words:
        run.console.print(words, highlight=False, soft_wrap=True)


def mark_delivered(run: Run, step: str, remarks: Sequence[str]) -> None:
    """Marks the step whose model is the result in `steps.json`, with remarks, and prints these."""
    rows = run.folder.json("steps.json") or []
    marked = {"delivered": True, "remarks": list(remarks)}
    run.folder.write_json("steps.json", [row | marked if row["step"] == step else row for row in rows])
    for remark in remarks:
        run.console.print(remark, highlight=False, soft_wrap=True)


def note(run: Run, step: str, model: keras.Model) -> StepReport:
    """Measures a model after a stage, and records the step."""
    with run.console.status(f"measure {step}"):
        found = judge_after(run, step, model).step(NAMES[step], model)
    write(run, step, found)
    return found
