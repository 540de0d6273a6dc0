"""How well each criterion foretells what removing a channel costs, on a trained network.

    python benchmarks/criteria_truth.py              # writes results/criteria_truth.csv and .md
    python benchmarks/criteria_truth.py l1 taylor_fo  # these criteria only; finished rows are kept

ResNet-20 on glyphs, the shipped checkpoint. Of every group of coupled channels some are drawn; each is removed alone
(its scales and shifts of BatchNorm are 0 wherever it is made), and the loss is taken on images that no criterion saw.
Spearman's rank correlation of scores and rises of the loss: over all channels drawn, and the mean over groups. A
criterion whose scores mean nothing from group to group may still be good within them.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import date
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import rows
from scipy.stats import spearmanr

import kerasprune as kp
from kerasprune.graph.graph import ChannelGraph

RESULTS = Path(__file__).resolve().parent / "results"
ROWS, PAGE = RESULTS / "criteria_truth.csv", RESULTS / "criteria_truth.md"
FIELDS = ("criterion", "all", "within", "seconds", "channels", "rises_above_0", "date")
CHECKPOINT = Path(kp.__file__).parent / "recipes" / "library" / "checkpoints" / "glyphs-base.keras"
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
BATCH, SCORED, JUDGED, PER_GROUP = 64, 4, 4, 4
MORE = {"obd (gauss_newton)": {"name": "obd", "curvature": "gauss_newton"}}


def batches(split: str, number: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns the first batches of a split."""
    data = kp.data.load("glyphs/small", size=32, batch=BATCH, split=split, seed=0)
    return [(np.asarray(x), np.asarray(y)) for x, y in data.take(number)]


def rises(graph: ChannelGraph, drawn: dict[str, np.ndarray], data: list) -> dict[str, np.ndarray]:
    """Returns by how much the loss rises without each of the channels drawn."""
    model = graph.model

    def loss() -> float:
        return float(np.mean([float(LOSS(y, model.predict_on_batch(x))) for x, y in data]))

    dense, found = loss(), {}
    for name, channels in drawn.items():
        members = [(entry, ids) for entry in graph.slices if entry.role in ("scale", "bias") for ids in entry.ids]
        found[name] = []
        for channel in channels:
            wanted = graph.groups[name].classes[channel]
            before = [(entry.variable, np.array(entry.variable)) for entry, _ in members]
            for (entry, ids), (_, values) in zip(members, before, strict=True):
                entry.variable.assign(np.where(graph.classes[ids] == wanted, 0.0, values))
            found[name].append(loss() - dense)
            for variable, values in before:
                variable.assign(values)
        print(name, np.round(found[name], 4), flush=True)
    return {name: np.array(each) for name, each in found.items()}


def correlations(scores: dict, drawn: dict, truth: dict) -> tuple[float, float]:
    """Returns the rank correlation over all channels drawn, and the mean of those within groups."""
    found = {name: scores[name][channels] for name, channels in drawn.items()}
    together = spearmanr(np.concatenate(list(found.values())), np.concatenate(list(truth.values()))).statistic
    return float(together), float(np.nanmean([spearmanr(found[name], truth[name]).statistic for name in truth]))


def main() -> None:
    """Measures what is missing, and writes the page."""
    graph = kp.trace(keras.models.load_model(CHECKPOINT, compile=False), size=32)
    generator = np.random.default_rng(0)
    drawn = {name: generator.permutation(group.size)[:PER_GROUP] for name, group in graph.prunable.items()}
    done = {row["criterion"] for row in rows.read(ROWS)}
    missing = [name for name in sys.argv[1:] or (*kp.criteria.names(), *MORE) if name not in done]
    if missing:
        data = batches("train", SCORED)
        truth = rises(graph, drawn, batches("validation", JUDGED))
    for name in missing:
        start = time.perf_counter()
        scores = kp.criteria.score(kp.criteria.get(MORE.get(name, name)), graph, data, LOSS)
        seconds = time.perf_counter() - start
        together, within = correlations(scores, drawn, truth)
        values = np.concatenate(list(truth.values()))
        row = (name, f"{together:.3f}", f"{within:.3f}", f"{seconds:.1f}", values.size, int((values > 0).sum()))
        rows.append(ROWS, FIELDS, [dict(zip(FIELDS, (*row, date.today().isoformat()), strict=True))])
        print(*row, flush=True)
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """Returns the table, best first."""
    found = sorted(rows.read(ROWS), key=lambda row: -float(row["all"]))
    first = found[0]
    lines = [
        "# What criteria foretell",
        "",
        *__doc__.splitlines()[5:],
        "",
        f"{first['channels']} channels, {first['rises_above_0']} of which the network misses; criteria saw "
        f"{SCORED * BATCH} images of training, losses are those of {JUDGED * BATCH} of validation. {first['date']}.",
        "",
        "| Criterion | rank correlation, all channels | within groups | seconds |",
        "|---|---|---|---|",
        *(f"| `{row['criterion']}` | {row['all']} | {row['within']} | {row['seconds']} |" for row in found),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
