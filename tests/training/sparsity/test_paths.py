"""Detached weights against a search over the graph of single numbers; collapse against a loop."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp


def _search(edges, sources, targets):
    """Returns for each (from, to, weight) whether it lies on a path from a source to a target."""

    def reached(start, pairs):
        found, waiting = set(start), list(start)
        after = {}
        for a, b in pairs:
            after.setdefault(a, []).append(b)
        while waiting:
            for node in after.get(waiting.pop(), ()):
                if node not in found:
                    found.add(node)
                    waiting.append(node)
        return found

    ahead = reached(sources, [(a, b) for a, b, _ in edges])
    behind = reached(targets, [(b, a) for a, b, _ in edges])
    return {weight for a, b, weight in edges if a in ahead and b in behind}


def _random(shapes, seed, density=0.35):
    generator = np.random.default_rng(seed)
    return [generator.random(shape) < density for shape in shapes]


@pytest.mark.parametrize("seed", range(4))
def test_dense_layers_and_a_skip(seed):
    inputs = keras.Input((4,))
    x = layers.Dense(4, activation="relu", name="a")(inputs)
    x = layers.Dense(4, activation="tanh", name="b")(x)
    x = layers.Maximum()([x, layers.Dense(4)(inputs)])  # whole: more ways, which hide none of the others
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="c")(x))
    a, b, c = _random([(4, 4), (4, 4), (4, 2)], seed)
    names = {name: model.get_layer(name).kernel.path for name in "abc"}
    left = kp.sparsity.attached(model, {names["a"]: a, names["b"]: b.astype(int), names["c"]: c})
    edges = [(("in", i), ("sum", j), None) for i in range(4) for j in range(4)]
    for name, mask, source, target in (("a", a, "in", "h"), ("b", b, "h", "sum"), ("c", c, "sum", "out")):
        edges += [((source, i), (target, j), (name, i, j)) for i, j in zip(*np.nonzero(mask), strict=True)]
    wanted = _search(edges, [("in", i) for i in range(4)], [("out", j) for j in range(2)])
    found = {(name, i, j) for name in "abc" for i, j in zip(*np.nonzero(left[names[name]]), strict=True)}
    assert found == wanted - {None}


@pytest.mark.parametrize("seed", range(2))
def test_convolutions_position_by_position(seed):
    """Two 3×3 convolutions on 4×4 maps with maximum pooling between: every tap of every position is an edge."""
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(3, 3, padding="same", activation="relu", name="a")(inputs)
    x = layers.MaxPooling2D(4)(x)
    x = layers.Conv2D(2, 3, padding="same", name="b")(layers.BatchNormalization()(x))
    model = keras.Model(inputs, layers.Flatten()(x))
    a, b = _random([(3, 3, 2, 3), (3, 3, 3, 2)], seed, 0.4)
    paths = [model.get_layer(name).kernel.path for name in "ab"]
    left = kp.sparsity.attached(model, dict(zip(paths, (a, b), strict=True)))
    edges = []
    for row, column, u, v, i, o in itertools.product(range(4), range(4), range(3), range(3), range(2), range(3)):
        r, c = row + u - 1, column + v - 1
        if a[u, v, i, o] and 0 <= r < 4 and 0 <= c < 4:
            edges.append((("in", r, c, i), ("pooled", o), ("a", u, v, i, o)))
    edges += [(("pooled", i), ("out", o), ("b", 1, 1, i, o)) for i in range(3) for o in range(2) if b[1, 1, i, o]]
    wanted = _search(edges, {e[0] for e in edges if e[0][0] == "in"}, [("out", o) for o in range(2)])
    found = {("a", *map(int, at)) for at in np.argwhere(left[paths[0]])}
    found |= {("b", *map(int, at)) for at in np.argwhere(left[paths[1]])}
    assert found == wanted


@pytest.mark.parametrize("kind", [layers.LSTM, layers.SimpleRNN])
def test_recurrent_layers_look_back_any_number_of_steps(kind):
    inputs = keras.Input((5, 2))
    model = keras.Model(inputs, layers.Dense(1, name="out")(kind(4, name="cell")(inputs)))
    cell, gates = model.get_layer("cell").cell, model.get_layer("cell").cell.kernel.shape[1] // 4
    w, u, out = np.zeros((2, 4), bool), np.zeros((4, 4), bool), np.zeros((4, 1), bool)
    w[0, 0] = u[0, 1] = u[1, 2] = out[2] = True  # a chain through two units that no input feeds
    w[1, 3] = u[2, 3] = True  # towards a unit that nothing reads
    masks = {cell.kernel.path: np.tile(w, gates), cell.recurrent_kernel.path: np.tile(u, gates)}
    left = kp.sparsity.attached(model, {**masks, model.get_layer("out").kernel.path: out})
    w[1, 3] = u[2, 3] = False
    np.testing.assert_array_equal(left[cell.kernel.path], np.tile(w, gates))
    np.testing.assert_array_equal(left[cell.recurrent_kernel.path], np.tile(u, gates))


@pytest.mark.parametrize(
    "spelt", [lambda x, gate: layers.Multiply()([x, gate]), lambda x, gate: x * keras.ops.relu(gate)]
)
def test_a_gate_is_a_way_too(spelt):
    inputs = keras.Input((2, 2, 3))
    x = layers.Conv2D(3, 1, name="a")(inputs)
    gate = layers.Dense(3, activation="sigmoid", name="gate")(layers.GlobalMaxPooling2D(keepdims=True)(x))
    model = keras.Model(inputs, layers.Conv2D(1, 1, name="b")(spelt(x, gate)))
    paths = {name: model.get_layer(name).kernel.path for name in ("a", "gate", "b")}
    masks = {paths["a"]: np.zeros((1, 1, 3, 3)), paths["gate"]: np.zeros((3, 3)), paths["b"]: np.zeros((1, 1, 3, 1))}
    masks[paths["a"]][0, 0, 0, :2] = 1  # channel 0 feeds the gate of 2, channel 1 nothing
    masks[paths["gate"]][0, 2] = masks[paths["b"]][0, 0, 2, 0] = 1
    left = kp.sparsity.attached(model, masks)
    assert np.argwhere(left[paths["a"]]).tolist() == [[0, 0, 0, 0]]
    assert np.argwhere(left[paths["gate"]]).tolist() == [[0, 2]] and left[paths["b"]].sum() == 1


def test_paths_that_cannot_be_told_are_refused():
    inputs = keras.Input((4, 3))
    model = keras.Model(inputs, layers.Bidirectional(layers.LSTM(2))(inputs))
    masks = {kernel.variable.path: np.ones(kernel.variable.shape) for kernel in kp.trace(model).kernels}
    with pytest.raises(kp.PruneError, match="Expected a network of layers that are linear"):
        kp.sparsity.sparsity_report(model, masks)


def test_the_report_counts():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="a"), layers.Dense(2, name="b")])
    a, b = (model.get_layer(name).kernel.path for name in "ab")
    first = np.array([[1, 0], [1, 0], [0, 1]])
    report = kp.sparsity.sparsity_report(model, {a: first, b: np.array([[1, 1], [0, 0]])})
    assert (report.size, report.kept, report.attached) == (10, 5, 4)
    assert report.compression == 2 and report.effective_compression == 2.5 and report.maximal_compression == 5
    assert "5 of 10: compression 2 of at most 5; 1 of them are detached, effective compression 2.5" in str(report)
    empty = kp.sparsity.sparsity_report(model, {a: first, b: np.zeros((2, 2))})
    assert empty.collapsed == (b,) and empty.attached == 0 and "nothing is left of" in str(empty)
    with pytest.raises(kp.PruneError, match="no kernel is called 'x'(.|\n)*shape \\(3, 2\\)"):
        kp.sparsity.sparsity_report(model, {"x": first, a: first.T})
    with pytest.raises(kp.PruneError, match="other values"):
        kp.sparsity.sparsity_report(model, {a: first * 2})


@pytest.mark.parametrize("seed", range(5))
def test_critical_compression_is_where_the_first_layer_goes(seed):
    generator = np.random.default_rng(seed)
    saliency = {name: generator.integers(0, 6, size).astype(float) for name, size in (("a", 9), ("b", 4), ("c", 7))}
    line = [(-score, index, name) for index, (name, score) in enumerate((n, s) for n in saliency for s in saliency[n])]
    line.sort()
    least = next(k for k in range(1, 21) if {name for _, _, name in line[:k]} == set("abc"))
    assert kp.sparsity.critical_compression(saliency) == pytest.approx(20 / least)
    assert kp.sparsity.maximal_compression(saliency) == pytest.approx(20 / 3)


@pytest.mark.parametrize("seed", range(2))
def test_paths_lead_through_layers_without_a_rule(seed):
    """As through dense layers that compute the same; SynFlow scores their weights, too, and no scale."""

    class Own(layers.Layer):
        def build(self, shape):
            self.up, self.down = self.add_weight((shape[-1], 6), name="up"), self.add_weight((6, 5), name="down")
            self.scale = self.add_weight((1, 5), initializer="ones", name="scale")

        def call(self, x):
            return keras.ops.relu(x @ self.up) @ self.down * self.scale

    def network(*inside):
        own = [layers.Dense(5, use_bias=False), *inside, layers.Dense(2, use_bias=False)]
        return keras.Sequential([keras.Input((4,)), *own])

    unknown = network(Own())
    known = network(layers.Dense(6, "relu", use_bias=False), layers.Dense(5, use_bias=False))
    variables = [[v for v in model.weights if v.name != "scale"] for model in (unknown, known)]
    for own, other in zip(*variables, strict=True):
        other.assign(own)
    arrays = _random([tuple(v.shape) for v in variables[1]], seed, 0.4)
    left, reports, scores = [], [], []
    for model, kernels in zip((unknown, known), variables, strict=True):
        paths = [v.path for v in kernels]
        masks = dict(zip(paths, arrays, strict=True))
        found, flow = kp.sparsity.attached(model, masks), kp.criteria.get("synflow").saliency_of(model)
        assert found.keys() == flow.keys() == {*paths}
        left.append([found[path].tolist() for path in paths])
        scores.append([flow[path] for path in paths])
        reports.append(kp.sparsity.sparsity_report(model, masks))
    assert left[0] == left[1]
    assert (reports[0].kept, reports[0].attached) == (reports[1].kept, reports[1].attached)
    for own, other in zip(*scores, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-4)
