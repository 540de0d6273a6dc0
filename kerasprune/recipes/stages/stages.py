"""The stages of a run. Each reads files of the run folder and writes files into it, nothing else passes.

So a stage that was interrupted is begun anew from the files of the one before, and a resumed run computes
what an uninterrupted one does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import keras

import kerasprune as kp
from kerasprune import reports
from kerasprune.callbacks._bn_penalty import BatchNormPenalty
from kerasprune.callbacks._iterative import IterativeRemoval
from kerasprune.callbacks.hold_mask import HoldMask
from kerasprune.errors import PruneError
from kerasprune.graph.walk import functional
from kerasprune.recipes import lookup as members
from kerasprune.recipes import schema
from kerasprune.recipes.fit import classification_loss, fit
from kerasprune.recipes.formats import FORMATS
from kerasprune.recipes.images import pictures
from kerasprune.recipes.progress import FilterNorms, StopAfter
from kerasprune.recipes.run_folder import RunFolder, load_model
from kerasprune.recipes.stages import sparsity as masked
from kerasprune.recipes.stages.three_dimensions import shrink
from kerasprune.reports.dependencies import described
from kerasprune.training.masks import apply_masks

if TYPE_CHECKING:
    from rich.console import Console


MOMENTS = 60  # looks at the filter norms while pruning
_UNMEASURED = {"tflite_bytes": None, "latency_ms": None}
EXPORT_IMAGES = 1000  # images that calibrate and check an export


@runtime_checkable
class Compressible(Protocol):
    """A callback with a schedule that can be squeezed."""

    def compressed(self, steps: int) -> Any:
        """Returns the same callback with a shorter schedule."""


@runtime_checkable
class Scheduled(Protocol):
    """A callback with a schedule of a known length."""

    length: int


@dataclass(frozen=True)
class Run:
    """What every stage is given: what to do, where the files are, where to speak."""

    recipe: schema.Recipe
    folder: RunFolder
    console: Console

    def pictures(self, split: str, model: keras.Model, batch: int | None = None, size: int | None = None) -> Any:
        """Returns the images of a split, in batches; at a size, where not at that of the recipe."""
        return pictures(self.recipe, split, model.output_shape[-1], batch, size)

    def validation(self, model: keras.Model, size: int | None = None) -> Any:
        """Returns the validation images, or `None` where the recipe has none."""
        split = self.recipe.data.validation
        return None if split is None else self.pictures(split, model, size=size)

    def side(self, name: str) -> int | None:
        """Returns the image side of the model called `name` where a plan has changed it, else `None`."""
        path = self.folder.file("plan.json")
        return kp.Plan.load(path).resolution if name != "dense" and path.exists() else None

    def final(self) -> str:
        """Returns the name of the model that comes out of the run."""
        return "slim" if self.recipe.prune else "dense"


def train(run: Run) -> None:
    """Trains the dense model, or takes the checkpoint as it is: `dense.keras`."""
    keras.utils.set_random_seed(run.recipe.seed)
    model = dense_model(run.recipe)
    if run.recipe.train is not None:
        _train(run, "train", model, run.recipe.train)
    run.folder.save_model("dense.keras", model)


def prune(run: Run) -> None:
    """Chooses what stays and prepares the weights: `pruned.keras`, `plan.json` | `masks.npz`, `norms.npz`."""
    keras.utils.set_random_seed(run.recipe.seed + 1)
    spec = run.recipe.prune
    model = run.folder.model("dense.keras") if spec.weights == "trained" else dense_model(run.recipe)
    plan = None if spec.plan is None else choose(run, model, spec.plan)
    if spec.callback is not None:
        plan = _push(run, model, spec, plan)
    if spec.three_dimensions is not None:
        plan = shrink(run, model, spec.three_dimensions)
    if plan is not None:
        plan.save(run.folder.file("plan.json"))
    run.folder.save_model("pruned.keras", model)


def rebuild(run: Run) -> None:
    """Builds the model that stays, with the weights it had: `rebuilt.keras`, `widths.json`, `graph.json`."""
    model = run.folder.model("pruned.keras")
    masks = run.folder.arrays("masks.npz")
    if masks is not None:
        apply_masks(model, masks)
    else:
        plan = kp.Plan.load(run.folder.file("plan.json"))
        graph = kp.trace(model, coupling=plan.coupling, unknown="freeze")
        kept = {g.name: [g.size, len(plan.keep.get(g.name, range(g.size)))] for g in graph.prunable.values()}
        run.folder.write_json("widths.json", kept)
        run.folder.write_json("graph.json", described(graph))
        model = kp.rebuild(model, plan)
    if run.recipe.data is not None and run.recipe.data.validation is not None:
        logs = _measured(model, run.validation(model, run.side("rebuilt")))
        run.folder.set_metrics("rebuild", [{"epoch": 0, **{f"val_{key}": value for key, value in logs.items()}}])
    run.folder.save_model("rebuilt.keras", model)


def finetune(run: Run) -> None:
    """Trains the slim model, or takes it as it was rebuilt: `slim.keras`."""
    keras.utils.set_random_seed(run.recipe.seed + 2)
    model = run.folder.model("rebuilt.keras")
    if run.recipe.finetune is not None:
        masks = run.folder.arrays("masks.npz")
        holding = [] if masks is None else [HoldMask(masks)]
        _train(run, "finetune", model, run.recipe.finetune, holding)
    run.folder.save_model("slim.keras", model)


def evaluate(run: Run) -> None:
    """Counts the dense and the slim model, and tests both, the only time that test images are used."""
    found = {}
    for name in dict.fromkeys(("dense", run.final())):
        model = run.folder.model(f"{name}.keras")
        side = run.side(name)
        cost = kp.cost(model, resolution=side or free_side(model, run.recipe))
        with run.console.status(f"evaluate {name}"):
            data = run.recipe.data
            logs = {} if data is None else _measured(model, run.pictures(data.test, model, size=side))
        found[name] = {
            "accuracy": logs.get("accuracy"),
            "loss": logs.get("loss"),
            "params": cost.params,
            "macs": cost.macs,
            "activations": cost.activations,
            "bytes": cost.bytes,
            **masked.counted(model, run.folder.arrays("masks.npz")),
            "layers": [asdict(layer) for layer in cost.layers],
        }
    run.folder.write_json("costs.json", found)


def export(run: Run) -> None:
    """Writes the formats of the recipe below `exports/`, and measures each: `exports.json`."""
    model = run.folder.model(f"{run.final()}.keras")
    data, size = _samples(run, model, run.final())
    run.folder.file("exports").mkdir(exist_ok=True)
    written = []
    for name in run.recipe.export:
        written.append(_exported(run, model, name, f"{run.final()}-{name}", data, size))
    latency: dict[str, Any] = {}
    if "tflite" in run.recipe.export:
        latency = _compared(run)
    run.folder.write_json("exports.json", {"exports": written, **latency})


def report(run: Run) -> None:
    """Sums up: `summary.json` and `report.html`."""
    costs = run.folder.json("costs.json")
    exported = run.folder.json("exports.json") or {"exports": []}
    files = exported.get("models", {})
    models = {
        name: {
            **{key: value for key, value in cost.items() if key != "layers"},
            **_UNMEASURED,
            **files.get(name, {}),
        }
        for name, cost in costs.items()
    }
    run.folder.write_json(
        "summary.json",
        {
            "dense": models["dense"],
            "slim": models.get("slim"),
            "exports": exported["exports"],
            "seconds": round(sum(stage["seconds"] for stage in run.folder.stages().values()), 3),
            "stages": {name: stage["seconds"] for name, stage in run.folder.stages().items()},
            "smoke": run.recipe.smoke,
        },
    )
    reports.write(run.folder.path)


def dense_model(recipe: schema.Recipe) -> keras.Model:
    """Returns the model that a recipe begins with: built for its image size, or its checkpoint."""
    if isinstance(recipe.model, schema.Start):
        return load_model(recipe.model.path)
    name, arguments = recipe.model.name, recipe.model.arguments
    if members.takes("model", name, "input_shape"):
        arguments.setdefault("input_shape", (recipe.data.size, recipe.data.size, 3))
    if members.takes("model", name, "seed"):
        arguments.setdefault("seed", recipe.seed)
    return members.make("model", name, arguments)


def free_side(model: keras.Model, recipe: schema.Recipe) -> int | None:
    """Returns the image side for a model whose sides are free, `None` for one that has its own."""
    if None not in functional(model).inputs[0].shape[1:]:
        return None
    return recipe.data.size if recipe.data else getattr(recipe.model, "size", None)


def choose(run: Run, model: keras.Model, spec: schema.PlanStep) -> kp.Plan:
    """Returns the plan that a recipe's plan section describes."""
    side = free_side(model, run.recipe)
    graph = kp.trace(model, coupling=spec.coupling, freeze=spec.freeze, unknown=spec.unknown, resolution=side)
    return kp.plan(
        graph,
        criterion=members.make("criterion", spec.criterion.name, spec.criterion.arguments),
        budget=members.make("budget", spec.budget.name, spec.budget.arguments),
        keep=spec.keep,
        macs=spec.macs,
        params=spec.params,
        data=None if run.recipe.data is None else run.pictures("train", model),
        loss=classification_loss(model),
        min_keep=spec.min_keep,
        round_to=spec.round_to,
        seed=run.recipe.seed,
    )


def callback_of(spec: schema.Named, plan: kp.Plan | None, model: keras.Model, recipe: schema.Recipe) -> Any:
    """Returns the callback that a recipe names, given the plan where it takes one, and the image side where it asks.

    A callback that picks by itself is only told how many channels of each group the plan keeps.
    """
    arguments = spec.arguments
    if members.takes("callback", spec.name, "resolution"):
        arguments.setdefault("resolution", free_side(model, recipe))
    if plan is not None and _decides(spec.name):
        raise PruneError(
            f"Expected no plan beside {spec.name!r}, which decides by the scales that it finds. Received: prune.plan. "
            "Take it out; say how much stays with prune.callback.macs."
        )
    if plan is not None and members.takes("callback", spec.name, "plan"):
        arguments["plan"] = plan
    elif plan is not None and members.takes("callback", spec.name, "keep"):
        if plan.coupling != "free":
            raise PruneError(
                f"Expected a plan with coupling: free beside {spec.name!r}, which picks inside the residual "
                f"branches. Received: coupling={plan.coupling!r}."
            )
        groups = kp.trace(model, coupling="free", unknown="freeze").groups
        arguments["keep"] = {name: len(kept) / groups[name].size for name, kept in plan.keep.items()}
    return members.make("callback", spec.name, arguments)


def _decides(name: str) -> bool:
    member = members.member("callback", name)
    return isinstance(member, type) and issubclass(member, BatchNormPenalty)


def own_length(callback: Any) -> int:
    """Returns the number of steps that a callback's own schedule takes.

    Raises:
        PruneError: It has no schedule of its own.
    """
    if isinstance(callback, Scheduled):
        return callback.length
    raise PruneError(
        f"Expected epochs or steps in the prune stage. Received: neither, and {type(callback).__name__} has no "
        "schedule of its own. Add prune.epochs."
    )


def _push(run: Run, model: keras.Model, spec: schema.Prune, plan: kp.Plan | None) -> kp.Plan | None:
    """Fits with the callback; returns its plan, or writes its masks where it prunes single weights."""
    training = run.pictures("train", model, spec.batch)
    per_epoch = len(training)
    callback = callback_of(spec.callback, plan, model, run.recipe)
    total = spec.steps or (spec.epochs or 0) * per_epoch or own_length(callback)
    if run.recipe.smoke and isinstance(callback, Compressible):
        callback = callback.compressed(total)
    graph = kp.trace(model, coupling=plan.coupling if plan else "free", unknown="freeze")
    norms = FilterNorms(graph, every=max(1, total // MOMENTS))
    fit(
        model,
        spec,
        stage="prune",
        epochs=math.ceil(total / per_epoch),
        span=callback.span(per_epoch, total) if isinstance(callback, IterativeRemoval) else None,
        training=training,
        validation=run.validation(model),
        folder=run.folder,
        console=run.console,
        callbacks=[callback, norms, StopAfter(total)],
    )
    run.folder.write_arrays("norms.npz", norms.arrays())
    if isinstance(callback, BatchNormPenalty):
        callback.save(run.folder.file("scales.npz"))
    if callback.leaves_masks:
        run.folder.write_arrays("masks.npz", callback.masks)
        return None
    return callback.plan


def _train(
    run: Run, stage: str, model: keras.Model, spec: schema.Fit, more: Sequence[keras.callbacks.Callback] = ()
) -> None:
    side = run.side("rebuilt") if stage == "finetune" else None
    training = run.pictures("train", model, spec.batch, side)
    fit(
        model,
        spec,
        stage=stage,
        epochs=spec.epochs,
        training=training,
        validation=run.validation(model, side),
        folder=run.folder,
        console=run.console,
        callbacks=[*more, *(callback_of(callback, None, model, run.recipe) for callback in spec.callbacks)],
    )


def _measured(model: keras.Model, images: Any) -> dict[str, float]:
    twin = keras.Model(model.inputs, model.outputs)
    twin.compile(loss=classification_loss(model), metrics=["accuracy"])
    return twin.evaluate(images, verbose=0, return_dict=True)


def _exported(run: Run, model: keras.Model, name: str, stem: str, data: Any, size: int | None) -> dict[str, Any]:
    form = FORMATS[name]
    path = run.folder.file("exports") / f"{stem}{form.suffix}"
    with run.console.status(f"export {name}"):
        made = form.write(model, path, data=data, size=size, overwrite=True)
    run.console.print(f"export {made}", highlight=False, soft_wrap=True)
    return {
        "format": name,
        "file": str(path.relative_to(run.folder.path)),
        "bytes": made.bytes,
        "max_error": made.max_error,
        "agreement": made.agreement,
        "latency_ms": made.latency_ms,
    }


def _samples(run: Run, model: keras.Model, name: str) -> tuple[Any, int | None]:
    """Returns the images that calibrate and check an export, if any, and their side."""
    size = run.side(name) or free_side(model, run.recipe)
    if run.recipe.data is None:
        return None, size
    images = run.pictures(run.recipe.data.validation or "train", model, size=run.side(name))
    images = images.map(lambda image, label: image)
    return images.unbatch().take(EXPORT_IMAGES).batch(run.recipe.data.batch), size


def _compared(run: Run) -> dict[str, Any]:
    """Returns size and latency of the dense and the slim float32 file, timed in turn."""
    from kerasprune.export.latency import compare_latency

    names = list(dict.fromkeys(("dense", run.final())))
    paths = [run.folder.file("exports") / f"{name}-tflite.tflite" for name in names]
    if run.final() != "dense":
        dense = run.folder.model("dense.keras")
        _exported(run, dense, "tflite", "dense-tflite", *_samples(run, dense, "dense"))
    timed = compare_latency(paths).latencies
    return {
        "models": {
            name: {"tflite_bytes": path.stat().st_size, "latency_ms": time.median_ms}
            for name, path, time in zip(names, paths, timed, strict=True)
        }
    }
