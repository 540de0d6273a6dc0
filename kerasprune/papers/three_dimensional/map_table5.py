"""The accuracy models of three dimensions on the published grids of accuracies."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from importlib import resources

import numpy as np

from kerasprune.checks import choice_faults
from kerasprune.errors import raise_faults
from kerasprune.papers.three_dimensional.accuracy_predictor import MAP, Polynomial
from kerasprune.papers.three_dimensional.surface import Surface
from kerasprune.recipes.reproductions.entry import AtMost, Note, Row

NETWORKS = {"resnet32": "ResNet-32", "densenet40": "DenseNet-40"}

_ROW = np.dtype([("d", float), ("w", float), ("r", float), ("accuracy", float)])


def table5(network: str) -> np.ndarray:
    """Returns published accuracies of one network on CIFAR-10, by depth, width and resolution.

    The file `published.csv` next to this module holds the three blocks of 25 cells in the order of the paper. The
    blocks labelled `d = 1.0` must belong to another depth: their row `w = 1` equals the row d = 0.55 (ResNet) of the
    neighbouring block, and to within 0.20 points the row d = 0.60 (DenseNet), so these depths are given here. Cells
    that are printed more than once differ by up to 0.66 (ResNet) and 1.28 points (DenseNet); all rows are kept.

    Args:
        network: `"resnet32"` or `"densenet40"`.

    Returns:
        A structured array of 75 rows with the fields `d`, `w`, `r` (fractions) and `accuracy` (points).

    Raises:
        PruneError: The network is not in the table.

    Example:
        >>> rows = table5("resnet32")
        >>> len(rows), rows[-1]["accuracy"].item()
        (75, 93.64)

    Reference:
        Wang et al., Accelerate CNNs from Three Dimensions, arXiv 2010.04879, Table 5.
    """
    raise_faults("Invalid arguments for table5:", choice_faults([*NETWORKS], network=network))
    text = resources.files(__package__).joinpath("published.csv").read_text(encoding="utf-8")
    found = [row for row in csv.DictReader(text.splitlines()) if row["network"] == network]
    return np.array([tuple(float(row[name]) for name in _ROW.names) for row in found], _ROW)


BOUND = 0.55  # points, for rank 1 and degree 3 off the axes
RAW_DEGREES = (1, 2, 3, 5)
REGULARISED = ((5, 1e-3, 2.28), (10, 0.0, 2.58), (10, 1e-3, 2.32))  # degree, ridge, error of Table 4
# Table 4: ResNet-56, 13 networks to fit and 80 others, none of them published. Evaluation error in per cent.
TABLE4_RAW, TABLE4_MAP = {1: 2.97, 2: 2.25, 3: 1.28, 5: 2.31}, {3: 0.33, 5: 0.25}
FIGURE4 = (0.78, 0.82, 0.98)  # and its text: the optimum of ResNet-32, about the same for every K ≥ 3
NEAR, EQUAL = 0.05, 1.0  # of a fraction, per cent on average: what the paper calls similar, and about equal
OTHER_ROWS = "the paper fits the 13 networks of its Algorithm 1, which it does not print; the surfaces are flat there."
RIDGE = 1e-6  # five values of each dimension determine degree 4 at most, and 19 rows rank 1


def map_table5() -> list[Row]:
    """Returns the rows of every network.

    Reference:
        Wang et al., Accelerate CNNs from Three Dimensions, arXiv 2010.04879, Tables 4 and 5, Figures 3 and 4.
    """
    rows: list[Row] = []
    for network, name in NETWORKS.items():
        rows += [*_errors(network, name), *_separability(network, name), *_optima(network, name)]
    return rows


def _errors(network: str, name: str) -> Iterator[Row]:
    ours, relative = off_axis_error(network, MAP())
    yield AtMost(f"{name}, rank 1, K=3: mean error off the axes", BOUND, ours, " points")
    yield Note(f"{name}, rank 1, K=3: relative", f"{TABLE4_MAP[3]:.2f} % (ResNet-56)", f"{relative:.2f} %")
    flattest = off_axis_error(network, MAP(degree=5, ridge=RIDGE))[1]
    yield Note(f"{name}, rank 1, K=5 (flattest): relative", f"{TABLE4_MAP[5]:.2f} % (ResNet-56)", f"{flattest:.2f} %")
    for degree in RAW_DEGREES:
        points, relative = off_axis_error(network, Polynomial(degree))
        model = f"{name}, Eq. 5, raw monomials, K={degree}"
        yield Note(f"{model}: mean error", "–", f"{points:.2f} points")
        yield Note(f"{model}: relative", f"{TABLE4_RAW[degree]:.2f} % (ResNet-56)", f"{relative:.2f} %")
    for degree, ridge, printed in REGULARISED:
        relative = off_axis_error(network, Polynomial(degree, ridge=ridge))[1]
        model = f"{name}, Eq. 5, raw monomials, K={degree}, ℓ₂ {ridge:g}: relative"
        yield Note(model, f"{printed:.2f} % (ResNet-56)", f"{relative:.2f} %")
    for degree in RAW_DEGREES:
        points, relative = off_axis_error(network, Polynomial(degree, centre=1.0))
        yield Note(f"{name}, powers of x − 1, K={degree}", "–", f"{points:.3f} points, {relative:.3f} %")


def _separability(network: str, name: str) -> Iterator[Row]:
    """Yields the deviations of the ratios that the table's captions call about equal."""
    accuracy = table5(network)["accuracy"].reshape(3, 5, 5)
    references = ((4, 0), (4, 0), (4, 4))  # the cell with the largest fractions
    for caption, block, (row, column) in zip("abc", accuracy, references, strict=True):
        ratio = block * block[row, column] / (block[row][None, :] * block[:, column][:, None])
        away = 100 * np.abs(np.delete(np.delete(ratio, row, 0), column, 1) - 1)
        what = f"{name}, ratios of caption ({caption}) from equality"
        yield AtMost(f"{what}: mean", EQUAL, away.mean(), " %")
        yield Note(f"{what}: most", "≈ 0", f"{away.max():.2f} %")


def _optima(network: str, name: str) -> Iterator[Row]:
    first: np.ndarray | None = None
    for rank, degree in [*((1, degree) for degree in range(1, 7)), (2, 3), (3, 3)]:
        ridge = RIDGE if degree > 4 or rank > 1 else 0.0
        best = np.array(fitted(network, MAP(rank, degree, ridge=ridge)).optimum(0.5))
        first = best if (rank, degree) == (1, 3) else first
        what = f"{name}, optimum at half the cost, R={rank}, K={degree}"
        printed = network == "resnet32" and degree >= 3
        yield Note(what, str(FIGURE4) if printed else "–", f"({', '.join(f'{x:.2f}' for x in best)})")
        if printed and rank == 1:
            yield Row(f"{what}: from the paper's", 0, np.abs(best - FIGURE4).max(), NEAR, known=OTHER_ROWS)
        if rank > 1:
            yield AtMost(f"{what}: from that of R=1", NEAR, np.abs(best - first).max())


def fitted(network: str, surface: Surface) -> Surface:
    """Returns an accuracy model fitted on the rows along the axes."""
    rows = table5(network)
    along = _along_axes(rows)
    return surface.fit(*(rows[name][along] for name in ("d", "w", "r", "accuracy")))


def off_axis_error(network: str, surface: Surface) -> tuple[float, float]:
    """Returns the mean absolute error off the axes, in points and in per cent of the accuracy."""
    rows = table5(network)
    off = ~_along_axes(rows)
    predicted = fitted(network, surface).predict(*(rows[name][off] for name in "dwr"))
    error = np.abs(predicted - rows["accuracy"][off])
    return float(error.mean()), float(100 * (error / rows["accuracy"][off]).mean())


def _along_axes(rows: np.ndarray) -> np.ndarray:
    return sum((rows[name] < 1).astype(int) for name in "dwr") <= 1
