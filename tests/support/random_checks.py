"""What is asked of every random model: three plans carried out exactly, whatever they drop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from unittest import mock

import keras
import numpy as np

import kerasprune as kp
from kerasprune.graph.graph import ChannelGraph
from kerasprune.surgery.absorb import fold
from kerasprune.surgery.cut import Cut
from kerasprune.testing import compare, random_inputs, random_plan
from support.random_models import random_model

TOLERANCE = 1e-5
COUPLINGS = ("tied", "free", "padded")
KINDS = ("tied", "removed", "coupled")


@lru_cache(maxsize=64)
def drawn(seed: int) -> keras.Model:
    """Returns the random model of a seed, which is drawn once: no check changes it."""
    return random_model(seed)


class Mismatch(AssertionError):
    """A plan was not carried out exactly."""


@dataclass(frozen=True)
class Outcome:
    """What was seen of one plan.

    Args:
        error: Of `rebuild(absorb=False)` against `mask`.
        folded: Of `rebuild(absorb=True)` against `mask(silence="weights")`; `None` where folding is approximate.
        effect: What the plan changed at all; where that is nothing, the comparison says nothing.
        coupling: Of the plan.
        removed: How many blocks were dropped.
    """

    error: float
    folded: float | None
    effect: float
    coupling: str
    removed: int


def check(seed: int, kinds: Sequence[str] = KINDS) -> dict[str, Outcome]:
    """Checks some plans of one random model.

    Where float32 disagrees, it is tried with additions as NumPy does them (see `_added`), and then float64 decides:
    what vanishes there is rounding.

    Returns:
        `{kind of plan: what was seen}`.

    Raises:
        Mismatch: A plan was not carried out exactly.
    """
    found = findings(seed, kinds)
    for error in found.values():
        if isinstance(error, Exception):
            raise error
    return found


def findings(seed: int, kinds: Sequence[str] = KINDS) -> dict[str, Outcome | Exception]:
    """Returns for each kind of plan what `check` saw, or how it failed."""
    try:
        model = drawn(seed)
        inputs = random_inputs(model, seed=seed)
        check_copies(model, inputs)
    except Exception as error:  # noqa: BLE001
        return {"model": error}
    found: dict[str, Outcome | Exception] = {}
    for kind in kinds:
        try:
            found[kind] = check_plan(model, draw_plan(model, kind, seed), inputs)
        except Mismatch:
            found[kind] = once_more(seed, kind)
        except Exception as error:  # noqa: BLE001  whatever it is, it is a fault
            found[kind] = error
    return found


def check_copies(model: keras.Model, inputs: Any) -> None:
    """Checks that copies from which nothing is removed compute what the model does: no config has lost anything."""
    for make in (kp.rebuild, kp.mask):
        error = compare(model, make(model, kp.Plan({})), inputs).error
        _require(error <= TOLERANCE, f"a copy made by {make.__name__}() differs by {error:.1e}")


def once_more(seed: int, kind: str) -> Outcome | Exception:
    """Returns what a check sees where numbers are added as NumPy does, in float32 or else in float64."""
    with mock.patch.object(keras.src.backend.numpy, "add", _added):
        try:
            return _checked_anew(seed, kind)
        except Mismatch:
            return _in_float64(seed, kind)
        except Exception as error:  # noqa: BLE001  whatever it is, it is a fault
            return error


def _in_float64(seed: int, kind: str) -> Outcome | Exception:
    """Returns what a check sees while Keras computes in float64."""
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        return _checked_anew(seed, kind)
    except Exception as error:  # noqa: BLE001
        return error
    finally:
        keras.config.set_floatx(before)
        keras.config.set_dtype_policy(before)


def _checked_anew(seed: int, kind: str) -> Outcome:
    model = random_model(seed)
    return check_plan(model, draw_plan(model, kind, seed), random_inputs(model, seed=seed))


def _added(x: Any, y: Any) -> Any:
    """Adds as NumPy does.

    Keras on TensorFlow takes a bias of shape (n, 1), such as that of heads of size one, to run along the positions
    where there are n of them.
    """
    return keras.ops.subtract(x, keras.ops.negative(y))


def draw_plan(model: keras.Model, kind: str, seed: int) -> kp.Plan:
    """Returns a random plan: of tied channels, with blocks removed where there are any, or of another coupling."""
    coupling = {"tied": "tied", "removed": COUPLINGS[seed % 3], "coupled": COUPLINGS[1 + seed % 2]}[kind]
    graph = kp.trace(model, coupling=coupling)
    plan = random_plan(graph, seed * len(KINDS) + KINDS.index(kind))
    if kind != "removed" or not graph.blocks:
        return plan
    return _without_blocks(graph, plan, np.random.default_rng(seed))


def _without_blocks(graph: ChannelGraph, plan: kp.Plan, random: np.random.Generator) -> kp.Plan:
    """Returns a plan that drops up to three blocks as well.

    Without a plain block, other channels are coupled, and without a dense block a slice may be empty: where that is
    refused, a part of the plan is enough.
    """
    number = int(random.integers(1, 1 + min(3, len(graph.blocks))))
    names = [str(name) for name in random.permutation(list(graph.blocks))[:number]]
    inner = [name for name in names if graph.blocks[name].kind != "plain"]
    tries = [(plan.keep, names), (plan.keep, inner), ({}, names), ({}, inner), (plan.keep, ())]
    for keep, removed in tries:
        tried = kp.Plan(keep, removed, coupling=plan.coupling)
        try:
            Cut.of(graph, tried)
        except kp.PruneError:
            continue
        return tried
    raise AssertionError(f"no part of {plan} was accepted")


def check_plan(model: keras.Model, plan: kp.Plan, inputs: Any) -> Outcome:
    """Checks that a plan is carried out exactly, and at the predicted cost."""
    cut = Cut.of(model, plan)
    silent, slim = kp.mask(model, plan), kp.rebuild(model, plan, absorb=False)
    error = compare(silent, slim, inputs).error
    _require(error <= TOLERANCE, f"rebuild(absorb=False) and mask() differ by {error:.1e}")
    predicted, built = kp.cost(model, plan), kp.cost(slim)
    for key in ("params", "macs", "activations", "bytes"):
        one, two = getattr(predicted, key), getattr(built, key)
        _require(one == two, f"{key} were predicted as {one}, and are {two}")
    _require(built.params == slim.count_params(), f"params are {slim.count_params()}, cost() says {built.params}")
    folded, found = None, fold(cut)
    if not found.padded and not found.lost:
        folded = compare(kp.mask(model, plan, silence="weights"), kp.rebuild(model, plan), inputs).error
        _require(folded <= TOLERANCE, f"rebuild(absorb=True) and mask(silence='weights') differ by {folded:.1e}")
    effect = compare(model, silent, inputs).error
    return Outcome(error, folded, effect, plan.coupling, len(plan.removed))


def check_reordered(model: keras.Model, seed: int, inputs: Any) -> float:
    """Checks that channels in another order compute the same."""
    random = np.random.default_rng(seed)
    scores = {name: random.normal(size=group.size) for name, group in kp.trace(model).prunable.items()}
    error = compare(model, kp.surgery.reorder(model, scores), inputs).error
    _require(error <= TOLERANCE, f"reorder() changes the outputs by {error:.1e}")
    return error


def check_twice(model: keras.Model, seed: int) -> float | None:
    """Checks that pruning twice is pruning once: `rebuild(rebuild(m, p), q) = rebuild(m, p.then(q))`, by weights.

    Returns:
        The largest difference; `None` where the plans cannot be joined, as the slim model has other groups: one channel
        per group of a grouped convolution is a coupling less.
    """
    dense = kp.trace(model)
    first = random_plan(dense, seed)
    slim = kp.rebuild(model, first, absorb=False)
    graph = kp.trace(slim)
    if not graph.prunable or {n: len(kept) for n, kept in first.keep.items()} != {
        name: group.size for name, group in graph.groups.items() if name in dense.prunable or group.prunable
    }:
        return None
    second = random_plan(graph, seed + 1, 0.5, 0.9)
    twice = kp.rebuild(slim, second, absorb=False).get_weights()
    once = kp.rebuild(model, first.then(second), absorb=False).get_weights()
    _require([w.shape for w in once] == [w.shape for w in twice], "twice and once differ in shapes")
    error = max(float(np.abs(a - b).max(initial=0)) for a, b in zip(once, twice, strict=True))
    _require(error <= TOLERANCE, f"pruning twice and pruning once differ by {error:.1e}")
    return error


def check_legal(model: keras.Model, keep: float) -> None:
    """Checks that a plan for a fraction of the channels is legal, makes the model smaller, and runs."""
    graph = kp.trace(model)
    number = sum(group.size for group in graph.groups.values())
    _require(number == graph.classes.max(initial=-1) + 1, "some channels are in no group, or in two")
    if not graph.prunable:
        return
    plan = kp.plan(graph, keep=keep)
    plan.check(graph)
    smaller = any(len(kept) < graph.groups[name].size for name, kept in plan.keep.items())
    _require(not smaller or kp.cost(model, plan).params < kp.cost(model).params, "a plan does not make it smaller")
    slim, inputs = kp.rebuild(model, plan), random_inputs(model)
    _require(compare(slim, slim, inputs).error == 0, "the slim model does not run")


def check_order_of_steps(model: keras.Model, plan: kp.Plan, inputs: Any) -> float:
    """Checks that dropping channels, then blocks, is dropping both at once."""
    filters = kp.Plan(plan.keep, coupling=plan.coupling)
    blocks = kp.Plan({}, plan.removed, coupling=plan.coupling)
    slim = kp.rebuild(kp.rebuild(model, filters, absorb=False), blocks, absorb=False)
    error = compare(kp.rebuild(model, plan, absorb=False), slim, inputs).error
    _require(error <= TOLERANCE, f"channels and blocks at once, and one after the other, differ by {error:.1e}")
    return error


def _require(holds: bool, claim: str) -> None:
    if not holds:
        raise Mismatch(claim)
