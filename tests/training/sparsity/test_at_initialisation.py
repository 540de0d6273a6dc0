"""Masks at initialisation: exact numbers, rounds, schedules, what is refused; training under them."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import kerasprune as kp
from kerasprune.criteria import Criterion
from kerasprune.training.scope import Scope
from kerasprune.training.sparsity.ranking import highest


@dataclass(frozen=True)
class Given(Criterion):
    """Scores that are given; those of what a model has lost are ignored."""

    scores: dict

    def saliency_of(self, model, data=None, loss=None, seed=0):
        return {layer.kernel.path: self.scores[layer.name] for layer in model.layers if layer.weights}


def _dense(*units: int, **how) -> keras.Model:
    keras.utils.set_random_seed(1)
    inputs = x = keras.Input((units[0],))
    for number, width in enumerate(units[1:]):
        x = layers.Dense(width, name=f"d{number}", **how)(x)
    return keras.Model(inputs, x)


def _counts(masks) -> int:
    return sum(int(mask.sum()) for mask in masks.values())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(-2, 2), min_size=1, max_size=12), min_size=1, max_size=4),
    st.lists(st.floats(0.05, 1), min_size=1, max_size=3),
)
def test_exactly_the_number_asked_for_stays_and_ties_go_by_index(lines, fractions):
    saliency = {f"v{i}": np.array(line, float) for i, line in enumerate(lines)}
    masks = None
    total = sum(map(len, lines))
    left = list(range(total))
    flat = np.concatenate([saliency[path] for path in saliency])
    for keep in fractions:
        number = min(max(round(total * keep), 1), len(left))
        masks = highest(saliency, number, masks)
        left = sorted(sorted(left, key=lambda at: (-flat[at], at))[:number])
        assert np.flatnonzero(np.concatenate(list(masks.values()))).tolist() == left


@pytest.mark.parametrize("rounds", [1, 3])
@pytest.mark.parametrize("schedule", [kp.sparsity.exponential, kp.sparsity.linear])
def test_magnitudes_by_rounds_are_those_at_once(rounds, schedule):
    model = _dense(7, 5, 3)
    before = model.get_weights()
    masks = kp.prune_at_init(model, "l1", keep=0.3, rounds=rounds, schedule=schedule)
    line = np.concatenate([np.abs(layer.kernel.numpy()).ravel() for layer in model.layers[1:]])
    lowest = np.sort(line)[-round(0.3 * 50)]
    for layer in model.layers[1:]:
        np.testing.assert_array_equal(masks[layer.kernel.path], np.abs(layer.kernel.numpy()) >= lowest)
    assert all(map(np.array_equal, before, model.get_weights()))


def test_each_round_scores_what_is_left_and_removed_weights_stay_removed():
    seen = []

    class Watching(Criterion):
        def saliency_of(self, model, data=None, loss=None, seed=0):
            seen.append([int((layer.kernel.numpy() != 0).sum()) for layer in model.layers if layer.weights])
            return {k.variable.path: -np.abs(k.variable.numpy()) for k in kp.trace(model).kernels}

    model = _dense(4, 5, 4)
    masks = kp.prune_at_init(model, Watching(), keep=0.25, rounds=2)
    assert [sum(each) for each in seen] == [40, 20] and _counts(masks) == 10
    line = np.concatenate([np.abs(layer.kernel.numpy()).ravel() for layer in model.layers[1:]])
    kept = np.concatenate([mask.ravel() for mask in masks.values()])
    assert line[kept].max() <= np.sort(line)[9]  # a zero, |w| lower than any, did not come back


@pytest.mark.parametrize(("criterion", "rounds"), [("gradient_magnitude", 1), ("gradient_magnitude", 3), ("l1", 1)])
def test_a_layerwise_baseline_ranks_each_kernel_by_itself(criterion, rounds):
    model = _dense(6, 9, 5, 3, activation="tanh")
    model.compile("sgd", "mse")
    generator = np.random.default_rng(0)
    batches = [(generator.normal(size=(16, 6)).astype("float32"), generator.normal(size=(16, 3)).astype("float32"))]
    given = {"data": batches, "scope": "layer", "rounds": rounds}
    masks = kp.prune_at_init(model, criterion, keep=0.13, **given)
    masked = keras.models.clone_model(model)
    masked.set_weights(model.get_weights())
    masked.compile("sgd", "mse")
    left = {path: list(range(mask.size)) for path, mask in masks.items()}
    for done in range(1, rounds + 1):
        scores = kp.criteria.get(criterion).saliency_of(masked, batches)
        for layer, copy in zip(model.layers[1:], masked.layers[1:], strict=True):
            path, score = layer.kernel.path, scores[copy.kernel.path].ravel()
            number = max(round(score.size * 0.13 ** (done / rounds)), 1)
            left[path] = sorted(sorted(left[path], key=lambda at: (-score[at], at))[:number])
            kernel = copy.kernel.numpy().ravel()
            kernel[np.setdiff1d(np.arange(score.size), left[path])] = 0
            copy.kernel.assign(kernel.reshape(copy.kernel.shape))
    assert {path: np.flatnonzero(mask).tolist() for path, mask in masks.items()} == left
    assert [len(kept) for kept in left.values()] == [7, 6, 2]
    everywhere = kp.prune_at_init(model, criterion, keep=0.13, data=batches)
    assert _counts(everywhere) == round(0.13 * 114) and [int(m.sum()) for m in everywhere.values()] != [7, 6, 2]


@pytest.mark.parametrize("rounds", [1, 3])
def test_synflow_in_rounds_is_its_algorithm_1_in_numpy(rounds):
    """R = 1ᵀ|W₃ᵀ||W₂ᵀ||W₁ᵀ|1 and θ·∂R/∂θ of what is left, the ρ^(k/n) largest: biases and relu change nothing."""
    model = _dense(6, 9, 7, 4, activation="relu", bias_initializer="ones")
    masks = kp.prune_at_init(model, "synflow", keep=0.1, rounds=rounds)
    kernels = [np.abs(layer.kernel.numpy().astype("float64")) for layer in model.layers[1:]]
    total, ends = sum(kernel.size for kernel in kernels), np.cumsum([kernel.size for kernel in kernels])
    kept = [np.ones(kernel.shape) for kernel in kernels]
    for done in range(1, rounds + 1):
        first, second, third = (kernel * mask for kernel, mask in zip(kernels, kept, strict=True))
        before = [np.ones(6), first.sum(0), first.sum(0) @ second]
        after = [second @ third.sum(1), third.sum(1), np.ones(4)]
        scores = [i[:, None] * w * o for i, w, o in zip(before, (first, second, third), after, strict=True)]
        line = np.concatenate([score.ravel() for score in scores])
        highest_first = np.argsort(-line, kind="stable")[: round(total * 0.1 ** (done / rounds))]
        flat = np.isin(np.arange(total), highest_first)
        kept = [part.reshape(w.shape) for part, w in zip(np.split(flat, ends[:-1]), kernels, strict=True)]
    assert all(map(np.array_equal, masks.values(), kept)) and _counts(masks) == round(0.1 * total)


def test_a_scope_of_ones_own_says_which_kernels_compete():
    class Halves(Scope):
        def competitions(self, names):
            return [[0, 2], [1]]

    model = _dense(4, 5, 6, 2)
    masks = kp.prune_at_init(model, "l1", keep=0.5, scope=Halves())
    first, second, third = (np.abs(layer.kernel.numpy()) for layer in model.layers[1:])
    together = np.sort(np.concatenate([first.ravel(), third.ravel()]))[-16]
    expected = [first >= together, second >= np.sort(second.ravel())[-15], third >= together]
    assert all(map(np.array_equal, masks.values(), expected))


def test_schedules():
    assert kp.sparsity.exponential(0.01, 0.5) == pytest.approx(0.1)
    assert kp.sparsity.linear(0.2, 0.5) == pytest.approx(0.6)
    assert kp.sparsity.linear(0.3, 1) == kp.sparsity.exponential(0.3, 1) == 0.3
    with pytest.raises(kp.PruneError, match="schedule\\(keep, 0.5\\)"):
        kp.prune_at_init(_dense(3, 2), "l1", keep=0.5, rounds=2, schedule=lambda keep, progress: 1.5)


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU])
def test_recurrent_and_convolution_kernels(kind):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6, 3))
    x = layers.Conv1D(4, 3, name="conv")(inputs)
    x = kind(5, name="cell")(x)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="out")(x))
    cell = model.get_layer("cell").cell
    total = sum(v.numpy().size for v in (model.get_layer("conv").kernel, cell.kernel, cell.recurrent_kernel)) + 10
    for criterion, rounds in (("random", 1), ("synflow", 3)):
        masks = kp.prune_at_init(model, criterion, keep=0.2, rounds=rounds)
        assert len(masks) == 4 and _counts(masks) == round(0.2 * total)
    report = kp.sparsity.sparsity_report(model, masks)
    assert not report.collapsed and report.kept == round(0.2 * total) >= report.attached > 0


def test_masks_are_trained_in_one_line():
    model = _dense(6, 8, 3, activation="tanh")
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
    y = x[:, :3]
    masks = kp.prune_at_init(model, "random", keep=0.3, seed=2)
    dense = model.get_weights()
    model.fit(x, y, epochs=2, verbose=0, callbacks=[kp.callbacks.HoldMask(masks)])
    for layer, start in zip(model.layers[1:], dense[::2], strict=True):
        now, mask = layer.kernel.numpy(), masks[layer.kernel.path]
        assert not now[~mask].any() and (now[mask] != start[mask]).any()


def test_what_does_not_compete_stays_whole():
    model = _dense(4, 5, 6, 2)
    model.get_layer("d1").trainable = False
    with pytest.warns(UserWarning, match="Frozen kernels are kept whole: .*d1"):
        masks = kp.prune_at_init(model, "l1", keep=0.5, freeze=["d2"], rounds=2)
    assert list(masks) == [model.get_layer("d0").kernel.path] and _counts(masks) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keep": 0}, "keep"),
        ({"rounds": 0}, "rounds"),
        ({"schedule": "linear"}, "kp.sparsity.exponential"),
        ({"scope": "layr"}, "Did you mean 'layer'"),
        ({"scope": "pattern"}, "whole kernels, such as 'layer' or 'global'. Received: scope=Pattern"),
        ({"criterion": "snip"}, "Expected data for SNIP"),
        ({"criterion": "synflo"}, "Did you mean 'synflow'"),
        ({"freeze": ["nothing"]}, "freeze"),
        ({"freeze": ["d*"]}, "Expected trainable kernels"),
        ({"criterion": Given({"d0": np.zeros((2, 2)), "d1": np.zeros((5, 2))})}, "one score per weight"),
        ({"criterion": Given({"d0": np.full((4, 5), np.nan), "d1": np.zeros((5, 2))})}, "finite scores.*d0"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(kp.PruneError, match=message):
        kp.prune_at_init(_dense(4, 5, 2), **{"criterion": "l1", **arguments})


def test_data_that_can_be_read_once_serve_all_rounds():
    read = []

    class Reading(Criterion):
        def saliency_of(self, model, data=None, loss=None, seed=0):
            read.append(len(list(data)))
            return {k.variable.path: np.abs(k.variable.numpy()) for k in kp.trace(model).kernels}

    kp.prune_at_init(_dense(3, 2), Reading(), keep=0.5, rounds=2, data=iter([1, 2, 3]))
    assert read == [3, 3]
