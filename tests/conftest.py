"""Settings of all tests: drawn examples that repeat in continuous integration, the quick tests, garbage collection."""

import gc
import importlib.util
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest

# The passes of LLVM take longer than the few steps of a test save; what XLA makes of its graph is the same.
os.environ["XLA_FLAGS"] = f"--xla_backend_optimization_level=0 {os.environ.get('XLA_FLAGS', '')}".rstrip()

# TensorFlow convolves images with channels first on a CPU with oneDNN only, which it leaves off on some.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# What tests compare with is computed in full precision on a GPU too, as what the library compares is.
os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")
os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")

# Several processes share the cores: threads of one would wait for those of another, in products as small as these.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

# Folders and files without fits of more than a few steps: the inner loop, `pytest -m quick`.
QUICK = (
    "analysis/",
    "criteria/",
    "graph/",
    "planning/",
    "recipes/reports/",
    "recipes/search/",
    "surgery/costs/",
    "test_files.py",
    "test_floors.py",
    "test_layout.py",
    "test_names.py",
    "training/test_schedules.py",
    "training/test_thresholds.py",
)


# The batteries of rules, callbacks and verification, which run on JAX and torch as they do on TensorFlow.
EVERY_BACKEND = {
    "training/test_in_step.py",
    "training/test_jax_distribution.py",
    "training/test_jax_step.py",
    "backend/test_jax_layers.py",
    "backend/test_precision.py",
    "callbacks/test_filters.py",
    "callbacks/test_greg.py",
    "callbacks/test_greg_fit.py",
    "callbacks/test_registered.py",
    "defects/test_defects.py",
    "training/distillation/test_distillation.py",
    "rules/test_at_the_inputs.py",
    "rules/test_lambda.py",
    "rules/test_rules.py",
    "steps/test_judged_figures.py",
    "steps/test_tuning.py",
    "steps/test_several_devices.py",
    "repair/synthesis/test_synthesise.py",
    "surgery/test_verification.py",
}


# Long, and the same on every backend.
LEFT_OUT_ON_JAX = re.compile(r"^test_(the_guide_to_transfer_learning|saved_files_load_where|some_cases_of_a_file)")

# XLA compiles these for ten seconds and more.
THOROUGH_ON_JAX = re.compile(
    r"^test_(fitted_examples_have|large_models_get_fewer_steps|rule_is_exact\[(Bidirectional|ConvLSTM|GRU))"
)


# What files of the edge need, which a bare environment lacks: LiteRT, to run or time a file, and readers of images.
EDGE = {"ai_edge_litert", "litert_quantizer", "PIL"}


class Module(pytest.Module):
    """A module of tests: skipped if it imports what an extra brings and this environment lacks.

    Any other fault of an import is an error, and so is a lack in the batteries of every backend, which need no extra.
    """

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        try:
            return super().collect()
        except self.CollectError as error:
            if not (name := _lacking(error.__cause__)) or _place(self.path) in EVERY_BACKEND:
                raise
            pytest.skip(f"{name} is not installed", allow_module_level=True)


@contextmanager
def _edge_may_lack() -> Iterator[None]:
    """Skips a test that meets the lack of an extra of the edge, as `Module` does for what is imported at its top."""
    try:
        yield
    except Exception as error:
        if (name := _lacking(error)) not in EDGE:
            raise
        pytest.skip(f"{name} is not installed")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Runs a test."""
    with _edge_may_lack():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Runs the fixtures of a test."""
    with _edge_may_lack():
        return (yield)


def _lacking(error: BaseException | None) -> str | None:
    """Returns the module of an extra that is not installed, and whose lack an error or its cause says; else `None`."""
    from kerasprune.errors import EXTRAS

    for each in (error, error and error.__cause__):
        name = each.name.replace("-", "_") if isinstance(each, ModuleNotFoundError) and each.name else None
        if name in {*EXTRAS, "pandas"} and importlib.util.find_spec(name) is None:
            return name
    return None


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    """Returns the module of tests of a file."""
    return Module.from_parent(parent, path=module_path)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds how long cases may begin, and which files have changed."""
    parser.addoption("--changed", metavar="FILE", help="only what mirrors the rooms of the files named in it")
    parser.addoption("--note-dear", action="store_true", help="add cases that cost much to the list of dear ones")
    parser.addoption("--within", type=float, metavar="SECONDS", help="leave out what does not begin by then")


def pytest_configure(config: pytest.Config) -> None:
    """Measures what cases cost; stops in time, and leaves out what did not change, if asked to."""
    from support.processor_time import ProcessorTime
    from support.tiers import Changed, Within

    config.pluginmanager.register(ProcessorTime())
    if (seconds := config.getoption("--within")) is not None:
        config.pluginmanager.register(Within(seconds))
    if (file := config.getoption("--changed")) is not None:
        config.pluginmanager.register(Changed(Path(file).read_text().splitlines(), config.rootpath))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is quick, what runs on JAX and torch too, and what is skipped where the core stands alone."""
    from support.processor_time import read_dear_cases
    from support.tiers import mark_thorough

    mark_thorough(items, read_dear_cases())
    alone = importlib.util.find_spec("kerasprune.models") is None
    for item in items:
        path = _place(item.path)
        if path.startswith(QUICK) and not {"slow", "thorough"} & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.quick)
        if alone and item.get_closest_marker("experiments"):
            item.add_marker(pytest.mark.skip(reason="needs the rooms above the core"))
        if path in EVERY_BACKEND:
            item.add_marker(pytest.mark.torch)
            if not LEFT_OUT_ON_JAX.search(item.name):
                item.add_marker(pytest.mark.jax)
            if os.environ.get("KERAS_BACKEND") == "jax" and THOROUGH_ON_JAX.search(item.name):
                item.add_marker(pytest.mark.thorough)


def _place(path: Path) -> str:
    """Returns a file's path below the folder of tests."""
    return path.relative_to(Path(__file__).parent).as_posix()


# A full collection walks the whole heap, a million objects of TensorFlow and of models that earlier tests have built.
# Where the memory of a virtual machine is slow that takes up to two minutes; Python and the converter of TFLite do
# it often. Young objects are collected as ever; what has survived a module of tests is not walked again, and is only
# collected where the machine is short of memory.
SHORT = 0.15  # of the machine's memory: less is available, and this process has more


def pytest_collection_finish() -> None:
    """Leaves what the test modules have imported out of garbage collection."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(700, 10, 10**9)


@pytest.fixture(autouse=True, scope="module")
def _old_objects_are_seldom_collected() -> Iterator[None]:
    """Leaves what a module has built out of garbage collection, unless memory is short."""
    yield
    if _available() < SHORT < _held():
        gc.unfreeze()
        gc.collect()
    gc.freeze()


def _available() -> float:
    """Returns the fraction of the machine's memory that is available; 0 where the system does not say."""
    status = Path("/proc/meminfo")
    if not status.exists():
        return 0.0
    sizes = dict(line.split(":") for line in status.read_text().splitlines() if line.startswith("Mem"))
    total, free = (int(sizes[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    return free / total


def _held() -> float:
    """Returns the fraction of the machine's memory that this process has; 1 where the system does not say."""
    pages = Path("/proc/self/statm")
    if not pages.exists():
        return 1.0
    held, whole = int(pages.read_text().split()[1]), os.sysconf("SC_PHYS_PAGES")
    return held / whole
