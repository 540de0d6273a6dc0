"""Settings of all tests: drawn examples that repeat in continuous integration, the quick tests, garbage collection."""

import gc
import os
from collections.abc import Iterator
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


# A full collection walks the whole heap, a million objects of TensorFlow and of models that earlier tests have built.
# On a machine with cold memory one took up to 17 s of wall time and 0.3 s of processor time. What is alive after the
# imports, and after each module, is therefore left out of later collections.


def pytest_collection_finish() -> None:
    """Leaves what the test modules have imported out of garbage collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _collections_are_small() -> Iterator[None]:
    """Collects what a module has built, once; what survives is not walked again."""
    yield
    gc.collect()
    gc.freeze()
