"""`explore`: candidates from pruning spaces, ranked before training, trained, and the distribution of their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kerasprune.checks import choice_faults, given_values, whole_number_faults
from kerasprune.defaults import READY
from kerasprune.errors import PruneError, raise_faults
from kerasprune.files import path_of, write_rows, write_text
from kerasprune.files.made_of import MADE_OF, check_settings
from kerasprune.graph.graph import ChannelGraph
from kerasprune.papers.pruning_spaces import figures
from kerasprune.papers.pruning_spaces.figures import SpaceCandidate
from kerasprune.papers.pruning_spaces.sampling import sample, uniform
from kerasprune.papers.pruning_spaces.space import Space
from kerasprune.recipes import loader, lookup, schema
from kerasprune.recipes.comparison import check_dense, trust_of, version_of
from kerasprune.recipes.experiment import Experiment
from kerasprune.recipes.lookup import import_classes
from kerasprune.recipes.populations.population import OF_THE_STORE, Population
from kerasprune.recipes.run_folder import take_folder, withdrawn
from kerasprune.recipes.search.allocations import Allocations

STORE, ALLOCATIONS, CANDIDATES, PLANS = "population.sqlite", "recipes.csv", "members.csv", "plans"
FACTS = ("space", "macs", "params", "mcb", "std")
MODULE = "kerasprune.papers.pruning_spaces.candidate"

Row = dict[str, Any]
Run = Callable[[str, list[Row]], list[Row]]
"""`run(function, candidates)` returns the result of each."""


@dataclass(frozen=True)
class Draw:
    """The pruning spaces that allocations are drawn from, see `kp.papers.spaces.sample`.

    Args:
        macs: Fraction of the multiply–adds that is kept, `± delta`. `macs` or `params` is given, or both.
        params: Fraction of the parameters that is kept, `± delta`.
        delta: Half the width of these windows. Defaults to 0.002.
        std: Largest standard deviations of the allocations, a space for each. Defaults to none: one space of any.
        mcb: The window of the mean computation budget. Defaults to `None`: any.
        n: Number of allocations of each space. Defaults to 100.
        plan: `criterion` (`"l2"`), `coupling` (`"tied"`), `freeze` (none), as in a recipe. Defaults to these.
        size: Image side in pixels, if the model leaves it free. Defaults to that of the data.
        seed: Seed of the draw and of the trainings. Defaults to 0.
    """

    macs: float | None = None
    params: float | None = None
    delta: float = 0.002
    std: Sequence[float] = ()
    mcb: float | tuple[float, float] | None = None
    n: int = 100
    plan: Mapping[str, Any] = field(default_factory=dict)
    size: int | None = None
    seed: int = 0


def explore(
    model: str | Path,
    draw: Draw,
    *,
    data: str | Mapping[str, Any] | None = None,
    ranked_by: Sequence[str] = (),
    best: int | None = None,
    start: str = "removed",
    finetune: Mapping[str, Any] | None = None,
    shown: int = 5,
    loss: str | None = None,
    folder: str | Path = "space",
    resume: bool = False,
    workers: int = 1,
    engine: str = "local",
    trust: bool | Sequence[str] = False,
    verbose: int = 1,
) -> Path:
    """Draws allocations from pruning spaces; with data, ranks and fine-tunes the slim models.

    Args:
        model: Path of a `.keras` file.
        draw: The spaces, and the number of allocations of each.
        data: A data set as for `kerasprune prune --data`, or the `data` section of a recipe. Defaults to `None`: the
            allocations are only drawn, and their plans written.
        ranked_by: Ways to judge slim models before training, see `kp.papers.spaces.rank`; the first decides which are
            trained. Defaults to none.
        best: Number of the highest-ranked models of each space that are trained. Defaults to `None`: all.
        start: The way slim models are prepared for training. Defaults to `"removed"`, as in the paper.
        finetune: The `finetune` section of a recipe. Defaults to `None`: nothing is trained.
        shown: Number of the best candidates whose plans are written. Defaults to 5.
        loss: Name of a Keras loss. Defaults to that of the data or of the checkpoint.
        folder: The output folder. Defaults to `"space"`.
        resume: Whether to resume from a folder that holds a population already. Defaults to `False`.
        workers: Number of runs at a time. Defaults to 1.
        engine: See `kp.recipes.Population`. Defaults to `"local"`.
        trust: Whether `package.module:Name` may be imported; or the files and packages with classes of the model,
            which are imported first. Defaults to `False`.
        verbose: 0: silent; 1: shows the progress. Defaults to 1.

    Returns:
        The folder: `recipes.csv`, the fractions kept; `members.csv`, a row for each candidate with its measures, ranks
        and results, the best first; `plans`, of the best; `distributions.svg`, `winning.svg`, `budgets.svg`.

    Raises:
        PruneError: An argument is out of range, a space is empty, the folder holds something else, the data have no
            labels, or every run failed.

    Example:
        >>> import keras, tempfile
        >>> from pathlib import Path
        >>> here = Path(tempfile.mkdtemp())
        >>> dense = keras.layers.Dense
        >>> keras.Sequential([keras.Input((4,)), dense(16), dense(16), dense(2)]).save(here / "mine.keras")
        >>> draw = Draw(params=0.3, delta=0.02, std=[0.1], n=3)
        >>> out = explore(here / "mine.keras", draw, folder=here / "out")
        >>> sorted(path.name for path in out.iterdir())
        ['made_of.json', 'members.csv', 'plans', 'recipes.csv']

    Reference:
        He et al., Network Pruning Spaces, 2023, Sections 3 and 4.
    """
    faults = whole_number_faults(1, shown=shown, **given_values(best=best))
    faults += [fault for way in (*ranked_by, start) for fault in choice_faults(READY, way=way)]
    if data is not None and not ranked_by and finetune is None:
        faults.append(
            "Expected ranked_by, finetune or both with data, to judge slim models or to train them. Received: "
            f"data={data!r} alone. Leave data out, and plans are only drawn."
        )
    if data is None and (ranked_by or finetune is not None):
        faults.append(
            "Expected data to judge and to train slim models with. Received: data=None with "
            f"{'ranked_by' if ranked_by else 'finetune'}. Pass data, or leave that out."
        )
    if best is not None and not ranked_by:
        faults.append(f"Expected ranked_by with best, to rank the models. Received: best={best!r}.")
    raise_faults("Invalid arguments for explore:", faults)
    trusted = trust_of(trust)
    base = _recipe(model, draw, data, loss, finetune, trusted["trust"])
    for name in trusted["imports"]:
        import_classes(name, trust=True)
    graph = _graph(base)
    drawn = _drawn(graph, base, draw)
    rows = _rows(graph, drawn)
    path = path_of(folder)
    with take_folder(path, [ALLOCATIONS, MADE_OF], resume=resume):
        with withdrawn(path / ALLOCATIONS, path / STORE, path / MADE_OF):
            check_settings(path / MADE_OF, {**loader.made_of(base), "draw": asdict(draw)})
            fractions = [row for allocations in drawn.values() for row in allocations.rows()]
            names = [{"space": row["space"], "number": row["number"]} for row in rows]
            write_rows(path / ALLOCATIONS, [{**name, **keep} for name, keep in zip(names, fractions, strict=True)])
            if data is not None:
                population = Population(path / STORE, engine=engine, workers=workers, verbose=verbose)
                population.forget_failures()
                shared = {"recipe": loader.dump(base), **trusted}
                run = partial(_evaluated, population, version_of(model, base.data.name), shared)
                (dense,) = run("dense", [{}])
                check_dense(dense)
        if data is not None:
            rows = _results(run, dense, draw.seed, rows, tuple(ranked_by), best, start if finetune else None)
            _draw(path, graph, rows, f"macs {draw.macs:g}" if draw.macs is not None else f"params {draw.params:g}")
        write_rows(path / CANDIDATES, [{key: cell for key, cell in row.items() if key != "keep"} for row in rows])
        for row in rows if data is None else rows[:shown]:
            drawn[row["space"]].plan(row["number"]).save(path / PLANS / f"{row['space']}-{row['number']:03d}.json")
    return path


def _recipe(
    model: str | Path,
    draw: Draw,
    data: str | Mapping[str, Any] | None,
    loss: str | None,
    finetune: Mapping[str, Any] | None,
    trust: bool,
) -> schema.Recipe:
    """Returns the recipe that all runs share, checked."""
    target = {"macs": draw.macs, "params": None if draw.macs is not None else draw.params}
    section = {"name": data} if isinstance(data, str) else None if data is None else dict(data)
    recipe = {
        "name": "space",
        "why": "How much of which group?",
        "seed": draw.seed,
        "model": {"start": str(model), "size": draw.size},
        "data": section and {**section, **({"size": draw.size} if draw.size else {})},
        "loss": loss,
        "prune": {"plan": {"criterion": "l2", **draw.plan, **target}},
        "finetune": finetune,
    }
    return loader.check(recipe, source="The exploration", trust=trust)


def _graph(recipe: schema.Recipe) -> ChannelGraph:
    """Returns the graph of the dense model, having checked that its data have labels."""
    experiment = Experiment(recipe)
    model, spec = experiment.dense_model(), recipe.prune.plan
    if not experiment.labelled(model):
        raise PruneError(
            "Expected labels, by which slim models are judged. Received: data without. Give data with labels."
        )
    return experiment.traced(model, spec)


def _drawn(graph: ChannelGraph, recipe: schema.Recipe, draw: Draw) -> dict[str, Allocations]:
    """Returns the allocations of each space by its name."""
    named = recipe.prune.plan.criterion
    criterion = lookup.make("criterion", named.name, named.arguments)
    spaces = {f"STD-{each:g}": each for each in draw.std} or {"all" if draw.mcb is None else "mCB": None}
    windows = {"macs": draw.macs, "params": draw.params, "delta": draw.delta, "mcb": draw.mcb}
    return {
        name: sample(Space(graph, **windows, std=each, criterion=criterion), n=draw.n, seed=draw.seed)
        for name, each in spaces.items()
    }


def _rows(graph: ChannelGraph, drawn: Mapping[str, Allocations]) -> list[Row]:
    """Returns a row for each allocation: its space, fractions kept, and measures."""
    space = Space(graph)
    return [
        {"space": name, "number": number, "keep": keep.tolist(), **measures}
        for name, allocations in drawn.items()
        for number, (keep, measures) in enumerate(zip(allocations.keep, space.rows(allocations.keep), strict=True))
    ]


def _results(
    run: Run, dense: Row, seed: int, rows: list[Row], ways: tuple[str, ...], best: int | None, start: str | None
) -> list[Row]:
    """Returns the rows with the results of the candidates, the best on validation examples first.

    Args:
        run: Evaluates candidates.
        dense: The result of the dense model.
        seed: Seed of all runs.
        rows: The candidates.
        ways: The ways they are prepared to be ranked.
        best: Number of each space that are trained; `None`: all.
        start: The way they are prepared to be trained; `None`: they are not.
    """
    sign = -1 if dense["measure"] == "accuracy" else 1

    def added(function: str, rows: list[Row], judged: str, **more: Any) -> list[Row]:
        """Returns rows with the result of a function for each, the best first."""
        own = [{key: row[key] for key in ("space", "number", "keep")} | {"seed": seed, **more} for row in rows]
        found = [{**row, **each} for row, each in zip(rows, run(function, own), strict=True)]
        worth = [sign * row.get(judged, np.nan) for row in found]  # one that failed, or diverged, is the last
        return [found[number] for number in np.argsort(worth, kind="stable")]

    if ways:
        rows = added("ranked", rows, ways[0], by=list(ways))
    if start is not None:
        spaces = dict.fromkeys(row["space"] for row in rows)
        chosen = [row for space in spaces for row in [row for row in rows if row["space"] == space][:best]]
        others = [row for row in rows if not any(row is each for each in chosen)]
        rows = added("trained", chosen, "validation", start=start) + others
    judged = "validation" if start is not None else ways[0]
    if not any(judged in row for row in rows):
        raise PruneError(f"No candidate was finished. The first one's error: {rows[0].get('error')}")
    for row in rows:
        if judged in row:
            row["drop"] = sign * (row[judged] - dense["validation"])
            row["dense"], row["measure"] = dense["validation"], dense["measure"]
    return rows


def _evaluated(
    population: Population, version: str, shared: Mapping[str, Any], function: str, candidates: list[Row]
) -> list[Row]:
    """Returns the results of candidates, or the error of each that failed."""
    arguments = [{**each, **shared} for each in candidates]
    found = population.run(f"{MODULE}:{function}", arguments, version=version)
    own = (*OF_THE_STORE, *(arguments[0] if arguments else ()))
    return [
        {key: cell for key, cell in row.items() if key not in own} | ({"error": row["error"]} if row["error"] else {})
        for row in found
    ]


def _draw(path: Path, graph: ChannelGraph, rows: Sequence[Mapping[str, Any]], regime: str) -> None:
    """Writes the figures of the candidates that were judged by accuracy."""
    done = [row for row in rows if row.get("measure") == "accuracy"]
    candidates = [
        SpaceCandidate(regime, drop=100 * row["drop"], keep=tuple(row["keep"]), **{key: row[key] for key in FACTS})
        for row in done
    ]
    if not candidates:
        return
    line = Space(graph).measures(uniform(graph, np.linspace(0.02, 1, 400)).keep)
    drawn = {
        "distributions": figures.distributions(candidates),
        "winning": figures.winning(candidates),
        "budgets": figures.budgets(candidates, lambda kept: np.interp(kept, line["macs"], line["mcb"])),
    }
    for name, svg in drawn.items():
        write_text(path / f"{name}.svg", svg)
