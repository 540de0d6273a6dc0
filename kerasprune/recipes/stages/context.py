"""The run that every stage is given: the experiment, its files, its models, and a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import keras

from kerasprune.attaching.callback import declared
from kerasprune.errors import PruneError
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import trace
from kerasprune.plans import Plan
from kerasprune.recipes import lookup, schema
from kerasprune.recipes.experiment import Experiment, Traced
from kerasprune.recipes.run_folder import NAMES, RunFolder
from kerasprune.reports import tables
from kerasprune.steps.judge import Judge
from kerasprune.steps.report import StepReport

if TYPE_CHECKING:
    from rich.console import Console

HELD = 3
"""Models of a run that are in memory at a time."""


@dataclass(frozen=True)
class Run(Experiment):
    """An experiment with files: what to do, where the files are, where to speak.

    A stage takes models from the run and gives models to it. They are on disk when the stage is finished, so that a run
    that was broken off goes on from there, and in memory for the next one: the dense model and
    two others, of which the oldest is let go.

    Args:
        recipe: The recipe.
        folder: The files.
        console: The terminal.
    """

    folder: RunFolder
    console: Console
    _models: dict[str, keras.Model] = field(default_factory=dict, init=False, repr=False, compare=False)
    _graphs: dict[tuple[int, str], ChannelGraph] = field(default_factory=dict, init=False, repr=False, compare=False)

    # ---- models -----------------------------------------------------------------------------------------------

    def model(self, name: str) -> keras.Model:
        """Returns a model of the run, which must not be changed; from memory, or else from its file."""
        if name not in self._models:
            self._hold(name, self.folder.model(f"{name}.keras"))
        return self._models[name]

    def take(self, name: str) -> keras.Model:
        """Returns a model of the run to be trained, and forgets that it was in memory."""
        model = self.model(name)
        for other in [other for other, each in self._models.items() if each is model]:
            del self._models[other]
        return model

    def save(self, name: str, model: keras.Model) -> None:
        """Writes a model to its file, and holds it."""
        self.folder.save_model(f"{name}.keras", model)
        self._hold(name, model)

    def _hold(self, name: str, model: keras.Model) -> None:
        self._models.pop(name, None)
        self._models[name] = model
        while len({id(each) for each in self._models.values()}) > HELD:
            del self._models[next(other for other in self._models if other != "dense")]

    # ---- what was decided -------------------------------------------------------------------------------------

    def plan_of(self) -> Plan | None:
        """Returns the plan of the run, or `None` if there is none (yet)."""
        path = self.folder.file("plan.json")
        return Plan.load(path) if path.exists() else None

    def side(self, name: str) -> int | None:
        """Returns the image side of the model called `name` if a plan has changed it, else `None`."""
        plan = None if name == "dense" else self.plan_of()
        return None if plan is None else plan.resolution

    def final(self) -> str:
        """Returns the name of the model that comes out of the run."""
        return "slim" if self.recipe.prune else "dense"

    def traced(self, model: keras.Model, spec: Traced) -> ChannelGraph:
        """Returns the graph of a model as a section of the recipe asks for, and remembers it."""
        graph = super().traced(model, spec)
        self._remember(graph)
        return graph

    def graph(self, model: keras.Model, coupling: str) -> ChannelGraph:
        """Returns the graph of a model, traced once; layers that cannot be followed are frozen."""
        if self._graphs.get((id(model), coupling)) is None:
            self._remember(trace(model, coupling=coupling, unknown="freeze"))
        return self._graphs[id(model), coupling]

    def _remember(self, graph: ChannelGraph) -> None:
        if not graph.freeze and graph.resolution is None:
            self._graphs[id(graph.model), graph.coupling] = graph

    # ---- callbacks and judging ----------------------------------------------------------------------------------

    def callback(self, spec: schema.Named, plan: Plan | None, model: keras.Model) -> Any:
        """Returns the callback that the recipe names, given the plan if it takes one, and the image side if it asks.

        A callback that picks by itself is only told how many channels of each group the plan keeps.
        """
        arguments = spec.arguments
        declaration = declared(lookup.member("callback", spec.name))
        if "resolution" in declaration.takes:
            arguments.setdefault("resolution", self.free_side(model))
        if plan is not None and declaration.decides:
            raise PruneError(
                f"Expected no plan beside {spec.name!r}, which decides by the scales that it finds. Received: "
                "prune.plan. Take it out; say how much stays with prune.callback.macs."
            )
        if plan is not None and "plan" in declaration.takes:
            arguments["plan"] = plan
        elif plan is not None and "keep" in declaration.takes:
            if plan.coupling != "free":
                raise PruneError(
                    f"Expected a plan with coupling: free beside {spec.name!r}, which picks inside the residual "
                    f"branches. Received: coupling={plan.coupling!r}."
                )
            groups = self.graph(model, "free").groups
            arguments["keep"] = {name: len(kept) / groups[name].size for name, kept in plan.keep.items()}
        elif plan is not None:
            raise PruneError(
                f"Expected no plan beside {spec.name!r}, which takes none. Received: prune.plan. Take it out; how much "
                "stays is an argument of the callback."
            )
        return lookup.make("callback", spec.name, arguments)

    @cached_property
    def validation_judge(self) -> Judge:
        """Judges the models of the run on validation examples; nothing is measured if there are none."""
        return self.judge(self.model("dense"))


def judge_after(run: Run, step: str, model: keras.Model) -> Judge:
    """Returns what judges a model after a stage, by validation examples.

    A model that takes images of another side than the dense one is judged by labels alone.
    """
    side = run.side(step)
    if side is None or run.recipe.data is None:
        return run.validation_judge
    return Judge(None, run.objective(model), run.validation(model, side))


def write(run: Run, step: str, found: StepReport) -> None:
    """Notes a measured step in `steps.json` and `metrics.csv`, and says it; nothing if nothing was measured."""
    if found.error is None and not found.metrics:
        return
    row: dict[str, Any] = {
        "step": step,
        "accuracy": found.metrics.get("accuracy"),
        "loss": found.metrics.get("loss"),
        "output_error": found.error,
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


def say_delivered(run: Run, step: str, remarks: Sequence[str]) -> None:
    """Marks the step whose model the run hands over in `steps.json`, with remarks on it, and says them."""
    rows = run.folder.json("steps.json") or []
    marked = {"delivered": True, "remarks": list(remarks)}
    run.folder.write_json("steps.json", [row | marked if row["step"] == step else row for row in rows])
    for remark in remarks:
        run.console.print(remark, highlight=False, soft_wrap=True)


def note(run: Run, step: str, model: keras.Model) -> StepReport:
    """Measures a model after a stage and notes it."""
    with run.console.status(f"measure {step}"):
        found = judge_after(run, step, model).step(NAMES[step], model)
    write(run, step, found)
    return found
