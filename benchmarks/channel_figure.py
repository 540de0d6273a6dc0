"""Draws the figure of the README: a residual block, its channel ids coloured, dense and slim.

python benchmarks/channel_figure.py     # writes docs/images/channels.svg
"""

from __future__ import annotations

from pathlib import Path

import keras
import matplotlib
import numpy as np
from keras import layers
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

import kerasprune as kp

OUT = Path(__file__).parent.parent / "docs" / "images" / "channels.svg"
KEPT = {"stem": [0, 2, 3, 5], "inner": [1, 2, 4]}
GREY, LINE = "#8a8f98", "#8a8f98"  # readable on white and on black
PALETTES = {"stem": matplotlib.colormaps["viridis"], "inner": matplotlib.colormaps["plasma"]}
ROWS = (
    ("x", "stem", "trunk"),
    ("conv 3×3 → ReLU", "inner", "inside the branch"),
    ("conv 3×3", "stem", "ends in the trunk"),
    ("add", "stem", "trunk again"),
)


def block() -> keras.Model:
    """Returns a stem, one residual block and a classifier."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, padding="same", name="stem")(inputs)
    y = layers.ReLU()(layers.Conv2D(6, 3, padding="same", name="inner")(x))
    y = layers.Conv2D(6, 3, padding="same", name="outer")(y)
    x = layers.GlobalAveragePooling2D()(layers.Add()([x, y]))
    return keras.Model(inputs, layers.Dense(2, name="logits")(x))


def draw() -> Figure:
    """Returns the figure; what is coupled is what `kp.trace` finds."""
    model = block()
    groups = kp.trace(model).groups
    assert {name: groups[name].size for name in KEPT} == {"stem": 6, "inner": 6} and "outer" in groups["stem"].layers
    share = kp.cost(model, kp.Plan(KEPT)).macs / kp.cost(model).macs
    figure = Figure(figsize=(8.2, 2.7))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-4.2, 20), ylim=(-0.9, 4.6))
    axes.axis("off")
    for left, title, slim in ((0, "dense", False), (11.5, f"slim: {share:.0%} of the multiply–adds", True)):
        axes.text(left, 4.2, title, color=GREY, size=11, weight="bold")
        for row, (_, group, _) in enumerate(ROWS):
            kept = np.asarray(KEPT[group]) if slim else np.arange(6)
            for position, channel in enumerate(kept):
                removed = not slim and channel not in KEPT[group]
                colour = PALETTES[group](0.15 + 0.14 * channel)
                face, edge = ("none", ":") if removed else (colour, "-")
                corner = (left + position, 3 - row)
                box = FancyBboxPatch(corner, 0.72, 0.62, "round,pad=0.04", fc=face, ec=colour, linestyle=edge)
                axes.add_patch(box)
                text = {"ha": "center", "va": "center", "size": 9, "weight": "bold"}
                axes.text(left + position + 0.36, 3.29 - row, channel, color=GREY if removed else "white", **text)
    for row, (operation, _, where) in enumerate(ROWS):
        axes.text(-0.3, 3.4 - row, operation, ha="right", va="center", size=9, color=GREY)
        axes.text(-0.3, 3.05 - row, where, ha="right", va="center", size=7, color=GREY)
    axes.annotate("", (11, 1.8), (6.6, 1.8), arrowprops={"arrowstyle": "-|>", "color": LINE, "lw": 1.4})
    axes.text(8.75, 2.05, "kp.rebuild(model, plan)", ha="center", size=9, color=GREY, family="monospace")
    axes.text(8.75, 1.25, "equal ids live and go together;\nno masks, no zeros", ha="center", size=8, color=GREY)
    return figure


if __name__ == "__main__":
    OUT.parent.mkdir(exist_ok=True)
    matplotlib.rcParams["svg.hashsalt"] = "kerasprune"
    draw().savefig(OUT, transparent=True, metadata={"Date": None})
