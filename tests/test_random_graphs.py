"""What holds for every model that can be built from layers with rules."""

from __future__ import annotations

import hypothesis
import keras
import numpy as np
import pytest
import random_graphs
from hypothesis import strategies as st

import kerasprune as kp
from kerasprune.testing import check_rebuild, compare, random_inputs, random_plan, randomise

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # Keras draws its first weights

SETTINGS = hypothesis.settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)
COUPLINGS = st.sampled_from(["tied", "free", "padded"])
SEEDS = st.integers(0, 1000)


def drawn(model, seed, coupling):
    """Returns a model with random weights, its graph and a plan; refuses models with nothing to drop."""
    keras.utils.clear_session(free_memory=False)
    model = randomise(model, seed)
    graph = kp.trace(model, coupling=coupling)
    hypothesis.assume(graph.prunable)
    return model, graph, random_plan(graph, seed)


@SETTINGS
@hypothesis.given(random_graphs.models(), SEEDS, COUPLINGS)
def test_slim_model_is_exact(model, seed, coupling):
    model, graph, plan = drawn(model, seed, coupling)
    try:
        check_rebuild(model, plan, tolerance=2e-5)
    except AssertionError as error:
        hypothesis.assume("no comparison can fail" not in str(error) and "says nothing" not in str(error))
        raise
    assert kp.cost(model, plan).params < kp.cost(model).params
    assert sum(group.size for group in graph.groups.values()) == graph.classes.max() + 1


@SETTINGS
@hypothesis.given(random_graphs.models(most=6), SEEDS)
def test_pruning_twice_is_pruning_once(model, seed):
    """`rebuild(rebuild(m, p), q) = rebuild(m, p.then(q))`, weight by weight."""
    model, _, first = drawn(model, seed, "tied")
    slim = kp.rebuild(model, first, absorb=False)
    graph = kp.trace(slim)
    hypothesis.assume(graph.prunable)
    # one channel per group of a GroupNorm or a convolution is a coupling less: such plans cannot be joined
    hypothesis.assume(all(graph.groups[name].size == len(kept) for name, kept in first.keep.items()))
    second = random_plan(graph, seed + 1, 0.5, 0.9)
    twice = kp.rebuild(slim, second, absorb=False)
    once = kp.rebuild(model, first.then(second), absorb=False)
    assert all(map(np.array_equal, twice.get_weights(), once.get_weights()))


@SETTINGS
@hypothesis.given(random_graphs.models(most=6), SEEDS, st.floats(0.2, 0.9))
def test_a_plan_in_channels_is_legal(model, seed, keep):
    model, graph, _ = drawn(model, seed, "tied")
    plan = kp.plan(graph, keep=keep)
    plan.check(graph)
    slim = kp.rebuild(model, plan)
    assert compare(slim, slim, random_inputs(model)).error == 0  # runs, and is finite
