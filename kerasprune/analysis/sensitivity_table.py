"""`sensitivity`: the output error when one group of channels is pruned at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from kerasprune import criteria
from kerasprune.checks import fraction_faults, seed_faults, whole_number_faults
from kerasprune.criteria.base import Criterion
from kerasprune.data.batches import example_batches
from kerasprune.defaults import SAMPLES
from kerasprune.errors import extras, raise_faults
from kerasprune.files import path_of
from kerasprune.files.figure import draw_figure
from kerasprune.files.writing import write_rows
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.kept_channels import kept_number, legal
from kerasprune.graph.plans import Plan
from kerasprune.graph.trace import trace
from kerasprune.planning.budgets.base import top
from kerasprune.planning.budgets.trials import halves
from kerasprune.progress import ProgressLine, level_of, verbose_faults
from kerasprune.recipes.search.search_plan import pack_inputs
from kerasprune.repair.reconstruction.reconstruct import reconstruct
from kerasprune.surgery.comparison import output_error
from kerasprune.surgery.rebuild import rebuild
from kerasprune.tables import Part, Shown, Table


@dataclass(frozen=True)
class SensitivityTable(Shown):
    """The error of a model's outputs if only one group is pruned, by the fraction kept; returned by `sensitivity`.

    Args:
        keep: The fractions kept.
        errors: `{group name: one error per fraction}`: 0 = the dense model's outputs, 1 = no better than a constant.
        sizes: Channels of each group.
        criterion: Name of the criterion that chose the channels.
    """

    keep: tuple[float, ...]
    errors: Mapping[str, tuple[float, ...]]
    sizes: Mapping[str, int]
    criterion: str

    def __str__(self) -> str:
        """Returns the table, the most sensitive group first."""
        return str(self._shown()[0])

    def _shown(self) -> list[Part]:
        names = sorted(self.errors, key=lambda name: -max(self.errors[name]))
        rows = [(name, str(self.sizes[name]), *(f"{error:.2g}" for error in self.errors[name])) for name in names]
        bars = {2 + at: [self.errors[name][at] for name in names] for at in range(len(self.keep))}
        return [Table(("group", "channels", *(f"{keep:.3g}" for keep in self.keep)), rows, bars=bars)]

    def save(self, path: str | Path) -> Path:
        """Writes a CSV file, a row for each group and fraction, and returns its path."""
        rows = [
            {"group": name, "channels": self.sizes[name], "keep": keep, "error": error}
            for name, errors in self.errors.items()
            for keep, error in zip(self.keep, errors, strict=True)
        ]
        return write_rows(path_of(path), rows, ("group", "channels", "keep", "error"))

    @extras("SensitivityTable.plot")
    def plot(self, path: str | Path) -> Path:
        """Draws a line for each group into an image file (`.svg`, `.png`, `.pdf`), and returns its path."""

        def draw(figure: Any) -> None:
            axes = figure.subplots()
            for name, errors in self.errors.items():
                axes.plot(self.keep, errors, marker="o", markersize=3, label=name)
            axes.set(xlabel="fraction of the group's channels kept", ylabel="error of the outputs", ylim=(0, None))
            axes.legend(fontsize=6, ncols=2)

        return draw_figure(path, (7, 4.5), draw)


def sensitivity(
    model: keras.Model | ChannelGraph,
    data: Any,
    criterion: str | dict | type | Criterion = "l1",
    *,
    keep: Sequence[float] = (0.75, 0.5, 0.25, 0.1),
    groups: Sequence[str] | None = None,
    samples: int = SAMPLES,
    loss: Any = None,
    seed: int = 0,
    verbose: int | str = "auto",
) -> SensitivityTable:
    """Measures the error of the outputs when only one group of channels is pruned, for each group.

    For every group g and fraction f, the best channels of that group are kept and all other groups are left whole. The
    slim model is reconstructed on half of the examples and compared with the dense model on the other half:

        E_g(f) = Σ ‖slim − dense‖² / Σ ‖dense − mean(dense)‖²

    Pruning several groups at once costs more than the sum of these errors, increasingly so with stronger pruning.
    `kp.plan(..., budget="sensitivity")` therefore measures around the plan itself.

    Args:
        model: The trained model, which is left untouched, or its graph from `kp.trace`.
        data: Examples, as for `kp.reconstruct`; for criteria that need data, batches of `(inputs, labels)`.
        criterion: Chooses the channels kept. Defaults to `"l1"`.
        keep: The fractions kept. Defaults to `(0.75, 0.5, 0.25, 0.1)`.
        groups: Names of the groups. Defaults to `None`: all that are prunable.
        samples: Examples to reconstruct from, and as many again to measure on. Defaults to 1000.
        loss: Loss for criteria that use gradients. Defaults to the compiled one.
        seed: Random seed. Defaults to 0.
        verbose: 0 = silent, 1 = progress, as for `kp.reconstruct`. Defaults to `"auto"`: 1.

    Returns:
        The table: print it, `.plot(path)` or `.save(path)`. It takes one reconstruction for every group and fraction.

    Raises:
        PruneError: An argument is out of range, a name is unknown, or the data do not fit or hold a single example.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> inputs = keras.Input((4,))
        >>> x = keras.layers.Dense(8, activation="relu", name="hidden")(inputs)
        >>> model = keras.Model(inputs, keras.layers.Dense(2)(x))
        >>> table = kp.sensitivity(model, np.random.default_rng(0).normal(size=(64, 4)), keep=(0.75, 0.25))
        >>> list(table.errors), table.keep
        (['hidden'], (0.75, 0.25))
    """
    criterion = criteria.get(criterion)
    faults = [fault for each in keep for fault in fraction_faults(keep=each)]
    raise_faults(
        "Invalid arguments for sensitivity:",
        [*faults, *seed_faults(seed=seed), *whole_number_faults(2, samples=samples), *verbose_faults(1, verbose)],
    )
    graph = model if isinstance(model, ChannelGraph) else trace(model)
    scores = criteria.score(criterion, graph, data, loss, seed)
    names = list(graph.prunable) if groups is None else [graph.group(name).name for name in groups]
    parts = halves(graph.model, example_batches(graph.model, data, 2 * samples))
    fitted, judged = ([pack_inputs(graph.model, batch) for batch in half] for half in parts)

    tried = [(name, fraction) for name in names for fraction in keep]

    def error(name: str, fraction: float) -> float:
        chosen = {name: top(scores[name], kept_number(graph.groups[name].size, fraction))}
        plan = Plan.of(graph, legal(graph, chosen, scores))
        slim = reconstruct(rebuild(graph, plan), graph.model, plan, fitted, samples=samples, seed=seed, verbose=0)
        return output_error(slim, graph.model, judged)

    found = []
    with ProgressLine("sensitivity", len(tried), "slim models", level_of(verbose)) as line:
        for done, each in enumerate(tried):
            line.write(done)
            found.append(error(*each))
    errors = {name: tuple(found[at * len(keep) : (at + 1) * len(keep)]) for at, name in enumerate(names)}
    sizes = {name: graph.groups[name].size for name in names}
    return SensitivityTable(tuple(keep), errors, sizes, type(criterion).__name__)
