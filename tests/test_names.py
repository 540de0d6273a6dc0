"""Public names: those of the stubs, with the members of families."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import re
import types
from collections.abc import Callable

import pytest
from support import stubs
from support.rooms import ROOT

import kerasprune
from kerasprune import defaults
from kerasprune.callbacks.registry import callbacks
from kerasprune.criteria.registry import criteria
from kerasprune.errors import PruneError
from kerasprune.former_names import FORMER_NAMES
from kerasprune.models.registry import models
from kerasprune.papers.three_dimensional.registry import block_criteria
from kerasprune.planning.budgets.registry import budgets
from kerasprune.training.registry import granularities, scopes, thresholds

FACE = [
    "prune",
    "smallest",
    "advise",
    "plot",
    "plan",
    "Plan",
    "rebuild",
    "verify",
    "report",
    "cost",
    "trace",
    "rule",
    "functional",
    "mask",
    "reconstruct",
    "recalibrate",
    "distil",
    "synthesise",
    "fold",
    "sensitivity",
    "prune_at_init",
    "quantization_aware",
    "PruneError",
    "callbacks",
    "criteria",
    "budgets",
    "schedules",
    "targets",
    "data",
    "models",
    "recipes",
    "export",
    "latency",
    "quantization",
    "surgery",
    "sparsity",
    "codec",
    "hub",
    "rules",
    "regularizers",
    "papers",
    "analysis",
    "testing",
]

NEW = {"advise", "hub", "papers", "plot", "quantization", "smallest", "surgery"}  # since there were 76


def test_the_face():
    assert sorted(FACE) == dir(kerasprune) == kerasprune.__all__ and len(FACE) == 43
    assert sorted(re.findall(r"import \w+ as (\w+)$", stubs.stub_of("kerasprune"), re.MULTILINE)) == sorted(FACE)


def test_former_names_are_none_of_the_face():
    assert len(FORMER_NAMES) == 76 - (43 - len(NEW)) and not {*FORMER_NAMES} & {*FACE}


@pytest.mark.parametrize(("name", "address"), FORMER_NAMES.items())
def test_a_former_name_is_what_its_new_address_is(name, address):
    shown = address if address.startswith("kerasprune.") else f"kp.{address}"
    message = f"kp.{name} is now {shown}: the old name is accepted until 0.5.0."
    for _ in range(2):  # each time, wherever it is used
        with pytest.warns(FutureWarning, match=f"^{re.escape(message)}$") as caught:
            found = getattr(kerasprune, name)
        assert caught[0].filename == __file__
    assert found is pkgutil.resolve_name(f"kerasprune.{address.removeprefix('kerasprune.')}")


def test_former_names_can_be_imported_by_name():
    with pytest.warns(FutureWarning, match="kp.rank is now kp.papers.spaces.rank") as caught:
        from kerasprune import rank
    assert rank is kerasprune.papers.spaces.rank
    assert {warning.filename for warning in caught} == {__file__}


def test_the_page_of_names_is_that_of_the_tables():
    text = (ROOT / "docs" / "names.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `kp\.(\w+)` \| ([^|]+) \|$", text, re.MULTILINE))
    kept = dict.fromkeys({*FACE} - NEW, "the same")
    moved = {old: f"`{new if new.startswith('kerasprune.') else f'kp.{new}'}`" for old, new in FORMER_NAMES.items()}
    assert rows == kept | moved and len(rows) == 76 and [*rows] == sorted(rows)
    face = re.search(r"```text\n(.*?)```", text, re.DOTALL)
    assert face is not None and sorted(face[1].split()) == sorted(FACE)


@pytest.mark.parametrize("package", stubs.lazy_packages())
def test_the_stub_of_a_package_has_its_public_names(package):
    """In alphabetical order, each once."""
    text = stubs.stub_of(package)
    imports = [line for line in text.splitlines() if line.startswith("from ")]
    assert imports == sorted(imports) and len(set(imports)) == len(imports)


@pytest.mark.parametrize("family", [budgets, callbacks, criteria, models], ids=lambda family: family.kind)
def test_the_members_of_a_family_are_public(family):
    package = {"criterion": "criteria"}.get(family.kind, f"{family.kind}s")
    public = {id(each) for each in vars_of(getattr(kerasprune, package)).values()}
    assert {id(family.member(name)) for name in family} <= public


@pytest.mark.parametrize("package", stubs.lazy_packages())
def test_every_public_name_can_be_imported(package):
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert dir(module) == sorted(module.__all__)
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        _ = module.nothing_of_that_name


def public_modules() -> dict[str, types.ModuleType]:
    """Returns the package and all public modules inside it, by the names that users give them."""
    found = {"kerasprune": kerasprune}
    for name, module in found.copy().items():
        found |= {f"{name}.{each}": part for each, part in vars_of(module).items() if inspect.ismodule(part)}
    found |= {
        f"{name}.{each}": part
        for name, module in list(found.items())[1:]
        for each, part in vars_of(module).items()
        if inspect.ismodule(part)
    }
    return found


def vars_of(module: types.ModuleType) -> dict[str, object]:
    """Returns what is public in a module."""
    return {name: getattr(module, name) for name in module.__all__}


def public_functions() -> dict[str, Callable]:
    """Returns the public functions by the names that users give them."""
    return {
        f"{where}.{name}": part
        for where, module in public_modules().items()
        for name, part in vars_of(module).items()
        if inspect.isfunction(part)
    }


def test_what_dir_shows_is_public():
    found = public_modules()
    assert {
        "kerasprune.analysis",
        "kerasprune.latency",
        "kerasprune.schedules",
        "kerasprune.callbacks.thresholds",
        "kerasprune.papers.spaces",
        "kerasprune.recipes.search",
    } <= set(found)
    for name, module in found.items():
        assert dir(module) == sorted(module.__all__), name


# Results whose modules are no part of the face: imported from where they are defined.
WITHOUT_A_PUBLIC_HOME = {
    *(address for address in FORMER_NAMES.values() if address.startswith("kerasprune.")),
    "kerasprune.steps.advice.Advice",
    "kerasprune.steps.smallest.Smallest",
}


def test_what_a_public_function_returns_can_be_imported():
    """Classes of ours in the annotation of the result: from a public module, or by the address of their own."""
    public = {id(part) for module in public_modules().values() for part in vars_of(module).values()}
    seen = set()
    for address, function in public_functions().items():
        body = inspect.unwrap(function)
        names = re.findall(r"[\w.]+", str(body.__annotations__.get("return", "")))
        classes = [body.__globals__[name] for name in names if inspect.isclass(body.__globals__.get(name))]
        for each in (each for each in classes if each.__module__.startswith("kerasprune.")):
            own = f"{each.__module__}.{each.__qualname__}"
            if id(each) not in public:
                assert own in WITHOUT_A_PUBLIC_HOME, f"{address} returns {each.__name__}, which is not public"
            seen.add(each.__name__)
    assert {"Plan", "Ranking", "Ticket", "MetaPruned", "ExportReport", "Latency", "Allocations", "Rule", "Loop"} <= seen


# What may be left out and is given by place all the same: what a model is compared with or asked by. `prune` has its
# target, data and epochs by place; families whose functions are recipes' members or formulas are not asked.
BY_PLACE = {"plan", "data", "criterion", "budget", "inputs", "settings", "path", "folder", "samples", "max_drop"}
BY_PLACE |= {"to_file"}  # as for `keras.utils.plot_model`
FAMILIES = tuple(f"kerasprune.{name}." for name in ("budgets", "criteria", "models", "schedules", "testing"))
LIKE_THEM = tuple(f"kerasprune.papers.{name}" for name in ("synexp.", "three_dimensional.score_blocks"))


def test_all_other_arguments_of_the_face_are_keywords():
    for address, function in public_functions().items():
        if address == "kerasprune.prune" or address.startswith((*FAMILIES, *LIKE_THEM)):
            continue
        parameters = inspect.signature(function).parameters.values()
        optional = {p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is not p.empty}
        assert optional <= BY_PLACE, f"{address} takes {optional - BY_PLACE} by place"


# What differs from the one default has a reason, which the docstring gives.
DEFAULTS = {"batch": defaults.BATCH, "samples": defaults.SAMPLES, "delta": defaults.DELTA}
OTHERS = {
    ("kerasprune.papers.spaces.Space", "delta"): 0.002,  # the paper's
    ("kerasprune.data.load", "batch"): None,  # 128, or all images of a smaller split
    ("kerasprune.data.rounds", "batch"): None,
    **{(f"kerasprune.latency.{name}", "batch"): None for name in ("latency", "compare_latency")},  # 1, as LiteRT
    ("kerasprune.testing.random_inputs", "batch"): 4,  # of a check
    ("kerasprune.synthesise", "samples"): 600,  # each takes as long as a step of training
    ("kerasprune.analysis.precision_sensitivity", "samples"): 500,  # each runs once for every layer
}


def test_there_is_one_set_of_defaults():
    asked = public_functions() | {"kerasprune.papers.spaces.Space": kerasprune.papers.spaces.Space}
    checked = 0
    for address, function in asked.items():
        for name, parameter in inspect.signature(function).parameters.items():
            if name in DEFAULTS and parameter.default is not parameter.empty:
                assert parameter.default == OTHERS.get((address, name), DEFAULTS[name]), f"{address}: {name}"
                checked += 1
    assert checked > 12


def test_nobody_says_how_much_stays_by_another_name():
    old = {"largest", "down_to", "fraction", "target_macs", "to", "directory", "out"}
    for address, function in public_functions().items():
        assert not old & set(inspect.signature(function).parameters), address
    for name in callbacks.names():
        found = old & set(inspect.signature(callbacks.member(name)).parameters)
        assert found <= ({"fraction"} if name == "freeze_kept" else set()), name  # of the channels that are frozen


@pytest.mark.parametrize("family", [criteria, block_criteria, budgets, granularities, scopes, thresholds])
@pytest.mark.parametrize("stranger", [None, 3, object(), list, {"name": None}])
def test_what_is_no_member_of_a_family_is_refused(family, stranger):
    with pytest.raises(PruneError, match="Received: "):
        family.get(stranger)
