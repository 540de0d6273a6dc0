"""A preset of KerasHub, a folder with config.json, made smaller from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from kerasprune.checks import given_values
from kerasprune.cli.options import dashed_name, is_given
from kerasprune.cli.startup import Messages, start
from kerasprune.errors import PruneError, extras, raise_faults
from kerasprune.export.destination import check_place, new_folder
from kerasprune.files.reading import read_text

if TYPE_CHECKING:
    import keras

_USED = ("model", "out", "params", "macs", "data", "criterion", "reconstruct", "seed", "overwrite", "as_json")
_SHOWN = ("quiet", "verbose", "log_file")
_MOST, _MOST_BYTES = 512, 1 << 30  # examples, and of a file of them
_NAMES = ("task.json", "config.json")


def shrink_preset(context: typer.Context) -> None:
    """Writes the preset of a smaller model of the same class, and prints what became smaller.

    Args:
        context: The command `prune`, with its options.

    Raises:
        PruneError: An option does nothing for a preset, or as for `kp.hub.shrink`.
    """
    options = context.params
    idle = [name for name in options if name not in (*_USED, *_SHOWN) and is_given(context, name)]
    faults = []
    if idle:
        given = ", ".join(map(dashed_name, idle))
        faults.append(f"Expected options that matter to a preset, which only becomes smaller. Received: {given}.")
    shares = given_values(params=options["params"], macs=options["macs"])
    if len(shares) != 1:
        faults.append(f"Expected one of --params and --macs for a preset. Received: {', '.join(shares) or 'none'}.")
    raise_faults("Invalid arguments for prune:", faults)
    out, data = options["out"], options["data"]
    check_place(out, options["overwrite"])
    examples = None if data is None else _examples(Path(data))
    start(verbose=options["verbose"])
    with Messages(quiet=options["quiet"], log=options["log_file"]).shown(), extras("presets of KerasHub"):
        import keras_hub  # noqa: F401  its classes register themselves

        from kerasprune.hub.shrinking import shrink

        slim, _, report = shrink(
            _loaded(options["model"]),
            data=examples,
            reconstruct=options["reconstruct"],
            **given_values(criterion=options["criterion"], seed=options["seed"]),
            **shares,
        )
        with new_folder(out, _NAMES[1], overwrite=options["overwrite"]) as temporary:
            slim.save_to_preset(str(temporary))
    if options["as_json"]:
        typer.echo(json.dumps({**vars(report), "folder": str(out)}, indent=2))
    elif not options["quiet"]:
        typer.echo(f"{report}\nwritten to {out}, a preset of keras_hub")


def _examples(path: Path) -> Any:
    """Returns the examples of a file, without labels: lines of a text, or an array."""
    if not path.is_file() or path.suffix not in (".txt", ".npy"):
        raise PruneError(
            f"Expected --data of a preset as a .txt file, an example in each line, or a .npy file. Received: {path}."
        )
    if path.suffix == ".npy":
        from kerasprune.files.arrays import read_array  # with NumPy

        return read_array(path)[:_MOST]
    lines = [line for line in read_text(path, "a .txt file", _MOST_BYTES).splitlines() if line.strip()]
    if not lines:
        raise PruneError(f"Expected lines of text. Received: --data {path}, which is empty.")
    return lines[:_MOST]


def _loaded(folder: Path) -> keras.Model:
    """Returns the task of a preset, or its backbone."""
    import keras

    name = next(folder / each for each in _NAMES if (folder / each).is_file())
    try:
        registered = json.loads(name.read_text(encoding="utf-8"))["registered_name"]
    except (ValueError, TypeError, KeyError):
        registered = ""
    found = keras.saving.get_registered_object(registered)
    if found is None:
        raise PruneError(f"Expected a preset that KerasHub has saved. Received: {str(folder)!r}, of {registered!r}.")
    return found.from_preset(str(folder))
