"""Criteria beside each other: the same model, budgets, fine-tuning and seeds for all, with controls."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasprune.errors import PruneError, choice_faults, proper_fraction_faults, raise_faults, whole_number_faults
from kerasprune.files import is_file, path_of, write_rows, write_text
from kerasprune.recipes import loader
from kerasprune.recipes.run_folder import claim
from kerasprune.registry import criteria as known_criteria
from kerasprune.reports.contest import draw, summarised
from kerasprune.workflows.population import Population

if TYPE_CHECKING:
    from kerasprune.recipes import schema

STORE, RUNS, TABLE, PLOT = "population.sqlite", "runs.csv", "comparison.csv", "comparison.svg"
CONTENDER = "kerasprune.recipes.contender:evaluate"
CONTROLS = ("random", "l1", "scratch")
DENSE = "dense"


def compare(
    model: str | Path,
    criteria: Sequence[str | Mapping[str, Any]],
    macs: Sequence[float],
    data: str | Mapping[str, Any],
    *,
    seeds: int = 3,
    finetune: Mapping[str, Any] | None = None,
    controls: Sequence[str] = CONTROLS,
    start: str = "folded",
    teacher: str = "none",
    plan: Mapping[str, Any] | None = None,
    loss: str | None = None,
    out: str | Path = "comparison",
    resume: bool = False,
    workers: int = 1,
    engine: str = "local",
    seed: int = 0,
    size: int | None = None,
    trust: bool = False,
    imports: Sequence[str] = (),
    verbose: int = 1,
) -> Path:
    """Prunes one model by several criteria, and fine-tunes and judges all alike.

    Args:
        model: Path of a `.keras` file.
        criteria: Names, or dicts with a name and arguments.
        macs: Fractions of the multiply–adds that stay, each in (0, 1).
        data: A data set as for `kerasprune prune --data`, or the `data` section of a recipe.
        seeds: Number of seeds, those from `seed` on: of the order of the examples and of what is random. Defaults to 3.
        finetune: The `finetune` section of a recipe. Defaults to `None`: no training after removal.
        controls: What every criterion should beat: `"random"` picks; `"l1"` with the uniform budget; and `"scratch"`:
            the architecture of the latter with weights drawn anew, trained alike. Defaults to all three.
        start: `"folded"`: training begins with what removal leaves; `"reconstructed"`: with what `kp.reconstruct`
            makes of it on 1,000 training examples. Defaults to `"folded"`.
        teacher: `"none"`; `"dense"`: fine-tuning learns from the dense model, too, see `kp.distil`. Defaults to
            `"none"`.
        plan: Other keys of a recipe's `plan` section: `budget`, `coupling`, `freeze`, `min_keep`, `round_to`. Defaults
            to none.
        loss: Name of a Keras loss. Defaults to that of the data or of the checkpoint.
        out: Folder to write to. Defaults to `"comparison"`.
        resume: Go on with a folder that holds a comparison already, also of fewer criteria, budgets or seeds. What is
            finished is not run again; what failed is. Defaults to `False`.
        workers: Runs at a time. Defaults to 1.
        engine: See `kerasprune.Population`. Defaults to `"local"`.
        seed: The first seed. Defaults to 0.
        size: Image side in pixels, where the model leaves it free. Defaults to that of the data.
        trust: Whether `package.module:Name` may be imported. Defaults to `False`.
        imports: Code with classes of the model, for which `trust` is needed. Defaults to none.
        verbose: 0: silent; 1: what is finished. Defaults to 1.

    Returns:
        The folder: `runs.csv`, a row for each run; `comparison.csv`, mean and standard deviation over the seeds;
        `comparison.svg`; and `population.sqlite`.

    Raises:
        PruneError: An argument is out of range, a name is unknown, the folder holds something else, the model itself
            cannot be judged on the data, or no criterion came to its end.

    Example:
        >>> import keras, numpy as np, tempfile
        >>> from pathlib import Path
        >>> here = Path(tempfile.mkdtemp())
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(2)])
        >>> model.save(here / "mine.keras")
        >>> np.savez(here / "mine.npz", x=np.ones((40, 4), "float32"), y=np.zeros(40, "int32"))
        >>> options = {"seeds": 1, "controls": (), "engine": "serial", "verbose": 0}
        >>> out = compare(here / "mine.keras", ["l1"], [0.5], str(here / "mine.npz"), out=here / "out", **options)
        >>> sorted(path.name for path in out.iterdir() if path.suffix in (".csv", ".svg"))
        ['comparison.csv', 'comparison.svg', 'runs.csv']

    Reference:
        Blalock et al., What is the State of Neural Network Pruning?, MLSys 2020, section 6: the same model, several
        budgets, several seeds with their deviation, random and uniform controls, compression and speed-up.
    """
    cells = _cells(criteria, macs, seeds, seed, controls, start, teacher, dict(plan or {}))
    data = {"name": data} if isinstance(data, str) else dict(data)
    base = {
        "name": "comparison",
        "why": "Which criterion keeps the most?",
        "model": {"start": str(model), "size": size},
        "data": {**data, **({"size": size} if size else {})},
        "loss": loss,
        "finetune": finetune,
    }
    path = path_of(out)
    claim(path, [STORE], resume=resume)
    candidates = [_candidate(cell, base, trust, imports) for cell in cells]
    path.mkdir(parents=True, exist_ok=True)
    population = Population(path / STORE, engine, workers, verbose=verbose)
    population.forget_failures()
    version = version_of(model, data["name"])
    check_dense(*population.run(CONTENDER, candidates[:1], version=version))
    return _write(path, population.run(CONTENDER, candidates, version=version))


def check_dense(row: Mapping[str, Any]) -> None:
    """Says why the dense model cannot be judged, before all others fail for the same reason.

    Args:
        row: What came out of judging it; `error` where nothing did.

    Raises:
        PruneError: It could not be judged.
    """
    if row.get("error"):
        raise PruneError(f"The model itself cannot be judged on these data: {row['error']}")


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Writes the tables and the plot of the runs that came to their end."""
    done = [row for row in rows if row["state"] == "done"]
    if len(done) == 1:  # the dense model
        failed = next(row["error"] for row in rows if row["state"] != "done")
        raise PruneError(f"No criterion came to its end. The first says: {failed}")
    long = ("recipe", "imports", "trust")
    write_rows(path / RUNS, [{key: cell for key, cell in row.items() if key not in long} for row in rows])
    table = summarised(done)
    write_rows(path / TABLE, table)
    write_text(path / PLOT, draw(table))
    return path


def _cells(
    criteria: Sequence[str | Mapping[str, Any]],
    macs: Sequence[float],
    seeds: int,
    seed: int,
    controls: Sequence[str],
    start: str,
    teacher: str,
    plan: dict[str, Any],
) -> list[dict[str, Any]]:
    """Returns what sets every run apart; seed by seed, so that a table is whole as early as can be."""
    faults = whole_number_faults(1, seeds=seeds) + whole_number_faults(0, seed=seed)
    faults += [] if criteria else ["Expected one criterion or more. Received: criteria=[]."]
    faults += [] if macs else ["Expected one fraction of the multiply–adds or more. Received: macs=[]."]
    faults += [fault for each in macs for fault in proper_fraction_faults(macs=each)]
    faults += [fault for each in controls for fault in choice_faults(CONTROLS, controls=each)]
    faults += choice_faults(("folded", "reconstructed"), start=start) + choice_faults(
        ("none", "dense"), teacher=teacher
    )
    faults += [fault for each in criteria for fault in _unknown(each)]
    raise_faults("The criteria cannot be compared:", faults)
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
    first = {"method": DENSE, "criterion": "l1", "target": 1.0, "seed": seed, "start": "dense", "teacher": "none"}
    return [{**first, "plan": plan}] + [
        {"method": name, "criterion": each, "target": target, "seed": one, "start": begins, "teacher": teacher}
        | {"plan": section}
        for one in range(seed, seed + seeds)
        for target, (name, (each, begins, section)) in itertools.product(macs, methods.items())
    ]


def _unknown(criterion: Any) -> Iterator[str]:
    """Yields what is wrong with the name of a criterion."""
    name = criterion.get("name") if isinstance(criterion, Mapping) else criterion
    if isinstance(name, str) and ":" in name:
        return  # one of the user's own, which is looked up where it is trusted
    try:
        known_criteria.member(name)
    except PruneError as error:
        yield str(error)


def _name(criterion: str | Mapping[str, Any]) -> str:
    if isinstance(criterion, str):
        return criterion
    more = ", ".join(f"{key}={value}" for key, value in criterion.items() if key != "name")
    return f"{criterion['name']}({more})" if more else criterion["name"]


def _candidate(cell: Mapping[str, Any], base: Mapping[str, Any], trust: bool, imports: Sequence[str]) -> dict[str, Any]:
    """Returns the arguments of one run, its recipe checked."""
    plan = {**cell["plan"], "criterion": cell["criterion"], "macs": cell["target"]}
    recipe = _checked({**base, "seed": cell["seed"], "prune": {"plan": plan}}, trust)
    shown = {key: cell[key] for key in ("method", "target", "seed", "start", "teacher")}
    return {**shown, "recipe": loader.dump(recipe), "trust": trust, "imports": list(imports)}


def _checked(recipe: dict[str, Any], trust: bool) -> schema.Recipe:
    return loader.check(recipe, source="The comparison", trust=trust)


def version_of(model: str | Path, data: str) -> str:
    """Returns what changes with the files that a run reads, so that another model under a name is another run."""
    digest = hashlib.sha256()
    for path in filter(is_file, (model, data)):
        digest.update(Path(path).read_bytes())
    return digest.hexdigest()[:16]
