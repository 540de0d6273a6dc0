"""Random models against the oracle. Other seeds, and more: set KERASPRUNE_RANDOM_SEED and KERASPRUNE_RANDOM_MODELS."""

from __future__ import annotations

import os
from functools import cache

import keras
import numpy as np
import pytest
from keras import layers
from support.random_checks import (
    KINDS,
    check,
    check_legal,
    check_order_of_steps,
    check_reordered,
    check_twice,
    draw_plan,
    drawn,
    findings,
)
from support.random_composites import OWN
from support.random_models import CYCLE, as_drawn, built, coverage, random_model

import kerasprune as kp
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import table, tensor_rule
from kerasprune.rules import classes
from kerasprune.rules.attention import multi_head_attention
from kerasprune.rules.merge import concatenate
from kerasprune.rules.reshape import flatten
from kerasprune.testing import check_saved, random_inputs

SEED = int(os.environ.get("KERASPRUNE_RANDOM_SEED", "0"))
MODELS = int(os.environ.get("KERASPRUNE_RANDOM_MODELS", "25"))
SEEDS = range(SEED, SEED + MODELS)
MUTE = 1e-4
OWN_LAYERS = ("LayerScale", "StochasticDepth", "CustomScaleLayer")  # Keras loads these only where they are named

pytestmark = [
    pytest.mark.filterwarnings("ignore:You are using a softmax over axis"),
    pytest.mark.filterwarnings("ignore:Do not use the `random` module"),
    pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask"),
]


outcomes = cache(check)


@pytest.mark.matrix
@pytest.mark.parametrize("seed", SEEDS)
def test_plans_of_a_random_model_are_exact(seed):
    assert list(outcomes(seed)) == list(KINDS)


@pytest.mark.thorough
def test_the_comparisons_say_something():
    """Most plans change the outputs, some drop blocks, and some constants are folded exactly."""
    seen = [outcome for seed in SEEDS[:8] for outcome in outcomes(seed).values()]
    assert sum(outcome.effect > MUTE for outcome in seen) > 0.7 * len(seen)
    assert any(outcome.removed for outcome in seen)
    assert any(outcome.folded is not None for outcome in seen)


@pytest.mark.matrix
@pytest.mark.parametrize("seed", SEEDS[:6])
def test_reordered_random_model_computes_the_same(seed):
    model = drawn(seed)
    check_reordered(model, seed, random_inputs(model, seed=seed))


@pytest.mark.thorough
def test_pruning_twice_is_pruning_once():
    joined = [check_twice(drawn(seed), seed) is not None for seed in SEEDS[:10]]
    assert sum(joined) >= 3


@pytest.mark.parametrize("seed", SEEDS[:8])
def test_a_plan_in_channels_is_legal(seed):
    check_legal(drawn(seed), 0.2 + 0.1 * (seed % 8))


@pytest.mark.thorough
def test_channels_then_blocks_is_both_at_once():
    met = 0
    for seed in SEEDS:
        model = drawn(seed)
        plan = draw_plan(model, "removed", seed)
        kinds = {kp.trace(model, coupling=plan.coupling).blocks[name].kind for name in plan.removed}
        if kinds and "plain" not in kinds:  # a plain block is none once its ends differ in width
            check_order_of_steps(model, plan, random_inputs(model, seed=seed))
            met += 1
        if met == 4:
            return
    assert met, "no model had a block"


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_slim_random_model_is_saved_and_loaded(seed):
    model = drawn(seed)
    own = {type(layer).__name__: type(layer) for layer in model.layers if type(layer).__name__ in OWN_LAYERS}
    check_saved(kp.rebuild(model, draw_plan(model, "tied", seed)), random_inputs(model, seed=seed), own)


@pytest.mark.thorough
def test_a_seed_is_a_model():
    first, again, other = random_model(SEED), random_model(SEED), random_model(SEED + 1)
    assert first.to_json() == again.to_json() != other.to_json()
    assert all(map(np.array_equal, first.get_weights(), again.get_weights()))


@pytest.mark.thorough
def test_composite_layers_are_drawn_and_written_out():
    def own(model):
        return [layer for layer in model._flatten_layers() if isinstance(layer, OWN)]

    seed, composites = next((seed, found) for seed in range(CYCLE) if len(found := own(as_drawn(seed))) > 1)
    model = built(seed)
    assert not own(model) and model.name == f"random_{seed}"
    assert len(composites) > 1 and all(isinstance(layer, keras.layers.Layer) for layer in composites)


@pytest.mark.slow  # a hundred seconds: hundreds of models are drawn
def test_every_rule_is_drawn():
    drawn, pairs = coverage(range(CYCLE))
    drawn[keras.Operation] = len(drawn.keys() - set(classes()))  # operations without a rule of their own have its rule
    unsafe = {layers.Lambda}  # a slim model with one is not loaded in safe mode
    at_inputs = ("augmentation", "preprocessing")
    known = [
        cls
        for cls in classes()
        if cls.__module__.startswith("keras.")
        and cls not in unsafe
        and not table.load()[cls].function.__module__.endswith(at_inputs)
    ]
    missing = [cls.__name__ for cls in known if not drawn[cls]]
    assert not missing, f"add parts to tests/support/random_parts.py for {missing}"
    assert len(pairs) > 4 * len(drawn)


# ---- negative controls: wrong rules are found --------------------------------------------------------------------


def first_fault(seeds):
    """Returns the first of some seeds at which something goes wrong."""
    for seed in seeds:
        if any(isinstance(one, Exception) for one in findings(seed, ("tied",)).values()):
            return seed
    return None


def repeated_instead_of_tiled(graph, layer, x):
    out = flatten(graph, layer, x)
    last = x.axes.get(len(x.shape) - 1)
    return out if last is None else Ids(out.shape, {1: np.repeat(last, out.shape[1] // last.size)})


def joined_backwards(graph, layer, inputs):
    return concatenate(graph, layer, inputs[::-1])


def heads_not_read(graph, layer, *args, **kwargs):
    results = multi_head_attention(graph, layer, *args, **kwargs)
    graph._slices[id(layer.output_dense.kernel)].reads = (1,)  # sizes of heads are still read
    return results


@pytest.mark.matrix
@pytest.mark.parametrize(
    "cls, wrong, likely",  # the seed that showed it last is tried first
    [
        (layers.Flatten, repeated_instead_of_tiled, 11),
        (layers.Concatenate, joined_backwards, 8),
        (layers.MultiHeadAttention, heads_not_read, 0),
    ],
)
def test_a_wrong_rule_is_found(monkeypatch, cls, wrong, likely):
    monkeypatch.setattr(table, "rules", dict(table.load()))
    tensor_rule(cls, constant="unknown")(wrong)
    assert first_fault((likely, *range(50))) is not None, f"50 random models do not show a wrong rule of {cls.__name__}"
