"""Several runs: seeds become mean ± standard deviation, settings become rows."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
import yaml

from kerasprune.errors import PruneError
from kerasprune.recipes.reports import comparison, pareto_page, read


def write(folder, recipe, dense=0.9, slim=0.8):
    folder.mkdir(parents=True)
    summary = {"dense": {"accuracy": dense, "macs": 1000, "params": 100}, "seconds": 10}
    if slim is not None:
        summary["slim"] = {"accuracy": slim, "macs": 500, "params": 40}
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder


def recipe(seed, keep=0.5, **more):
    prune = {"plan": {"keep": keep, "budget": {"name": "per_stage", "keep": [1, keep]}}}
    return {"name": "tiny", "why": f"Prose {seed}.", "seed": seed, "prune": prune, **more}


@pytest.fixture
def folders(tmp_path):
    for seed, accuracy in ((0, 0.80), (1, 0.84), (2, 0.85)):
        write(tmp_path / f"half-{seed}", recipe(seed), slim=accuracy, dense=0.9 + seed / 100)
    write(tmp_path / "third", recipe(0, 0.3), slim=0.5)
    return tmp_path


def test_runs_that_differ_in_the_seed_are_one_row(folders):
    finished, unfinished = comparison.runs_below([folders])
    assert [path.name for path in finished] == ["half-0", "half-1", "half-2", "third"] and not unfinished
    half, third = comparison.rows_by_experiment([read(path) for path in finished])
    assert (half["prune.plan.keep"], third["prune.plan.keep"]) == (0.5, 0.3)
    assert half["prune.plan.budget.keep"] == [1, 0.5]
    assert (half["runs"], third["runs"]) == (3, 1)
    values = np.array([0.80, 0.84, 0.85])
    assert half["accuracy"] == pytest.approx(values.mean())
    assert half["accuracy_deviation"] == pytest.approx(values.std(ddof=1))
    assert half["accuracy_change"] == pytest.approx((values - [0.9, 0.91, 0.92]).mean())
    assert (half["macs"], half["params"]) == (0.5, pytest.approx(0.4))
    assert third["accuracy_deviation"] is None
    assert set(half) == set(third)
    assert "sparsity" not in half and "why" not in half


def test_table_is_text_with_a_deviation_where_there_is_one(folders):
    found = comparison.comparison_table([read(path) for path in comparison.runs_below([folders])[0]])
    header, (half, third) = found.header, found.rows
    half, third = dict(zip(header, half, strict=True)), dict(zip(header, third, strict=True))
    assert half["test accuracy"] == "83.00 ± 2.65 %"
    assert third["test accuracy"] == "50.00 %"
    assert third["change in points"] == "-40.00"
    assert half["multiply–adds kept"] == "50.0 ± 0.0 %"
    assert (half["prune.plan.keep"], half["runs"]) == ("0.5", "3")


def test_rows_are_written_as_a_file(folders):
    path = comparison.write_comparison(comparison.runs_below([folders])[0], folders / "table.csv")
    with path.open() as file:
        half, third = csv.DictReader(file)
    assert float(half["accuracy"]) == pytest.approx(0.83)
    assert third["accuracy_deviation"] == ""
    assert half["prune.plan.budget.keep"] == "[1, 0.5]"


def test_recipes_of_other_names_have_a_column_of_names(folders):
    write(folders / "other", {"name": "other", "seed": 3, "train": {"epochs": 5}}, slim=None)
    found = comparison.comparison_table([read(path) for path in comparison.runs_below([folders])[0]])
    header, rows = found.header, found.rows
    rows = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert header[0] == "name"
    assert rows["other"]["test accuracy"] == "90.00 %"  # of the dense model, the only one
    assert rows["other"]["multiply–adds kept"] == "–"
    assert "train.epochs" not in header  # which tells no two runs of one name apart


def test_models_that_do_not_classify_are_compared_by_loss_and_metrics(tmp_path):
    for seed, loss in ((0, 0.5), (1, 0.7)):
        summary = {"dense": {"accuracy": None, "loss": loss, "metrics": {"mean_absolute_error": 0.25}}, "slim": None}
        (write(tmp_path / str(seed), recipe(seed)) / "summary.json").write_text(json.dumps(summary))
    found = comparison.comparison_table([read(path) for path in comparison.runs_below([tmp_path])[0]])
    header, (row,) = found.header, found.rows
    shown = dict(zip(header, row, strict=True))
    assert (shown["test loss"], shown["test mean absolute error"]) == ("0.6000 ± 0.1414", "0.2500 ± 0.0000")
    assert "test accuracy" not in shown


def test_one_seed_counts_once(folders):
    """A copy of a run is no second seed: mean and deviation are those of the runs without it."""
    runs = comparison.runs_below([folders])[0]
    before = comparison.rows_by_experiment([read(path) for path in runs])
    shutil.copytree(runs[-1], folders / "again")
    with pytest.warns(UserWarning, match="same seed"):
        after = comparison.rows_by_experiment([read(path) for path in comparison.runs_below([folders])[0]])
    assert sorted(after, key=str) == sorted(before, key=str)


def test_folders_that_are_no_runs(folders, tmp_path):
    (folders / "begun").mkdir()
    (folders / "begun" / "recipe.yaml").write_text("name: tiny")
    (tmp_path / "empty").mkdir()
    finished, unfinished = comparison.runs_below([folders, folders / "third"])
    assert len(finished) == 4 and [path.name for path in unfinished] == ["begun"]
    with pytest.raises(PruneError, match="kerasprune run … --resume"):
        comparison.runs_below([tmp_path / "empty"])
    with pytest.raises(PruneError, match="not a folder"):
        comparison.runs_below([tmp_path / "missing"])


def test_a_front_is_what_no_other_point_beats():
    generator = np.random.default_rng(0)
    points = [tuple(point) for point in generator.integers(0, 6, (40, 2)).tolist()]
    beaten = {a for a in range(40) for b in points if b != points[a] and b[0] <= points[a][0] and b[1] >= points[a][1]}
    assert set(pareto_page.pareto(points)) == set(range(40)) - beaten


def test_the_page_of_several_runs_needs_no_network(folders, tmp_path):
    path = pareto_page.write_page(comparison.runs_below([folders])[0], tmp_path / "runs.html")
    text = path.read_text(encoding="utf-8")
    assert "83.00 ± 2.65 %" in text and "Accuracy over multiply–adds kept" in text and "latency" not in text
    assert text.count("<svg") == 1 and "src=" not in text and 'href="http' not in text
