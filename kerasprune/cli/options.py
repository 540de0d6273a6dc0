"""The arguments and options that several commands share, and what is done with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kerasprune.errors import PruneError

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
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show what TensorFlow and Keras print, too.")]

SAVED_MODEL, H5 = "saved_model.pb", (".h5", ".hdf5")


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
    if path.suffix in H5:
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
