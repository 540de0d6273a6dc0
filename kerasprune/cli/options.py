"""The arguments and options that several commands share, and the sections of a recipe that they become."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.models import OptionInfo

from kerasprune.checks import given_values, is_number
from kerasprune.cli.startup import start
from kerasprune.cli.words import OPTIONS, SELECTION, TARGETS
from kerasprune.defaults import OF_MEMORY, OF_MICROCONTROLLERS, OTHER_RATE, RATE
from kerasprune.errors import PruneError, raise_faults
from kerasprune.files.model_files import endings_of_model
from kerasprune.models.sets.lookup import check_name
from kerasprune.planning.targets.quantities import BYTES, MILLISECONDS, has_unit
from kerasprune.planning.targets.registry import targets

if TYPE_CHECKING:
    import keras

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a recipe, or path of a .yaml file.")]
ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="Path of a .keras or a whole .h5 file.")]
Out = Annotated[Path, typer.Option("--out", help="A folder to write to, empty or new.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY.KEY=VALUE", help="Change one key; may be repeated.")
]
Trust = Annotated[bool, typer.Option("--trust", help="Allow package.module:Name, which imports code.")]
Import = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        metavar="FILE.py|PACKAGE",
        help="Code of the model or criteria; needs --trust.",
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Fail if a figure that the recipe expects is missed.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show what TensorFlow and Keras print, too.")]

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in --out.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON, and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress and no warnings.")]
LogFile = Annotated[Path | None, typer.Option(help="A file that warnings are appended to.")]

MEASURED = ("time", "table", "device", "bytes", "ram", "precision")
DATA = ("data", "scale", "size", "batch", "validation")
TRAINING = ("optimizer", "learning_rate", "deliver")
CODE = ("imports", "trust", "verbose")
RUNNING = (*CODE, "quiet", "resume")
"""Groups of options, by parameter, that `take_options` adds to a command."""
_ALIKE: dict[str, tuple[Any, Any]] = {  # parameter: (annotation, default)
    "imports": (Import, None),
    "trust": (Trust, False),
    "verbose": (Verbose, False),
    "quiet": (Quiet, False),
    "workers": (Annotated[int, typer.Option(help="Runs at a time, each in a process of its own.")], 1),
    "resume": (Annotated[bool, typer.Option("--resume", help="Carry on with what an earlier run left.")], False),
}
"""Options that are the same for every command that has them."""
_BYTES_ALONE = 1000  # from which a number without a unit is one of bytes
DEVICE = "litert, or keras: as the models run in Keras, on its device."
OF_TARGETS = {
    "time": (str, "0.5|12ms", "Time of one inference, nearly: a fraction of the dense model's, or a time as 12ms."),
    "table": (Path, "FILE.csv", "The device's table, see 'kerasprune profile'. Defaults to measuring this machine."),
    "device": (str, "litert|keras", "keras: candidates are timed in Keras."),
    "bytes": (str, "200kB|NUMBER", "Size of the .tflite file, at most; kB is 1000 bytes, KiB 1024."),
    "ram": (
        str,
        "0.5|64kB",
        "RAM of a microcontroller, at most: a fraction or a size; may be given beside a size in bytes.",
    ),
    "precision": (str, None, "Of the timed or written file: float32, float16, dynamic, int4, int8 or int16x8."),
}
"""Options of a time or a size: type, what they take, and their help."""

METAVARS = {
    "--data": "DATA",
    "--scale": "SCALE",
    "--validation": "SPLIT",
    "--test": "SPLIT",
    "--freeze": "LAYER",
    "--export": "FORMAT",
    "--calibrate": "PATH",
    "--round-to": "N|auto|table",
    "--size": "N|NxN|NAME=N",
}

KINDS = {int: "N", float: "NUMBER", str: "NAME", Path: "PATH"}
"""The word after an option in its help, by its type."""

RATES = f"Defaults to {RATE} for sgd, to a tenth of the compiled one for compiled, to {OTHER_RATE} for others."

_SHARED: dict[str, tuple[Any, str, Any]] = {  # parameter: (type, key of a recipe, default)
    **{name: (float | None, f"prune.plan.{name}", None) for name in TARGETS},
    **{name: (str | None, f"prune.plan.{name}", None) for name in SELECTION},
    "freeze": (list[str] | None, "prune.plan.freeze", None),
    "min_keep": (int | None, "prune.plan.min_keep", None),
    "round_to": (str | None, "prune.plan.round_to", None),
    "data": (str | None, "data.name", None),
    "scale": (str | None, "data.scale", None),
    "size": (str | None, "model.size", None),
    "batch": (int | None, "data.batch", None),
    "validation": (str | None, "data.validation", None),
    "loss": (str | None, "loss", None),
    "optimizer": (str, "finetune.optimizer", "compiled"),
    "learning_rate": (float | None, "finetune.optimizer.learning_rate.start", None),
    "deliver": (str, "finetune.deliver", "best"),
    "seed": (int | None, "seed", None),
    "export": (list[str] | None, "export", None),
}


def take_options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Returns a decorator: a command also takes these shared options, handed to its `**options`.

    Args:
        names: Parameters of the tables above; `expand_options` makes options of them once the command is asked for.
    """

    def mark(function: Callable[..., None]) -> Callable[..., None]:
        function.taken = names  # type: ignore[attr-defined]
        return function

    return mark


def expand_options(function: Callable[..., None]) -> Callable[..., None]:
    """Returns a command with each shared option as a parameter of its signature, which typer reads."""
    own = inspect.signature(function, eval_str=True).parameters.values()
    required = [each for each in own if each.default is each.empty and each.kind is not each.VAR_KEYWORD]
    taken = getattr(function, "taken", ())
    shared = [_parameter(name) for name in taken if name not in _ALIKE]
    optional = [each.replace(kind=each.KEYWORD_ONLY) for each in own if each.default is not each.empty]
    optional += [_parameter(name) for name in taken if name in _ALIKE]
    parameters = [each.replace(annotation=_with_metavar(each)) for each in (*required, *shared, *optional)]

    @wraps(function)
    def command(**options: Any) -> None:
        if isinstance(options.get("size"), str):
            options["size"] = size_of(options["size"])
        function(**options)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def _parameter(name: str) -> inspect.Parameter:
    """Returns the parameter of a shared option."""
    if name in _ALIKE:
        annotation, default = _ALIKE[name]
    elif name in OF_TARGETS:
        kind, metavar, text = OF_TARGETS[name]
        annotation, default = Annotated[kind | None, typer.Option(metavar=metavar, help=text)], None
    else:
        kind, key, default = _SHARED[name]
        annotation = Annotated[kind, option(key, RATES if name == "learning_rate" else "")]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _with_metavar(parameter: inspect.Parameter) -> Any:
    """Returns the annotation of a parameter; its option says what it takes."""
    kind, *notes = typing.get_args(parameter.annotation)[:2] or (parameter.annotation,)
    if not notes or not isinstance(notes[0], OptionInfo):
        return parameter.annotation
    option, kinds = copy(notes[0]), set(_types(kind))
    option.metavar = option.metavar or next((word for each, word in KINDS.items() if each in kinds), None)
    return Annotated[kind, option]


def _types(annotation: Any) -> Iterator[Any]:
    """Yields a type and those within it."""
    yield annotation
    for each in typing.get_args(annotation):
        yield from _types(each)


def option(key: str, note: str = "") -> OptionInfo:
    """Returns the option of a key of a recipe, with the schema's description; its default is that of the key.

    Args:
        key: One of `OPTIONS`.
        note: A sentence that the command adds. Defaults to none.

    Example:
        >>> option("prune.plan.min_keep").help
        'Channels of every group that are kept at least. Defaults to 1.'
    """
    from kerasprune.recipes.keys import describe_key

    text = describe_key(key).replace(" Defaults to `None`.", "").replace(" `None`:", "").replace("`", "")
    return typer.Option(OPTIONS[key], metavar=METAVARS.get(OPTIONS[key]), help=f"{text} {note}".rstrip())


def options_given(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Returns the options that were given; texts of numbers are converted to numbers, `null` to `None`."""
    found = given_values(**{name: options.get(name) for name in names})
    found |= {name: int(value) for name, value in found.items() if str(value).isdecimal()}
    return {name: None if value == "null" else value for name, value in found.items()}


def size_of(text: str) -> int | list[int] | dict[str, int | list[int]]:
    """Returns the size in the value of `--size`, as `kp.trace` takes it.

    Example:
        >>> size_of("32"), size_of("32x48"), size_of("image=32x48,tokens=20")
        (32, [32, 48], {'image': [32, 48], 'tokens': 20})
    """
    pairs = [part.rpartition("=")[::2] for part in text.replace(" ", "").split(",")]
    try:
        numbers = [[int(number) for number in sides.lower().split("x")] for _, sides in pairs]
    except ValueError:
        numbers = []
    names = [name for name, _ in pairs]
    if not numbers or len(pairs) > 1 and not all(names):
        wanted = "Expected --size as numbers: 32, 32x48, or by input image=32x48,tokens=20"
        raise PruneError(f"{wanted}. Received: --size {text}.")
    sides = [each[0] if len(each) == 1 else each for each in numbers]
    return dict(zip(names, sides, strict=True)) if all(names) else sides[0]


def names_of(text: str | None) -> list[str]:
    """Returns the names in a text such as `l1,l2`."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def numbers_of(option: str, text: str | None) -> list[float]:
    """Returns the numbers in a text such as `0.7,0.5`, the value of an option."""
    try:
        return [float(part) for part in text.split(",")] if text else []
    except ValueError as error:
        raise PruneError(
            f"Expected {option} as numbers separated by commas, such as 0.7,0.5. Received: {option} {text}."
        ) from error


def data_section(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the section `data`; `None` without `--data`."""
    if not options["data"]:
        return options["data"]
    check_name(options["data"])
    return {"name": options["data"], **options_given(options, "scale", "batch", "validation", "size")}


def target_of(context: typer.Context, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns how much is kept, as keys of the section `prune.plan`.

    Args:
        context: The command.
        options: Its options, among them those of `MEASURED`, and some of `TARGETS`.

    Raises:
        PruneError: Not exactly one option says it, or one has no use.
    """
    stored = options["bytes"] or options["ram"]
    check_needed(context, time=("table", "device") if stored else ("table", "device", "precision"))
    known = [name for name in (*TARGETS, "time", "bytes", "ram") if name in options]
    found = options_given(options, *known)
    if len(found) != 1 and [*found] != ["bytes", "ram"]:
        received = " and ".join(f"--{name} {value}" for name, value in found.items()) or "none of them"
        *names, last = (f"--{name}" for name in known)
        raise PruneError(f"Expected how much is kept: one of {', '.join(names)} and {last}. Received: {received}.")
    section = _target_section(options)
    if section is not None:
        targets.get(section)  # raises, before anything heavy is imported
    return options_given(options, *TARGETS) | given_values(target=section)


def _target_section(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the section `target` of a plan; `None` without `--time`, `--bytes` and `--ram`.

    Args:
        options: Those of `MEASURED`.

    Example:
        >>> _target_section({"time": None, "table": None, "bytes": "200kB", "ram": None, "precision": "int8"})
        {'name': 'size', 'bytes': 200000, 'precision': 'int8'}
    """
    precision = options_given(options, "precision")
    if options["time"] is not None:
        table, time = options["table"] and str(options["table"].resolve()), options["time"]
        asked = {"ms" if has_unit(time) else "fraction": MILLISECONDS.number(time)}
        section = {"name": "time", **asked, **given_values(table=table)} | options_given(options, "device")
        if options["device"] == "keras":
            section |= options_given(options, "batch")
        return section | precision
    limits = []
    if options["ram"] is not None:
        precision = {"precision": OF_MEMORY, **precision}
        io = {"io": "int8"} if OF_MICROCONTROLLERS in (options.get("export") or ()) else {}
        limits.append({"name": "memory", **_ram_of(options["ram"]), **precision, **io})
    if options["bytes"] is not None:
        limits.append({"name": "size", "bytes": BYTES.number(options["bytes"]), **precision})
    return {"name": "all_of", "targets": limits} if len(limits) > 1 else next(iter(limits), None)


def _ram_of(text: str) -> dict[str, float]:
    """Returns the argument of a target that `--ram` is."""
    ram = BYTES.number(text)
    if is_number(ram) and (ram >= 1 if has_unit(text) else ram >= _BYTES_ALONE):
        return {"bytes": ram}
    if is_number(ram) and not has_unit(text) and 0 < ram < 1:
        return {"fraction": ram}
    raise PruneError(
        f"Expected --ram as a fraction below 1, or as a size such as 64kB. Received: --ram {text}. Give 0.5 for a half."
    )


OF_TRAINING = ("optimizer", "learning_rate", "distil", "deliver")
"""Options that do nothing without epochs of training."""
OF_DATA = ("scale", "batch", "validation", "loss")
"""Options that do nothing without data."""


def check_needed(context: typer.Context, **needed: Sequence[str]) -> None:
    """Checks that no option was given that does nothing without another one.

    Args:
        context: The command, with its options.
        **needed: `name of an option: names of those that do nothing without it`.

    Raises:
        PruneError: There is such an option.
    """
    faults = []
    for need, options in needed.items():
        idle = [] if context.params[need] else [name for name in options if is_given(context, name)]
        if idle:
            given = ", ".join(map(dashed_name, idle))
            faults.append(f"Expected {dashed_name(need)} with {given}, which has no effect without it")
    raise_faults(f"Invalid arguments for {context.info_name}:", faults)


def is_given(context: typer.Context, name: str) -> bool:
    """Returns whether an option was given on the command line, and not to switch something off."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE" and context.params[name] not in (False, 0)


def dashed_name(name: str) -> str:
    """Returns an option as it is typed."""
    return f"--{name.replace('_', '-')}"


def check_model_path(path: Path) -> None:
    """Checks that a path is the file of a whole model, before anything heavy is imported.

    What is called `.keras` is not opened before it is loaded: mistakes in other options are told first.
    """
    if path.suffix == ".keras" and path.is_file():
        return
    if path.suffix == ".kpz" and path.is_file():
        remedy = f"Unpack it once: kerasprune unpack {path} --out model.keras."
        raise PruneError(f"Expected the file of a Keras model. Received: {str(path)!r}, which is packed. {remedy}")
    endings_of_model(path)


def load(path: Path) -> keras.Model:
    """Returns the model of a file; a subclassed one, which names no inputs, is written out."""
    from kerasprune._keras import is_functional
    from kerasprune.recipes.run_folder import load_model
    from kerasprune.surgery.inlining.plain import plain

    model = load_model(path)
    return model if is_functional(model) else plain(model)


def import_code(names: list[str] | None, trust: bool, verbose: bool = False) -> None:
    """Imports the user's code: classes of a model, and members of the families that it adds."""
    from kerasprune.recipes.lookup import import_classes

    if names:
        start(verbose=verbose)
    for name in names or ():
        import_classes(name, trust=trust)


def start_command(options: Mapping[str, Any]) -> None:
    """Imports Keras and the user's code as the options `CODE` say."""
    start(verbose=options["verbose"])
    import_code(options["imports"], options["trust"])


def finetune_section(epochs: int, options: Mapping[str, Any], *, distil: bool = False) -> dict[str, Any] | None:
    """Returns the section `finetune`, with half a cosine from the learning rate; `None` without epochs.

    Args:
        epochs: Passes over the examples.
        options: Those of `TRAINING`.
        distil: Whether the dense model teaches. Defaults to `False`.
    """
    if not epochs:
        return None
    optimizer, rate, deliver = (options[name] for name in TRAINING)
    if rate is None and optimizer != "compiled":
        rate = RATE if optimizer == "sgd" else OTHER_RATE
    section = {"name": optimizer, "learning_rate": None if rate is None else {"name": "cosine", "start": rate}}
    return {"epochs": epochs, "optimizer": section, "deliver": deliver, **({"distil": {}} if distil else {})}
