"""Runs one recipe with several seeds and settings: a run folder for each, and a table of all."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from kerasprune.checks import whole_number_faults
from kerasprune.errors import PruneError, raise_faults, warn
from kerasprune.files import path_of
from kerasprune.files.made_of import MADE_OF, check_settings
from kerasprune.files.temporary_files import remove
from kerasprune.files.writing import standard_error_in
from kerasprune.recipes import loader
from kerasprune.recipes.comparison import trust_of
from kerasprune.recipes.lookup import import_classes
from kerasprune.recipes.populations.population import Population
from kerasprune.recipes.reports.comparison import runs_below, write_comparison
from kerasprune.recipes.run_folder import take_folder
from kerasprune.recipes.run_warnings import FILE, texts_of_warnings
from kerasprune.recipes.yaml_text import read_value

if TYPE_CHECKING:
    from rich.console import Console

STORE, TABLE = "population.sqlite", "comparison.csv"


def grid_of(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Returns `{key: values}` of texts such as `"prune.plan.macs=.5,.3"`, one for each key; values are YAML.

    Example:
        >>> grid_of(["prune.plan.macs=.5,.3", "prune.plan.criterion=l1,l2"])
        {'prune.plan.macs': [0.5, 0.3], 'prune.plan.criterion': ['l1', 'l2']}
    """
    grid: dict[str, list[Any]] = {}
    faults = []
    for text in texts:
        key, _, listed = text.partition("=")
        values = read_value(f"[{listed}]")  # a text if it is not YAML
        if not key or not values or not isinstance(values, list) or key in grid:
            faults.append(f"Expected every key once, as key.key=value,value. Received: --grid {text}")
        grid[key] = values
    raise_faults("Invalid arguments for the grid:", faults)
    return grid


def seeds_and_grid(
    recipe: str | Path,
    *,
    seeds: int = 1,
    grid: Mapping[str, Sequence[Any]] | None = None,
    settings: Sequence[str] = (),
    folder: str | Path | None = None,
    resume: bool = False,
    workers: int = 1,
    engine: str = "local",
    trust: bool | Sequence[str] = False,
    smoke: bool = False,
    verbose: int = 1,
) -> Path:
    """Runs a recipe for every combination of the grid and every seed, each in its own process and folder.

    All runs are validated before the first begins. Finished runs are not repeated; a run that was killed or failed
    resumes.

    Args:
        recipe: Name of a recipe of the package, or the path of a `.yaml` file.
        seeds: Number of seeds, counted upwards from the recipe's. Defaults to 1.
        grid: `{"key.key": values}`. Defaults to none.
        settings: Changes for all runs, as `"key.key=value"`. Defaults to none.
        folder: Folder for the run folders. Defaults to `runs/<recipe>-grid-<hash of all runs>`.
        resume: Continue in a folder that already holds runs, possibly with more seeds or values. Defaults to `False`.
        workers: Number of simultaneous runs. Defaults to 1.
        engine: See `kp.recipes.Population`. Defaults to `"local"`.
        trust: Whether user code (`package.module:Name`) may be imported; or the files and packages with classes of the
            model, which every run imports first. Defaults to `False`.
        smoke: Try all stages on two batches of generated images. Defaults to `False`.
        verbose: 0: silent; 1: a line for each finished run, with the time left. Defaults to 1.

    Returns:
        The folder, with a run folder and its output (`.txt`) for each combination and seed, `comparison.csv` (mean and
        standard deviation over the seeds), and `population.sqlite`.

    Raises:
        PruneError: A recipe is invalid, the folder holds other files, or every run failed.
    """
    trusted = {name: value for name, value in trust_of(trust).items() if value != []}
    cells = _cells(recipe, seeds, grid or {}, settings, trusted["trust"])
    if folder is None:
        name = yaml.safe_load(next(iter(cells.values())))["name"]
        folder = Path("runs") / f"{name}-grid-{hashlib.sha256(''.join(cells.values()).encode()).hexdigest()[:8]}"
    path = path_of(folder)
    runs = [path / name for name in cells]
    with take_folder(path, [STORE, MADE_OF], resume=resume):
        new = [each for each in (path / STORE, path / MADE_OF, *map(output_of, runs)) if not each.exists()]
        first = loader.parse(next(iter(cells.values())), trust=trusted["trust"])
        check_settings(path / MADE_OF, loader.made_of(first, ["seed", *(grid or {})]))
        population = Population(path / STORE, engine=engine, workers=workers, verbose=verbose)
        population.forget_failures()
        rows = population.run(
            "kerasprune.recipes.grid:run_cell",
            [{"recipe": cells[run.name], "folder": str(run), "smoke": smoke, **trusted} for run in runs],
        )
        if all(row["state"] == "failed" for row in rows):
            for each in () if any(run.exists() for run in runs) else new:  # all were rejected before they began
                remove(each)
            raise PruneError(f"No run finished. The error of the first: {rows[0]['error']}")
        if heard := [row["folder"] for row in rows if row.get("warnings")]:
            warn(f"{len(heard)} of {len(rows)} runs warned: see {Path(heard[0]) / FILE}.")
        write_comparison(runs_below([path])[0], path / TABLE)
    return path


def run_cell(recipe: str, folder: str, trust: bool, smoke: bool, imports: Sequence[str] = ()) -> dict[str, Any]:
    """Runs or resumes one run of a grid.

    Args:
        recipe: The recipe as YAML text.
        folder: The run folder.
        trust: Whether user code (`package.module:Name`) may be imported.
        smoke: Whether it is a smoke run.
        imports: Code with classes of the model, imported first. Defaults to none.

    Returns:
        Accuracy, parameters and multiply–adds of the final model, and the number of warnings, which are in
        `warnings.txt` of the folder; its output is in a file next to the folder.
    """
    path = Path(folder)
    begun = path.is_dir() and any(path.iterdir())
    with warnings.catch_warnings(record=True), _written(output_of(path)) as console:
        from kerasprune.recipes.runner import run  # the messages of TensorFlow's start are written too

        for name in imports:
            import_classes(name, trust=trust)
        run(loader.parse(recipe, trust=trust), path, resume=begun, smoke=smoke, console=console)
    summary = json.loads((path / "summary.json").read_text(encoding="utf-8"))
    found = summary["slim"] or summary["dense"]
    return {key: found.get(key) for key in ("accuracy", "params", "macs")} | {"warnings": len(texts_of_warnings(path))}


def output_of(folder: Path) -> Path:
    """Returns the file, next to its folder, for the output of a run and of TensorFlow in its process."""
    return folder.with_name(f"{folder.name}.txt")


@contextmanager
def _written(path: Path) -> Iterator[Console]:
    """Yields a console that writes to a file, to which standard error is redirected as well."""
    from rich.console import Console

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", buffering=1) as file, standard_error_in(file):
        yield Console(file=file, width=120)


def _cells(
    recipe: str | Path, seeds: int, grid: Mapping[str, Sequence[Any]], settings: Sequence[str], trust: bool
) -> dict[str, str]:
    """Returns `{folder name: recipe text}` of all runs; raises the faults of all at once."""
    faults = whole_number_faults(1, seeds=seeds)
    if "seed" in grid:
        faults.append("Expected the key seed outside the grid. Received: seed in it. Give seeds=NUMBER.")
    faults += [f"Expected values for {key!r}. Received: none." for key, values in grid.items() if not values]
    raise_faults("Invalid arguments for seeds_and_grid:", faults)
    cells: dict[str, str] = {}
    for values in itertools.product(*grid.values()):
        chosen = [f"{key}={json.dumps(value)}" for key, value in zip(grid, values, strict=True)]
        try:
            first = loader.load(recipe, [*settings, *chosen], trust=trust)
        except PruneError as error:
            faults.append(f"{', '.join(chosen)}: {error}")
            continue
        for seed in range(first.seed, first.seed + seeds):
            one = first.model_copy(update={"seed": seed})
            cells[_folder_name([*chosen, f"seed={seed}"], one)] = loader.dump(one)
    raise_faults("Invalid recipes in the grid:", faults)
    return cells


def _folder_name(settings: Sequence[str], recipe: Any) -> str:
    """Returns the settings of a run as a folder name."""
    label = ",".join(settings)
    name = re.sub(r"[^A-Za-z0-9._=,+-]", "", label)
    return name if name == label.replace('"', "") and len(name) <= 100 else f"{name[:80]}-{loader.fingerprint(recipe)}"
