"""Published figures: the bookkeeping against sums written out by hand, and verdicts that can fail."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from support.processes import run_python

import kerasprune as kp
from kerasprune import PruneError
from kerasprune.papers.synexp import precrop_tables, synflow_flops
from kerasprune.papers.three_dimensional import MAP, map_table3, map_table5
from kerasprune.recipes import loader
from kerasprune.recipes.reproductions import entry as entries
from kerasprune.recipes.reproductions import greg_tables, hrank_tables, snip_lstm
from kerasprune.recipes.reproductions.entry import NotRun, Reproduced, Row


@pytest.fixture(scope="module")
def outcome() -> Reproduced:
    return entries.reproduce("greg-tables")


@pytest.mark.thorough
def test_greg_tables_agree(outcome):
    assert [row for row in outcome.rows if not row.agrees] == []
    assert outcome.verdict == "agrees"
    assert len(outcome.rows) == 7 + 2 * 10


@pytest.mark.thorough
def test_hrank_tables_agree():
    outcome = entries.reproduce("hrank-tables")
    assert outcome.verdict == "agrees" and len(outcome.rows) == 4 * 5 + 2
    found = {row.what: row for row in outcome.rows}
    macs, params = (found[f"Table 4, DenseNet-40, {what}"] for what in ("multiply–adds", "parameters"))
    assert (macs.paper, round(macs.ours, 1)) == (282.0, 282.9)
    assert (params.paper, round(params.ours, 2)) == (1.04, 1.04)
    paper_stem = kp.cost(kp.models.densenet_cifar(40, input_shape=(32, 32, 3))).macs / 1e6
    assert not Row("with the 16 channels of DenseNet's paper", macs.paper, paper_stem, macs.tolerance).agrees


SOLVED_ONCE = {
    "ResNet-34": [60.8, 79.9, 72.7, 100.5],
    "MobileNetV2": [73.0, 82.7, 59.5, 68.5, 80.0, 100.0],
    "EfficientNet-B0": [71.8, 79.2, 72.4, 97.7],
}


@pytest.mark.thorough
@pytest.mark.parametrize(
    "name", ["ResNet-34", *(pytest.param(n, marks=pytest.mark.slow) for n in ("MobileNetV2", "EfficientNet-B0"))]
)
def test_precrop_tables_are_built_as_asked_and_land_elsewhere_by_the_rule_alone(name):
    rows = list(precrop_tables.rows_of(name))
    built, solved = ([row for row in rows if row.what.endswith(end)] for end in ("built to them", "densities of them"))
    assert len(built) == len(solved) == 2 * len(precrop_tables.PRECROP[name]) + 2 == (len(rows) - 1) / 2
    assert all(row.agrees and not row.known for row in built)
    found = [round(row.ours, 1) for row in solved]  # by the paper's rule, with the printed fractions as budgets
    assert found == pytest.approx(SOLVED_ONCE[name], abs=0.15) and not all(row.agrees for row in solved)
    assert {row.paper for row in rows[1:]} == {
        100 * share for pair in (*precrop_tables.PRECROP[name], precrop_tables.PRECONFIG[name]) for share in pair
    }


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "printed"), [("MobileNetV2", [78.8, 63.6]), ("ResNet-34", [76.4]), ("EfficientNet-B0", [75.0])]
)
def test_synflow_leaves_the_printed_multiply_adds(name, printed):
    rows = [row for row in synflow_flops.rows_of(name) if not isinstance(row, entries.Note)]
    assert [row.paper for row in rows] == printed
    assert all(row.agrees for row in rows) or name == "EfficientNet-B0" and rows[0].ours == pytest.approx(83.0, abs=0.3)


@pytest.mark.thorough
def test_snip_params_agree():
    outcome = entries.reproduce("snip-params")
    assert outcome.verdict == "agrees, 2 of 24 rows differ as said"
    ours = {row.what.removeprefix("Table 2, ").removesuffix(", dense"): row.ours for row in outcome.rows}
    assert ours["VGG-C"] == 10.526538 and ours["VGG-D"] == 15.245130 and ours["VGG-like"] == 14.982474
    assert (ours["LSTM-s"], ours["LSTM-b"], ours["GRU-s"], ours["GRU-b"]) == (136.586, 535.306, 104.074, 404.746)
    assert [row.what for row in outcome.rows if not row.agrees] == ["Table 2, WRN-16-8, dense", "Table 2, GRU-b, dense"]


@pytest.mark.thorough
def test_dense_networks_agree():
    outcome = entries.reproduce("dense-networks")
    assert outcome.verdict == "agrees" and len(outcome.rows) == 10
    ours = {row.what: row.ours for row in outcome.rows}
    assert ours["Lottery ticket hypothesis, Lenet, parameters"] == 784 * 300e-6 + 300 * 100e-6 + 100 * 10e-6 + 410e-6


@pytest.mark.thorough
def test_space_counts_agree():
    outcome = entries.reproduce("space-counts")
    assert outcome.verdict == "agrees" and [row.paper for row in outcome.rows] == [0.259, 4.12, 2.06, 1.03]
    assert [row.ours for row in outcome.rows] == pytest.approx([0.2572, 4.0892, 2.0446, 1.0223], abs=1e-4)


@pytest.mark.thorough
def test_map_table3_agrees():
    outcome = entries.reproduce("map-table3")
    assert outcome.verdict == "agrees, 3 of 17 rows differ as said"
    assert [row.cells[-1] for row in outcome.rows].count("cannot tell") == 2


@pytest.mark.quick
def test_search_costs_are_those_of_the_recipes(monkeypatch):
    """Four rounds along three dimensions: 40 epochs of 160, 30 of 100, 75 of 300."""
    rows = list(map_table3._search_cost())
    assert [round(row.ours, 2) for row in rows] == [3.0, 3.6, 8.67, 520.0, 26.0, 26.0, 26.0]
    assert [row.agrees for row in rows] == [True] * 5 + [False] * 2
    longer = ["prune.three_dimensions.training.epochs=60", "train.epochs=240"]
    monkeypatch.setattr(map_table3, "load", lambda name: loader.load(name, longer))
    assert {row.ours for row in map_table3._search_cost() if "the points" in row.what} == {3.0}


def test_multiply_adds_left_are_those_written_out():
    """Two kernels of 100 and 50 weights, the second whole: a fifth of the first leaves 70 of 150 weights."""
    inner = [keras.layers.Dense(10, use_bias=False, name="body"), keras.layers.Dense(5, use_bias=False, name="logits")]
    graph = kp.trace(keras.Sequential([keras.Input((10,)), *inner]), freeze=["logits"])
    assert synflow_flops.share_of_free(graph, 70 / 150) == pytest.approx(0.2)
    assert synflow_flops.macs_left(graph, kp.papers.synexp.layer_densities(graph, params=0.2)) == pytest.approx(
        70 / 150
    )


def test_hrank_counts_filters_without_the_inputs_that_go_with_them():
    """ResNet-56 written out: every convolution loses ⌊rate · n⌋ filters, in the paper no inputs, in fact those too."""
    published = hrank_tables.RATES["Table 3, ResNet-56"]
    rates = iter(published)
    gone = int(next(rates) * 16)
    counted, cut, trunk = 27 * (16 - gone) * 32 * 32 + 64 * 10, 27 * 16 * 32 * 32 + 64 * 10, 16
    for width, side in ((16, 32), (32, 16), (64, 8)):
        for _ in range(9):
            inner, outer = (width - int(next(rates) * width) for _ in range(2))
            counted += 9 * (trunk * inner + width * outer) * side**2
            cut += 9 * (trunk * inner + inner * width) * side**2
            trunk = width
    model = kp.models.get({"name": "resnet_cifar", "depth": 56, "input_shape": (32, 32, 3)})
    assert hrank_tables.nominal(model, published)[0] == pytest.approx(counted, rel=1e-12)
    assert hrank_tables.really(model, published).macs == cut
    assert round(counted / 1e6, 2) == 62.72


def resnet56(removed: list[float]) -> tuple[int, int]:
    """Multiply–adds and trainable parameters of ResNet-56 at 32×32 with inner channels removed, layer by layer."""
    macs, params = 27 * 16 * 32 * 32, 27 * 16 + 2 * 16
    trunk = 16
    for stage, (width, side, ratio) in enumerate(zip((16, 32, 64), (32, 16, 8), removed, strict=True)):
        inner = width - min(math.ceil(round(ratio * width, 9)), width - 1)
        for block in range(9):
            into = trunk if stage and block == 0 else width
            macs += 9 * (into * inner + inner * width) * side * side
            params += 9 * (into * inner + inner * width) + 2 * (inner + width)
        trunk = width
    return macs + 64 * 10, params + 64 * 10 + 10


@pytest.mark.thorough
@pytest.mark.parametrize("removed", [[0.5] * 3, [0.9] * 3, [0.75, 0.75, 0.32]])
def test_resnet56_counts_are_those_written_out(removed, outcome):
    (dense_macs, dense_params), (macs, params) = resnet56([0, 0, 0]), resnet56(removed)
    model = kp.models.get({"name": "resnet_cifar", "depth": 56, "input_shape": (32, 32, 3)})
    assert greg_tables.speedup(model, [0, *removed]) == pytest.approx(dense_macs / macs, rel=1e-12)
    assert greg_tables.sparsity(model, [0, *removed]) == pytest.approx(1 - params / dense_params, rel=1e-12)


@pytest.mark.thorough
def test_tables_are_the_printed_ones(outcome):
    printed = {row.what: (row.paper, row.tolerance) for row in outcome.rows}
    assert printed["Table 6, ResNet-56"] == (2.55, 0.01)
    assert printed["Table 6, VGG-19"] == (8.84, pytest.approx(0.0884))
    assert printed["Table 6, ResNet-34"] == (1.32, 0.01)
    assert [paper for what, (paper, _) in printed.items() if "ResNet-50" in what] == [1.49, 2.31, 2.56, 3.06]
    for what, ratio, sparsity, speedup in (
        ("ResNet-56", 0.5, 49.82, 1.99),
        ("ResNet-56", 0.7, 70.57, 3.59),
        ("ResNet-56", 0.9, 90.39, 11.41),
        ("ResNet-56", 0.925, 93.43, 14.76),
        ("ResNet-56", 0.95, 95.19, 19.31),
        ("VGG-19", 0.5, 74.87, 3.60),
        ("VGG-19", 0.6, 84.00, 5.41),
        ("VGG-19", 0.7, 90.98, 8.84),
        ("VGG-19", 0.8, 95.95, 17.30),
        ("VGG-19", 0.9, 98.96, 44.22),
    ):
        assert printed[f"Table 1, {what} r={ratio}, sparsity"] == (sparsity, 0.15)
        assert printed[f"Table 1, {what} r={ratio}, speed-up"] == (speedup, pytest.approx(0.035 * speedup))


def test_one_row_that_differs_decides_the_verdict():
    good, bad = Row("a", 1.49, 1.50, 0.01), Row("b", 1.49, 1.5101, 0.01)
    assert Reproduced("x", (good,)).verdict == "agrees"
    assert Reproduced("x", (good, bad)).verdict == "differs"
    assert Reproduced("x", (Row("nan", 1.0, float("nan"), 0.1),)).verdict == "differs"
    assert Reproduced("x", ()).verdict == "cannot tell (no rows)"


def test_a_row_that_differs_as_said_is_no_surprise():
    good, said = Row("a", 1.49, 1.50, 0.01), Row("b", 75.0, 83.0, 2.0, " %", "no reason is known.")
    outcome = Reproduced("x", (good, said))
    assert (outcome.verdict, outcome.surprises) == ("agrees, 1 of 2 rows differ as said", [])
    assert outcome.remarks == ["b: no reason is known."] and said.cells[-1] == "differs"
    assert Reproduced("x", (Row("b", 75.0, 76.0, 2.0, " %", "no reason is known."),)).verdict == "agrees"
    assert Reproduced("x", (said, Row("c", 1.0, 2.0, 0.1))).verdict == "differs"


def test_a_measured_difference_is_told_from_two_standard_errors():
    agrees, differs, open_ = (entries.PairedRow("a", -0.3, found) for found in ([-1, -2, -3], [5, 6, 7], [-1, 0, 2]))
    assert [row.cells[-1] for row in (agrees, differs, open_)] == ["agrees", "differs", "cannot tell"]
    assert agrees.cells[1:4] == ("-0.3 points", "-2.00 ± 0.58 points", "2 s.e. 1.2")
    assert (agrees.agrees, differs.agrees, open_.agrees) == (True, False, True)
    alone = entries.PairedRow("a", -0.3, [5])
    assert alone.judgement == "cannot tell" and not any("±" in cell or "inf" in cell for cell in alone.cells)
    said = entries.PairedRow("a", -0.3, [5, 6, 7], "few images.")
    assert Reproduced("x", (said, entries.Note("b", "1", "2"))).verdict == "differs as said"
    assert Reproduced("x", (said, differs)).verdict == "differs"


def test_a_statement_that_nothing_is_lost_is_judged_by_a_point():
    def judged(claim: str, *found: float) -> str:
        return entries.Claim("a", claim, found).cells[-1]

    assert [judged("no lower", *found) for found in ([0, 0.1, -0.1], [0.5, 0.6, 0.7], [-0.5, -0.6, -0.7])] == [
        "agrees",
        "agrees",
        "differs",
    ]
    assert judged("no lower", -3, 1, 2) == "cannot tell"
    assert [judged(claim, 1, 2, 3) for claim in ("higher", "lower")] == ["agrees", "differs"]
    assert entries.Claim("a", "no lower", [0, 1]).cells[1] == "no lower"


def test_entries_that_train_are_left_out_of_the_exact_ones():
    assert set(entries.chosen("all", exact=False)) - set(entries.chosen("all", exact=True)) == {
        "linear-mode",
        "missing-the-mark",
        "snip-lstm",
        "state-of-pruning",
    }
    assert entries.chosen("snip-lstm", exact=True) == ["snip-lstm"]


@pytest.mark.thorough
def test_the_lstm_is_trained_under_its_mask_on_images_that_the_test_does_not_have():
    training, test = snip_lstm.examples()
    assert (len(training[0]), len(test[0])) == (797, 1000) and training[0].shape[1:] == (16, 16, 1)
    seen, new = ({image.tobytes() for image in images} for images, _ in (training, test))
    assert len(seen & new) <= 1  # the data set has few images twice
    dense, masked = (snip_lstm.error(0, keep, training, test, epochs=2) for keep in (1.0, snip_lstm.KEEP))
    assert dense < masked < 90 and dense == snip_lstm.error(0, 1.0, training, test, epochs=2)


def test_bounds_and_notes_have_verdicts_of_their_own():
    below = entries.AtMost("a", 0.55, 0.5, " points")
    assert below.agrees
    assert not entries.AtMost("a", 0.55, 0.56).agrees
    assert not entries.AtMost("a", 0.55, float("nan")).agrees
    assert below.cells == ("a", "–", "0.5 points", "≤ 0.55", "agrees")
    assert entries.Note("c", "0.33 %", "0.56 %").cells == ("c", "0.33 %", "0.56 %", "–", "noted")
    assert entries.Note("c", "3 M", "4 M", judgement="cannot tell").cells[-1] == "cannot tell"


@pytest.mark.thorough
def test_map_table5_agrees_and_could_differ(monkeypatch):
    outcome = entries.reproduce("map-table5")
    assert outcome.verdict == "agrees, 4 of 72 rows differ as said"
    judged = [row for row in outcome.rows if isinstance(row, entries.AtMost)]
    assert [round(row.ours, 2) for row in judged if "rank 1" in row.what] == [0.49, 0.45]
    means = [round(row.ours, 2) for row in judged if "ratios" in row.what]
    assert means == [0.51, 0.17, 0.46, 0.37, 0.33, 0.85] and all(row.agrees for row in judged)
    assert ["R=2" in row.what or "R=3" in row.what for row in judged if "optimum" in row.what] == [True] * 4
    assert [row.ours for row in outcome.rows if "from the paper's" in row.what] == pytest.approx(
        [0.28, 0.28, 0.11, 0.12], abs=0.01
    )
    assert "powers of x − 1" in entries.comment("map-table5")
    table = map_table5.table5

    def shuffled(network):
        rows = table(network).copy()
        rows["accuracy"][:25] = np.random.default_rng(0).permutation(rows["accuracy"][:25])
        return rows

    monkeypatch.setattr(map_table5, "table5", shuffled)
    assert map_table5.off_axis_error("resnet32", MAP())[0] > 0.55
    shuffled_ratios = [row for row in map_table5._separability("resnet32", "") if isinstance(row, entries.AtMost)]
    assert not shuffled_ratios[0].agrees and shuffled_ratios[1].agrees


def test_entry_that_cannot_run_says_why(monkeypatch):
    def entry():
        """Needs what is not here."""
        raise NotRun("no GPU")

    monkeypatch.setitem(entries.entries._added, "needy", entry)
    assert entries.reproduce("needy").verdict == "cannot tell (no GPU)"
    assert entries.describe("needy") == "Needs what is not here."
    assert "needy" in entries.entries.names()


def test_unknown_entry_names_the_nearest():
    with pytest.raises(PruneError, match="Did you mean 'greg-tables'"):
        entries.reproduce("greg-table")


def test_what_is_said_of_an_entry_is_there_without_docstrings():
    code = "from kerasprune.recipes.reproductions.entry import comment, describe as d; print(d('map-table5'))"
    assert run_python(f"{code}; print(comment('map-table5'))", options=["-OO"]).splitlines() == [
        entries.describe("map-table5"),
        *entries.comment("map-table5").splitlines(),
    ]
