"""What a plan and a run touch, in fresh processes: modules, files, traces, loads."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def counts(monkeypatch):
    """The function of the benchmark that counts what a flow touches."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("flows").counts


@pytest.mark.thorough
def test_a_plan_imports_neither_reconstruction_nor_rebuilding_nor_export(counts):
    found = counts("plan")
    assert len(found.modules) <= 75 and found.traces == 1 and not found.loads and not found.rebuilds
    assert not {f"kerasprune.surgery.{name}" for name in ("rebuild", "mask", "absorb", "clone")} & set(found.modules)
    assert not {"kerasprune.planning.budgets.measured", "kerasprune.planning.budgets.trials"} & set(found.modules)
    assert not [name for name in found.modules if name.startswith(("kerasprune.export", "kerasprune.testing"))]


@pytest.mark.thorough
def test_a_run_traces_and_loads_a_model_a_few_times(counts):
    found = counts("run")
    assert len(found.files) <= 190 and found.traces <= 6
    assert found.loads <= 4  # one of them the rebuilt model, which is better than one trained on noise
