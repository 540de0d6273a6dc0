"""`plan`: targets are met, and what cannot be met is refused."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from keras import layers
from support.architectures import vit

import kerasprune as kp
from kerasprune.graph.kept_channels import kept_number, legal
from kerasprune.planning.budgets.base import Budget
from kerasprune.planning.targets.base import CostMeter, Target
from kerasprune.surgery.costs.counts import costs_of, counter
from kerasprune.testing.toys import toy_model

MODELS = {
    "resnet_cifar": lambda: kp.models.resnet_cifar(20, input_shape=(32, 32, 3), seed=0),
    "vgg_cifar": lambda: kp.models.vgg_cifar(16, input_shape=(32, 32, 3), seed=0),
    "mobilenet_v2": lambda: kp.models.mobilenet_v2(classes=10, input_shape=(32, 32, 3), seed=0),
}


def _small(width: int = 4) -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(width, 3, name="conv")(inputs)
    return keras.Model(inputs, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(x)), name="small")


def test_the_numbers_of_a_plan():
    model = toy_model()
    plan = kp.plan(model, keep=0.3)
    graph = kp.trace(model)
    assert plan.fingerprint == graph.fingerprint and plan.coupling == "tied"
    for name, kept in plan.keep.items():
        assert len(kept) == kept_number(graph.groups[name].size, 0.3)
    assert list(plan.keep) == sorted(graph.prunable)


def test_the_highest_scores_stay():
    model = _small()
    kernel = np.zeros((3, 3, 3, 4), "float32")
    kernel[0, 0, 0] = [0.1, 0.9, -0.2, 0.5]
    model.get_layer("conv").kernel.assign(kernel)
    for keep, kept in ((0.25, (1,)), (0.5, (1, 3)), (0.75, (1, 2, 3)), (1.0, (0, 1, 2, 3))):
        assert kp.plan(model, keep=keep).keep["conv"] == kept


@pytest.mark.experiments
@pytest.mark.matrix
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("coupling", ["tied", "free"])
def test_targets_are_met_within_one_channel_of_the_dearest_group(name, coupling):
    graph = kp.trace(MODELS[name](), coupling=coupling)
    dense = kp.cost(graph)
    whole = {n: kp.cost(graph, kp.Plan({n: range(1, g.size)}, coupling=coupling)) for n, g in graph.prunable.items()}
    for budget, key, fraction in (("uniform", "macs", 0.5), ("global", "params", 0.7)):
        plan = kp.plan(graph, budget=budget, **{key: fraction})
        channel = max(getattr(dense, key) - getattr(cost, key) for cost in whole.values())
        assert abs(getattr(kp.cost(graph, plan), key) - fraction * getattr(dense, key)) <= channel
        # The cost that was counted is that of the model that comes out.
        if budget == "uniform":
            slim = kp.rebuild(graph.model, plan, absorb=False)
            assert getattr(kp.cost(slim), key) == getattr(kp.cost(graph, plan), key)


@pytest.mark.parametrize("budget", ["uniform", "global"])
@pytest.mark.parametrize("coupling", ["tied", "padded"])
def test_a_target_is_met_as_nearly_as_by_bisection_over_whole_plans(budget, coupling):
    """The same with a `Plan` and its `cost` at every step, as the definition has it."""
    graph = kp.trace(toy_model(), coupling=coupling)
    assert list(graph.prunable) != sorted(graph.prunable)
    target = 0.45 * kp.cost(graph).macs
    low, high = 0.0, 1.0
    below, above = (kp.plan(graph, budget=budget, keep=keep) for keep in (1e-9, 1.0))
    for _ in range(30):
        tried = kp.plan(graph, budget=budget, keep=(low + high) / 2)
        if kp.cost(graph, tried).macs < target:
            low, below = (low + high) / 2, tried
        else:
            high, above = (low + high) / 2, tried
    mixed = [
        kp.Plan.of(graph, legal(graph, {**below.keep, **{name: above.keep[name] for name in list(above.keep)[:n]}}))
        for n in range(len(above.keep) + 1)
    ]
    nearest = min(abs(kp.cost(graph, each).macs - target) for each in mixed)
    plan = kp.plan(graph, budget=budget, macs=0.45)
    assert abs(kp.cost(graph, plan).macs - target) <= nearest


def _stack() -> keras.Model:
    """A trunk whose channels are dear, and groups beside it whose channels are not."""
    x = inputs = keras.Input((16,))
    x = layers.Dense(8, name="trunk")(x)
    for number, width in enumerate((24, 40)):
        y = layers.Dense(width, name=f"wide{number}")(x)
        x = x + layers.Dense(8, name=f"back{number}")(y)
    return keras.Model(inputs, layers.Dense(2, name="logits")(layers.Dense(5, name="last")(x)))


def _densenet() -> keras.Model:
    return keras.applications.DenseNet121(weights=None, input_shape=(32, 32, 3), classes=10)


def _mobilenet() -> keras.Model:
    return keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None, classes=10)


@pytest.mark.experiments
@pytest.mark.matrix
@pytest.mark.parametrize("model", [_stack, MODELS["resnet_cifar"], vit, _mobilenet, _densenet])
@pytest.mark.parametrize("budget", ["uniform", "global"])
@pytest.mark.parametrize("key", ["macs", "params"])
def test_targets_are_met_within_a_hundredth_or_half_a_channel(key, budget, model):
    """And a larger one never keeps less: counted by `kp.cost`, channels one by one."""
    graph = kp.trace(model())
    dense, last = getattr(kp.cost(graph), key), 0.0
    for target in np.arange(5, 96) / 100:
        plan = kp.plan(graph, budget=budget, **{key: target}, round_to=1)
        share = getattr(kp.cost(graph, plan), key) / dense
        miss = abs(share - target)
        if miss > 0.01 * target:
            fewer = [{**plan.keep, name: kept[1:]} for name, kept in plan.keep.items() if len(kept) > 1]
            costs = [getattr(kp.cost(graph, kp.Plan.of(graph, keep)), key) / dense for keep in fewer]
            assert miss <= (share - max(costs)) / 2
        assert share >= last
        last = share


def test_groups_that_stay_whole_and_bounds_are_kept_where_others_are_filled_up():
    graph = kp.trace(_stack(), freeze=("wide0",))
    for target in (0.6, 0.7, 0.85):
        plan = kp.plan(graph, macs=target, round_to=4, min_keep=8)
        numbers = {name: len(kept) for name, kept in plan.keep.items()}
        assert numbers.keys() == graph.prunable.keys() and "wide0" not in numbers
        assert all(n >= min(8, graph.groups[name].size) and n % 4 == 0 or n == 5 for name, n in numbers.items())


def test_an_illegal_choice_of_a_budget_of_ones_own_is_refused():
    class Beyond(kp.budgets.Budget):
        def choose(self, graph, scores, level, floor):
            return {"conv": np.array([0, 9])}

    with pytest.raises(kp.PruneError, match="group 'conv' has 4 channels. Received: index 9"):
        kp.plan(_small(), budget=Beyond(), macs=0.5)


@pytest.mark.experiments
def test_a_uniform_budget_stays_uniform_to_one_channel():
    graph = kp.trace(MODELS["resnet_cifar"](), coupling="free")
    for round_to, step in ((1, {16: 1, 32: 1, 64: 1}), ("auto", {16: 4, 32: 8, 64: 8})):
        plan = kp.plan(graph, macs=0.4, round_to=round_to)
        kept = {name: len(indices) for name, indices in plan.keep.items()}
        for size in (16, 32, 64):
            own = {number for name, number in kept.items() if graph.groups[name].size == size}
            assert max(own) - min(own) <= step[size]


def _widths(graph: kp.graph.graph.ChannelGraph, plan: kp.Plan) -> dict[str, tuple[int, int]]:
    return {name: (graph.groups[name].size, len(kept)) for name, kept in plan.keep.items()}


@pytest.mark.experiments
@pytest.mark.matrix("resnet_cifar")
@pytest.mark.parametrize("name", MODELS)
def test_multiples_that_kernels_like_meet_targets_within_a_hundredth(name):
    graph = kp.trace(MODELS[name]())
    dense, coarse = kp.cost(graph).macs, 0
    for target in (0.09, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            plan = kp.plan(graph, macs=target)
        assert abs(kp.cost(graph, plan).macs / dense / target - 1) <= 0.007
        steps = [
            (kept, 16 if size >= 256 else 8 if size >= 32 else 4 if size >= 16 else 1)
            for size, kept in _widths(graph, plan).values()
            if kept < size
        ]
        held = all(kept % step == 0 for kept, step in steps)
        assert held or said  # finer steps are said
        coarse += held
    assert coarse >= 5


@pytest.mark.experiments
@pytest.mark.parametrize("coupling", ["tied", "free", "padded"])
@pytest.mark.parametrize("budget", ["uniform", "global"])
def test_no_group_is_further_than_two_steps_from_what_its_budget_gives(coupling, budget):
    graph = kp.trace(MODELS["resnet_cifar"](), coupling=coupling)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # finer steps would be said
        plan = kp.plan(graph, budget=budget, macs=0.5)
    own = kp.plan(graph, budget=budget, macs=0.5, round_to=1)
    plan.check(graph)
    for name, (size, kept) in _widths(graph, plan).items():
        step = 8 if size >= 32 else 4
        assert abs(kept - len(own.keep[name])) < 2 * step
        assert kept % step == 0 or kept == size or coupling == "padded"  # where a trunk keeps what any branch adds
    assert kp.verify(graph, kp.rebuild(graph, plan), plan, reload=False).passed


@pytest.mark.experiments
def test_what_a_budget_keeps_whole_stays_whole():
    class First(Budget):
        def fractions(self, graph, level):
            return {"stem_conv": level}

    graph = kp.trace(MODELS["resnet_cifar"]())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for target in (0.5, 0.6, 0.8):
            plan = kp.plan(graph, budget=First(), macs=target)
            assert {name for name, (size, kept) in _widths(graph, plan).items() if kept < size} == {"stem_conv"}


@pytest.mark.experiments
def test_nothing_is_rounded_where_no_cost_is_asked():
    graph = kp.trace(MODELS["resnet_cifar"]())
    stages = {"name": "per_stage", "keep": [1, 0.9, 0.7, 0.3]}
    for asked in ({"keep": 0.37}, {"budget": stages}):
        assert kp.plan(graph, **asked) == kp.plan(graph, **asked, round_to=1)
    assert kp.plan(graph, macs=0.37) != kp.plan(graph, macs=0.37, round_to=1)


def test_a_target_between_two_multiples_is_met_in_finer_steps_and_said():
    model = _small(32)
    dense = kp.cost(model).macs
    with pytest.warns(UserWarning, match="round_to='auto'"):
        plan = kp.plan(model, macs=14 / 32)
    assert kp.cost(model, plan).macs == pytest.approx(14 / 32 * dense, rel=0.007)
    assert len(plan.keep["conv"]) == 14
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(kp.plan(model, macs=16 / 32).keep["conv"]) == 16


def test_a_share_below_the_least_multiple_is_met_in_single_channels():
    model = _small(32)
    with pytest.warns(UserWarning, match="round_to='auto'"):
        assert len(kp.plan(model, macs=3 / 32).keep["conv"]) == 3


@pytest.mark.parametrize(("side", "barred"), [(56, True), (32, False)])
def test_widths_with_which_training_may_crash_are_avoided(side, barred):
    inputs = keras.Input((side, side, 3))
    x = layers.Conv2D(18, 3, padding="same", name="wide")(inputs)
    y = layers.Conv2D(24, 3, 2, padding="same")(x)
    y = layers.Add()([y, layers.Conv2D(24, 1, 2, padding="same")(x)])
    graph = kp.trace(keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(y))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {len(kp.plan(graph, macs=share / 20).keep["wide"]) for share in range(1, 20)}
    assert bool(found & set(range(8, 16))) != barred
    assert min(found) < 8  # where twice as many channels would be needed


def test_more_stays_for_a_higher_target():
    graph = kp.trace(toy_model())
    plans = [kp.plan(graph, budget="global", macs=target, round_to=1) for target in (0.2, 0.4, 0.6, 0.8, 1.0)]
    for lower, higher in zip(plans, plans[1:], strict=False):
        assert all(set(lower.keep[name]) <= set(higher.keep[name]) for name in graph.prunable)
    assert kp.cost(graph, plans[-1]).macs == kp.cost(graph).macs


@pytest.mark.experiments
@pytest.mark.parametrize(("min_keep", "round_to"), [(1, 8), (5, 1), (0.25, 4)])
def test_floors_hold_under_a_target(min_keep, round_to):
    graph = kp.trace(MODELS["resnet_cifar"]())
    plan = kp.plan(graph, macs=0.45, min_keep=min_keep, round_to=round_to)
    for name, kept in plan.keep.items():
        size = graph.groups[name].size
        assert len(kept) >= (min_keep if min_keep >= 1 else min_keep * size)
        assert len(kept) % round_to == 0 or len(kept) == size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"macs": 50}, "Received: macs=50. Did you mean 0.5?"),
        ({"macs": 5}, "Received: macs=5. Did you mean 0.05?"),
        ({"keep": 1.5}, "keep to be a fraction kept in (0, 1]. Received: keep=1.5"),
        ({"keep": 0}, "keep=0"),
        ({"keep": -0.1}, "keep=-0.1"),
        ({"keep": float("nan")}, "keep=nan"),
        ({"keep": "0.5"}, "keep='0.5'"),
        ({"keep": True}, "keep=True"),
        ({"macs": 0}, "macs=0"),
        ({"params": 2}, "params=2"),
        ({"keep": 0.5, "macs": 0.5}, "Received: keep, macs"),
        ({"params": 0.5, "macs": 0.5}, "Received: macs, params"),
        ({}, "one of keep, macs, params and target. Received: none"),
        ({"criterion": "taylorr", "keep": 0.5}, "known criterion"),
        ({"budget": "globall", "keep": 0.5}, "Did you mean 'global'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(kp.PruneError) as caught:
        kp.plan(_small(), **arguments)
    assert message in str(caught.value)


def test_all_faults_of_the_targets_are_listed():
    with pytest.raises(kp.PruneError) as caught:
        kp.plan(_small(), keep=2, macs=0, params="x")
    assert str(caught.value).count("\n  - ") == 4


def test_targets_that_cannot_be_reached_are_refused_with_what_can():
    model = toy_model()
    graph = kp.trace(model)
    least = kp.cost(graph, kp.Plan({name: [0] for name in graph.prunable})).macs / kp.cost(graph).macs
    with pytest.raises(kp.PruneError, match=f"at least {least:.3g} of the macs are kept. Received: macs=0.001"):
        kp.plan(model, macs=0.001)
    assert kp.cost(graph, kp.plan(model, macs=least + 1e-9)).macs == least * kp.cost(graph).macs
    with pytest.raises(kp.PruneError, match="lower min_keep"):
        kp.plan(model, params=0.3, min_keep=0.9)


def test_a_target_that_cannot_be_reached_is_answered_with_what_pins():
    inputs = keras.Input((8,))
    x = layers.Dense(64, "relu", name="wide")(inputs)
    x = layers.Dense(16, "relu", name="narrow")(x)
    graph = kp.trace(keras.Model(inputs, layers.Dense(2, name="last")(x)), freeze=["wide"])
    with pytest.raises(kp.PruneError) as caught:
        kp.plan(graph, macs=0.001)
    said = str(caught.value).partition("Kept whole: ")[2]
    pinned = [each for each in graph.groups.values() if not each.prunable]
    assert said.startswith("'wide' (64 channels: named in freeze=)") and "'narrow'" not in said
    assert all(f"{each.name!r} ({each.size} channels: {each.reason})" in said for each in pinned)


def test_advice_that_is_followed_already_is_not_given():
    model = toy_model()

    def advice(graph, **bounds) -> str:
        with pytest.raises(kp.PruneError) as caught:
            kp.plan(graph, macs=0.001, **bounds)
        return str(caught.value).rpartition(". ")[2]

    assert advice(model) == "Ask for more."
    assert advice(kp.trace(model, coupling="free"), round_to=2) == (
        "Ask for more, or lower round_to, or use coupling='tied'."
    )
    frozen = kp.trace(model, freeze=[model.layers[1].name])
    assert advice(frozen, min_keep=0.5) == "Ask for more, or lower min_keep, or freeze less."
    pinned = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    with pytest.raises(kp.PruneError, match=r"inspect for the reasons\.$"):
        kp.plan(pinned, keep=0.5)
    with pytest.warns(UserWarning, match=r"with min_keep=1 and round_to=auto. Ask for another share\.$"):
        kp.plan(_small(width=2), params=0.75)


def test_nothing_to_prune_is_said_with_the_remedy():
    inputs = keras.Input((4,))
    pinned = keras.Model(inputs, layers.Dense(2)(inputs), name="pinned")
    for model in (pinned, kp.trace(_small(), freeze=("conv",))):
        with pytest.raises(kp.PruneError, match=r"all of whose channels are pinned. See graph.report\(\)"):
            kp.plan(model, keep=0.5)


@pytest.mark.experiments
def test_a_free_input_side_needs_a_resolution_for_targets():
    model = kp.models.resnet_cifar(8)
    with pytest.raises(kp.PruneError, match="Give size="):
        kp.plan(model, macs=0.5)
    assert kp.plan(model, keep=0.5).resolution is None
    small, large = (kp.plan(model, macs=0.5, size=side) for side in (32, 64))
    assert small == large and small.resolution is None
    side = kp.trace(model, size=32)
    assert kp.plan(side, macs=0.5) == small


def test_the_resolution_is_that_of_both_sides_wherever_the_channels_are():
    for shape in ((3, None, None), (3, 8, 8), (None, None, 3)):
        form = "channels_first" if shape[0] == 3 else "channels_last"
        inputs = keras.Input(shape)
        x = keras.layers.Conv2D(8, 3, data_format=form)(inputs)
        model = keras.Model(
            inputs, keras.layers.GlobalAveragePooling2D(form)(keras.layers.Conv2D(4, 3, data_format=form)(x))
        )
        assert kp.cost(model, size=8).macs == 6 * 6 * 8 * 27 + 4 * 4 * 4 * 72
    with pytest.raises(kp.PruneError, match="size=8, input shapes"):
        kp.cost(keras.Sequential([keras.Input((8, 16, 3)), keras.layers.Conv2D(4, 3)]), size=8)


@pytest.mark.parametrize("shape", [(4,), (8, 8, 3)])
@pytest.mark.parametrize(
    "call",
    [
        lambda model: kp.plan(model, macs=0.5, size=32),
        lambda model: kp.synthesise(model, 4, method="noise", size=32, verbose=0),
        lambda model: pytest.importorskip("ai_edge_litert") and kp.latency.profile(model, size=32, verbose=0),
    ],
    ids=["plan", "synthesise", "profile"],
)
def test_a_resolution_that_no_input_can_take_is_refused(shape, call):
    inputs = keras.Input(shape)
    outputs = keras.layers.Dense(3)(keras.layers.Dense(8)(keras.layers.Flatten()(inputs)))
    with pytest.raises(kp.PruneError, match="size=32, input shapes"):
        call(keras.Model(inputs, outputs))


def test_unknown_layers_are_not_guessed():
    class Odd(layers.Layer):
        def __init__(self, **settings):
            super().__init__(**settings)
            self.seeds = keras.random.SeedGenerator(1)

        def call(self, x):
            return x + keras.random.normal(keras.ops.shape(x), seed=self.seeds)

    inputs = keras.Input((8, 8, 3))
    x = Odd(name="odd")(layers.Conv2D(4, 3, name="before")(inputs))
    x = layers.Conv2D(4, 3, name="after")(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalMaxPooling2D()(x)))
    with pytest.raises(kp.PruneError, match="of class Odd, which kerasprune does not know"):
        kp.trace(model)
    assert list(kp.plan(kp.trace(model, unknown="freeze"), keep=0.5).keep) == ["after"]
    with pytest.warns(UserWarning, match="kept whole when the model is pruned: 'odd'"):
        assert list(kp.plan(model, keep=0.5).keep) == ["after"]


def test_composite_layers_are_written_out_and_their_plan_is_carried_out():
    class Block(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.wide, self.narrow = layers.Dense(16, "relu", name="wide"), layers.Dense(6, name="narrow")

        def call(self, x):
            return x + self.narrow(self.wide(x))

    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(2)(Block(name="block")(inputs)))
    plan = kp.plan(model, keep=0.5)
    assert plan == kp.plan(kp.functional(model), keep=0.5)
    slim = kp.rebuild(model, plan)
    assert kp.verify(model, slim, plan, reload=False).passed and kp.cost(model, plan).macs == kp.cost(slim).macs


def test_a_graph_decides_coupling_and_what_is_frozen():
    model = toy_model()
    assert list(kp.plan(kp.trace(model, coupling="free"), keep=0.5).keep) == ["inner_conv", "last_conv", "wide_conv"]
    assert "wide_conv" not in kp.plan(kp.trace(model, freeze="wide*"), keep=0.5).keep


def test_a_plan_is_a_function_of_model_arguments_and_seed():
    model = toy_model()
    assert kp.plan(model, "random", macs=0.5, seed=3) == kp.plan(model, "random", macs=0.5, seed=3)
    assert kp.plan(model, "random", macs=0.5, seed=3) != kp.plan(model, "random", macs=0.5, seed=4)


def test_planning_leaves_the_model_untouched():
    model = toy_model()
    before, config = model.get_weights(), model.to_json()
    kp.plan(model, macs=0.5)
    assert model.to_json() == config
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_loss_defaults_to_the_compiled_one_and_data_and_seed_are_passed_on():
    seen = []

    class Watching(kp.criteria.Criterion):
        def score(self, graph, data=None, loss=None, seed=0):
            seen.append((data, loss, seed))
            return {name: np.arange(group.size) for name, group in graph.prunable.items()}

    model = _small()
    model.compile(loss="mse")
    kp.plan(model, Watching(), keep=0.5, data=[1], seed=7)
    kp.plan(model, Watching(), keep=0.5, loss="mae")
    assert seen == [([1], "mse", 7), (None, "mae", 0)]


def test_bounds_that_keep_more_than_asked_for_are_warned_of():
    model = _small(width=10)
    with pytest.warns(UserWarning, match="9 channels are kept instead of 3. Lower round_to, or"):
        assert len(kp.plan(model, keep=0.3, round_to=9).keep["conv"]) == 9
    with pytest.warns(UserWarning, match="min_keep=8"):
        kp.plan(model, keep=0.3, min_keep=8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kp.plan(model, keep=0.5, round_to=5, min_keep=2)


@pytest.mark.parametrize("asked", ["keep", "macs", "params"])
@pytest.mark.parametrize("bound", [{"round_to": 8}, {"round_to": 1000}, {"min_keep": 8}, {"min_keep": 0.99}])
@pytest.mark.parametrize("budget", ["uniform", "global"])
def test_bounds_by_which_all_is_kept_are_refused_with_what_meets_the_target(asked, bound, budget):
    model = _small(width=8)
    with pytest.raises(kp.PruneError, match=next(iter(bound))) as caught:
        kp.plan(model, budget=budget, **{asked: 0.5}, **bound)
    assert f"{asked}=0.5" in str(caught.value)
    assert len(kp.plan(model, budget=budget, **{asked: 0.5}, round_to=1).keep["conv"]) < 8


def test_a_target_that_whole_channels_miss_is_warned_of():
    with pytest.warns(UserWarning, match="as nearly as whole channels allow"):
        kp.plan(_small(width=2), params=0.75)


def test_a_small_target_that_is_missed_by_a_tenth_of_it_is_warned_of():
    with pytest.warns(UserWarning, match=r"params=0.25 is met .*: 0.205 of the params are kept"):
        kp.plan(_small(width=10), params=0.25)


@pytest.mark.experiments
@pytest.mark.parametrize("coupling", ["tied", "free", "padded"])
def test_parameters_are_counted_where_the_input_side_is_free(coupling):
    def model(side):
        return kp.models.resnet_cifar(8, input_shape=(side, side, 3), seed=0)

    free, fixed = (kp.trace(model(side), coupling=coupling) for side in (None, 16))
    for make in (lambda graph: kp.plan(graph, params=0.4), lambda graph: kp.papers.precrop(graph, params=0.4)):
        assert make(free).keep == make(fixed).keep
    dense, slim = (kp.cost(free, plan, size=16).params for plan in (None, kp.plan(free, params=0.4)))
    assert abs(slim / dense - 0.4) < 0.01
    with pytest.raises(kp.PruneError, match="Expected a size"):
        kp.plan(free, macs=0.4)


@pytest.mark.experiments
@pytest.mark.parametrize("name", MODELS)
def test_parameters_alone_are_those_of_the_whole_cost(name):
    graph = kp.trace(MODELS[name]())
    plan = kp.plan(graph, keep=0.3)
    count = counter(graph.alive(plan.keep))
    assert costs_of(graph, ["params"], count).params == kp.cost(graph, plan).params
    both = costs_of(graph, ["macs", "params"], count)
    assert (both.macs, both.params) == (kp.cost(graph, plan).macs, kp.cost(graph, plan).params)


def test_a_measured_target_that_the_last_step_of_a_budget_leaves_is_met_again():
    """The budget moves channels after the target is met: what is measured is the plan that is returned."""

    class Meter(CostMeter):
        def __call__(self, graph, count):
            return count(graph.kernels[0].ids[-1]) / 8

        def missed(self, plan):
            return f"{len(plan.keep['conv'])} channels are too many." if len(plan.keep["conv"]) > 4 else None

    class Half(Target):
        counted = "channels"

        def meter(self, graph):
            return Meter(0.5)

    class Whole(Budget):
        def fractions(self, graph, level):
            return dict.fromkeys(graph.prunable, level)

        def last_step(self, graph, data, seed):
            return lambda request, chosen: kp.Plan.of(graph, {"conv": range(6)})

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for budget in (Whole(), "uniform"):
            assert len(kp.plan(_small(8), budget=budget, target=Half()).keep["conv"]) == 4


@pytest.mark.parametrize("given", [[np.ones((2, 2))], None, "model.keras"])
def test_what_is_no_model_is_refused(given):
    with pytest.raises(kp.PruneError, match="Expected a keras.Model"):
        kp.plan(given, keep=0.5)
