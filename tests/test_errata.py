"""`docs/errata.md`: what it says of the papers, recounted."""

from __future__ import annotations

import re

import numpy as np
import pytest
from support.rooms import ROOT

import kerasprune as kp
from kerasprune.papers.three_dimensional.map_table5 import table5

ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (ROOT / "docs" / "errata.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| Paper, where")
]


def _row(printed: str) -> str:
    """Returns what the page says is right, and why, of what a paper prints."""
    (found,) = [row for row in ROWS if printed in row[1]]
    return " ".join(found[2:])


def test_every_row_says_where_what_and_how():
    assert len(ROWS) >= 15 and all(len(row) == 4 and all(row) for row in ROWS)


def test_the_optimum_of_three_dimensions_costs_what_the_page_says():
    by_side, by_area = 0.65 * 1.0 * 0.63**2, 0.65 * 1.0 * 0.63
    said = _row("(0.65, 1.0, 0.63)")
    assert f"keeps {by_side:.3f}, a reduction of {1 - by_side:.2f}" in said and f"= {by_area:.2f} is the 0.59" in said
    assert round(1 - by_area, 2) == 0.59
    assert f"({0.78 * 0.82**2 * 0.98**2:.3f}, {0.78 * 0.82**2 * 0.98:.3f})" in said


def test_the_first_blocks_of_its_table_5_are_of_another_depth():
    """Read as printed: rows 0 to 24 are the first block, rows 25 to 49 the second, (d, r) at w = 1."""
    said = _row("headed d = 1.0")
    for network, depth, apart in (("ResNet-32", 0.55, 0.0), ("DenseNet-40", 0.60, 0.20)):
        first, second = np.split(table5(network.lower().replace("-", ""))[:50], 2)
        full = first["accuracy"][first["w"] == 1.0]
        gaps = {d: np.abs(full - second["accuracy"][second["d"] == d]).max() for d in np.unique(second["d"])}
        assert min(gaps, key=gaps.get) == depth and gaps[depth] == pytest.approx(apart, abs=0.005)
        assert gaps[1.0] > 0.5 and f"d = {depth:.2f} ({network})" in said
    assert "within 0.20 points" in said


def test_resnet34_has_its_printed_cost_without_projections():
    model = kp.models.get({"name": "resnet_imagenet", "depth": 34, "classes": 1000, "input_shape": (224, 224, 3)})
    cost = kp.cost(model)
    projections = [layer.macs for layer in cost.layers if layer.name.endswith("_shortcut_conv")]
    said = _row("ResNet-34: 3.64 G")
    assert f"{cost.macs / 1e9:.2f} G. 3.64 G" in said and f"({len(projections)} × {projections[0] / 1e6:.2f} M)" in said
    assert f"{(cost.macs - sum(projections)) / 1e9:.2f}" == "3.64" and round(model.count_params() / 1e6, 1) == 21.8


@pytest.mark.parametrize(("depth", "widen", "millions", "kept"), [(16, 8, 10.96, 548), (16, 10, 17.1, 856)])
def test_snips_wide_resnets(depth, widen, millions, kept):
    model = kp.models.get({"name": "wide_resnet", "depth": depth, "widen_factor": widen})
    params = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    assert f"{params / 1e6:.{len(str(millions)) - 3}f}" == str(millions) and round(params * 0.05 / 1e3) == kept
    assert f"{millions} M" in _row("10.0 M → 548 k")


def test_the_slope_that_equation_8_of_greg_loses():
    hessian, minimum, step = np.array([[2.0, 0.9], [0.9, 1.0]]), np.array([0.2, 1.0]), 1e-6
    moved = np.linalg.solve(hessian + step * np.eye(2), hessian @ minimum)
    exact = (moved[0] / minimum[0] - 1) / step
    short = np.linalg.det(hessian) + hessian[0, 0] * step
    of_eq_8 = (short / np.linalg.det(hessian + step * np.eye(2)) - 1) / step
    assert re.search(rf"\+{exact:.2f}, by Eq. 8 −{-of_eq_8:.2f}", _row("dropped as small"))
