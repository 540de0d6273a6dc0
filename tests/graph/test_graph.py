"""What a graph answers, against loops that follow the definitions."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from support.random_models import built

import kerasprune as kp
from kerasprune.graph.trace import trace


def concatenation(number):
    """Convolutions each of which reads all before it, normalised in front of each."""
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(5, 3, padding="same", name="stem")(inputs)
    for n in range(number):
        y = layers.BatchNormalization(name=f"norm{n}")(x)
        x = layers.Concatenate(name=f"all{n}")([x, layers.Conv2D(2 + n % 3, 3, padding="same", name=f"conv{n}")(y)])
    return keras.Model(inputs, layers.Dense(5, name="logits")(layers.GlobalAveragePooling2D()(x)))


def random_graph(seed):
    keras.utils.clear_session(free_memory=False)
    return kp.trace(built(seed), unknown="freeze", coupling=("tied", "padded")[seed % 2])


def dropped():
    graph = kp.trace(kp.models.densenet_cifar(13, input_shape=(16, 16, 3), growth=4))
    return kp.trace(graph.model, removed=list(graph.blocks)[:2])


GRAPHS = {
    "concatenation": lambda: kp.trace(concatenation(7)),
    "dropped": dropped,
    **{f"random {seed}": lambda seed=seed: random_graph(seed) for seed in range(8)},
}


@pytest.fixture(scope="module", params=GRAPHS)
def graph(request):
    return GRAPHS[request.param]()


def places_of(graph, name):
    """Every `(slice, axis, channel)` of a group, position by position."""
    index = {int(one): n for n, one in enumerate(graph.groups[name].classes)}
    for entry in graph.slices:
        for axis, ids in enumerate(entry.ids):
            channel = [] if ids is None else [index.get(int(graph.classes[each]), -1) for each in ids]
            if max(channel, default=-1) >= 0:
                yield entry, axis, channel


def told(places):
    return [(id(entry), axis, list(channel)) for entry, axis, channel in places]


@pytest.mark.experiments
@pytest.mark.matrix
def test_kernels_and_scales_of_a_group_are_those_that_hold_its_channels(graph):
    for name in graph.groups:
        places = list(places_of(graph, name))
        kernels = [each for each in places if each[0].role == "kernel"]
        assert told(graph.made_by(name)) == told(each for each in kernels if each[1] in each[0].makes)
        assert told(graph.read_by(name)) == told(each for each in kernels if each[1] in each[0].reads)
        assert told(graph.scaled_by(name)) == told(each for each in places if each[0].role == "scale")


@pytest.mark.experiments
def test_shares_and_edges_follow_from_the_kernels(graph):
    sizes = {id(kernel): int(np.prod(kernel.variable.shape)) for kernel in graph.kernels}
    shares, edges = graph.shares(), set()
    for name in graph.groups:
        touching = {id(kernel) for kernel, _, _ in graph.made_by(name) + graph.read_by(name)}
        assert shares[name] == pytest.approx(sum(sizes[key] for key in touching) / max(sum(sizes.values()), 1))
        reading = {id(kernel): kernel.owner.name for kernel, _, _ in graph.read_by(name)}
        for other in graph.groups:
            made = {id(kernel) for kernel, _, _ in graph.made_by(other)}
            edges |= {(name, other, layer) for key, layer in reading.items() if key in made}
    assert set(graph.edges) == edges and len(graph.edges) == len(edges)


@pytest.mark.experiments
def test_slices_of_groups_hold_parts_and_no_whole_group(graph):
    whole = {name: set(group.classes.tolist()) for name, group in graph.groups.items()}
    found = {}
    for call in graph.calls:
        for ids in (ids for output in call.outputs for ids in output.axes.values()):
            classes = {int(one) for one in graph.classes[ids]} & set().union(*whole.values())
            touched = [name for name, each in whole.items() if each & classes]
            if touched and all(graph.groups[name].prunable and not whole[name] <= classes for name in touched):
                found.setdefault(tuple(sorted(classes)), call.operation.name)
    assert {tuple(classes): name for name, classes in graph.slices_of_groups} == found


@pytest.mark.experiments
def test_the_report_has_a_line_for_every_group(graph):
    lines = graph.report().splitlines()[1:]
    assert [line.split()[0] for line in lines[: len(graph.groups)]] == [name.split()[0] for name in graph.groups]


@pytest.mark.experiments
def test_the_report_of_a_concatenation_asks_no_position_of_a_kernel(monkeypatch):
    """So many groups times so many kernels that read them times their widths would be cubic in the layers."""
    graph = kp.trace(concatenation(6))
    monkeypatch.setattr(type(graph), "_along", None)
    assert graph.report() and graph.edges


def test_no_local_of_a_trace_hides_a_function():
    tree = ast.parse(Path(inspect.getsourcefile(inspect.unwrap(trace))).read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    assert not functions & stored
