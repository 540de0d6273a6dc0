"""The arguments and options that several commands share, and what is done with them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kerasprune.errors import PruneError, of_percent, raise_faults

if TYPE_CHECKING:
    import keras

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a recipe, or path of a .yaml file.")]
ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="Path of a .keras file.")]
Out = Annotated[Path, typer.Option("--out", help="Where to write; must be empty or not there yet.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY.KEY=VALUE", help="Change one key; may be repeated.")
]
Trust = Annotated[bool, typer.Option("--trust", help="Allow package.module:Name, which imports that code.")]
Import = Annotated[
    list[str] | None,
    typer.Option("--import", metavar="FILE.py|PACKAGE", help="Code with classes of the model; needs --trust."),
]
Size = Annotated[int | None, typer.Option("--size", help="Image side in pixels, where the model leaves it free.")]
Data = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FOLDER|FILE.npz|MODULE:FUNCTION",
        help="A data set ('kerasprune ls data'), images in a folder per class, arrays x and y, or (with --trust) a "
        "function that returns a tf.data.Dataset.",
    ),
]
Scale = Annotated[
    str | None,
    typer.Option(
        metavar="SCALE",
        help="What the model was trained on: 0..1, -1..1, 0..255, standardise, imagenet or none. "
        "Images of a data set are standardised unless this says else; arrays are taken as they are.",
    ),
]
Batch = Annotated[int, typer.Option(help="Examples per batch.")]
Loss = Annotated[
    str | None, typer.Option(help="Name of a Keras loss. Defaults to the one that the model was compiled with.")
]
Optimizer = Annotated[str, typer.Option(help="sgd, adam or adamw, for fine-tuning.")]
LearningRate = Annotated[
    float | None, typer.Option(help="Where fine-tuning starts, then half a cosine. [0.01; Adam: 0.001]")
]
Budget = Annotated[str, typer.Option(help="How much stays where; see 'kerasprune ls budgets'.")]
Coupling = Annotated[str, typer.Option(help="tied: residual trunks shrink too; free: they stay; padded.")]
Freeze = Annotated[
    list[str] | None, typer.Option("--freeze", metavar="LAYER", help="Keep all its channels; may be repeated.")
]
Unknown = Annotated[
    str,
    typer.Option(
        "--unknown", help="At a layer that cannot be followed: raise, or freeze, which keeps the channels around it."
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Fail where a figure that the recipe expects is missed.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show what TensorFlow and Keras print, too.")]

SAVED_MODEL, H5 = "saved_model.pb", (".h5", ".hdf5")

# What a key of a recipe is called on the command line.
OPTIONS = {
    "model.start": "MODEL",
    "model.size": "--size",
    "data.name": "--data",
    "data.size": "--size",
    "resolution": "--size",
    "data.scale": "--scale",
    "data.batch": "--batch",
    **{f"prune.plan.{name}": f"--{name}" for name in ("keep", "macs", "params", "criterion", "budget", "coupling")},
    "prune.plan.round_to": "--round-to",
    "prune.plan.min_keep": "--min-keep",
    "prune.plan.freeze": "--freeze",
    "prune.plan.unknown": "--unknown",
    "prune.plan": "--keep, --macs, --params",
    **{f"prune.precrop.{name}": f"--{name}" for name in ("params", "macs", "freeze", "unknown")},
    "prune.precrop": "--params, --macs",
    "finetune.epochs": "--finetune-epochs",
    "finetune.optimizer.learning_rate.start": "--learning-rate",
    "finetune.optimizer": "--optimizer",
    **{name: f"--{name}" for name in ("seed", "loss", "export", "calibrate")},
}
_LONGEST_FIRST = "|".join(re.escape(key) for key in sorted(OPTIONS, key=len, reverse=True))
_KEYS = re.compile(rf"(?<![\w.-])({_LONGEST_FIRST})(?=(\.\d+)?[:=])")


@contextlib.contextmanager
def in_options() -> Iterator[None]:
    """Words what a recipe says of its keys in options: the user of a command has written no recipe."""
    try:
        yield
    except PruneError as error:
        raise PruneError(_KEYS.sub(lambda found: OPTIONS[found[0]], str(error))) from error


def fraction(value: float | None, parameter: typer.CallbackParam) -> float | None:
    """Returns a fraction; says what is meant where per cent were given.

    Raises:
        PruneError: It is not in (0, 1].
    """
    if value is None or 0 < value <= 1:
        return value
    raise PruneError(
        f"Expected --{parameter.name} to be the fraction that stays, in (0, 1]: 0.5 for half. "
        f"Received: --{parameter.name} {value:g}.{of_percent(value)}"
    )


OF_TRAINING = ("optimizer", "learning_rate", "distil")
"""Options that do nothing without epochs of training."""
OF_DATA = ("scale", "batch", "loss")
"""Options that do nothing without data."""


def check_needed(context: typer.Context, **needed: Sequence[str]) -> None:
    """Says which options were given that do nothing without another one.

    Args:
        context: The command, with what was given.
        **needed: `name of an option: names of those that do nothing without it`.

    Raises:
        PruneError: There is such an option.
    """
    faults = []
    for need, options in needed.items():
        idle = [] if context.params[need] else [name for name in options if _asked_for(context, name)]
        if idle:
            given = ", ".join(map(_dashed, idle))
            faults.append(f"Expected {_dashed(need)} beside {given}, without which there is no use for it")
    raise_faults(f"{context.info_name} cannot be done like this:", faults)


def _asked_for(context: typer.Context, name: str) -> bool:
    """Says whether an option was given on the command line, and not to switch something off."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE" and context.params[name] not in (False, 0)


def _dashed(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def check_model_path(path: Path) -> None:
    """Says why a path cannot be the file of a model, before anything heavy is imported.

    Raises:
        PruneError: It is none; the message says what it is.
    """
    if path.suffix == ".keras" and path.is_file():
        return
    if path.is_dir():
        kind = "a SavedModel" if (path / SAVED_MODEL).is_file() else "a folder"
        raise PruneError(
            f"Expected the path of a .keras file. Received: {str(path)!r}, which is {kind}. "
            "A SavedModel holds a compiled graph without layers, which cannot be pruned: "
            "save the model that it was made from with model.save('model.keras')."
        )
    if not path.is_file():
        raise PruneError(f"Expected the path of a .keras file. Received: {str(path)!r}, which is no file.")
    remedy = "Save the model with model.save('model.keras')."
    if path.name.endswith(".weights.h5"):
        remedy = "It holds weights without layers: load them into the model that you built, and save that as a whole."
    elif path.suffix in H5:
        remedy = f"Write it anew once: keras.models.load_model({str(path)!r}).save('model.keras')."
    raise PruneError(f"Expected a file that ends in .keras. Received: {str(path)!r}. {remedy}")


def load(path: Path) -> keras.Model:
    """Returns the model of a `.keras` file."""
    from kerasprune.recipes.run_folder import load_model

    return load_model(path)


def import_code(names: list[str] | None, trust: bool) -> None:
    """Imports the user's code with the classes of a model."""
    from kerasprune.recipes.lookup import import_classes

    for name in names or ():
        import_classes(name, trust=trust)
