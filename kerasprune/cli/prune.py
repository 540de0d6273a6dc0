"""Prunes a model at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kerasprune.checks import choice_faults, given_values
from kerasprune.cli.application import commands
from kerasprune.cli.latency import print_latencies
from kerasprune.cli.options import (
    DATA,
    MEASURED,
    OF_DATA,
    OF_TRAINING,
    RUNNING,
    SELECTION,
    TARGETS,
    TRAINING,
    AsJson,
    LogFile,
    ModelPath,
    Out,
    Overwrite,
    check_model_path,
    check_needed,
    data_section,
    finetune_section,
    import_code,
    load,
    option,
    options_given,
    take_options,
    target_of,
)
from kerasprune.cli.outcome import TIMES, check_recipe, name_of_run, print_json, print_outcome, run_of, run_recipe
from kerasprune.cli.startup import Messages, start
from kerasprune.cli.words import ROUNDING, word_of
from kerasprune.errors import Key, PruneError, raise_faults, short
from kerasprune.export.latency.machine import DEVICES
from kerasprune.models.sets.lookup import SYNTHETIC

if TYPE_CHECKING:
    from kerasprune.export.latency import LatencyComparison
    from kerasprune.recipes.stages.context import Run

EXAMPLES = (
    "Without --data: examples drawn from the model, which kernels are solved on; auto: 600, if the model has "
    "statistics of BatchNorm and it takes at most five minutes; none: only cut."
)

EPOCHS = "0: none. Defaults to 0, or to 5 in a search."
OF_A_TRIAL = 5  # epochs, if nobody says how many

BESIDE = "Time the slim and the dense model in turn."
SIDES = ("dense.keras", "slim.keras")


@commands.command()
@take_options(*TARGETS, *MEASURED, *SELECTION, *ROUNDING, *DATA, "loss", *TRAINING, "seed", "export", *RUNNING)
def prune(
    context: typer.Context,
    model: ModelPath,
    out: Out,
    reconstruct: Annotated[bool, typer.Option(help="Solve the slim kernels by least squares, without labels.")] = True,
    samples: Annotated[int | None, option("reconstruct.samples")] = None,
    max_drop: Annotated[float | None, option("prune.max_drop.value")] = None,
    by: Annotated[str | None, option("prune.max_drop.by")] = None,
    metric: Annotated[str | None, option("prune.max_drop.metric")] = None,
    trials: Annotated[int | None, option("prune.max_drop.trials")] = None,
    finetune_epochs: Annotated[int | None, option("finetune.epochs", EPOCHS)] = None,
    distil: Annotated[bool, typer.Option(help="The dense model teaches the slim one while it is fine-tuned.")] = True,
    examples: Annotated[str, typer.Option(metavar="auto|none|NUMBER", help=EXAMPLES)] = "auto",
    calibrate: Annotated[str | None, option("calibrate")] = None,
    beside: Annotated[str | None, typer.Option(metavar="litert|keras", help=BESIDE)] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    log_file: LogFile = None,
    **options: Any,
) -> None:
    """Prune a trained model at once and reconstruct it; with --data and --finetune-epochs train it, too.

    Composite layers are written out first; presets of KerasHub stay presets.
    """
    if (model / "config.json").is_file():
        from kerasprune.cli.preset import shrink_preset  # few models are presets of KerasHub

        shrink_preset(context)
        return
    check_model_path(model)
    raise_faults("Invalid arguments for prune:", choice_faults(DEVICES, **{"--beside": beside}) if beside else [])
    timed = "keras" in (options["device"], beside)  # at --batch, with data or without
    of_data = (*(name for name in OF_DATA if name != "batch" or not timed), "finetune_epochs", "max_drop")
    if finetune_epochs is None:
        finetune_epochs = context.params["finetune_epochs"] = 0 if max_drop is None else OF_A_TRIAL
    check_needed(context, data=of_data, reconstruct=("samples",), finetune_epochs=OF_TRAINING, export=("calibrate",))
    check_needed(context, **({"max_drop": ("by", "metric", "trials")} if max_drop is None else {"time": ("device",)}))
    decision = _decision(context, given_values(value=max_drop, by=by, metric=metric, trials=trials), options)
    solving = given_values(samples=samples)
    drawn = int(examples) if examples.isdecimal() else examples
    raise_faults("Invalid arguments for prune:", _examples_faults(drawn, options["data"]))
    recipe = {
        **name_of_run(model),
        **options_given(options, "seed"),
        "model": {"start": str(model), "size": options["size"]},
        "data": data_section(options),
        "loss": options["loss"],
        "prune": decision,
        "reconstruct": solving if options["data"] and reconstruct else None,
        "finetune": finetune_section(finetune_epochs, options, distil=distil),
        "export": options["export"] or [],
        "calibrate": calibrate,
    }
    trust, quiet, resume = (options[name] for name in ("trust", "quiet", "resume"))
    import_code(options["imports"], trust, options["verbose"])
    messages = Messages(quiet=quiet, log=log_file)
    place = {"out": out, "resume": resume, "overwrite": overwrite}
    if isinstance(drawn, int):
        recipe |= _drawing(options, solving, samples=drawn) | ({} if reconstruct else {"reconstruct": None})
    valid = check_recipe(recipe, model, trust, **place)
    start(verbose=options["verbose"])
    shown, begun, reason = {"quiet": quiet, "as_json": as_json}, None, None
    if drawn == "auto" and valid.data is None and reconstruct:
        drawing = check_recipe(recipe | _drawing(options, solving), model, trust, **place)
        begun, reason = _if_affordable(run_of(drawing, out, **shown), resume)
        valid = valid if begun is None else drawing
    folder = run_recipe(valid, messages=messages, begun=begun, **place, **shown)
    if reason is not None and not quiet:
        typer.echo(" ".join(reason.spelled(word_of(context.command)).split()), err=True)
    timing = None if beside is None else _timed(folder, beside, options)
    if as_json:
        print_json(folder)
    elif not quiet:
        print_outcome(folder, valid, context)
    if timing is not None and not as_json:
        print_latencies([folder / name for name in SIDES], timing)


def _decision(context: typer.Context, allowed: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the section `prune`: how much is kept, or what is allowed to be lost."""
    how = options_given(options, *SELECTION, *ROUNDING)
    if not allowed:
        return {"plan": target_of(context, options) | how}
    asked = options_given(options, *TARGETS, "time", "bytes", "ram")
    if asked:
        received = ", ".join(f"--{name} {value}" for name, value in asked.items())
        raise PruneError(f"Expected --max-drop or how much is kept. Received: both, {received} too. Leave one out.")
    table = options["table"] and str(options["table"].resolve())
    return {"max_drop": allowed | how | given_values(table=table) | options_given(options, "precision")}


def _timed(folder: Path, device: str, options: Mapping[str, Any]) -> LatencyComparison:
    """Returns the times of the dense and the slim model, measured in turn, which are also written to the folder."""
    from kerasprune.export.latency import compare_latency
    from kerasprune.files.writing import write_json

    how = {"batch": options["batch"]} if device == "keras" else {}
    timing = compare_latency([load(folder / name) for name in SIDES], device=device, size=options["size"], **how)
    write_json(folder / TIMES, asdict(timing))
    return timing


def _examples_faults(examples: str | int, data: Any) -> list[PruneError]:
    """Returns a fault if `--examples` is neither a choice nor a number above 5, or given with data."""
    name, received = Key("examples"), (". Received: ", Key("examples"), f"={short(examples)}.")
    if examples not in ("auto", "none") and not (type(examples) is int and examples > 5):
        return [PruneError("Expected ", name, " to be 'auto', 'none' or an integer above 5", *received)]
    if data is not None and examples != "auto":
        return [PruneError("Expected ", name, " without ", Key("data"), ", in whose place they are drawn", *received)]
    return []


def _drawing(options: dict[str, Any], solving: dict[str, int], **samples: int) -> dict[str, Any]:
    """Returns the sections of a recipe that draw examples and reconstruct."""
    return {"data": {"name": SYNTHETIC, **samples, **options_given(options, "size")}, "reconstruct": solving}


def _if_affordable(one: Run, resume: bool) -> tuple[Run | None, PruneError | None]:
    """Returns a run that draws examples, if it takes little time; else `None`, and the reason if it is decided now.

    Args:
        one: The run.
        resume: Whether it may be resumed: then the decision of its folder stays.
    """
    from kerasprune.files import is_file
    from kerasprune.recipes.run_folder import begun
    from kerasprune.steps.drawn_examples import affordable

    if resume and is_file(one.folder.file("recipe.yaml")):
        return None if begun(one.folder.path, trust=True).data is None else one, None
    drawing, reason = affordable(lambda: one.drawing)
    return None if drawing is None else one, reason
