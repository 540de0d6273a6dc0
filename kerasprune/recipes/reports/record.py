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
        graph: Groups and the kernels between them, from `dependencies.described`. Defaults to none.
        points: Measures along depth, width and resolution, and the optimum. Defaults to none.
        maps: `images`, of shape `(images, height, width, channels)`, and the feature maps of each model on them, of
            shape `(images, height, width)`. Defaults to none.
        space: The rows of `space.csv`: the recipes of a pruning space and their scores. Defaults to none.
        candidates: The rows of `candidates.csv`: the candidates of a search. Defaults to none.
    """

    title: str
    recipe: Mapping[str, Any]
    summary: Mapping[str, Any]
    metrics: tuple[Mapping[str, Any], ...] = ()
    widths: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    norms: Norms | None = None
    scales: Norms | None = None
    graph: Mapping[str, Any] = field(default_factory=dict)
    points: Mapping[str, Any] = field(default_factory=dict)
    maps: Mapping[str, np.ndarray] = field(default_factory=dict)
    space: tuple[Mapping[str, Any], ...] = ()
    candidates: tuple[Mapping[str, Any], ...] = ()


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
        "points": ("points.json", _json),
        "maps": ("maps.npz", _arrays),
        "space": ("space.csv", _rows),
        "candidates": ("candidates.csv", _rows),
    }
    found = {name: _parsed(folder / file, parse) for name, (file, parse) in files.items() if (folder / file).exists()}
    return Record(**{"title": folder.resolve().name, "recipe": {}, **found})


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
