"""How much stays where: rounding, floors, thresholds and stages, against numbers worked out by hand."""

from __future__ import annotations

from fractions import Fraction

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import kerasprune as kp
from kerasprune.graph.kept_channels import kept_number
from kerasprune.planning.budgets import Budget, Floor, top
from kerasprune.planning.budgets.global_threshold import GlobalBudget
from kerasprune.planning.budgets.per_stage import PerStage, stages
from kerasprune.planning.budgets.uniform import Uniform
from kerasprune.testing import check_budget


def _chain(*widths: int) -> keras.Model:
    """A chain of dense layers `a`, `b`, … and the logits."""
    x = inputs = keras.Input((4,))
    for width, name in zip(widths, "abcdef", strict=False):
        x = layers.Dense(width, name=name)(x)
    return keras.Model(inputs, layers.Dense(2, name="logits")(x))


# Built-in budgets that need no arguments; one that does, and one that is slower without.
BUDGETS = [name for name in kp.budgets.names() if name not in ("per_stage", "sensitivity")]


@pytest.mark.whole
def test_contract_of_every_budget():
    for name in BUDGETS:
        check_budget(name)
    check_budget({"name": "per_stage", "keep": {"inner_conv": 0.3, "w*": 0.5, "last_conv": 0.5, "stem_conv": 0.7}})
    check_budget({"name": "sensitivity", "measurements": 9}, targets=(0.4, 0.7))


# ---- numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "keep", "kept"),
    [
        (10, 0.3, 3),  # (1 − 0.3)·10 is 7.000000000000001 in binary
        (10, 0.7, 7),
        (10, 0.1, 1),
        (10, 0.01, 1),  # never all
        (10, 1.0, 10),
        (1, 0.5, 1),
        (64, 0.3, 19),  # 44.8 go, rounded up to 45
        (16, 0.25, 4),
        (3, 0.5, 1),
        (512, 0.075, 38),
    ],
)
def test_kept_number(size, keep, kept):
    assert kept_number(size, keep) == kept


@given(st.integers(1, 3000), st.integers(1, 1000))
def test_kept_number_is_the_papers_rounding_of_the_decimal_fraction(size, thousandths):
    """`min(⌈r·n⌉, n − 1)` go, in exact arithmetic."""
    exact = (1 - Fraction(thousandths, 1000)) * size
    assert kept_number(size, thousandths / 1000) == size - min(-(-exact.numerator // exact.denominator), size - 1)


def test_top_keeps_the_highest_and_of_equal_ones_the_lower_index():
    assert top(np.array([0.1, 0.9, -0.2, 0.5]), 2).tolist() == [1, 3]
    assert top(np.array([1.0, 1.0, 2.0, 1.0]), 3).tolist() == [0, 1, 2]
    assert top(np.zeros(4), 4).tolist() == [0, 1, 2, 3]


@given(st.lists(st.integers(0, 6), max_size=40), st.integers(0, 45))
def test_top_is_the_head_of_a_stable_sort(scores, number):
    scores = np.array(scores, float)
    assert top(scores, number).tolist() == sorted(np.argsort(-scores, kind="stable")[:number].tolist())


@pytest.mark.parametrize(
    ("floor", "kept", "size", "stay"),
    [
        (Floor(), 0, 8, 1),
        (Floor(min_keep=3), 1, 8, 3),
        (Floor(min_keep=20), 1, 8, 8),
        (Floor(min_keep=0.3), 1, 10, 3),
        (Floor(min_keep=0.31), 1, 10, 4),
        (Floor(round_to=8), 17, 64, 24),
        (Floor(round_to=8), 24, 64, 24),
        (Floor(round_to=8), 25, 30, 30),
        (Floor(round_to=8), 3, 5, 5),
        (Floor(min_keep=9, round_to=8), 1, 64, 16),
        (Floor(round_to="auto"), 129, 256, 144),
        (Floor(round_to="auto"), 129, 255, 136),
        (Floor(round_to="auto"), 9, 32, 16),
        (Floor(round_to="auto"), 9, 31, 12),
        (Floor(round_to="auto"), 9, 15, 9),
        (Floor(round_to="auto", finer=2), 129, 256, 136),
        (Floor(round_to="auto").coarse_to_fine[-1], 129, 256, 129),
        (Floor(round_to="auto").without_cost, 129, 256, 129),
    ],
)
def test_floor(floor, kept, size, stay):
    assert floor.apply(kept, size) == stay


@pytest.mark.parametrize(
    ("round_to", "kept", "size", "stay"),
    [(1, 7, 64, 10), (1, 4, 64, 4), (1, 10, 64, 10), ("auto", 7, 64, 16), ("auto", 5, 16, 12), (1, 7, 8, 8)],
)
def test_barred_widths_are_passed_over_unless_the_next_is_more_than_twice_as_wide(round_to, kept, size, stay):
    floor = Floor(round_to=round_to, barred={"one": range(1, 10)})
    assert floor.apply(kept, size, "one") == stay
    assert floor.apply(kept, size, "another") == Floor(round_to=round_to).apply(kept, size)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_keep": 0}, "min_keep=0"),
        ({"min_keep": -1}, "min_keep=-1"),
        ({"min_keep": 1.5}, "min_keep=1.5"),
        ({"min_keep": "1"}, "min_keep='1'"),
        ({"min_keep": float("nan")}, "min_keep=nan"),
        ({"round_to": 0}, "round_to=0"),
        ({"round_to": 2.5}, "round_to=2.5"),
        ({"round_to": None}, "round_to=None"),
        ({"round_to": "automatic"}, "round_to='automatic'"),
    ],
)
def test_illegal_floors(arguments, message):
    with pytest.raises(kp.PruneError, match=message):
        Floor(**arguments)
    with pytest.raises(kp.PruneError, match=message):
        kp.plan(_chain(8), keep=0.5, **arguments)


# ---- uniform and global ------------------------------------------------------------------------------------------


def _scores(**values) -> dict[str, np.ndarray]:
    return {name: np.array(value, float) for name, value in values.items()}


def test_uniform():
    graph = kp.trace(_chain(4, 10))
    scores = _scores(a=[4, 3, 2, 1], b=range(10))
    kept = Uniform().choose(graph, scores, 0.3, Floor())
    assert {name: indices.tolist() for name, indices in kept.items()} == {"a": [0], "b": [7, 8, 9]}


def test_global_compares_scores_over_the_mean_of_their_group():
    graph = kp.trace(_chain(4, 2))
    scores = _scores(a=[100, 300, 100, 300], b=[1, 3])  # relative: .5 1.5 .5 1.5 and .5 1.5
    kept = GlobalBudget().choose(graph, scores, 0.5, Floor())
    assert {name: indices.tolist() for name, indices in kept.items()} == {"a": [1, 3], "b": [1]}


@given(st.integers(0, 100), st.integers(1, 99))
@settings(max_examples=25, deadline=None)
def test_global_is_one_threshold(seed, percent):
    graph = _GRAPH
    generator = np.random.default_rng(seed)
    scores = {name: generator.random(group.size) for name, group in graph.prunable.items()}
    kept = GlobalBudget().choose(graph, scores, percent / 100, Floor())
    relative = {name: values / values.mean() for name, values in scores.items()}
    everything = np.sort(np.concatenate(list(relative.values())))
    threshold = everything[-kept_number(everything.size, percent / 100)]
    for name, values in relative.items():
        expected = np.flatnonzero(values >= threshold)
        assert kept[name].tolist() == (expected.tolist() or [values.argmax()])


_GRAPH = kp.trace(_chain(12, 20, 7))


def test_global_leaves_no_group_empty_and_bears_zeros():
    graph = kp.trace(_chain(4, 2))
    kept = GlobalBudget().choose(graph, _scores(a=[1, 1, 1, 1], b=[0, 0]), 0.1, Floor())
    assert {name: len(indices) for name, indices in kept.items()} == {"a": 1, "b": 1}


def test_a_budget_without_a_method_says_so():
    class Nothing(Budget):
        pass

    with pytest.raises(kp.PruneError, match=r"Nothing has neither fractions\(\) nor choose\(\)"):
        kp.plan(_chain(4), budget=Nothing(), keep=0.5)


def test_a_budget_that_looks_at_data_makes_the_plan_from_what_meets_the_target():
    class Later(Uniform):
        needs = frozenset({"data"})

        def last_step(self, graph, data, seed):
            found.append((list(data), seed))  # before criteria read it
            return lambda request, chosen: found.append(chosen) or kp.Plan.of(graph, {"a": range(3)})

    found = []
    with pytest.raises(kp.PruneError, match="Expected data for Later"):
        kp.plan(_chain(4, 6), budget=Later(), keep=0.5)
    plan = kp.plan(_chain(4, 6), budget=Later(), keep=0.5, data=iter([1, 2]), seed=7)
    seen, met = found
    assert seen == ([1, 2], 7) and {name: len(kept) for name, kept in met.items()} == {"a": 2, "b": 3}
    assert plan.keep == {"a": (0, 1, 2)}


# ---- stages ------------------------------------------------------------------------------------------------------


def _by_stage(model: keras.Model) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for name, stage in stages(kp.trace(model)).items():
        found.setdefault(stage, []).append(name)
    return found


@pytest.mark.experiments
@pytest.mark.matrix
@pytest.mark.parametrize("depth", [20, 56])
@pytest.mark.parametrize("shortcut", ["identity", "projection"])
@pytest.mark.parametrize("side", [None, 32])
def test_stages_of_resnet_cifar(depth, shortcut, side):
    found = _by_stage(kp.models.resnet_cifar(depth, shortcut=shortcut, input_shape=(side, side, 3)))
    blocks = (depth - 2) // 6
    assert found[0] == ["stem_conv"]
    assert sorted(found) == [0, 1, 2, 3]
    for stage in (1, 2, 3):
        own = {f"stage{stage}_block{b}_conv{c}" for b in range(1, blocks + 1) for c in (1, 2)}
        if shortcut == "projection" and stage > 1:
            own.add(f"stage{stage}_block1_shortcut_conv")
        assert set(found[stage]) == own


@pytest.mark.experiments
@pytest.mark.thorough
@pytest.mark.parametrize(("depth", "blocks"), [(34, (3, 4, 6, 3)), (50, (3, 4, 6, 3))])
def test_stages_of_resnet_imagenet(depth, blocks):
    """The stem, then four; the blocks with a stride belong to the stage that they begin."""
    found = _by_stage(kp.models.resnet_imagenet(depth))
    assert sorted(found) == [0, 1, 2, 3, 4] and len(found[0]) == 1
    convolutions = 2 if depth == 34 else 3
    for stage, number in enumerate(blocks, start=1):
        shortcut = 0 if depth == 34 and stage == 1 else 1
        assert len(found[stage]) == convolutions * number + shortcut
        assert all(f"stage{stage}_" in name for name in found[stage])


@pytest.mark.experiments
@pytest.mark.thorough
def test_stages_of_vgg():
    """The first convolution, then what is left of each of the five spatial sizes; no dense layer."""
    found = _by_stage(kp.models.vgg_cifar(16))
    assert [len(names) for names in found.values()] == [1, 1, 2, 3, 3, 3]
    found = _by_stage(kp.models.vgg_cifar(19))
    assert [len(names) for names in found.values()] == [1, 1, 2, 4, 4, 4]


# ---- per stage ---------------------------------------------------------------------------------------------------


@pytest.mark.experiments
def test_per_stage_is_what_the_papers_print():
    """ResNet-56 [0, 0.75, 0.75, 0.32] removed, first convolutions of the blocks only."""
    graph = kp.trace(kp.models.resnet_cifar(56), coupling="free")
    plan = kp.plan(graph, budget={"name": "per_stage", "keep": [1, 0.25, 0.25, 0.68]})
    widths = {name: len(kept) for name, kept in plan.keep.items()}
    assert widths == {
        **{f"stage1_block{b}_conv1": 4 for b in range(1, 10)},
        **{f"stage2_block{b}_conv1": 8 for b in range(1, 10)},
        **{f"stage3_block{b}_conv1": 43 for b in range(1, 10)},
    }


@pytest.mark.experiments
def test_per_stage_names_the_number_of_stages():
    graph = kp.trace(kp.models.resnet_cifar(8))
    for keep in ([1, 0.5, 0.5], [1, 0.5, 0.5, 0.5, 0.5]):
        with pytest.raises(kp.PruneError, match="each of the 4 stages of 'resnet_cifar_8', the stem first"):
            kp.plan(graph, budget=PerStage(keep))


@pytest.mark.experiments
def test_per_stage_meets_a_target_by_scaling_all_stages():
    graph = kp.trace(kp.models.resnet_cifar(20, input_shape=(32, 32, 3)), coupling="free")
    budget = PerStage([1, 0.25, 0.5, 1])
    plain, scaled = kp.plan(graph, budget=budget), kp.plan(graph, budget=budget, macs=0.8, round_to=1)
    dense = kp.cost(graph).macs
    assert kp.cost(graph, plain).macs / dense < 0.65
    assert kp.cost(graph, scaled).macs / dense == pytest.approx(0.8, abs=0.005)
    widths = {name: len(kept) for name, kept in scaled.keep.items()}
    one, two = widths["stage1_block3_conv1"] / 16, widths["stage2_block3_conv1"] / 32
    assert two == pytest.approx(np.sqrt(one), abs=1 / 16)  # .5 = √.25, also when scaled
    assert all(widths[f"stage3_block{b}_conv1"] == 64 for b in (1, 2, 3))
    assert kp.plan(graph, budget=budget, macs=1.0).keep == {
        name: tuple(range(g.size)) for name, g in graph.prunable.items()
    }
    assert kp.plan(graph, budget=budget, keep=0.25) == plain


def test_per_layer_by_name_and_wildcard():
    graph = kp.trace(_chain(10, 10, 10))
    plan = kp.plan(graph, budget=PerStage({"b": 0.2, "[ab]": 0.5}))
    assert {name: len(kept) for name, kept in plan.keep.items()} == {"a": 5, "b": 2, "c": 10}
    with pytest.raises(kp.PruneError, match="Received: 'conv'") as caught:
        kp.plan(graph, budget=PerStage({"conv": 0.2, "logit": 0.5}))
    assert "Did you mean 'logits'" in str(caught.value)


@pytest.mark.parametrize("keep", [[1, 0], [1, 1.5], [True], ["1"], {"a": 0}, {"a": None}, [], {}, 0.5, "1", None])
def test_illegal_fractions_per_stage(keep):
    with pytest.raises(kp.PruneError, match="fraction kept"):
        PerStage(keep)


def test_unknown_budgets_and_arguments():
    with pytest.raises(kp.PruneError, match="Did you mean 'uniform'"):
        kp.plan(_chain(4), budget="uniformly", keep=0.5)
    with pytest.raises(kp.PruneError, match="per_stage"):
        kp.plan(_chain(4), budget="per_stage")
    with pytest.raises(kp.PruneError, match="keeep"):
        kp.plan(_chain(4), budget={"name": "per_stage", "keeep": [1]})
