"""What came out of the comparison at equal epochs: tables, differences between one factor and another, plots."""

from __future__ import annotations

import statistics
from dataclasses import asdict

from equal_epochs_grid import BEST, EPOCHS, ONE_SHOT, PEER, RESULTS, TESTBEDS, DigitsTestbed
from rows import mean_std, read

Found = dict[str, dict[str, list[dict]]]  # {label: {target: rows}}


def write() -> None:
    """Writes the tables of every testbed, and its plot."""
    lines = ["# Equal multiply–adds, equal epochs, on glyphs", ""]
    lines += ["Accuracy in per cent, mean ± standard deviation over the seeds; `benchmarks/equal_epochs.py`.", ""]
    for testbed in TESTBEDS.values():
        found = found_rows(testbed)
        if found:
            lines += [f"## {testbed.title}", "", *tables(testbed, found), *effects(testbed, found), ""]
            plot(testbed, found)
    (RESULTS / "equal_epochs.md").write_text("\n".join(lines))


def found_rows(testbed: DigitsTestbed) -> Found:
    """Returns the rows of a testbed as `{label: {target: rows}}`."""
    found: Found = {}
    for row in read(testbed.path):
        found.setdefault(label(row), {}).setdefault(row["target"], []).append(row)
    return found


def tables(testbed: DigitsTestbed, found: Found) -> list[str]:
    """Returns a table for every target, the best test accuracy first."""
    heads = ("picks", "MACs", "parameters", "after removal, validation", "validation", "test", "seeds", "CPU seconds")
    lines = []
    for target in testbed.targets:
        lines += [f"### {target} of the multiply–adds asked for", ""]
        lines += [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        here = {name: by[str(target)] for name, by in found.items() if str(target) in by}
        for name in sorted(here, key=lambda name: -statistics.mean(column(here[name], "test"))):
            rows = here[name]
            shares = [f"{statistics.mean(column(rows, share)):.3f}" for share in ("macs", "params")]
            scores = [mean_std(column(rows, score)) for score in ("removed", "validation", "test")]
            texts = (name, *shares, *scores, len(rows), f"{statistics.median(column(rows, 'seconds')):.0f}")
            lines.append(f"| {' | '.join(map(str, texts))} |")
        lines.append("")
    return lines


def label(row: dict) -> str:
    """Returns what a row is called in the tables."""
    standard = asdict(ONE_SHOT)
    changed = [f"{row[name]}" for name in ("budget", "coupling", "way") if row[name] != standard[name]]
    changed += ["from scratch"] if row["start"] == "scratch" else []
    changed += ["reconstructed"] if row["start"] == "reconstructed" else []
    changed += ["distilled"] if row["teacher"] == "dense" else []
    changed += [f"{row['epochs']} epochs"] if str(row["epochs"]) != str(EPOCHS) else []
    return ", ".join([row["picks"], *changed])


def column(rows: list[dict], name: str) -> list[float]:
    """Returns the numbers of a column."""
    return [float(row[name]) for row in rows]


def effects(testbed: DigitsTestbed, found: Found) -> list[str]:
    """Returns what each factor changes, in points of test accuracy, seed by seed: mean ± standard error."""
    lines = ["### One factor changed at a time", ""]
    lines += ["Points of test accuracy, mean ± standard error of the differences", ""]
    heads = ("from", "to", *map(str, testbed.targets))
    lines += [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for base in (label(asdict(ONE_SHOT)), label(asdict(BEST))):
        for name in found:
            texts = [difference(found, base, name, str(target)) for target in testbed.targets]
            if name != base and not name.startswith(PEER) and set(texts) != {"–"}:
                lines.append(f"| {' | '.join((base, name, *texts))} |")
    return lines


def difference(found: Found, base: str, name: str, target: str) -> str:
    """Returns the mean difference over the seeds that both have, ± its standard error."""
    before, after = (
        {row["seed"]: float(row["test"]) for row in found.get(one, {}).get(target, [])} for one in (base, name)
    )
    points = [after[seed] - before[seed] for seed in sorted({*before} & {*after})]
    if not points:
        return "–"
    error = f" ± {statistics.stdev(points) / len(points) ** 0.5:.2f}" if len(points) > 1 else ""
    return f"{statistics.mean(points):+.2f}{error} (n={len(points)})"


def plot(testbed: DigitsTestbed, found: Found) -> None:
    """Draws test accuracy against the multiply–adds kept."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5))
    for name, by in sorted(found.items()):
        points = sorted((statistics.mean(column(rows, "macs")), column(rows, "test")) for rows in by.values())
        spreads = [statistics.stdev(values) if len(values) > 1 else 0 for _, values in points]
        style = "--" if name.startswith(PEER) else "-"
        means = [statistics.mean(values) for _, values in points]
        axes.errorbar([x for x, _ in points], means, spreads, label=name, marker="o", capsize=3, linestyle=style)
    title = f"{testbed.title} on glyphs, four epochs in all"
    axes.set(xlabel="multiply–adds kept", ylabel="test accuracy (%)", title=title)
    axes.legend(fontsize=6, loc="lower right")
    figure.savefig(testbed.path.with_suffix(".svg"), bbox_inches="tight")
