"""The folder of a run: which stages are finished, and the files that they leave."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasprune.errors import PruneError, short, warn
from kerasprune.files import (
    is_file,
    path_of,
    read_json,
    read_rows,
    read_text,
    remove_strays,
    replacing,
    write_json,
    write_rows,
    write_text,
)
from kerasprune.files.arrays import read_arrays
from kerasprune.files.keras_model import load_model
from kerasprune.files.temporary_files import is_stray, remove
from kerasprune.files.writing import NoLockError, claimed, is_lock
from kerasprune.recipes import loader
from kerasprune.recipes.schema import Recipe
from kerasprune.steps.report import PruningReport, StepReport

if TYPE_CHECKING:
    import keras

STATES = "resume"
NAMES = {"dense": "dense", "rebuild": "removed", "reconstruct": "reconstructed", "finetune": "fine-tuned"}
"""What a model is called in the report of its pruning, by the stage that it comes from."""
LASTING = ("dense.keras", "plan.json", "masks.npz", "slim.keras", "costs.json", "verified.json")
"""What later stages and users build on."""
STEPS = "steps.json"
"""A list; the other JSON files hold keys and values."""
LOCK = ".run.lock"
"""The file that is locked while a run is under way; SQLite has its journal beside it."""
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
        """Returns what the finished stages noted: `{stage: {"seconds": …}}`."""
        noted = self.json("stages.json") or {}
        if not all(isinstance(one, dict) for one in noted.values()):
            raise PruneError(f"Expected the finished stages. Received: {str(self.file('stages.json'))!r}. Remove it.")
        return noted

    def finish(self, stage: str, seconds: float) -> None:
        """Notes that a stage is finished, and the fingerprints of the files that it leaves for good."""
        earlier = self.stages()
        noted = {name for one in earlier.values() for name in one.get("files", ())}
        files = {name: _digest(self.file(name)) for name in LASTING if name not in noted and is_file(self.file(name))}
        row = {"seconds": round(seconds, 3), **({"files": files} if files else {})}
        write_json(self.file("stages.json"), {**earlier, stage: row})

    def check_files(self) -> None:
        """Checks that what finished stages have left is there as they left it.

        Raises:
            PruneError: Something is gone, or is another file.
        """
        noted = {name: digest for one in self.stages().values() for name, digest in one.get("files", {}).items()}
        gone = [name for name in noted if not is_file(self.file(name))]
        other = [name for name in noted if name not in gone and _digest(self.file(name)) != noted[name]]
        if gone or other:
            received = [f"{name}, gone" for name in gone] + [f"{name}, changed since" for name in other]
            raise PruneError(
                f"Expected the files that the finished stages have left. Received: {'; '.join(received)}, in "
                f"{str(self.path)!r}. Put them back, or begin anew with --overwrite or in another folder."
            )

    # ---- fits that were broken off -------------------------------------------------------------------

    def state(self, name: str) -> Path:
        """Returns the folder for the state of a fit; those of others, whose results are on disk, are removed."""
        for other in self.file(STATES).glob("*"):
            if other.name != name:
                remove(other)
        return self.file(STATES) / name

    def forget_states(self) -> None:
        """Removes the states of fits: what they led to is on disk."""
        remove(self.file(STATES))

    def tidy(self) -> None:
        """Removes temporary files that killed saves have left in the folder and below it."""
        for folder in [self.path, *(path for path in self.path.rglob("*") if path.is_dir() and not path.is_symlink())]:
            remove_strays(folder)

    # ---- data --------------------------------------------------------------------------------------

    def json(self, name: str) -> Any:
        """Returns the data of a JSON file, or `None` if there is none; raises `PruneError` if it holds others."""
        path, kind = self.file(name), list if name == STEPS else dict
        data = read_json(path, "a file of the run (remove it where it is damaged)") if path.exists() else None
        if data is not None and not (
            isinstance(data, kind) and all(isinstance(one, dict) for one in data if kind is list)
        ):
            raise PruneError(f"Expected a file of the run. Received: {str(path)!r}, which holds others. Put it back.")
        return data

    def write_json(self, name: str, data: Any) -> None:
        """Writes a JSON file in one step; what is not finite becomes null."""
        write_json(self.file(name), finite(data))

    def write_text(self, name: str, text: str) -> None:
        """Writes a text file in one step."""
        write_text(self.file(name), text)

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes a `.npz` file in one step."""
        with replacing(self.file(name)) as temporary:
            np.savez_compressed(temporary, **arrays)

    def arrays(self, name: str) -> dict[str, np.ndarray] | None:
        """Returns the arrays of a `.npz` file, or `None` where there is none."""
        path = self.file(name)
        return read_arrays(path, "arrays of the run (remove them where they are damaged)") if path.exists() else None

    # ---- models ------------------------------------------------------------------------------------

    def save_model(self, name: str, model: keras.Model) -> None:
        """Saves a model in one step."""
        with replacing(self.file(name)) as temporary:
            model.save(temporary)

    def model(self, name: str) -> keras.Model:
        """Loads a model of the run."""
        return load_model(self.file(name))

    # ---- the report ------------------------------------------------------------------------------------

    def steps(self) -> dict[str, StepReport]:
        """Returns what was measured after each stage, by its name."""
        found = {}
        for one in self.json(STEPS) or ():
            metrics = one.get("metrics") or _known(one)  # runs of version 0.2 wrote no further ones, and no epoch
            name = one["step"]
            found[name] = StepReport(NAMES[name], one["output_error"], metrics, one.get("epoch"))
        return found

    def report(self) -> PruningReport:
        """Returns the record of the pruning, as `kp.prune` returns it."""
        costs, verified = self.json("costs.json"), self.json("verified.json") or {}
        chosen = next((one for one in self.json(STEPS) or () if one.get("delivered")), None)
        dense, slim = costs["dense"], costs["slim"]
        return PruningReport(
            tuple(self.steps().values()),
            macs=slim["macs"] / max(dense["macs"], 1),
            params=slim["params"] / dense["params"],
            removed=tuple((self.json("plan.json") or {}).get("removed", ())),
            verified=math.nan if verified.get("error", 0.0) is None else verified.get("error"),  # NaN is null in JSON
            reason=verified.get("reason", ""),
            delivered=NAMES[chosen["step"]] if chosen else "",
            remarks=tuple(chosen["remarks"]) if chosen else (),
        )

    # ---- metrics -----------------------------------------------------------------------------------

    def metrics(self) -> list[dict[str, str]]:
        """Returns the rows of `metrics.csv` as text."""
        return read_rows(self.file("metrics.csv"))

    def rows_of(self, stage: str) -> list[dict[str, str]]:
        """Returns the rows of a stage without its name and without empty cells."""
        rows = [row for row in self.metrics() if row.get("stage") == stage]
        return [{key: cell for key, cell in row.items() if key != "stage" and cell} for row in rows]

    def set_metrics(self, stage: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Writes the rows of a stage in place of those it had, so that a stage begun anew has none twice."""
        kept = [row for row in self.metrics() if row["stage"] != stage]
        write_rows(self.file("metrics.csv"), [*kept, *({"stage": stage, **row} for row in rows)], COLUMNS)


def _known(step: Mapping[str, Any]) -> dict[str, float]:
    return {name: step[name] for name in ("accuracy", "loss") if step.get(name) is not None}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _held(path: Path) -> list[Path]:
    """Returns what a folder holds, but for what killed processes have left; nothing if there is no folder."""
    found = path.iterdir() if path.is_dir() else ()
    return [each for each in found if not is_lock(each) and not is_stray(each)]


def claim(path: Path, names: Sequence[str], *, resume: bool) -> None:
    """Says why an output folder may not be used; a folder that is not there yet may.

    Args:
        path: The folder.
        names: Files that a folder to be resumed must have.
        resume: Whether a folder that is not empty may be carried on with.

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
            f"Received: {str(path)!r}, which holds files. Choose another with --out, or carry on with --resume."
        )
    if filled and not all((path / name).exists() for name in names):
        raise PruneError(
            f"Expected the folder of an earlier run. Received: {str(path)!r}, which lacks {', '.join(names)}."
        )


@contextmanager
def occupied(path: Path) -> Iterator[None]:
    """Keeps other processes out of the folder of a run; one that was made for nothing is removed again.

    The system frees the lock, whatever ends the process.

    Args:
        path: The folder, which need not be there yet.

    Raises:
        PruneError: Another process holds it.
    """
    there, lock = path.exists(), ExitStack()
    try:
        lock.enter_context(claimed(path, path / LOCK))
    except NoLockError:
        warn(f"{str(path)!r} is on a disk that takes no locks: see that no other run writes there at the same time.")
    try:
        with lock:
            yield
    finally:
        if not there and path.is_dir() and not any(path.iterdir()):
            path.rmdir()


@contextmanager
def taken(path: Path, names: Sequence[str], *, resume: bool) -> Iterator[None]:
    """Takes an output folder for oneself, if it may be used: before every lock of what lies in it.

    Args:
        path: The folder, which need not be there yet.
        names: Files that a folder to be resumed must have.
        resume: Whether a folder that is not empty may be carried on with.

    Raises:
        PruneError: Another process holds it; or as in `claim`.
    """
    with occupied(path):
        claim(path, names, resume=resume)
        yield


@contextmanager
def withdrawn(*paths: Path) -> Iterator[None]:
    """Removes files that were not there before, if the block, which judges what a command is given, raises.

    Args:
        paths: The files.
    """
    made = [path for path in paths if not path.exists()]
    try:
        yield
    except Exception:
        for path in made:
            remove(path)
        raise


def finite(data: Any) -> Any:
    """Returns plain data in which NaN and infinity, which JSON has not, are `None`."""
    if isinstance(data, dict):
        return {key: finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite(value) for value in data]
    if isinstance(data, float | np.floating):
        return float(data) if math.isfinite(data) else None
    return int(data) if isinstance(data, np.integer) else data


def begun(folder: str | Path, *, trust: bool = False) -> Recipe:
    """Returns the recipe of a run, settings included.

    Args:
        folder: The folder of the run.
        trust: Whether `package.module:Name` may be imported. Defaults to `False`.

    Raises:
        PruneError: It is no folder of a run, so there is nothing to resume; or its recipe has faults.
    """
    path = path_of(folder) / "recipe.yaml"
    if not is_file(path):
        raise PruneError(
            f"Expected the folder of a run that was broken off. Received: {short(str(folder))}, which holds no "
            "recipe.yaml: there is nothing to resume. Begin with 'kerasprune run RECIPE'."
        )
    return loader.parse(read_text(path, "the recipe of a run"), source=str(path), trust=trust)


MARK = "recipe.yaml"
FILES = frozenset(
    {MARK, "stages.json", "metrics.csv", "costs.json", "exports.json", "summary.json", "report.html", "warnings.txt"}
    | {"plan.json", "widths.json", "graph.json", "verified.json", "points.json", "masks.npz", "norms.npz", "maps.npz"}
    | {"dense.keras", "pruned.keras", "rebuilt.keras", "reconstructed.keras", "steps.json", "slim.keras"}
)
FOLDERS = frozenset({"exports", "points", "resume"})


def make_room(path: Path, recipe: Any) -> None:
    """Removes the files of an earlier run, if `check_room` lets it; nothing if there is no folder, or an empty one."""
    check_room(path, recipe)
    if held := _held(path):
        with occupied(path):
            for each in held:
                remove(each)


def check_room(path: Path, recipe: Any) -> None:
    """Says why the files of an earlier run may not be removed for a new one.

    Args:
        path: The folder.
        recipe: What the new run reads, as plain data: a mapping whose values may name files.

    Raises:
        PruneError: It is not the folder of a run, or holds other files as well, or what the new run reads.
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
    """Returns whether a text is the path of something inside a folder, through links as well."""
    try:
        path = Path(text).expanduser()
        return path.exists() and path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError):  # no path at all
        return False
