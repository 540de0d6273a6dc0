"""The loss of a network at a minimum over the fraction of its weights that is kept, for several criteria."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasprune import criteria as registered
from kerasprune.analysis.judged_weights import WeightsJudge, weights_of
from kerasprune.checks import fraction_faults, seed_faults
from kerasprune.criteria.base import Criterion
from kerasprune.criteria.mean_loss import MeanLoss
from kerasprune.data.arrays_or_batches import read_again
from kerasprune.errors import extras, raise_faults
from kerasprune.files import path_of, write_rows
from kerasprune.files.figure import draw_figure
from kerasprune.graph.graph import weight_paths
from kerasprune.training.sparsity.ranking import highest


@dataclass(frozen=True, eq=False)
class RemovalCurve:
    """Loss over the fraction of weights kept, by criterion; returned by `removal_curve`.

    Args:
        keep: `(points,)`: fractions kept.
        losses: `{name of the criterion's class: (points,)}`: mean losses; arguments are added if a class occurs twice.
        loss: The loss with all weights.
        gradient_norm: The norm of its gradient with all weights: how near a minimum is.
    """

    keep: np.ndarray
    losses: Mapping[str, np.ndarray]
    loss: float
    gradient_norm: float

    def __str__(self) -> str:
        """Returns the table, a row for each fraction."""
        names = [f"{name:>12}" for name in self.losses]
        lines = ["  keep  " + "  ".join(names), "  1     " + "  ".join(f"{self.loss:>12.4g}" for _ in names)]
        for place, keep in enumerate(self.keep):
            cells = (f"{found[place]:>{len(name)}.4g}" for name, found in zip(names, self.losses.values(), strict=True))
            lines.append(f"  {keep:<6.3g}" + "  ".join(cells))
        return "\n".join(lines)

    def save(self, path: str | Path) -> Path:
        """Writes a CSV file, a row for each criterion and fraction, and returns its path."""
        return write_rows(
            path_of(path),
            [
                {"criterion": name, "keep": float(keep), "loss": float(loss)}
                for name, losses in self.losses.items()
                for keep, loss in zip(self.keep, losses, strict=True)
            ],
        )

    @extras("RemovalCurve.plot")
    def plot(self, path: str | Path) -> Path:
        """Draws a line for each criterion into an image file (`.svg`, `.png`, `.pdf`), and returns its path."""

        def draw(figure: Any) -> None:
            axes = figure.subplots()
            for name, losses in self.losses.items():
                axes.plot(1 - self.keep, losses, marker="o", markersize=3, label=name)
            axes.axhline(self.loss, color="0.7")
            axes.set(xlabel="fraction of weights removed", ylabel="loss")
            axes.legend(fontsize=7)

        return draw_figure(path, (6, 4), draw)


def removal_curve(
    model: keras.Model,
    criteria: Sequence[str | dict | type | Criterion],
    data: Any,
    *,
    keep: Sequence[float] = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1),
    loss: Any = None,
    seed: int = 0,
) -> RemovalCurve:
    """Measures how the loss of a network grows with the weights removed, for several criteria.

    Every fraction is removed in one step from the given network: the highest-scoring weights of all kernels together
    are kept. They are not trained; `OBS` alone changes them, by its update. Second-order criteria assume that the
    network is at a minimum of the loss: see `to_minimum`.

    Args:
        model: The trained network, which is left untouched.
        criteria: Criteria of single weights, such as `"obd"`, `"obs"`, `"l1"`, `"random"`, `"block_fisher"`; a dict
            such as `{"name": "obs", "inverse": {"name": "exact", "most": 5000}}` for exact second derivatives.
        data: Labelled examples, as for `line`: for the scores and for the loss.
        keep: Fractions of the weights of all kernels kept. Defaults to 0.9, 0.8, … 0.1.
        loss: The loss as `compile` takes it. Defaults to the compiled one.
        seed: Random seed. Defaults to 0.

    Returns:
        `.keep`, `.losses` by criterion, `.loss` and `.gradient_norm` of the whole network; print it, `.plot(path)`,
        `.save(path)`.

    Raises:
        PruneError: An argument is out of range, a criterion cannot score single weights, or the data do not fit.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> model.set_weights([np.array([[1.0], [3.0]])])
        >>> x = np.eye(2)
        >>> found = kp.analysis.removal_curve(model, ["l1"], [(x, x @ [[1.0], [3.0]])], keep=[0.5], loss="mse")
        >>> found.losses["L1"].tolist()
        [0.5]

    Reference:
        LeCun, Denker and Solla, Optimal Brain Damage, NIPS 1989, figures 1 and 2; Hassibi and Stork, Optimal Brain
        Surgeon, NIPS 1992.
    """
    faults = [fault for each in keep for fault in fraction_faults(keep=each)] + seed_faults(seed=seed)
    raise_faults("Invalid arguments for removal_curve:", faults)
    chosen = _named([registered.get(each) for each in criteria])
    batches = read_again(data)
    judge, weights = WeightsJudge(model, batches, loss), weights_of(model)
    losses = {name: np.empty(len(keep)) for name in chosen}
    for name, criterion in chosen.items():
        scores = criterion.saliency_of(model, data=batches, loss=loss, seed=seed)
        removal, number = criterion.removal(model, batches, loss), sum(each.size for each in scores.values())
        for place, fraction in enumerate(keep):
            new = removal(highest(scores, max(round(fraction * number), 1)))
            pairs = zip(weight_paths(model).values(), weights, strict=True)
            losses[name][place] = judge.at([new.get(path, own).astype(own.dtype) for path, own in pairs])[0]
    slope = MeanLoss(model, model.trainable_variables, batches, loss).gradient().values()
    norm = float(np.sqrt(sum((each**2).sum() for each in slope)))
    return RemovalCurve(np.array(keep, "float64"), losses, judge.at(weights)[0], norm)


def _named(chosen: Sequence[Criterion]) -> dict[str, Criterion]:
    """Returns criteria by their classes' names, or with their arguments if a class occurs twice."""
    short = [type(each).__name__ for each in chosen]
    return {name if short.count(name) == 1 else repr(each): each for name, each in zip(short, chosen, strict=True)}
