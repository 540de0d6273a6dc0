"""Comparison of criteria: the same model, budgets, fine-tuning and seeds for all, with controls."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasprune.checks import choice_faults, proper_fraction_faults, whole_number_faults
from kerasprune.criteria.registry import criteria as known_criteria
from kerasprune.errors import PruneError, make_or_note, raise_faults
from kerasprune.files import path_of, replace_when_done, write_rows, write_text
from kerasprune.files.made_of import MADE_OF, check_settings, named_digest
from kerasprune.recipes import loader
from kerasprune.recipes.populations.population import Population
from kerasprune.recipes.reports.contest import draw, summarise_runs
from kerasprune.recipes.run_folder import take_folder, withdrawn

if TYPE_CHECKING:
    import keras

STORE, MODEL = "population.sqlite", "model.keras"
RUNS, TABLE, PLOT = "runs.csv", "comparison.csv", "comparison.svg"
CONTENDER = "kerasprune.recipes.contender:evaluate"
CONTROLS = ("random", "l1", "scratch")
DENSE = "dense"


def compare(
    model: str | Path | keras.Model,
    criteria: Sequence[str | Mapping[str, Any]],
    macs: Sequence[float],
    data: str | Mapping[str, Any],
    *,
    seeds: int | Sequence[int] = 3,
    finetune: Mapping[str, Any] | None = None,
    controls: Sequence[str] = CONTROLS,
    start: str = "folded",
    plan: Mapping[str, Any] | None = None,
    loss: str | None = None,
    folder: str | Path = "comparison",
    resume: bool = False,
    workers: int = 1,
    engine: str = "local",
    trust: bool | Sequence[str] = False,
    verbose: int = 1,
) -> Path:
    """Prunes one model by several criteria, and fine-tunes and evaluates each result in the same way.

    Args:
        model: Path of a `.keras` or a whole `.h5` file; or a model, which is saved in the folder.
        criteria: Names, or dicts with a name and arguments.
        macs: Fractions of the multiply–adds that are kept, each in (0, 1).
        data: A data set as for `kerasprune prune --data`, or the `data` section of a recipe. Without labels
            the outputs are compared with the dense model's, which teaches in fine-tuning.
        seeds: Random seeds of the order of the examples and of all random choices, or their number. Defaults to 3.
        finetune: The `finetune` section of a recipe; with `"distil": {}` the dense model teaches, see `kp.distil`.
            Defaults to `None`: no training after removal.
        controls: Baselines: `"random"` channels; `"l1"` with the uniform budget; and `"scratch"`: the architecture of
            the `"l1"` model with fresh weights, trained in the same way. Defaults to all three.
        start: `"folded"`: training starts with the weights that remain after removal; `"reconstructed"`: with those of
            `kp.reconstruct` on 1,000 training examples, if their outputs are closer to the dense ones. Defaults to
            `"folded"`.
        plan: Other keys of a recipe's `plan` section: `budget`, `coupling`, `freeze`, `min_keep`, `round_to`. Defaults
            to none.
        loss: Name of a Keras loss. Defaults to that of the data or of the checkpoint.
        folder: The folder to write to. Defaults to `"comparison"`.
        resume: Continue a comparison in its folder, possibly with more criteria, budgets or seeds. Finished runs are
            not repeated; failed ones are. Defaults to `False`.
        workers: Number of simultaneous runs. Defaults to 1.
        engine: See `kp.recipes.Population`. Defaults to `"local"`.
        trust: Whether `package.module:Name` may be imported; or the files and packages with classes of the model,
            which are imported first. Defaults to `False`.
        verbose: 0: silent; 1: a line for each finished run. Defaults to 1.

    Returns:
        The folder: `runs.csv`, a row for each run; `comparison.csv`, mean and standard deviation over the seeds;
        `comparison.svg`; and `population.sqlite`.

    Raises:
        PruneError: An argument is out of range, a name is unknown, the folder holds other files, the model itself
            cannot be judged on the data, or every criterion failed.

    Example:
        >>> import keras, numpy as np, tempfile
        >>> from pathlib import Path
        >>> here = Path(tempfile.mkdtemp())
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(2)])
        >>> model.save(here / "mine.keras")
        >>> np.savez(here / "mine.npz", x=np.ones((40, 4), "float32"), y=np.zeros(40, "int32"))
        >>> options = {"seeds": 1, "controls": (), "engine": "serial", "verbose": 0}
        >>> out = compare(here / "mine.keras", ["l1"], [0.5], str(here / "mine.npz"), folder=here / "out", **options)
        >>> sorted(path.name for path in out.iterdir() if path.suffix in (".csv", ".svg"))
        ['comparison.csv', 'comparison.svg', 'runs.csv']

    Reference:
        Blalock et al., What is the State of Neural Network Pruning?, MLSys 2020, section 6: the same model, several
        budgets, several seeds with their deviation, random and uniform controls, compression and speed-up.
    """
    _check_forms(criteria, macs, finetune)
    data = {"name": data} if isinstance(data, str) else dict(data)
    path = path_of(folder)
    with take_folder(path, [STORE, MADE_OF], resume=resume):
        with withdrawn(path / MODEL, path / STORE, path / MADE_OF):
            file = file_of(model, path / MODEL)
            candidates = candidates_of(
                file,
                criteria,
                macs,
                data,
                seeds=seeds,
                finetune=finetune,
                controls=controls,
                start=start,
                plan=plan,
                loss=loss,
                trust=trust,
            )
            dense = loader.parse(candidates[0]["recipe"], trust=trust_of(trust)["trust"])
            check_settings(path / MADE_OF, loader.made_of(dense, ["seed"]))
            version = version_of(file, data["name"])
            population = Population(path / STORE, engine=engine, workers=workers, verbose=verbose)
            population.forget_failures()
            check_dense(*population.run(CONTENDER, candidates[:1], version=version))
        return _write(path, population.run(CONTENDER, candidates, version=version))


def candidates_of(
    file: str | Path,
    criteria: Sequence[str | Mapping[str, Any]],
    macs: Sequence[float],
    data: Mapping[str, Any],
    *,
    seeds: int | Sequence[int],
    finetune: Mapping[str, Any] | None,
    controls: Sequence[str],
    start: str,
    plan: Mapping[str, Any] | None,
    loss: str | None,
    trust: bool | Sequence[str],
) -> list[dict[str, Any]]:
    """Returns the arguments of every run, checked, first the dense model's; arguments as for `compare`.

    Nothing is read or run, and Keras is not imported for it.
    """
    seeds = range(seeds) if isinstance(seeds, int) else seeds
    teacher = "dense" if (finetune or {}).get("distil") is not None else "none"
    base = {"name": "comparison", "why": "Which criterion keeps the most?", "data": data, "loss": loss}
    base |= {"finetune": finetune, "model": {"start": str(file)}}
    cells = _cells(criteria, macs, seeds, controls, start, teacher, dict(plan or {}))
    return [_candidate(cell, base, trust) for cell in cells]


def _check_forms(criteria: Any, macs: Any, finetune: Mapping[str, Any] | None) -> None:
    """Raises if one criterion or fraction is given in place of a list, or callbacks, which are not run."""
    alone = {
        name: each for name, each in (("criteria", criteria), ("macs", macs)) if isinstance(each, str | int | float)
    }
    faults = [f"Expected a list. Received: {name}={each!r}. Give [{each!r}]." for name, each in alone.items()]
    if (finetune or {}).get("callbacks"):
        faults.append("Expected finetune without callbacks, which are not run. Leave finetune.callbacks out.")
    raise_faults("Invalid arguments for compare:", faults)


def check_dense(row: Mapping[str, Any]) -> None:
    """Raises the error of the dense model's evaluation, before all other runs fail for the same reason.

    Args:
        row: The row of the dense model.
    """
    if row.get("error"):
        raise PruneError(f"The model itself cannot be judged on these data: {row['error']}")


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Writes the tables and the plot of the finished runs."""
    done = [row for row in rows if row["state"] == "done"]
    if len(done) == 1:  # the dense model
        failed = next(row["error"] for row in rows if row["state"] != "done")
        raise PruneError(f"No criterion finished. The error of the first: {failed}")
    long = ("recipe", "imports", "trust")
    write_rows(path / RUNS, [{key: cell for key, cell in row.items() if key not in long} for row in rows])
    table = summarise_runs(done)
    write_rows(path / TABLE, table)
    write_text(path / PLOT, draw(table))
    return path


def file_of(model: str | Path | keras.Model, path: Path) -> str | Path:
    """Returns the file of a model; saves one in memory, unless a resumed comparison has saved it already."""
    if isinstance(model, str | Path):
        return model
    from kerasprune.files.keras_model import load_model

    if not path.exists():
        with replace_when_done(path) as temporary:
            model.save(temporary)
    elif not _same_weights(load_model(path), model):
        raise PruneError(
            f"Expected the model that the comparison in this folder began with. Received: {model.name!r} with other "
            f"weights than {str(path)!r}. Choose another folder."
        )
    return path


def _same_weights(a: Any, b: Any) -> bool:
    import keras

    pairs = [[keras.ops.convert_to_numpy(each) for each in model.weights] for model in (a, b)]
    return len(pairs[0]) == len(pairs[1]) and all(map(np.array_equal, *pairs))


def _cells(
    criteria: Sequence[str | Mapping[str, Any]],
    macs: Sequence[float],
    seeds: Sequence[int],
    controls: Sequence[str],
    start: str,
    teacher: str,
    plan: dict[str, Any],
) -> list[dict[str, Any]]:
    """Returns the settings of every run, seed by seed, so that the table is complete as early as possible."""
    faults = [fault for one in seeds for fault in whole_number_faults(0, seeds=one)]
    repeated = sorted({one for one in seeds if list(seeds).count(one) > 1})
    faults += [f"Expected different seeds. Received: {repeated[0]} twice. Leave one out."] if repeated else []
    faults += [] if len(seeds) else ["Expected one seed or more. Received: seeds=0."]
    faults += [] if criteria else ["Expected one criterion or more. Received: criteria=[]."]
    faults += [] if macs else ["Expected one fraction of the multiply–adds or more. Received: macs=[]."]
    faults += [fault for each in macs for fault in proper_fraction_faults(macs=each)]
    faults += [fault for each in controls for fault in choice_faults(CONTROLS, controls=each)]
    faults += choice_faults(("folded", "reconstructed"), start=start)
    for each in criteria:
        name = each.get("name") if isinstance(each, Mapping) else each
        if not (isinstance(name, str) and ":" in name):  # one of the user's own is looked up if it is trusted
            make_or_note(faults, known_criteria.address, name)
    raise_faults("Invalid arguments for compare:", faults)
    uniform = plan.get("budget", "uniform") in ("uniform", {"name": "uniform"})
    methods = {_name(each): (each, start, plan) for each in criteria}
    l1 = {**plan, "budget": "uniform"}
    for control in controls:
        if control == "random":
            methods.setdefault("random", ("random", start, plan))
        elif control == "l1" and not (uniform and "l1" in methods):
            methods["l1" if uniform else "l1, uniform"] = ("l1", start, l1)
        elif control == "scratch":
            methods["from scratch"] = ("l1", "scratch", l1)
    first = {"method": DENSE, "criterion": "l1", "target": 1.0, "seed": seeds[0], "start": "dense", "teacher": "none"}
    return [{**first, "plan": plan}] + [
        {"method": name, "criterion": each, "target": target, "seed": one, "start": begins, "teacher": teacher}
        | {"plan": section}
        for one in seeds
        for target, (name, (each, begins, section)) in itertools.product(macs, methods.items())
    ]


def _name(criterion: str | Mapping[str, Any]) -> str:
    if isinstance(criterion, str):
        return criterion
    more = ", ".join(f"{key}={value}" for key, value in criterion.items() if key != "name")
    return f"{criterion['name']}({more})" if more else criterion["name"]


def _candidate(cell: Mapping[str, Any], base: Mapping[str, Any], trust: bool | Sequence[str]) -> dict[str, Any]:
    """Returns the arguments of one run, its recipe checked."""
    plan = {**cell["plan"], "criterion": cell["criterion"], "macs": cell["target"]}
    trusted = trust_of(trust)
    recipe = {**base, "seed": cell["seed"], "prune": {"plan": plan}}
    recipe = loader.check(recipe, source="The comparison", trust=trusted["trust"])
    shown = {key: cell[key] for key in ("method", "target", "seed", "start", "teacher")}
    return {**shown, "recipe": loader.dump(recipe), **trusted}


def trust_of(trust: bool | Sequence[str]) -> dict[str, Any]:
    """Returns whether code may be imported, and the code to import first."""
    return {"trust": bool(trust), "imports": [] if isinstance(trust, bool) else list(trust)}


def version_of(model: str | Path, data: str) -> str:
    """Returns a hash of the files that a run reads, so that another model under the same name is another run."""
    return hashlib.sha256(f"{named_digest(model)} {named_digest(data)}".encode()).hexdigest()[:16]
