"""Before and after: ratios against figures worked out by hand."""

from __future__ import annotations

from kerasprune.reports import tables

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
        {"format": "tflite", "bytes": 1000, "max_error": 1.2e-6, "agreement": 1.0, "latency_ms": 0.5},
        {"format": "saved_model", "bytes": None, "max_error": None, "agreement": None, "latency_ms": None},
    ],
}


def test_reduction_ratios_are_one_minus_what_is_left():
    rows = {row[0]: row[1:] for row in tables.before_after(SUMMARY)}
    assert rows["parameters"] == ("853,018", "400,000", "Prr 53.1 %")  # 1 − 400000/853018 = 0.53108
    assert rows["MACs"][2] == "Frr 60.8 %, 2.55×"  # 1 − 49209000/125485706 = 0.60785; 2.5500
    assert rows["test accuracy"] == ("93.36 %", "93.18 %", "-0.18 points")
    assert rows["TFLite file, bytes"][2] == "75.0 %"
    assert rows["latency, ms"][2] == "4.00× as fast"


def test_missing_slim_model_and_missing_measures_are_dashes_or_left_out():
    rows = tables.before_after({"dense": {"params": 10, "accuracy": None}, "slim": None})
    assert rows == [("parameters", "10", "–", "–")]
    assert tables.before_after({}) == []


def test_exports_show_what_is_missing_as_a_dash():
    assert tables.exports(SUMMARY) == [
        ("tflite", "1,000", "100.00 %", "1.2e-06", "0.5"),
        ("saved_model", "–", "–", "–", "–"),
    ]


def test_expected_figures_stand_beside_those_of_the_run():
    recipe = {"expected": {"accuracy": 0.9318, "accuracy_change": -0.0018, "speedup": 2.55, "macs": None}}
    assert tables.expected(recipe, SUMMARY) == [
        ("accuracy", "93.18 %", "93.18 %"),
        ("accuracy change", "-0.18 points", "-0.18 points"),
        ("speedup", "2.55×", "2.55×"),
    ]
