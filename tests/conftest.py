"""Settings of all tests: the same drawn examples every time in continuous integration; which tests are quick."""

import os
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

# Folders and files without fits of more than a few steps: the inner loop, `pytest -m quick`.
QUICK = {
    "analysis",
    "budgets",
    "costs",
    "criteria",
    "graph",
    "reports",
    "search",
    "test_files.py",
    "test_floors.py",
    "test_layout.py",
    "test_names.py",
    "test_planning.py",
    "test_plans.py",
    "test_schedules.py",
    "test_thresholds.py",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is quick."""
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).parts[0] in QUICK and item.get_closest_marker("slow") is None:
            item.add_marker(pytest.mark.quick)
