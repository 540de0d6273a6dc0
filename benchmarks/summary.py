"""The tables of `docs/benchmarks.md`, `latency.md` and `understanding.md`, and the README's picture, from `results`.

    python benchmarks/summary.py            # writes all
    python benchmarks/summary.py --check    # exits with 1 if a table of a page differs from its rows

A table stands on its page between `<!-- rows: NAME -->` and `<!-- /rows -->`; NAME is a function of this file.
"""

from __future__ import annotations

import re
import statistics
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from equal_epochs_grid import RESULTS, TESTBEDS
from equal_epochs_tables import column, difference, found_rows
from rows import mean_std, read
from scipy.stats import spearmanr

DOCS = Path(__file__).resolve().parent.parent / "docs"
NAMES = ("benchmarks", "detectors", "latency", "microcontroller", "understanding")
PAGES = tuple(DOCS / f"{name}.md" for name in NAMES)
PICTURE = DOCS / "images" / "accuracy.svg"
TABLE = re.compile(r"(?<=<!-- rows: )(\w+)( -->\n)(.*?)(?=<!-- /rows -->)", re.DOTALL)

HELPED = ", reconstructed, distilled"
OURS = f"l1{HELPED}"
PICKS = {
    "l1": "kerasprune, L1",
    "torch-pruning/group-l2": "Torch-Pruning, group L2",
    "torch-pruning/taylor": "Torch-Pruning, Taylor",
    "torch-pruning/lamp": "Torch-Pruning, LAMP",
    "torch-pruning/fpgm": "Torch-Pruning, FPGM",
    "torch-pruning/group-l1": "Torch-Pruning, group L1",
    "torch-pruning/l1-first": "Torch-Pruning, L1 of the first layer",
    "torch-pruning/bn-scale": "Torch-Pruning, BatchNorm scale",
}


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def tests(name: str, testbed: str = "resnet20") -> list[str]:
    """Returns test accuracies of one way at every target, mean ± standard deviation and the number of seeds."""
    bed = TESTBEDS[testbed]
    found = found_rows(bed).get(name, {})
    return [_with_number(column(found.get(str(target), []), "test")) for target in bed.targets]


def _with_number(values: list[float]) -> str:
    return f"{mean_std(values)} ({len(values)})" if values else "–"


def equal_epochs() -> str:
    """Test accuracy of picks, fine-tuned plainly and with reconstruction and distillation."""
    heads = ["Picks", "Fine-tuning", *(f"{share:.3f} of the multiply–adds" for share in _shares())]
    rows = [[said, "plain", *tests(picks)] for picks, said in PICKS.items()]
    rows += [[said, "reconstructed, distilled", *tests(f"{picks}{HELPED}")] for picks, said in PICKS.items()]
    measured = "l1, sensitivity, reconstructed, distilled"
    rows += [["kerasprune, L1, measured widths", "reconstructed, distilled", *tests(measured)]]
    return table(heads, rows)


def _shares() -> list[float]:
    """Returns the multiply–adds that our plans of the three targets keep."""
    found = found_rows(TESTBEDS["resnet20"])[OURS]
    return [statistics.mean(column(found[str(target)], "macs")) for target in TESTBEDS["resnet20"].targets]


def equal_epochs_differences() -> str:
    """Our accuracy minus that of Torch-Pruning's group L2, seed by seed, with the same fine-tuning."""
    bed = TESTBEDS["resnet20"]
    found, rival = found_rows(bed), "torch-pruning/group-l2"
    heads = ["kerasprune L1 − Torch-Pruning group L2", *(f"{share:.3f}" for share in _shares())]
    pairs = [
        ("ours reconstructed and distilled, theirs plain", rival, OURS),
        ("both plain", rival, "l1"),
        ("both reconstructed and distilled", f"{rival}{HELPED}", OURS),
    ]
    rows = [[said, *(difference(found, a, b, str(target)) for target in bed.targets)] for said, a, b in pairs]
    return table(heads, rows)


def lean() -> str:
    """Test accuracy on MobileNetV2 of half the width."""
    ways = {
        "l1": "one-shot L1, plain",
        "l1, distilled": "distilled",
        "l1, reconstructed": "reconstructed",
        OURS: "reconstructed and distilled",
        "l1, sensitivity, reconstructed, distilled": "… with measured widths",
    }
    heads = ["MobileNetV2 of half the width (dense: 80.8 %)", *map(str, TESTBEDS["mobilenet"].targets)]
    return table(heads, [[said, *tests(way, "mobilenet")] for way, said in ways.items()])


def untrained() -> str:
    """Validation accuracy after removal, without training."""
    found: dict[str, list[dict]] = {}
    for row in read(RESULTS / "reconstruct.csv"):
        if row["coupling"] == "tied":
            found.setdefault(row["keep"], []).append(row)
    order = sorted(found, reverse=True)
    rows = [
        [said, *(mean_std([float(row[name]) for row in found[keep]]) for keep in order)]
        for name, said in (("folded", "constants folded, the weights kept as they are"), ("reconstructed",) * 2)
    ]
    return table(["Validation accuracy, multiply–adds kept", *order], rows)


def without_data() -> str:
    """Validation accuracy right after reconstruction: drawn examples compared with real ones."""
    networks = {"resnet20": "ResNet-20, glyphs", "resnet8": "ResNet-8, digits", "mobilenet": "MobileNetV2, glyphs"}
    kinds = {"noise": "smooth noise", "statistics": "drawn from the statistics", "real": "600 real images"}
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in read(RESULTS / "without_data.csv"):
        cell = found.setdefault((row["network"], row["macs"]), {})
        cell.setdefault(row["examples"], []).append(float(row["accuracy"]))
    rows = [
        [networks[network], macs, *(_with_number(cell.get(kind, [])) for kind in kinds)]
        for (network, macs), cell in sorted(found.items(), key=lambda item: (item[0][0], -float(item[0][1])))
    ]
    return table(["Validation accuracy of", "multiply–adds", *kinds.values()], rows)


def taught_without_data() -> str:
    """Test accuracy of slim models that the dense one taught, on drawn examples and on real images without labels."""
    kinds = {"statistics": "2,000 drawn from the statistics", "real": "2,000 real images"}
    found = [row for row in read(RESULTS / "without_data_taught.csv") if row["norms"] == "batch"]
    order = sorted({row["macs"] for row in found}, reverse=True)

    def cell(kind: str, macs: str, key: str) -> str:
        return mean_std([float(row[key]) for row in found if (row["examples"], row["macs"]) == (kind, macs)])

    heads = ["Taught on", *(f"{macs}, {word}" for macs in order for word in ("before", "after"))]
    keys = ("before", "test")
    return table(
        heads, [[said, *(cell(kind, macs, key) for macs in order for key in keys)] for kind, said in kinds.items()]
    )


def latency_table() -> str:
    """Predictions of latency tables next to measurements."""
    names = {"resnet20": "ResNet-20", "mobilenet": "MobileNetV2", "resnet50": "ResNet-50 at 128²"}
    found: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in read(RESULTS / "latency_table.csv"):
        found.setdefault((row["network"], row["precision"]), []).append(row)
    if not found:
        return ""
    heads = ["Network", "Precision", "median error", "measured twice", "rank correlation, .2–1", "at .5", "profiled in"]
    order = sorted(found, key=lambda cell: (list(names).index(cell[0]), cell[1]))
    lines = [[names[network], precision, *_predicted(found[network, precision])] for network, precision in order]
    return f"{table(heads, lines)}\n{_stamps({names[network]: found[network, kind][0] for network, kind in order})}"


def equal_time() -> str:
    """Test accuracy of plans that take half of the dense network's measured time."""
    names = {"resnet20": "ResNet-20", "mobilenet": "MobileNetV2 of half the width"}
    trained = read(RESULTS / "equal_time.csv")
    plans = read(RESULTS / "equal_time_plans.csv")
    lines = []
    for plan in plans:
        cell = (plan["network"], plan["plan"])
        tested = {row["seed"]: float(row["test"]) for row in trained if (row["network"], row["plan"]) == cell}
        beside = {
            row["seed"]: float(row["test"]) for row in trained if row["network"] == cell[0] and row["plan"] == "uniform"
        }
        paired = [value - beside[seed] for seed, value in tested.items() if seed in beside]
        if len(tested) < 3:  # what one seed says is not written up
            continue
        difference = "" if plan["plan"] == "uniform" else _with_error(paired)
        shares = [f"{float(plan[key]):.3f}" for key in ("measured", "macs")]
        lines.append([names[cell[0]], cell[1], *shares, mean_std(list(tested.values())), difference])
    heads = ["Network", "Plan", "time", "MACs", "test accuracy", "compared with uniform"]
    return f"{table(heads, lines)}\n{_stamps({names[row['network']]: row for row in plans})}" if lines else ""


def _with_error(paired: list[float]) -> str:
    """Returns a mean difference with its standard error."""
    if len(paired) < 2:
        return ""
    return f"{statistics.mean(paired):+.2f} ± {statistics.stdev(paired) / len(paired) ** 0.5:.2f}"


def _predicted(rows: list[dict[str, str]]) -> list[str]:
    """Returns errors, rank correlations and minutes of one table."""

    def error(key: str) -> str:
        return f"{statistics.median(abs(float(row[key]) / float(row['measured']) - 1) for row in rows):.1%}"

    def ranks(kind: str) -> str:
        of_kind = [row for row in rows if row["plan"].startswith(kind)]
        return f"{spearmanr(column(of_kind, 'predicted'), column(of_kind, 'measured')).statistic:.3f}"

    return [
        error("predicted"),
        error("again"),
        ranks("even"),
        ranks("random"),
        f"{int(rows[0]['seconds']) / 60:.0f} min",
    ]


def greg() -> str:
    """Test accuracy of growing penalties, trunk whole and trunk pruned."""
    rows = read(RESULTS / "greg_schedules.csv")
    bed = TESTBEDS["resnet20"]

    def cell(method: str, keep: str) -> str:
        values = [row for row in rows if (row["method"], row["picks"], row["keep"]) == (method, "l1", keep)]
        fastest = min((int(row["every"]) for row in values), default=0) if "geometric" in method else 10
        return _with_number([float(row["test"]) for row in values if int(row["every"]) == fastest])

    heads = ["Trunk whole, channels kept inside the blocks", "0.3", "0.1"]
    ways = {"one-shot": "one-shot L1, 4 epochs", "greg1-channel-geometric": "`GReg1(…).compressed`, 2 + 2 epochs"}
    whole = table(heads, [[said, *(cell(way, keep) for keep in ("0.3", "0.1"))] for way, said in ways.items()])
    found = found_rows(bed)
    heads = ["Trunk pruned too, at equal multiply–adds", *(f"{share:.3f}" for share in _shares())]
    plain = [["one-shot L1, 4 epochs", *tests("l1")], ["`GReg1(…).compressed`, 2 + 2 epochs", *tests("l1, greg1")]]
    paired = ["difference, seed by seed", *(difference(found, "l1", "l1, greg1", str(t)) for t in bed.targets)]
    return f"{whole}\n{table(heads, [*plain, paired])}"


def polarization() -> str:
    """Accuracy right after removal, the strength chosen for each method and target on these images."""
    rows = read(RESULTS / "polarization_glyphs.csv")

    def best(method: str, macs: str) -> str:
        found: dict[str, list[float]] = {}
        for row in rows:
            if row["method"] == method and row["macs"] == macs:
                found.setdefault(row["strength"], []).append(float(row["removed"]))
        return _with_number(max(found.values(), key=statistics.mean))

    ways = {"polarization": "polarization", "slimming": "network slimming", "none": "no penalty"}
    rows_of = [[said, *(best(way, macs) for macs in ("0.7", "0.5"))] for way, said in ways.items()]
    return table(["Validation accuracy right after removal, multiply–adds kept", "0.7", "0.5"], rows_of)


def zeros() -> str:
    """Test accuracy at equal numbers of parameters, compared with zeros anywhere."""
    bed = TESTBEDS["resnet20"]
    theirs = [f"{float(row['test']):.1f} (1)" for row in read(RESULTS / "equal_parameters_tfmot.csv")]
    heads = ["Equal parameters", *(row["params"] for row in read(RESULTS / "equal_parameters_tfmot.csv"))]
    ours = tests(OURS)
    assert len(theirs) == len(bed.targets)
    rows = [["tensorflow-model-optimization, zeros anywhere, all multiply–adds remain", *theirs]]
    return table(heads, [*rows, ["kerasprune, L1, reconstructed and distilled, channels removed", *ours]])


def architectures() -> str:
    """Pruning every architecture of `keras.applications` to half of its multiply–adds."""
    rows = read(RESULTS / "zoo.csv")
    errors = [float(row["error"]) for row in rows]
    loads = sum(row["loads"] == "yes" for row in rows)
    values = [str(len(rows)), f"{max(errors):.1e}", str(loads)]
    return table(["Architectures pruned", "largest relative difference of logits", "load without kerasprune"], [values])


def speed() -> str:
    """Processor time of pruning compared with Torch-Pruning."""
    rows = read(RESULTS / "torch_pruning.csv")
    cells = [[row["architecture"], row["trace_ratio"], row["all_ratio"]] for row in rows]
    return table(["Processor time ÷ Torch-Pruning's", "coupling", "coupling, plan, rebuild"], cells)


def step_time() -> str:
    """Step time with each callback over that of plain `fit`."""
    *rows, again = read(RESULTS / "step_time_1.csv")
    medians = sorted((float(row["clock"]), row["callback"]) for row in rows)
    lowest, highest = min(row["clock_lowest"] for row in rows), max(row["clock_highest"] for row in rows)
    (least, first), (most, last) = medians[0], medians[-1]
    return _wrapped(
        f"By the clock the medians of the {len(rows)} callbacks lie between {least:.3f} (`{first}`) and {most:.3f} "
        f"(`{last}`) of plain `fit`, single rounds between {lowest} and {highest}; plain `fit` once more, in the same "
        f"run: {again['clock']} [{again['clock_lowest']}, {again['clock_highest']}]. {again['rounds']} rounds, batch "
        f"{again['batch']}; {_stamp(again)}."
    )


def latency() -> str:
    """Gain in time over gain in multiply–adds, in LiteRT."""
    names = {"table": "½ of the MACs, by table"}
    rows = [row for row in read(RESULTS / "latency.csv") if row["width"] != "1.0"]
    found = {(row["network"], names.get(row["width"], row["width"]), row["precision"]): row for row in rows}
    cells = list(dict.fromkeys((network, width) for network, width, _ in found))
    kinds = list(dict.fromkeys(row["precision"] for row in rows))
    lines = [[name, width, *(_with_range(found[name, width, kind]) for kind in kinds)] for name, width in cells]
    spread = f"Median [lowest, highest] of {rows[0]['rounds']} rounds" if rows[0]["rounds"] else "Spread: not kept"
    return f"{table(['Network', 'Width', *kinds], lines)}\n" + _wrapped(f"{spread}; {_stamp(rows[0])}.")


def round_to() -> str:
    """Time and accuracy of multiples that kernels like beside those of single channels."""
    names = {"resnet20": "ResNet-20", "mobilenet": "MobileNetV2 of half the width", "resnet50": "ResNet-50 at 224²"}
    timed = [row for row in read(RESULTS / "round_to.csv") if row["round_to"] == "auto"]
    one = {(row["network"], row["precision"]): row for row in read(RESULTS / "round_to.csv") if row["round_to"] == "1"}
    tested = read(RESULTS / "round_to_accuracy.csv")
    lines = []
    for network in dict.fromkeys(row["network"] for row in timed):
        cells = {row["precision"]: row for row in timed if row["network"] == network}
        times = [
            f"{one[network, kind]['milliseconds']} → {row['milliseconds']}, {_with_range(row)}"
            for kind, row in cells.items()
        ]
        found = [
            [float(row["test"]) for row in tested if (row["network"], row["round_to"]) == (network, way)]
            for way in ("1", "auto")
        ]
        paired = [after - before for before, after in zip(*found, strict=False)]
        accuracy = f"{' → '.join(map(mean_std, found))}, {_with_error(paired)}" if paired else "–"
        lines.append([names[network], *times, accuracy])
    heads = ["Network", "ms, float32: 1 → auto, ratio", "ms, int8", "test accuracy, %, difference"]
    spread = "Ratio: median [lowest, highest] of 5 rounds; accuracy: three seeds, difference ± standard error"
    return f"{table(heads, lines)}\n" + _wrapped(f"{spread}; {_stamp(timed[0])}.") if timed else ""


def dropout_stability() -> str:
    """ε by how networks were trained."""
    return _table_in("dropout_stability")


def linear_mode() -> str:
    """Instability, barrier and error over k."""
    return _table_in("linear_mode")


def microcontroller() -> str:
    """RAM and flash of networks for microcontrollers."""
    return _table_in("microcontroller")


def detector() -> str:
    """mAP of a detector, cut, solved and taught."""
    return _table_in("detector")


def detector_files() -> str:
    """mAP and time of its files."""
    return _table_in("detector", 1)


def _table_in(name: str, place: int = 0) -> str:
    """Returns one of the tables that a benchmark wrote from its rows."""
    return (RESULTS / f"{name}.md").read_text(encoding="utf-8").split("\n\n")[place].rstrip() + "\n"


def _wrapped(sentence: str) -> str:
    return textwrap.fill(sentence, 120, break_long_words=False, break_on_hyphens=False) + "\n"


def _with_range(row: dict[str, str]) -> str:
    known = f" [{float(row['lowest']):.2f}, {float(row['highest']):.2f}]" if row["lowest"] else ""
    return f"{float(row['ratio']):.2f}{known}"


def _stamp(row: dict[str, str]) -> str:
    return f"{row['runtime']}, {_machine(row)}, one thread, {row['date']}, commit {row['commit']}"


def _stamps(rows: dict[str, dict[str, str]]) -> str:
    """Returns where the rows of networks come from, a line for those of one origin."""
    origins: dict[str, list[str]] = {}
    for network, row in rows.items():
        origins.setdefault(_stamp(row), []).append(network)
    return "\n".join(_wrapped(f"{', '.join(networks)}: {origin}.") for origin, networks in origins.items())


def _machine(row: dict[str, str]) -> str:
    return row["machine"] if row["machine"].endswith("cores") else f"{row['machine']} cores"


def staircase() -> str:
    """The time of a convolution over its channels."""
    rows = read(RESULTS / "staircase.csv")
    channels = list(dict.fromkeys(row["channels"] for row in rows))
    found = {(row["precision"], row["channels"]): f"{float(row['microseconds']):.0f}" for row in rows}
    kinds = list(dict.fromkeys(row["precision"] for row in rows))
    lines = [[kind, *(found[kind, number] for number in channels)] for kind in kinds]
    return f"{table(['µs', *channels], lines)}\n" + _wrapped(f"{_stamp(rows[0])}.")


def picture() -> None:
    """Draws test accuracy over the multiply–adds kept: ours and theirs, with the same help and with none."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "kerasprune", "font.size": 12, "svg.fonttype": "none"})
    import matplotlib.pyplot as plt

    bed = TESTBEDS["resnet20"]
    found = found_rows(bed)
    rival = "torch-pruning/group-l2"
    lines = [
        ("L1 (kerasprune), reconstructed and distilled", OURS, "#2f7fd1", "o", "-", -0.004),
        ("group L2 (Torch-Pruning), reconstructed and distilled", f"{rival}{HELPED}", "#c8741a", "s", "-", 0.004),
        ("group L2 (Torch-Pruning), plain fine-tuning", rival, "#c8741a", "^", ":", 0.002),
        ("L1 (kerasprune), plain fine-tuning", "l1", "#2f7fd1", "v", ":", -0.002),
    ]
    figure, axes = plt.subplots(figsize=(7.5, 4.2))
    for said, name, colour, marker, style, shift in lines:
        cells = [found[name][str(target)] for target in bed.targets]
        x = [100 * (share + shift) for share in _shares()]
        scores = [column(rows, "test") for rows in cells]
        means = [statistics.mean(each) for each in scores]
        spreads = [statistics.stdev(each) if len(each) > 1 else 0 for each in scores]
        axes.errorbar(x, means, spreads, label=said, color=colour, marker=marker, linestyle=style, capsize=4, lw=2)
    axes.axhline(92.9, color="#767e87", lw=1, ls=":")
    axes.text(54.5, 92.95, "unpruned: 92.9 %", ha="right", va="bottom", color="#767e87", fontsize=11)
    axes.set(xlabel="multiply–adds kept (%)", ylabel="test accuracy (%)", ylim=(82.5, 93.8), xlim=(4, 55))
    axes.set_title("ResNet-20 on glyphs, four epochs of fine-tuning", fontsize=12)
    axes.legend(loc="lower right", frameon=False, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, bbox_inches="tight", metadata={"Date": None})


def written(text: str) -> str:
    """Returns the page with every table rewritten from its rows."""
    return TABLE.sub(lambda match: f"{match[1]}{match[2]}{globals()[match[1]]()}", text)


def main() -> int:
    """Writes the pages and the picture, or compares the pages with the rows."""
    before = {page: page.read_text(encoding="utf-8") for page in PAGES}
    now = {page: written(text) for page, text in before.items()}
    if "--check" in sys.argv[1:]:
        return int(now != before)
    for page, text in now.items():
        page.write_text(text, encoding="utf-8")
    picture()
    return 0


if __name__ == "__main__":
    sys.exit(main())
