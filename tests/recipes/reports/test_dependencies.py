"""The image of the dependency graph shows every group and every kernel between two groups."""

from __future__ import annotations

from xml.etree import ElementTree

import keras

import kerasprune as kp
from kerasprune.graph.graph import ChannelGraph
from kerasprune.recipes.reports.dependencies import dependencies, describe_graph
from kerasprune.recipes.reports.record import Record


def graph() -> ChannelGraph:
    images = keras.Input((8, 8, 3), name="images")
    x = keras.layers.Conv2D(4, 3, padding="same", name="trunk")(images)
    y = keras.layers.Conv2D(6, 3, padding="same", name="inner <&>")(x)
    y = keras.layers.Conv2D(4, 3, padding="same", name="back")(y)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Add()([x, y]))
    return kp.trace(keras.Model(images, keras.layers.Dense(2, name="logits")(x)))


def test_every_group_and_edge_is_drawn():
    data = describe_graph(graph())
    assert [group["name"] for group in data["groups"]] == ["images", "trunk", "inner <&>", "logits"]
    assert ["trunk", "inner <&>", "inner <&>"] in data["edges"]
    svg = ElementTree.fromstring(dependencies(Record("run", {}, {}, graph=data)))
    names = "".join(text.text for text in svg.iter("{http://www.w3.org/2000/svg}text"))
    assert all(group["name"] in names for group in data["groups"])
    arcs = [edge for edge in data["edges"] if edge[0] != edge[1]]
    assert len(list(svg.iter("{http://www.w3.org/2000/svg}path"))) == len(arcs) == 4


def test_nothing_to_draw_without_a_graph():
    assert dependencies(Record("run", {}, {})) is None
