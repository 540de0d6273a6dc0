"""Examples of docstrings do what they show: public names by default, the others and dear ones in the thorough tier."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import keras
import pytest

import kerasprune

ROOT = Path(kerasprune.__file__).parent
DEAR = {  # a second and more each
    "analysis/one_layer_in_int8.py",
    "callbacks/freeze_kept.py",
    "export/latency/phone.py",
    "export/latency/profiling.py",
}
SLOW = {  # 5 seconds and more each
    "models/keras_applications.py",
    "planning/targets/time.py",
    "recipes/comparison.py",
    "testing/callbacks.py",
}


def modules() -> list:
    """Returns the files that hold examples, found without importing them."""
    stubs = "".join(path.read_text() for path in ROOT.rglob("__init__.pyi"))
    public = {name.replace(".", "/") for name in re.findall(r"^from kerasprune\.([\w.]+) import", stubs, re.MULTILINE)}
    params = []
    for path in sorted(path for path in ROOT.rglob("*.py") if ">>> " in path.read_text()):
        name = path.relative_to(ROOT).as_posix()
        first = name not in DEAR and name.removesuffix(".py").removesuffix("/__init__") in public
        tier = [] if first else [pytest.mark.thorough]
        params.append(pytest.param(name, marks=[*tier, *[pytest.mark.slow] * (name in SLOW)]))
    return params


@pytest.mark.parametrize("name", modules())
def test_examples_do_what_they_show(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(
        "kerasprune." + name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    )
    # Nothing that the module imports: readers do not have it either.
    own = {key: value for key, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__}
    found = doctest.DocTestFinder(exclude_empty=True).find(module, globs=own)
    for example in found:
        if example.examples:
            keras.backend.clear_session()  # layers without a name are numbered from the start
            report: list[str] = []
            doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=report.append)
            assert not report, "".join(report)
