"""Before and after: ratios against figures worked out by hand."""

from __future__ import annotations

from kerasprune.recipes.reports import tables
from kerasprune.recipes.reports.tables import judge_expected, step_in_words

SUMMARY = {
    "dense": {
        "accuracy": 0.9336,
        "params": 853_018,
        "macs": 125_485_706,
        "tflite_bytes": 4000,
        "latency_ms": 2.0,
    },
    "slim": {
        "accuracy": 0.9318,
        "params": 400_000,
        "macs": 49_209_000,
        "tflite_bytes": 1000,
        "latency_ms": 0.5,
    },
    "exports": [
        {
            "format": "tflite",
            "bytes": 1000,
            "gzip_bytes": 400,
            "max_error": 1.2e-6,
            "agreement": 1.0,
            "latency_ms": 0.5,
        },
        {"format": "saved_model", "bytes": None, "max_error": None, "agreement": None, "latency_ms": None},
    ],
}


def test_reduction_ratios_are_one_minus_what_is_left():
    rows = {row[0]: row[1:] for row in tables.before_after(SUMMARY).rows}
    assert rows["parameters"] == ("853,018", "400,000", "53.1 % fewer")  # 1 − 400000/853018 = 0.53108
    assert rows["multiply–adds (MACs)"][2] == "60.8 % fewer, 2.55×"  # 1 − 49209000/125485706 = 0.60785; 2.5500
    assert rows["test accuracy"] == ("93.36 %", "93.18 %", "-0.18 points")
    assert rows["TFLite file, bytes"][2] == "75.0 % fewer"
    assert rows["latency, milliseconds"][2] == "4.00× as fast"


def test_missing_slim_model_and_missing_measures_are_dashes_or_left_out():
    rows = tables.before_after({"dense": {"params": 10, "accuracy": None}, "slim": None}).rows
    assert rows == [("parameters", "10", "–", "–")]
    assert tables.before_after({}).rows == []


def test_models_that_do_not_classify_show_their_loss_and_metrics():
    dense = {"accuracy": None, "loss": 0.5, "metrics": {"mean_absolute_error": 0.25}}
    slim = {"accuracy": None, "loss": 0.75, "metrics": {"mean_absolute_error": 0.2}}
    assert tables.before_after({"dense": dense, "slim": slim}).rows == [
        ("test loss", "0.5", "0.75", "+0.25"),
        ("test mean absolute error", "0.25", "0.2", "-0.05"),
    ]
    rows = tables.before_after({"dense": {**dense, "accuracy": 0.5}, "slim": None}).rows
    assert [row[:3] for row in rows] == [("test accuracy", "50.00 %", "–"), ("test mean absolute error", "0.25", "–")]


def test_exports_show_what_is_missing_as_a_dash():
    found = tables.exports(SUMMARY)
    assert (found.header, found.rows) == (
        ("file", "bytes", "in gzip", "latency, ms", "same class as Keras", "largest error"),
        [("tflite", "1,000", "400", "0.5", "100.00 %", "1.2e-06"), ("saved_model", "–", "–", "–", "–", "–")],
    )
    assert tables.exports({}).rows == []


def test_files_of_both_models_stand_beside_each_other_as_they_are_judged():
    def rows(slim, dense):
        found = tables.exports({"exports": [{"format": "tflite", **slim, "dense": dense}]})
        return found.header, found.rows

    labelled = {"loss": 0.5, "judged": 1000, "judged_on": "test"}
    assert rows({"accuracy": 0.75, **labelled}, {"accuracy": 0.875, **labelled}) == (
        ("file", "test accuracy, 1,000 examples"),
        [("tflite, dense", "87.50 %"), ("tflite, slim", "75.00 %")],
    )
    header, (_, slim) = rows({"metrics": {"mean_error": 0.25}, **labelled}, labelled)
    assert header == ("file", "test loss, 1,000 examples", "test mean error, 1,000 examples")
    assert slim == ("tflite, slim", "0.5", "0.25")
    near = {"dense_agreement": 0.5, "dense_error": 0.125, "judged": 16, "judged_on": "random"}
    header, (_, slim) = rows(near, near)
    on = "16 random inputs"
    assert header == ("file", f"same class as dense Keras, {on}", f"error of the outputs, {on}")
    assert slim == ("tflite, slim", "50.00 %", "0.125")


def test_expected_figures_stand_beside_those_of_the_run_and_are_judged():
    recipe = {
        "expected": {"accuracy": 0.9318, "accuracy_change": -0.0008, "speedup": 2.55, "macs": 0.4, "params": None}
    }
    assert tables.expected(recipe, SUMMARY).rows == [
        ("accuracy", "93.18 %", "93.18 %", "met"),
        ("accuracy change", "-0.08 points", "-0.18 points", "met"),  # by no more than a tenth of a point
        ("multiply–adds (MACs) kept", "40.00 %", "39.21 %", "met"),
        ("speedup", "2.55×", "2.55×", "met"),
    ]
    missed = {"accuracy": 0.9329, "accuracy_change": 0.0, "speedup": 2.58, "macs": 0.39, "sparsity": 0.5}
    assert [(one["name"], one["met"]) for one in judge_expected({"expected": missed}, SUMMARY)] == [
        ("accuracy", False),
        ("accuracy_change", False),
        ("macs", False),
        ("speedup", False),
        ("sparsity", None),  # was not measured
    ]
    assert {one["met"] for one in judge_expected({"expected": missed, "smoke": True}, SUMMARY)} == {None}


def test_layers_of_both_models_side_by_side():
    def model(**layers):
        return {
            "layers": [{"name": n, "kind": "Dense", "params": p, "macs": m, "bytes": 1} for n, (p, m) in layers.items()]
        }

    found = tables.layers_of({"dense": model(a=(9, 80), gone=(3, 20)), "slim": model(a=(4, 40), new=(1, 0))})
    assert tables.layers({"layers": found}).rows == [
        ("a", "Dense", "9", "4", "80", "40", "50.0 %"),
        ("gone", "Dense", "3", "0", "20", "0", "0.0 %"),
        ("new", "Dense", "0", "1", "0", "0", "–"),
        ("total", "", "12", "5", "100", "40", "40.0 %"),
    ]
    unpruned = tables.layers_of({"dense": model(a=(9, 80))})
    assert tables.layers({"layers": unpruned}).rows[0] == ("a", "Dense", "9", "9", "80", "80", "100.0 %")
    assert not tables.layers({}).rows


def test_more_than_before_is_no_reduction():
    rows = tables.before_after({"dense": {"tflite_bytes": 100}, "slim": {"tflite_bytes": 150}}).rows
    assert rows == [("TFLite file, bytes", "100", "150", "50.0 % more")]


def test_what_is_known_of_a_run():
    summary = {
        "date": "2026-11-21T15:00:00+00:00",
        "seconds": 3725,
        "versions": {"kerasprune": "0.2.0", "keras": "3.15.1"},
        "machine": {"processor": "A chip", "cores": 2, "memory_gib": 4.0, "system": "Linux-6", "devices": ["cpu:0"]},
        "threads": {"available": 2, "OMP_NUM_THREADS": "1"},
    }
    assert tables.about({"seed": 0}, summary).rows == [
        ("finished", "2026-11-21T15:00:00+00:00"),
        ("duration", "1 h 2 min"),
        ("seed", "0"),
        ("versions", "kerasprune 0.2.0, keras 3.15.1"),
        ("machine", "A chip, 2 cores, 4 GiB of memory, Linux-6, cpu:0"),
        ("threads", "available 2, OMP_NUM_THREADS 1"),
    ]
    assert tables.about({}, {}).rows == []


def test_an_error_that_says_nothing_is_not_shown():
    reason = "cannot be judged: the same output for all examples"
    step = {"step": "rebuild", "output_error": 2.5, "unjudged": reason}
    assert step_in_words(step).endswith(f"error of the outputs {reason}")
    ((_, *_, shown),) = tables.steps({"steps": [step]}).rows
    assert shown == reason and tables.steps({"steps": [step | {"unjudged": ""}]}).rows[0][-1] == "2.5"


def test_whether_it_helped_is_told_as_times_fewer_and_times_as_fast():
    files = [{"format": "tflite", "arrives": 0.5, "unexpected": []}, {"format": "kpz"}]
    found = tables.gains({"dense": {"macs": 900}, "slim": {"macs": 300}, "exports": files})
    assert found.rows == [("tflite", "3.00× fewer", "1.50× as fast", "none")]
    unknown = tables.gains({"exports": [{"format": "tflite", "arrives": None, "unexpected": ["1 PAD"]}]})
    assert unknown.rows == [("tflite", "– fewer", "–", "1 PAD")]
