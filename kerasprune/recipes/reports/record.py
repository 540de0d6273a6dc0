"""A finished run as data: the files of its folder, read once for tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from kerasprune.errors import PruneError
from kerasprune.files import read_json, read_rows, read_text
from kerasprune.files.arrays import read_arrays
from kerasprune.registry import additions_of_papers

Value = TypeVar("Value")


@dataclass(frozen=True)
class Norms:
    """L1 norms of the filters of each group, or the scales of each layer, over training.

    Args:
        steps: `(times,)`: the training steps at which they were taken.
        groups: Per group the norms, `(times, filters)`.
    """

    steps: np.ndarray
    groups: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Record:
    """All data that a report is drawn from.

    Args:
        title: Name of the run.
        recipe: The resolved recipe, as plain data.
        summary: The content of `summary.json`: `dense`, `slim`, `exports`, `layers`, `seconds`, `versions`, …
        metrics: The rows of `metrics.csv`, numbers as floats, empty cells as `None`.
        widths: Per group `(dense size, kept)`. Defaults to none.
        norms: Filter norms during training. Defaults to `None`: not recorded.
        scales: BatchNorm scales during training, by layer. Defaults to `None`: not recorded.
        graph: The groups and the picture of `kp.plot`. Defaults to none.
        search: The report of a search for the smallest allowed model. Defaults to none.
        section: The content of the files that sections of papers write, by the names in `BRINGS["section_files"]`.
            Defaults to none.
    """

    title: str
    recipe: Mapping[str, Any]
    summary: Mapping[str, Any]
    metrics: tuple[Mapping[str, Any], ...] = ()
    widths: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    norms: Norms | None = None
    scales: Norms | None = None
    graph: Mapping[str, Any] = field(default_factory=dict)
    search: Mapping[str, Any] = field(default_factory=dict)
    section: Mapping[str, Any] = field(default_factory=dict)


def read(folder: Path | str) -> Record:
    """Reads the files of a run folder.

    Args:
        folder: A folder written by `kerasprune run`, complete at least up to `summary.json`.

    Returns:
        The record.

    Raises:
        PruneError: The folder is not a run folder, the run did not get as far as its summary, or a file is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise PruneError(f"Expected a run folder. Received: {str(folder)!r}, which is not a folder.")
    if not (folder / "summary.json").exists():
        raise PruneError(
            f"Expected a run folder with a summary.json. Received: {str(folder)!r}. "
            "If the run was interrupted, finish it with 'kerasprune run … --resume'."
        )
    files = {
        "recipe": ("recipe.yaml", _yaml),
        "summary": ("summary.json", _json),
        "metrics": ("metrics.csv", _rows),
        "widths": ("widths.json", _widths),
        "norms": ("norms.npz", _norms),
        "scales": ("scales.npz", _norms),
        "graph": ("graph.json", _json),
        "search": ("trials/report.json", _json),
    }
    own = {name: (file, _PARSERS[Path(file).suffix]) for name, file in additions_of_papers("section_files").items()}
    found, of_sections = _content(folder, files), _content(folder, own)
    return Record(**{"title": folder.resolve().name, "recipe": {}, "section": of_sections, **found})


def _content(folder: Path, files: Mapping[str, tuple[str, Callable[[Path], Any]]]) -> dict[str, Any]:
    """Returns the content of those files that are there."""
    return {name: _parsed(folder / file, parse) for name, (file, parse) in files.items() if (folder / file).exists()}


def _parsed(path: Path, parse: Callable[[Path], Value]) -> Value:
    try:
        return parse(path)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise PruneError(
            f"The file cannot be read. Received: {str(path)!r} ({error}). Restore it, or run the recipe again."
        ) from error


def _json(path: Path) -> dict[str, Any]:
    data = read_json(path, "a file of the run")
    if not isinstance(data, dict):
        raise ValueError("expected a JSON object")
    return data


def _yaml(path: Path) -> dict[str, Any]:
    from kerasprune.recipes.yaml_text import read_yaml  # the module of an extra

    data, _, _ = read_yaml(read_text(path, "the recipe of the run"), path.name)
    if not isinstance(data, dict):
        raise ValueError("expected a mapping")
    return data


def _rows(path: Path) -> tuple[dict[str, Any], ...]:
    return tuple({key: _number(cell) for key, cell in row.items()} for row in read_rows(path))


def _number(cell: str | None) -> float | str | None:
    if not cell:
        return None
    try:
        return float(cell)
    except ValueError:
        return cell


def _widths(path: Path) -> dict[str, tuple[int, int]]:
    return {name: (int(dense), int(kept)) for name, (dense, kept) in _json(path).items()}


def _norms(path: Path) -> Norms:
    arrays = _arrays(path)
    return Norms(steps=arrays.pop("steps"), groups=arrays)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    return read_arrays(path, "arrays of the run")


_PARSERS: Mapping[str, Callable[[Path], Any]] = {".json": _json, ".csv": _rows, ".npz": _arrays}
