"""Settings of all tests: drawn examples that repeat in continuous integration, the quick tests, garbage collection."""

import gc
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# The passes of LLVM take longer than the few steps of a test save; what XLA makes of its graph is the same.
os.environ["XLA_FLAGS"] = f"--xla_backend_optimization_level=0 {os.environ.get('XLA_FLAGS', '')}".rstrip()

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


# The batteries of rules, callbacks and verification, which run on JAX and torch as they do on TensorFlow.
EVERY_BACKEND = {
    "callbacks/test_filters.py",
    "callbacks/test_greg.py",
    "callbacks/test_greg_fit.py",
    "callbacks/test_registered.py",
    "defects/test_defects.py",
    "rules/test_at_the_inputs.py",
    "rules/test_lambda.py",
    "rules/test_rules.py",
    "test_verification.py",
    "training/test_distillation.py",
    "training/test_jax_distribution.py",
    "training/test_jax_step.py",
    "training/test_lowest.py",
}


# Files whose tests share nothing and take many seconds each: one by one, at the end, so that all workers end together.
APART = ("callbacks/test_registered.py", "recipes/test_library.py", "test_docs.py")

# One maker of each callback is enough on JAX; the others are long.
LEFT_OUT_ON_JAX = re.compile(
    r"^test_(callback_contract\[\w+-[1-9]|the_guide_to_transfer_learning|saved_files_load_where|some_cases_of_a_file)"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is quick, and what runs on JAX and torch too; puts long tests that stand alone at the end."""
    here = Path(__file__).parent
    items.sort(key=lambda item: item.path.as_posix().endswith(APART))
    for item in items:
        path = item.path.relative_to(here)
        if path.parts[0] in QUICK and item.get_closest_marker("slow") is None:
            item.add_marker(pytest.mark.quick)
        if path.as_posix() in EVERY_BACKEND:
            item.add_marker(pytest.mark.torch)
            if not LEFT_OUT_ON_JAX.search(item.name):
                item.add_marker(pytest.mark.jax)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Callable) -> Any:
    """Keeps the tests of a file on one worker, where the command line asks for nothing else."""
    if config.getvalue("dist") != "load":
        return None
    from support.scheduling import ByFile

    return ByFile(config, log, APART)


# A full collection walks the whole heap, a million objects of TensorFlow and of models that earlier tests have built.
# Where the memory of a virtual machine is slow that takes up to two minutes; Python and the converter of TFLite do
# it often. Young objects are collected as ever. Old ones are collected after a module of tests where the process has
# grown since the last time, and what is left then is not walked again.
GROWN = 0.03  # of the machine's memory


class _Heap:
    """How much memory the process had when it last collected what was old, a fraction of the machine's."""

    def __init__(self) -> None:
        self.held = 0.0

    def settle(self) -> None:
        """Collects, and leaves what stays out of later collections."""
        gc.collect()
        gc.freeze()
        self.held = _held()


@pytest.fixture(scope="session")
def _heap() -> _Heap:
    heap = _Heap()
    heap.settle()
    return heap


def pytest_collection_finish() -> None:
    """Leaves what the test modules have imported out of garbage collection."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(700, 10, 10**9)


@pytest.fixture(autouse=True, scope="module")
def _old_objects_are_seldom_collected(_heap: _Heap) -> Iterator[None]:
    """Collects what a module has left behind, where that is much."""
    yield
    if _held() > _heap.held + GROWN:
        _heap.settle()


def _held() -> float:
    """Returns the fraction of the machine's memory that this process has; 1 where the system does not say."""
    pages = Path("/proc/self/statm")
    if not pages.exists():
        return 1.0
    held, whole = int(pages.read_text().split()[1]), os.sysconf("SC_PHYS_PAGES")
    return held / whole
