"""PreCrop: what is built costs what is asked for, narrow branches are added to first channels, couplings are kept."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.papers.synexp.coupled_layers import CoupledLayers
from kerasprune.papers.synexp.precrop import _of_zeros
from kerasprune.testing import check_rebuild, randomise


@pytest.fixture(scope="module")
def resnet():
    return randomise(kp.models.resnet_cifar(14, input_shape=(16, 16, 3), shortcut="projection", width=2))


@pytest.fixture(scope="module")
def gated():
    """Expansion, depthwise convolution, squeeze-and-excitation and projection, as in EfficientNet."""
    x = inputs = keras.Input((16, 16, 3))
    x = stem = layers.Conv2D(24, 3, padding="same", name="stem")(x)
    x = layers.Conv2D(96, 1, use_bias=False, name="expand")(x)
    x = layers.ReLU()(layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x))
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(96, 1, activation="sigmoid", name="excite")(layers.Conv2D(12, 1, name="squeeze")(gate))
    x = layers.Conv2D(24, 1, name="project")(layers.Multiply()([x, gate]))
    x = layers.Conv2D(64, 3, name="head")(layers.Add()([stem, x]))
    return randomise(keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D()(x))))


def _share(model, plan):
    return [getattr(kp.cost(model, plan), key) / getattr(kp.cost(model), key) for key in ("params", "macs")]


@pytest.mark.parametrize("asked", [{"params": 0.3}, {"macs": 0.3}, {"params": 0.3, "macs": 0.4}, {"params": 0.1}])
def test_what_is_built_costs_what_is_asked_for(resnet, asked):
    plan = kp.papers.precrop(resnet, **asked)
    found = dict(zip(("params", "macs"), _share(resnet, plan), strict=True))
    assert plan.coupling == "padded" and plan.fingerprint
    for key, share in asked.items():
        assert found[key] == pytest.approx(share, rel=0.03)
    assert all(kept == tuple(range(len(kept))) for kept in plan.keep.values())


@pytest.mark.thorough
def test_a_narrow_branch_is_carried_out_exactly(resnet):
    plan = kp.papers.precrop(resnet, params=0.3)
    branch, trunk = len(plan.keep["stage3_block2_conv2"]), len(plan.keep["stage3_block1_shortcut_conv"])
    assert branch < trunk
    assert check_rebuild(resnet, plan).error <= 1e-5


def test_numbers_of_channels_are_those_of_the_equation():
    """A chain: √p of the outputs, p the closed form of the budgets that the plan was met with."""
    x = inputs = keras.Input((400,))
    for name, width in (("a", 300), ("b", 500), ("c", 200)):
        x = layers.Dense(width, name=name)(x)
    model = keras.Model(inputs, layers.Dense(3, name="logits")(x))
    plan = kp.papers.precrop(model, params=0.3)
    alpha = np.array([400 * 300, 300 * 500, 500 * 200])
    kept = np.array([len(plan.keep[name]) for name in "abc"])
    levels = (kept / [300, 500, 200]) ** 2 * alpha  # λ = α·p, the same for all
    assert levels.max() / levels.min() < 1.03


def test_coupled_layers_share_a_density(gated):
    graph = kp.trace(gated, coupling="padded")
    coupled = CoupledLayers.of(graph, macs=False)
    own = {kernel.owner.name: int(np.prod(kernel.variable.shape)) for kernel in graph.kernels}
    unit = coupled.of_group["expand"]
    layers_there = np.flatnonzero(coupled.number == unit)
    assert len(layers_there) == 2  # the expansion and the excitation; the depthwise convolution is no layer of its own
    together = own["expand"] + own["depthwise"] + own["excite"]
    np.testing.assert_allclose(coupled.costs["params"][layers_there], together / 2)
    assert coupled.costs["params"].sum() == sum(own.values())
    plan = kp.papers.precrop(gated, macs=0.4)
    assert check_rebuild(gated, plan).error <= 1e-5
    assert _share(gated, plan)[1] == pytest.approx(0.4, rel=0.03)
    assert len(plan.keep["project"]) < len(plan.keep["stem"])


def test_zeros_that_widen_a_trunk_go_with_the_widest_branch():
    model = kp.models.resnet_cifar(8, input_shape=(16, 16, 3))
    plan, groups = kp.papers.precrop(model, params=0.2), kp.trace(model, coupling="padded").groups
    branch, zeros = "stage3_block1_conv2", "stage3_block1_shortcut_pad/axis3"
    share = len(plan.keep[branch]) / groups[branch].size
    assert len(plan.keep[zeros]) / groups[zeros].size == pytest.approx(share, abs=0.04) and share < 0.6


def test_densities_from_elsewhere(gated):
    expand, excite, depthwise = (
        int(np.prod(gated.get_layer(n).kernel.shape)) for n in ("expand", "excite", "depthwise")
    )
    plan = kp.papers.synexp.plan_of_densities(gated, {"stem/kernel": 0.25, "expand/kernel": 0.1, "excite/kernel": 0.5})
    together = (0.1 * expand + 0.5 * excite + depthwise) / (expand + excite + depthwise)
    assert len(plan.keep["stem"]) == 12 and len(plan.keep["head"]) == 64
    assert abs(len(plan.keep["expand"]) - 96 * together**0.5) < 1
    with pytest.raises(kp.PruneError, match=r"(?s)= ?2.*Did you mean 'stem/kernel'"):
        kp.papers.synexp.plan_of_densities(gated, {"stm/kernel": 0.5, "head/kernel": 2})


def test_contradictory_budgets_say_so(resnet):
    with pytest.warns(UserWarning, match=r"Of the macs, 0\.\d+ are kept instead of macs=0.9: params=0.1 leaves"):
        plan = kp.papers.precrop(resnet, params=0.1, macs=0.9)
    assert _share(resnet, plan)[0] == pytest.approx(0.1, rel=0.03)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kp.papers.precrop(resnet, params=1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "params, macs or both"),
        ({"params": 1.5}, "params=1.5"),
        ({"macs": 5}, "macs=5. Did you mean 0.05"),
        ({"macs": 0, "params": "half"}, r"(?s)params='half'.*macs=0"),
        ({"params": 1e-4}, r"at least 0\.0\d* of the params"),
    ],
)
def test_budgets_that_cannot_be_met(resnet, arguments, message):
    with pytest.raises(kp.PruneError, match=message):
        kp.papers.precrop(resnet, **arguments)


def test_a_free_side_needs_a_resolution():
    model = kp.models.resnet_cifar(8)
    with pytest.raises(kp.PruneError, match="size="):
        kp.papers.precrop(model, macs=0.5)
    assert kp.papers.precrop(model, macs=0.5, size=32).keep
    frozen = kp.trace(model, coupling="padded", freeze=("*",))
    with pytest.raises(kp.PruneError, match="all of whose channels are pinned"):
        kp.papers.precrop(frozen, params=0.5)


class Scaled(layers.Layer):
    """A layer without a rule, with a kernel of its own."""

    def build(self, shape):
        self.own = self.add_weight(shape=(shape[-1], shape[-1]), name="own")

    def call(self, x):
        return keras.ops.matmul(x, self.own)


def test_multiply_adds_that_are_not_counted_are_named():
    x = inputs = keras.Input((8,))
    for width in (32, 32):
        x = layers.Dense(width)(x)
    model = keras.Model(inputs, layers.Dense(3)(layers.Dense(20)(Scaled(name="scaled")(x))))
    graph = kp.trace(model, coupling="padded", unknown="freeze")
    with pytest.raises(kp.PruneError, match="multiply–adds are known, to meet macs=.*scaled.*ask for params="):
        kp.papers.precrop(graph, macs=0.8)
    assert kp.papers.precrop(graph, params=0.8).keep


@pytest.mark.slow
def test_a_phone_needs_no_gather(tmp_path):
    from kerasprune.export import tflite
    from kerasprune.export.tflite_graph import operators

    model = kp.models.resnet_cifar(20, input_shape=(32, 32, 3), shortcut="projection", width=2)
    dense = set(operators(tflite(model, tmp_path / "dense.tflite").path))
    slim = kp.rebuild(model, kp.papers.precrop(model, macs=0.3), absorb=False)
    found = set(operators(tflite(slim, tmp_path / "slim.tflite").path))
    assert found - dense <= {"PAD", "PADV2"} and "PAD" in "".join(found)
    assert not [name for name in found if "GATHER" in name or "SCATTER" in name]


@pytest.mark.parametrize("shares", [(0.2, 0.6), (0.6, 0.2)])
def test_zeros_are_as_wide_as_the_widest_of_several_sums(shares):
    graph = kp.trace(kp.models.resnet_cifar(14, input_shape=(16, 16, 3)), coupling="padded")
    branches = ("stage3_block1_conv2", "stage3_block2_conv2")
    given = {**dict.fromkeys(graph.groups, 0.1), **dict(zip(branches, shares, strict=True))}
    del given["stage3_block1_shortcut_pad/axis3"]
    assert _of_zeros(graph, given)["stage3_block1_shortcut_pad/axis3"] == 0.6


def test_costs_are_the_nearest_to_the_target_even_above_it(resnet):
    assert 0.2 < _share(resnet, kp.papers.precrop(resnet, params=0.2))[0] < 0.203
    for function in (kp.papers.precrop, kp.papers.reconfigure):
        text = " ".join(function.__doc__.split())
        assert "at most" not in text and "as closely as whole channels allow" in text
