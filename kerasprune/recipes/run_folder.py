"""The folder of a run: its finished stages and their files."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic_core import from_json, to_json

from kerasprune.errors import PruneError, short, warn
from kerasprune.files import (
    is_file,
    path_of,
    read_json,
    read_rows,
    read_text,
    remove_strays,
    replace_when_done,
    write_json,
    write_rows,
)
from kerasprune.files.arrays import read_arrays
from kerasprune.files.keras_model import load_model
from kerasprune.files.made_of import MADE_OF
from kerasprune.files.temporary_files import is_stray, remove
from kerasprune.files.writing import NoLockError, claim_store, is_lock
from kerasprune.recipes import loader
from kerasprune.recipes.schema import Recipe
from kerasprune.steps.report import PruningReport, StepReport, hint

if TYPE_CHECKING:
    import keras

STATES = "resume"
NAMES = {"dense": "dense", "rebuild": "removed", "reconstruct": "reconstructed", "finetune": "fine-tuned"}
"""Names of the models in the report, by the stage that makes them."""
LASTING = ("dense.keras", "plan.json", "masks.npz", "ranges.npz", "slim.keras", "costs.json", "verified.json")
"""Files that later stages and users rely on."""
STEPS = "steps.json"
"""Holds a list; the other JSON files hold mappings."""
LOCK = ".run.lock"
"""The file that is locked during a run; SQLite puts its journal next to it."""
COLUMNS = ("stage", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")


@dataclass(frozen=True)
class RunFolder:
    """The files of one run.

    Args:
        path: The folder.
    """

    path: Path

    def file(self, name: str) -> Path:
        """Returns the path of a file of the run."""
        return self.path / name

    # ---- stages ------------------------------------------------------------------------------------

    def stages(self) -> dict[str, dict[str, Any]]:
        """Returns the records of the finished stages, `{stage: {"seconds": …}}`."""
        noted = self.json("stages.json") or {}
        if not all(isinstance(one, dict) for one in noted.values()):
            raise PruneError(f"Expected the finished stages. Received: {str(self.file('stages.json'))!r}. Remove it.")
        return noted

    def finish(self, stage: str, seconds: float) -> None:
        """Records that a stage is finished, with the hashes of its lasting files."""
        earlier = self.stages()
        noted = {name for one in earlier.values() for name in one.get("files", ())}
        files = {name: _digest(self.file(name)) for name in LASTING if name not in noted and is_file(self.file(name))}
        row = {"seconds": round(seconds, 3), **({"files": files} if files else {})}
        write_json(self.file("stages.json"), {**earlier, stage: row})

    def check_files(self) -> None:
        """Raises `PruneError` if a file of a finished stage is missing or has changed."""
        noted = {name: digest for one in self.stages().values() for name, digest in one.get("files", {}).items()}
        gone = [name for name in noted if not is_file(self.file(name))]
        other = [name for name in noted if name not in gone and _digest(self.file(name)) != noted[name]]
        if gone or other:
            received = [f"{name}, missing" for name in gone] + [f"{name}, changed since" for name in other]
            raise PruneError(
                f"Expected the files of the finished stages unchanged. Received: {'; '.join(received)}, in "
                f"{str(self.path)!r}. Restore them, or start again with --overwrite or in another folder."
            )

    # ---- interrupted fits ---------------------------------------------------------------------------------------

    def state(self, name: str) -> Path:
        """Returns the folder for the state of a fit, and removes those of other fits, whose results are saved."""
        for other in self.file(STATES).glob("*"):
            if other.name != name:
                remove(other)
        return self.file(STATES) / name

    def forget_states(self) -> None:
        """Removes the states of fits, whose results are saved."""
        remove(self.file(STATES))

    def tidy(self) -> None:
        """Removes temporary files of killed processes in the folder and below it."""
        for folder in [self.path, *(path for path in self.path.rglob("*") if path.is_dir() and not path.is_symlink())]:
            remove_strays(folder)

    # ---- data --------------------------------------------------------------------------------------

    def json(self, name: str) -> Any:
        """Returns the data of a JSON file, or `None` if there is none; raises `PruneError` if it is damaged."""
        path, kind = self.file(name), list if name == STEPS else dict
        data = read_json(path, "a file of the run (remove it if it is damaged)") if path.exists() else None
        if data is not None and not (
            isinstance(data, kind) and all(isinstance(one, dict) for one in data if kind is list)
        ):
            raise PruneError(f"Expected a file of the run. Received: {str(path)!r}, with other content. Restore it.")
        return data

    def write_json(self, name: str, data: Any) -> None:
        """Writes a JSON file in one step; NaN and infinity become null."""
        write_json(self.file(name), finite(data))

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes a `.npz` file in one step."""
        with replace_when_done(self.file(name)) as temporary:
            np.savez_compressed(temporary, **arrays)

    def arrays(self, name: str) -> dict[str, np.ndarray] | None:
        """Returns the arrays of a `.npz` file, or `None` if it is missing."""
        path = self.file(name)
        return read_arrays(path, "arrays of the run (remove them if they are damaged)") if path.exists() else None

    # ---- models ------------------------------------------------------------------------------------

    def save_model(self, name: str, model: keras.Model) -> None:
        """Saves a model in one step."""
        with replace_when_done(self.file(name)) as temporary:
            model.save(temporary)

    def model(self, name: str) -> keras.Model:
        """Loads a model of the run."""
        return load_model(self.file(name))

    # ---- the report ------------------------------------------------------------------------------------

    def steps(self) -> dict[str, StepReport]:
        """Returns the measurements after each stage, by its name."""
        found = {}
        for one in self.json(STEPS) or ():
            name = one["step"]
            measures = one["output_error"], one["metrics"], one["epoch"], one.get("balanced")
            found[name] = StepReport(NAMES[name], *measures)
        return found

    def report(self) -> PruningReport:
        """Returns the record of the pruning, as `kp.prune` returns it."""
        costs, verified = self.json("costs.json"), self.json("verified.json") or {}
        chosen = next((one for one in self.json(STEPS) or () if one.get("delivered")), None)
        dense, slim, steps = costs["dense"], costs["slim"], tuple(self.steps().values())
        kept = {"macs": slim["macs"] / max(dense["macs"], 1), "params": slim["params"] / dense["params"]}
        return PruningReport(
            steps,
            **kept,
            removed=tuple((self.json("plan.json") or {}).get("removed", ())),
            verified=math.nan if verified.get("error", 0.0) is None else verified.get("error"),  # NaN is null in JSON
            reason=verified.get("reason", ""),
            target=(self.json("target.json") or {}).get("line", ""),
            delivered=NAMES[chosen["step"]] if chosen else "",
            remarks=(*(chosen["remarks"] if chosen else ()), *hint(self._asked_keep(), kept, steps)),
        )

    def _asked_keep(self) -> float | None:
        """Returns the fraction of the channels that was to be kept, if one was."""
        from kerasprune.recipes.yaml_text import read_yaml  # the module of an extra

        path = self.file("recipe.yaml")
        recipe = read_yaml(read_text(path, "the recipe of the run"), path.name)[0] if is_file(path) else {}
        return ((recipe.get("prune") or {}).get("plan") or {}).get("keep")

    # ---- metrics -----------------------------------------------------------------------------------

    def metrics(self) -> list[dict[str, str]]:
        """Returns the rows of `metrics.csv` as text."""
        return read_rows(self.file("metrics.csv"))

    def rows_of(self, stage: str) -> list[dict[str, str]]:
        """Returns the rows of a stage without its name and without empty cells."""
        rows = [row for row in self.metrics() if row.get("stage") == stage]
        return [{key: cell for key, cell in row.items() if key != "stage" and cell} for row in rows]

    def set_metrics(self, stage: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Replaces the rows of a stage, so that a repeated stage has none twice."""
        kept = [row for row in self.metrics() if row["stage"] != stage]
        write_rows(self.file("metrics.csv"), [*kept, *({"stage": stage, **row} for row in rows)], COLUMNS)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _held(path: Path) -> list[Path]:
    """Returns the content of a folder, without leftovers of killed processes; empty if there is no folder."""
    found = path.iterdir() if path.is_dir() else ()
    return [each for each in found if not is_lock(each) and not is_stray(each)]


def claim(path: Path, names: Sequence[str], *, resume: bool) -> None:
    """Checks that an output folder may be used.

    Args:
        path: The folder, which need not exist.
        names: Files that a folder to be resumed must have.
        resume: Whether the folder of an earlier run may be resumed.

    Raises:
        PruneError: The path is a file; the folder is not empty and `resume` is not set; or it is not the
            folder of a run.
    """
    if path.exists() and not path.is_dir():
        raise PruneError(f"Expected a folder to write to. Received: {str(path)!r}, which is a file.")
    filled = bool(_held(path))
    if filled and not resume:
        raise PruneError(
            "Expected an empty folder, so that nothing is overwritten. "
            f"Received: {str(path)!r}, which holds files. Choose another folder=, or continue with resume=True."
        )
    if filled and not all((path / name).exists() for name in names):
        raise PruneError(
            f"Expected the folder of an earlier run. Received: {str(path)!r}, which lacks {', '.join(names)}."
        )


def broken_off(path: Path) -> bool:
    """Returns whether the last process of a run was killed or crashed: what it wrote next to its lock is left."""
    return is_file(path / f"{LOCK}-owner")


@contextmanager
def occupied(path: Path) -> Iterator[None]:
    """Locks the folder of a run against other processes; removes it if it was made here and is empty.

    The system releases the lock when the process ends, however it does.
    """
    existed, lock = path.exists(), ExitStack()
    try:
        lock.enter_context(claim_store(path, path / LOCK))
    except NoLockError:
        warn(
            f"{str(path)!r} is on a disk without file locks: make sure that no other run writes there at the same time."
        )
    try:
        with lock:
            yield
    finally:
        if not existed and path.is_dir() and not any(path.iterdir()):
            path.rmdir()


@contextmanager
def take_folder(path: Path, names: Sequence[str], *, resume: bool) -> Iterator[None]:
    """Locks an output folder and checks that it may be used; the arguments are those of `claim`."""
    with occupied(path):
        claim(path, names, resume=resume)
        yield


@contextmanager
def withdrawn(*paths: Path) -> Iterator[None]:
    """Removes those of the files that did not exist before, if the block raises."""
    made = [path for path in paths if not path.exists()]
    try:
        yield
    except Exception:
        for path in made:
            remove(path)
        raise


def finite(data: Any) -> Any:
    """Returns plain data with `None` in place of NaN and infinity, which JSON lacks."""
    return from_json(to_json(data, inf_nan_mode="null", fallback=methodcaller("item")))


def begun(folder: str | Path, *, trust: bool = False) -> Recipe:
    """Returns the recipe of a run, settings included; raises `PruneError` if the folder has none."""
    path = path_of(folder) / "recipe.yaml"
    if not is_file(path):
        raise PruneError(
            f"Expected the folder of an interrupted run. Received: {short(str(folder))}, which holds no "
            "recipe.yaml: nothing to resume. Start with 'kerasprune run RECIPE'."
        )
    return loader.parse(read_text(path, "the recipe of a run"), source=str(path), trust=trust)


MARK = "recipe.yaml"
FILES = frozenset(
    {
        MARK,
        MADE_OF,
        "stages.json",
        "metrics.csv",
        "costs.json",
        "exports.json",
        "latency.json",
        "summary.json",
        "report.html",
        "warnings.txt",
    }
    | {
        "plan.json",
        "widths.json",
        "graph.json",
        "verified.json",
        "points.json",
        "masks.npz",
        "norms.npz",
        "maps.npz",
        "ranges.npz",
    }
    | {"dense.keras", "pruned.keras", "rebuilt.keras", "reconstructed.keras", "steps.json", "slim.keras", "target.json"}
)
FOLDERS = frozenset({"drawn", "exports", "points", "resume"})


def make_room(path: Path, recipe: Any) -> None:
    """Removes the files of an earlier run, if `check_room` allows it."""
    check_room(path, recipe)
    if held := _held(path):
        with occupied(path):
            for each in held:
                remove(each)


def check_room(path: Path, recipe: Any) -> None:
    """Checks that the files of an earlier run may be removed for a new one.

    Args:
        path: The folder.
        recipe: The new recipe as plain data: its values may name files.

    Raises:
        PruneError: It is not the folder of a run, or holds other files as well, or inputs of the new run.
    """
    held = _held(path)
    if not held:
        return
    others = sorted(each.name for each in held if each.name not in FILES | FOLDERS)
    if others or not (path / MARK).is_file():
        why = f"which holds {', '.join(others[:5])}" if others else f"which has no {MARK}"
        raise PruneError(
            f"Expected the folder of an earlier run to overwrite. Received: {str(path)!r}, {why}. "
            "Choose another folder with --out."
        )
    read = [each for each in _texts(recipe) if _lies_in(each, path)]
    if read:
        raise PruneError(
            f"Expected inputs outside of the folder that is emptied. Received: {', '.join(map(repr, read))} in "
            f"{str(path)!r}. Choose another folder with --out, or copy them elsewhere."
        )


def _texts(data: Any) -> Iterator[str]:
    """Yields every text in plain data."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, Mapping | list | tuple):
        for each in data.values() if isinstance(data, Mapping) else data:
            yield from _texts(each)


def _lies_in(text: str, folder: Path) -> bool:
    """Returns whether a text is the path of a file inside a folder, links resolved."""
    try:
        path = Path(text).expanduser()
        return path.exists() and path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError):  # not a path
        return False
