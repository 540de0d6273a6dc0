"""Several runs compared: those that differ in nothing but the seed are one row, mean ± standard deviation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kerasprune.errors import PruneError, warn
from kerasprune.files import write_rows
from kerasprune.recipes.reports.record import Record, read
from kerasprune.recipes.reports.tables import other_metrics, sides
from kerasprune.steps.numbers import difference, moments, ratio
from kerasprune.tables import Table

PROSE = {"why", "paper", "expected", "status"}  # a run does not depend on these
_ABSENT = "–"


def runs_below(folders: Iterable[Path | str]) -> tuple[list[Path], list[Path]]:
    """Returns the requested run folders, and those among them without a summary.

    Args:
        folders: Folders of runs, or folders that hold folders of runs.

    Raises:
        PruneError: A folder is not there, or holds no run.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> grid = Path(tempfile.mkdtemp())
        >>> for name in ("a", "b"):
        ...     (grid / name).mkdir()
        ...     _ = (grid / name / "recipe.yaml").write_text("name: tiny")
        >>> _ = (grid / "a" / "summary.json").write_text("{}")
        >>> [[path.name for path in paths] for paths in runs_below([grid])]
        [['a'], ['b']]
    """
    found: list[Path] = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise PruneError(f"Expected a run folder. Received: {str(folder)!r}, which is not a folder.")
        below = [folder] if _is_run(folder) else sorted(path for path in folder.iterdir() if _is_run(path))
        if not below:
            raise PruneError(
                "Expected the folder of a run, which has a summary.json, or one that holds such folders. "
                f"Received: {str(folder)!r}. If the run was interrupted, finish it with 'kerasprune run … --resume'."
            )
        found += below
    known = {path.resolve(): path for path in found}
    finished = [path for path in known.values() if (path / "summary.json").exists()]
    return finished, [path for path in known.values() if path not in finished]


def _is_run(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("summary.json", "recipe.yaml"))


def rows_by_experiment(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Returns one row per experiment: its settings, and the mean and standard deviation of each measure.

    `mean = Σ x / n` and `deviation = √(Σ (x − mean)² / (n − 1))`, over the runs that have the measure. Of runs of
    one seed the last one counts.

    Args:
        records: The runs, in the order of the rows.

    Returns:
        Rows with the settings that differ between runs of one name, `runs`, and the keys `<measure>` and
        `<measure>_deviation` (`None` for a single run) for each measure that any run has.

    Example:
        >>> import kerasprune as kp
        >>> from kerasprune.recipes.reports.record import Record
        >>> def run(seed, macs, accuracy):
        ...     recipe = {"name": "tiny", "seed": seed, "prune": {"macs": macs}}
        ...     return Record("", recipe, {"dense": {"accuracy": 0.9}, "slim": {"accuracy": accuracy}})
        >>> rows = kp.recipes.reports.compared([run(0, 0.5, 0.80), run(1, 0.5, 0.84), run(0, 0.3, 0.70)])
        >>> [(row["prune.macs"], row["runs"], round(row["accuracy"], 3)) for row in rows]
        [(0.5, 2, 0.82), (0.3, 1, 0.7)]
    """
    settings = [_flat(record.recipe) for record in records]
    columns = _differing(settings)
    groups: dict[str, list[int]] = {}
    for index, one in enumerate(settings):
        groups.setdefault(json.dumps([one.get(column) for column in columns]), []).append(index)
    measures = [_measures(record.summary) for record in records]
    known = dict.fromkeys(name for one in measures for name in one)
    names = [name for name in known if any(one.get(name) is not None for one in measures)]
    rows = []
    for members in groups.values():
        head = {column: settings[members[0]].get(column, _ABSENT) for column in columns}
        seeds = [settings[index].get("seed") for index in members]
        if len(set(seeds)) < len(seeds):
            warn(
                f"Expected runs that differ in something. Received: seed {', '.join(map(str, sorted(seeds)))} of "
                f"{head or 'one recipe'}. Of runs of the same seed the last one counts."
            )
            members = list(dict(zip(seeds, members, strict=True)).values())
        row = head | {"runs": len(members)}
        for name in names:
            found = [measures[index].get(name) for index in members]
            row |= moments(name, [value for value in found if value is not None])
        rows.append(row)
    return rows


def comparison_table(records: Sequence[Record]) -> Table:
    """Returns the rows of `rows_by_experiment` as text: `82.00 ± 2.83 %`; no ± for a single run.

    Args:
        records: The runs.
    """
    rows = rows_by_experiment(records)
    keys = rows[0] if rows else {}
    names = [key for key in keys if f"{key}_deviation" in keys]
    heads = [key for key in keys if key not in names and key.removesuffix("_deviation") not in names]
    body = [
        (*(_text(row[key]) for key in heads), *(_cell(name, row[name], row[f"{name}_deviation"]) for name in names))
        for row in rows
    ]
    return Table((*heads, *(_form(name)[0] for name in names)), body, "Runs")


def write_comparison(folders: Sequence[Path | str], path: Path | str) -> Path:
    """Writes the rows of `rows_by_experiment` for run folders as a CSV file and returns its path.

    Args:
        folders: Folders of finished runs.
        path: The file. One that is there is replaced.

    Raises:
        PruneError: A folder holds no finished run.
    """
    rows = rows_by_experiment([read(folder) for folder in folders])
    plain = [{key: _text(cell) if isinstance(cell, list) else cell for key, cell in row.items()} for row in rows]
    return write_rows(path, plain)


_FORMS: dict[str, tuple[str, float, str, int]] = {  # measure: (column, scale, unit, decimals)
    "accuracy": ("test accuracy", 100, " %", 2),
    "accuracy_change": ("change in points", 100, "", 2),
    "dense_accuracy": ("dense accuracy", 100, " %", 2),
    "macs": ("multiply–adds kept", 100, " %", 1),
    "params": ("parameters kept", 100, " %", 1),
    "sparsity": ("sparsity", 100, " %", 1),
    "latency_ms": ("latency, ms", 1, "", 3),
    "seconds": ("seconds", 1, "", 0),
}


def _form(name: str) -> tuple[str, float, str, int]:
    return _FORMS.get(name, (name.replace("_", " "), 1, "", 4))


def _measures(summary: Mapping[str, Any]) -> dict[str, float | None]:
    dense, slim = sides(summary)
    last = slim or dense
    accuracy = last.get("accuracy")
    before = dense.get("accuracy") if slim else None
    return {
        "accuracy": accuracy,
        "accuracy_change": difference(accuracy, before),
        "dense_accuracy": before,
        **{f"test_{name}": value for name, value in other_metrics(last, accuracy is not None).items()},
        "macs": ratio(slim.get("macs"), dense.get("macs")),
        "params": ratio(slim.get("params"), dense.get("params")),
        "sparsity": slim.get("sparsity"),
        "latency_ms": last.get("latency_ms"),
        "seconds": summary.get("seconds"),
    }


def _differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the keys that tell runs of one name apart, except seeds, and the name if there are several."""
    columns = ["name"] if len({one.get("name") for one in settings}) > 1 else []
    for name in dict.fromkeys(one.get("name") for one in settings):
        same = [one for one in settings if one.get("name") == name]
        for key in dict.fromkeys(key for one in same for key in one):
            if key != "seed" and key not in columns and any(one.get(key) != same[0].get(key) for one in same):
                columns.append(key)
    return columns


def _flat(tree: Any, path: str = "") -> dict[str, Any]:
    """Returns `{"key.key": value}` of a recipe, without its prose; lists are not split."""
    if not isinstance(tree, Mapping) or not tree:
        return {path: tree}
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if path or key not in PROSE:
            flat |= _flat(value, f"{path}.{key}".lstrip("."))
    return flat


def _cell(name: str, mean: float | None, deviation: float | None) -> str:
    _, scale, unit, decimals = _form(name)
    if mean is None:
        return _ABSENT
    spread = "" if deviation is None else f" ± {scale * deviation:.{decimals}f}"
    return f"{scale * mean:.{decimals}f}{spread}{unit}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
