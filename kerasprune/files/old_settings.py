"""What a whole HDF5 file says about its model, with the settings of Keras 2 as Keras 3 reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kerasprune.errors import short
from kerasprune.files.reading import parse_json

_DROPPED = {"decay", "is_legacy_optimizer", "jit_compile", "fn"}
"""Arguments of optimizers and losses that Keras 3 lacks."""
_ACCURACY = "acc", "accuracy"
"""Names of metrics of Keras 2 that Keras 3 knows by these names."""


def read_attribute(path: Path, name: str) -> Any:
    """Returns the data of a JSON attribute of an HDF5 file, of bounded depth; `None` without it."""
    import h5py

    with h5py.File(path) as store:
        text = store.attrs.get(name, "null")
    text = text.decode() if isinstance(text, bytes) else text
    return parse_json(text, short(str(path)), "a model's config")


def read_compiled(path: Path) -> dict[str, Any]:
    """Returns how the model of an HDF5 file was compiled, as `.keras` files hold it; empty if it was not.

    Args:
        path: The file.
    """
    settings = read_attribute(path, "training_config") or {}
    rooms = {"optimizer_config": "optimizers", "loss": "losses", "metrics": "metrics", "weighted_metrics": "metrics"}
    found = {name.removesuffix("_config"): _renewed(settings.get(name), room) for name, room in rooms.items()}
    return {**found, "loss_weights": settings.get("loss_weights")}


def _renewed(setting: Any, room: str) -> Any:
    """Returns an object of a room of Keras, or a structure of such, as Keras 3 writes it."""
    if isinstance(setting, list):
        return [_renewed(each, room) for each in setting]
    if not isinstance(setting, dict):
        return setting
    if "class_name" not in setting or "module" in setting:
        return {name: _renewed(each, room) for name, each in setting.items()}
    name, given = setting["class_name"], dict(setting.get("config") or {})
    function = given.get("name") if given.get("name") in _ACCURACY else given.get("fn")
    if name.endswith("Wrapper") and isinstance(function, str):
        return function
    given = {
        "learning_rate" if key == "lr" else key: _renewed(each, "optimizers.schedules")
        for key, each in given.items()
        if key not in _DROPPED and each != "auto"
    }
    known = name.removeprefix("Custom>") if room == "optimizers" else name  # so were those of Keras 2.11 called
    return {"module": f"keras.{room}", "class_name": known, "registered_name": name, "config": given}
