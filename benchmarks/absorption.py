"""Accuracy right after removal, with and without the constants of removed channels folded into their readers.

    python benchmarks/absorption.py     # writes results/absorption.md

ResNet-20 on glyphs, the checkpoint that ships with the recipes, no training afterwards. In the last rows γ of the
channels that go is set to zero first, as sparse training would have it, while β stays: those channels emit constants.
"""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import kerasprune as kp

HERE = Path(__file__).resolve().parent
PAGE = HERE / "results" / "absorption.md"
CHECKPOINT = HERE.parent / "kerasprune" / "recipes" / "library" / "checkpoints" / "glyphs-base.keras"


def accuracy(model: keras.Model, data: list) -> float:
    """Returns the fraction of images whose largest output is the label."""
    hits = [(np.argmax(model.predict_on_batch(images), -1) == labels.reshape(-1)).mean() for images, labels in data]
    return float(np.average(hits, weights=[len(labels) for _, labels in data]))


def silenced(model: keras.Model, plan: kp.Plan) -> keras.Model:
    """Returns a copy in which γ of all channels that a plan drops is zero."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    graph = kp.trace(copy)
    for name, kept in plan.keep.items():
        for scale, _, channels in graph.scaled_by(name):
            gone = (channels >= 0) & ~np.isin(channels, kept)
            scale.variable.assign(np.where(gone, 0.0, keras.ops.convert_to_numpy(scale.variable)))
    return copy


def main() -> None:
    """Measures and writes the page."""
    model = keras.models.load_model(CHECKPOINT, compile=False)
    loaded = kp.data.load("glyphs/small", size=32, split="validation")
    data = [(np.asarray(images), np.asarray(labels)) for images, labels in loaded]
    images = data[0][0]
    lines = [
        "# Absorption: accuracy right after removal",
        "",
        f"ResNet-20, glyphs/small, {sum(len(labels) for _, labels in data)} validation images, no training after "
        f"removal; the dense model has {accuracy(model, data):.1%}. {date.today().isoformat()}, "
        "`benchmarks/absorption.py`. *Folded* is `kp.rebuild(model, plan)`, *dropped* the same with `absorb=False`; "
        "*border* is the largest relative difference between the folded model and the one whose removed channels are "
        "silenced in place (`border_error`), which is all that folding leaves open. Silenced, a channel emits the β of "
        "its BatchNorm. In the last rows γ of the channels that go was set to zero beforehand.",
        "",
        "| what goes | keep | channels silenced in place | folded | dropped | border |",
        "|---|---|---|---|---|---|",
    ]
    for criterion, zeroed in (("l1", False), ("bn_scale", False), ("bn_scale", True)):
        for keep in (0.9, 0.7, 0.5):
            plan = kp.plan(model, criterion, "uniform", keep=keep)
            source = silenced(model, plan) if zeroed else model
            reference = source if zeroed else kp.mask(model, plan, silence="weights")
            figures = [accuracy(each, data) for each in (reference, kp.rebuild(source, plan))]
            figures.append(accuracy(kp.rebuild(source, plan, absorb=False), data))
            border = kp.surgery.border_error(source, plan, images)
            cells = [f"smallest {criterion}{', γ = 0 first' * zeroed}", f"{keep:.0%}", *(f"{a:.1%}" for a in figures)]
            lines.append(f"| {' | '.join(cells)} | {border:.1e} |")
            print(lines[-1], flush=True)
    PAGE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
