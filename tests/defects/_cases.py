"""What the files of this folder share: how a model is checked, and how a case is reported.

A case is OK (exact, whatever was frozen), REFUSED (`kp.PruneError`), WRONG (another model than `kp.mask` says, or
another function after `kp.surgery.reorder`) or CRASH (any other exception, or no end). A file ends with 1 while one is WRONG
or CRASH. On other backends than TensorFlow a case is LEFT OUT where Keras itself can neither build the model nor call
it. `python FILE` runs all cases, `python FILE WORD` those whose name contains the word.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import signal
import sys
import traceback
import warnings
from math import prod, sqrt
from pathlib import Path

import keras
import numpy as np

import kerasprune as kp
from kerasprune.surgery.absorb import fold
from kerasprune.surgery.cut import Cut
from kerasprune.testing import compare, random_inputs, random_plan

TOLERANCE = 1e-4
SECONDS = 60  # of the processor, for one case
_CASES: list = []
_ELSEWHERE = keras.backend.backend() != "tensorflow"


class Wrong(AssertionError):
    """The library returned something else than it says it does."""


class _OfKeras(Exception):
    """Keras cannot call the model."""


def case(function):
    """Registers a case: `None` or a text is OK, a model is checked by `exact`."""
    _CASES.append(function)
    return function


def draw(model, seed=0):
    """Gives every variable of a model random values, in place: no bias is 0, no statistic trivial."""
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        if "float" not in str(variable.dtype):
            continue
        shape, name = tuple(variable.shape), variable.name
        if any(word in name for word in ("gamma", "scale", "variance")):
            value = generator.uniform(0.5, 1.5, shape)
        elif len(shape) > 1 and ("kernel" in name or "embedding" in name):
            fan = shape[:-2] if "depthwise" in name else shape[:-1]
            value = generator.normal(0, sqrt(2 / max(prod(fan), 1)), shape)
        else:
            value = generator.normal(0, 0.3, shape)
        variable.assign(value)
    return model


def exact(model, *, seeds=(0, 1), freeze=(), couplings=("tied",), drawn=True, inputs=None, costs=True):
    """Checks one model with a few random plans; returns what was pruned and the largest error."""
    if drawn:
        draw(model)
    inputs = random_inputs(model, 5, 1) if inputs is None else inputs
    try:
        model(inputs)  # a case whose model does not run is no case
    except TimeoutError:
        raise
    except Exception as error:
        raise _OfKeras(_line(error)) from error
    worst, text, refused = 0.0, "", ""
    for coupling in couplings:
        try:
            graph = kp.trace(model, coupling=coupling, freeze=freeze)
        except kp.PruneError as error:
            refused = _line(error)
            try:
                graph = kp.trace(model, coupling=coupling, freeze=freeze, unknown="freeze")
            except kp.PruneError:
                continue
        graph.report()
        if coupling == couplings[0]:  # the mask is copied as the slim model is: what both lose, only this sees
            worst = _same(model, kp.rebuild(model, kp.Plan({})), inputs, "rebuild(model, Plan({})) against the model")
        text = f"{len(graph.prunable)} of {len(graph.groups)} groups prunable"
        for seed in seeds:
            plan = random_plan(graph, seed)
            worst = max(worst, _plan(model, graph, plan, inputs, costs))
        if graph.prunable:
            generator = np.random.default_rng(3)
            scores = {name: generator.normal(size=group.size) for name, group in graph.prunable.items()}
            try:
                worst = max(worst, _same(model, kp.surgery.reorder(model, scores), inputs, "reorder()"))
            except kp.PruneError:
                pass
    if refused:
        raise kp.PruneError(f"{refused} [unknown='freeze': {text or 'refused as well'}, max error {worst:.0e}]")
    return f"{text}, max error {worst:.0e}"


def _plan(model, graph, plan, inputs, costs):
    part = Cut.of(graph, plan)
    worst = _same(kp.mask(model, plan), kp.rebuild(model, plan, absorb=False), inputs, "rebuild(absorb=False)")
    found, folded = fold(part), kp.rebuild(model, plan)
    if not found.padded and not found.lost:
        worst = max(worst, _same(kp.mask(model, plan, silence="weights"), folded, inputs, "rebuild(absorb=True)"))
    for absorb in (False, True) if costs else ():
        slim = kp.rebuild(model, plan, absorb=absorb)
        predicted, built = kp.cost(model, plan, absorb=absorb), kp.cost(slim)
        for key in ("params", "macs"):
            one, two = getattr(predicted, key), getattr(built, key)
            if one != two:
                raise Wrong(f"kp.cost predicts {key}={one}, the slim model has {two} (absorb={absorb})")
        if built.params != slim.count_params():
            raise Wrong(f"kp.cost says {built.params} parameters, Keras {slim.count_params()} (absorb={absorb})")
    if costs:
        kp.report(model, plan)
    return worst


def _same(one, two, inputs, what):
    try:
        error = compare(one, two, inputs).error
    except AssertionError as fault:
        raise Wrong(f"{what}: {_line(fault)}") from fault
    if not error <= TOLERANCE:
        raise Wrong(f"{what}: max relative error {error:.1e}")
    return error


def refuses(call, *args, **kwargs):
    """Calls; whatever is returned is OK, `kp.PruneError` is REFUSED."""
    return call(*args, **kwargs)


def _line(error):
    return " ".join(str(error).split())[:150]


def _alarm(*_):
    raise TimeoutError(f"no end within {SECONDS} s")


def main():
    """Runs the cases of the file."""
    warnings.simplefilter("ignore")
    wanted = sys.argv[1:]
    bad = 0
    for function in _CASES:
        name = function.__name__
        if wanted and not any(word in name for word in wanted):
            continue
        keras.backend.clear_session()
        signal.signal(signal.SIGALRM, _alarm)
        signal.signal(signal.SIGPROF, _alarm)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            result = function()
            if isinstance(result, keras.Model):
                result = exact(result)
            verdict = f"OK      {name}: {result or ''}"
        except kp.PruneError as error:
            verdict = f"REFUSED {name}: {' '.join(str(error).split())[:250]}"
        except Wrong as error:
            verdict, bad = f"WRONG   {name}: {error}", bad + 1
        except (Exception, RecursionError) as error:  # noqa: BLE001
            package = Path(kp.__file__).parent
            frames = [f for f in traceback.extract_tb(error.__traceback__) if package in Path(f.filename).parents]
            if _ELSEWHERE and (isinstance(error, _OfKeras) or not frames and not isinstance(error, TimeoutError)):
                print(f"LEFT OUT {name}: {type(error).__name__}: {_line(error)}", flush=True)
                continue
            at = f" [{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}]" if frames else ""
            verdict, bad = f"CRASH   {name}: {type(error).__name__}: {_line(error)}{at}", bad + 1
        finally:
            signal.alarm(0)
            signal.setitimer(signal.ITIMER_PROF, 0)
        print(verdict.rstrip(), flush=True)
    sys.exit(1 if bad else 0)
