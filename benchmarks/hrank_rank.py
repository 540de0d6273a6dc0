"""Is the rank of a feature map a property of the filter, whatever the images (HRank paper, Figure 2)? On glyphs.

    python benchmarks/hrank_rank.py run      # resumable: batches that are there are not run again
    python benchmarks/hrank_rank.py table    # writes the table from the rows

The shipped checkpoint (`glyphs-base`, ResNet-20, 32×32) sees batches of 128 validation images, as many as the paper's.
For every place at which `hrank` looks (behind each activation) and every batch, a row holds the mean rank of each
channel over the images of the batch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rows import append, read

RESULTS = Path(__file__).parent / "results"
ROWS, TABLE = RESULTS / "hrank_rank.csv", RESULTS / "hrank_rank.md"
FIELDS = ("layer", "side", "batch", "ranks")
BATCHES, BATCH = 10, 128


def run() -> None:
    """Writes the rows of every batch that is not there yet."""
    import keras

    import kerasprune as kp
    from kerasprune.criteria.feature_maps import averages, places, run_through
    from kerasprune.criteria.hrank import matrix_ranks
    from kerasprune.data.batches import example_batches

    checkpoint = Path(kp.__file__).parent / "recipes" / "library" / "checkpoints" / "glyphs-base.keras"
    graph = kp.trace(keras.models.load_model(checkpoint))
    seen = sorted({place for each in places(graph).values() for place in each}, key=lambda place: place.call)
    data = kp.data.load("glyphs/small", size=32, batch=BATCH, split="validation")
    done = {row["batch"] for row in read(ROWS)}
    sides: dict[int, int] = {}
    one = np.zeros((1, 32, 32, 3), "float32")
    run_through(graph, [[one]], lambda call, _, outputs: sides.update({call: outputs[0].shape[1]}))
    for number, batch in enumerate(example_batches(graph.model, data, BATCHES * BATCH)):
        if str(number) in done:
            continue
        mean = averages(graph, seen, [batch], matrix_ranks)
        calls = {place: graph.calls[place.call] for place in seen}
        append(
            ROWS,
            FIELDS,
            [
                {
                    "layer": calls[place].operation.name,
                    "side": sides[place.call],
                    "batch": number,
                    "ranks": " ".join(f"{rank:.4f}" for rank in mean[place]),
                }
                for place in seen
            ],
        )
        print(f"batch {number + 1} of {BATCHES}", flush=True)


def layers() -> Iterator[tuple[str, int, np.ndarray]]:
    """Yields name, side and ranks of shape (batches, channels) of every place."""
    found: dict[tuple[str, int], list[list[float]]] = {}
    for row in read(ROWS):
        found.setdefault((row["layer"], int(row["side"])), []).append([float(each) for each in row["ranks"].split()])
    for (name, side), ranks in found.items():
        yield name, side, np.array(ranks)


def figures(ranks: np.ndarray) -> dict[str, float]:
    """Returns what the ranks of one place say of batches and of channels.

    Args:
        ranks: Mean ranks, of shape `(batches, channels)`.
    """
    from scipy.stats import spearmanr

    between, within = ranks.mean(axis=0).std(), ranks.std(axis=0, ddof=1).mean()
    others = [np.delete(ranks, batch, axis=0).mean(axis=0) for batch in range(len(ranks))]
    alike = [spearmanr(one, rest)[0] for one, rest in zip(ranks, others, strict=True)]
    kept = [_upper_half(one) & _upper_half(rest) for one, rest in zip(ranks, others, strict=True)]
    return {
        "mean": ranks.mean(),
        "between": between,
        "within": within,
        "correlation": float(np.mean(alike)),
        "same": float(np.mean([len(each) for each in kept])) / (ranks.shape[1] // 2),
    }


def _upper_half(ranks: np.ndarray) -> set[int]:
    return set(np.argsort(-ranks, kind="stable")[: len(ranks) // 2].tolist())


def table() -> None:
    """Writes the table from the rows."""
    lines = [
        "# Rank of feature maps over batches",
        "",
        "HRank, Figure 2: is the mean rank of a channel's feature maps the same whatever the images? ResNet-20 on",
        f"glyphs (`glyphs-base`, 32×32), {BATCHES} batches of {BATCH} validation images. Written by",
        "`benchmarks/hrank_rank.py`.",
        "",
        "Between: standard deviation of the mean ranks of channels. Within: that of one channel's over batches.",
        "Correlation: Spearman's, of the ranks from one batch with those from all others. Same half: of the half of",
        "the channels that one batch would keep, the share that the others would.",
        "",
        "| Behind | Largest rank | Mean rank | Between | Within | Correlation | Same half |",
        "|---|---|---|---|---|---|---|",
    ]
    everything = [(name, side, figures(ranks)) for name, side, ranks in layers()]
    for name, side, found in everything:
        lines.append(
            f"| `{name}` | {side} | {found['mean']:.2f} | {found['between']:.3f} | {found['within']:.3f} "
            f"| {found['correlation']:.3f} | {found['same']:.2f} |"
        )
    mean = {key: np.mean([found[key] for _, _, found in everything]) for key in ("between", "within")}
    worst = min(found["correlation"] for _, _, found in everything)
    lines += [
        "",
        f"On average over the places a channel's rank differs by {mean['within']:.3f} from batch to batch and by "
        f"{mean['between']:.2f} from channel to channel; the least correlation is {worst:.3f}.",
    ]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(TABLE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    {"run": run, "table": table}[sys.argv[1]]()
