"""Pictures of networks: every layer is in a box, coupled channels share a colour, what a plan removes is struck out."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import keras
import pytest
from keras import layers

import kerasprune as kp
from kerasprune import errors
from kerasprune.surgery import picture

TEXT = "{http://www.w3.org/2000/svg}text"
pytest.importorskip("pygraphviz")


def residual(blocks: int = 2, hostile: str = "back") -> keras.Model:
    inputs = keras.Input((8, 8, 3), name="images")
    x = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    for number in range(blocks):
        y = layers.BatchNormalization(name=f"norm{number}")(
            layers.Conv2D(6, 3, padding="same", name=f"inner{number}")(x)
        )
        y = layers.Conv2D(8, 3, padding="same", name=f"{hostile}{number}")(layers.ReLU(name=f"relu{number}")(y))
        x = layers.Add(name=f"sum{number}")([x, y])
    return keras.Model(inputs, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D(name="pool")(x)))


def boxes(dot: str) -> dict[str, str]:
    """Returns the labels by the names of their layers, as they stand in the titles."""
    return {title: label for label, title in re.findall(r'label=<(<TABLE [^>]*TITLE="([^"]*)".*?</TABLE>)>', dot)}


def box_of(name: str, dot: str) -> str:
    return next(label for title, label in boxes(dot).items() if name in title.split(", "))


def colours(label: str) -> list[str]:
    return re.findall(r'BGCOLOR="(#\w+)"', label)


def test_every_layer_is_in_one_box_and_arrows_go_as_tensors_do():
    model = residual()
    dot = kp.plot(model).dot
    names = [name for title in boxes(dot) for name in title.split(", ")]
    assert sorted(names) == sorted(each.name for each in model.layers if each.name != "images")
    place = {name: number for number, title in enumerate(boxes(dot)) for name in title.split(", ")}
    arrows = {tuple(map(int, pair)) for pair in re.findall(r"b(\d+) -> b(\d+)", dot)}
    wanted = set()
    for layer in model.layers:
        for source in keras.tree.flatten(layer.input):
            one, other = source._keras_history.operation.name, layer.name
            if "images" not in (one, other) and place[one] != place[other]:
                wanted.add((place[one], place[other]))
    assert arrows == wanted
    assert len(boxes(kp.plot(model, by="layers").dot)) == len(names)


def test_an_activation_before_a_trunk_does_not_take_its_arrow():
    inputs = keras.Input((8,))
    x = trunk = layers.Dense(8, name="trunk")(inputs)
    y = layers.Dense(8, name="branch")(layers.ReLU(name="relu")(x))
    model = keras.Model(inputs, layers.Dense(2, name="out")(layers.Add(name="sum")([trunk, y])))
    dot = kp.plot(model, by="layers").dot
    place = {name: number for number, name in enumerate(boxes(dot))}
    assert f"b{place['trunk']} -> b{place['sum']};" in dot and f"b{place['relu']} -> b{place['sum']};" not in dot


def test_coupled_channels_share_a_colour_and_pinned_ones_are_grey_with_the_reason():
    dot = kp.plot(residual()).dot
    assert colours(box_of("stem", dot)) == colours(box_of("back0", dot)) == colours(box_of("sum1", dot))
    assert colours(box_of("inner0", dot)) != colours(box_of("stem", dot)) != colours(box_of("inner1", dot))
    logits = box_of("logits", dot)
    assert colours(logits) == [f"{picture._PINNED}{picture._SHADE}"] and "an output of the model" in logits


def test_a_plan_shows_channels_before_and_after_and_strikes_out_blocks():
    model = residual()
    graph = kp.trace(model)
    keep = kp.plan(graph, keep=0.5).keep
    shown = kp.plot(model, kp.Plan.of(graph, keep, ["sum1"]))
    assert ">8 → 4<" in box_of("stem", shown.dot) and ">6 → 3<" in box_of("inner0", shown.dot)
    assert "<S>back1</S>" in box_of("back1", shown.dot) and "<S>" not in box_of("back0", shown.dot)
    assert {row[0]: row[1:3] for row in shown.table.rows}["inner0"] == ("6", "3")


def test_a_concatenation_shows_the_channels_of_both():
    inputs = keras.Input((8,))
    parts = [layers.Dense(units, name=name)(inputs) for name, units in (("a", 4), ("b", 6))]
    model = keras.Model(inputs, layers.Dense(2)(layers.Concatenate(name="both")(parts)))
    dot = kp.plot(model).dot
    both = colours(box_of("both", dot))
    assert both == [*colours(box_of("a", dot)), *colours(box_of("b", dot))] and len(set(both)) == 2


def test_heads_are_shown_in_the_box_of_their_attention():
    inputs = keras.Input((5, 8))
    x = layers.Dense(8, name="embed")(inputs)
    x = layers.Add(name="sum")([x, layers.MultiHeadAttention(4, 2, name="attention")(x, x)])
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
    assert "heads 4 → 2" in box_of("attention", kp.plot(model, kp.plan(model, keep=0.5)).dot)


def test_in_a_large_network_a_block_is_one_box():
    small, large = (kp.plot(residual(blocks)).dot for blocks in (2, 16))
    assert "residual block" not in small and large.count("residual block of 4 layers") == 16
    block = box_of("inner3", large)
    assert "sum3" in block and len(colours(block)) == 2


def test_nested_and_shared_layers_are_drawn_where_they_are_called():
    inner = keras.Sequential([keras.Input((8,)), layers.Dense(6, name="deep"), layers.ReLU(name="deep_relu")])
    inputs = keras.Input((4,))
    x = layers.Dense(8, name="first")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="out")(inner(x)))
    dot = kp.plot(model, by="layers").dot
    place = {name: number for number, name in enumerate(boxes(dot))}
    for one, other in (("first", "deep"), ("deep", "deep_relu"), ("deep_relu", "out")):
        assert f"b{place[one]} -> b{place[other]};" in dot


@pytest.mark.parametrize("name", ["<script>alert(1)<", "é" * 300, "a & b"])
def test_hostile_names_are_texts(name):
    root = ElementTree.fromstring(kp.plot(residual(1, name)).svg)
    assert not [each for each in root.iter() if each.tag.endswith("script")]
    assert not [name for each in root.iter() for name in each.attrib if name.endswith("href")]
    shown = [each.text for each in root.iter(TEXT)]
    wanted = f"{name}0"
    assert wanted in shown if len(wanted) < 30 else any(text and text.startswith("é" * 10) for text in shown)


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_the_file_is_what_its_name_says(tmp_path, suffix):
    start = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[suffix]
    path = tmp_path / f"net.{suffix}"
    kp.plot(residual(1), to_file=path)
    assert path.read_bytes().startswith(start)


def test_without_graphviz_the_table_is_shown_and_the_extra_named(tmp_path, monkeypatch):
    for module in (picture, errors):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    shown = kp.plot(residual(1))
    assert not shown.svg and "kerasprune[plot]" in shown._repr_html_() and "stem" in shown._repr_html_()
    with pytest.raises(kp.PruneError, match=r"pip install \"kerasprune\[plot\]\"(.|\n)*stem") as raised:
        kp.plot(residual(1), to_file=tmp_path / "net.svg")
    assert not [*tmp_path.iterdir()] and "pygraphviz" in str(raised.value)


def test_what_cannot_be_drawn_is_said(tmp_path):
    model = residual(1)
    for given, message in (
        ({"to_file": tmp_path / "net.docx"}, "name of a picture"),
        ({"by": "colour"}, "Expected by to be one of"),
        ({"plan": kp.plan(residual(2), keep=0.5)}, "a plan of another model"),
    ):
        with pytest.raises(kp.PruneError, match=message):
            kp.plot(model, **given)
    with pytest.raises(kp.PruneError, match="keras.models.load_model"):
        kp.plot("model.keras")


def test_one_network_is_drawn_alike_every_time():
    one, other, last = (kp.plot(residual(blocks)).svg for blocks in (1, 3, 1))
    assert one == last != other


@pytest.mark.experiments
def test_the_picture_of_the_quickstart_is_that_of_its_network():
    model = kp.models.resnet_cifar(depth=8, input_shape=(16, 16, 3), seed=0)
    stored = Path(__file__).parents[2] / "docs" / "images" / "coupled.svg"
    texts = [
        [each.text for each in ElementTree.fromstring(svg).iter(TEXT)]
        for svg in (stored.read_text(encoding="utf-8"), kp.plot(model).svg)
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", ["enc\\Net", "\\G", "#000000", "url(#a)"])
def test_names_that_the_languages_of_pictures_use_are_shown_as_they_are(name):
    shown = kp.plot(residual(1, hostile=name))
    for svg in (shown.svg, shown._repr_html_()):
        assert f"{name}0" in re.sub(r"<[^>]*>", "", svg)


def test_a_picture_of_unseen_characters_is_well_formed():
    svg = kp.plot(residual(1, hostile="x\x01\x1b[31m\x00")).svg
    assert "x\ufffd\ufffd[31m\ufffd0" in [each.text for each in ElementTree.fromstring(svg).iter(TEXT)]


@pytest.mark.parametrize("path", [".", "", "picture", ".svg", "a.jpg"])
def test_a_picture_has_a_name_that_ends_as_one(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kp.PruneError):
        kp.plot(residual(1), to_file=path)
    assert kp.plot(residual(1), to_file="a.SVG").svg and Path("a.SVG").stat().st_size


def test_a_file_in_the_place_of_a_plan_is_told():
    with pytest.raises(kp.PruneError, match="to_file="):
        kp.plot(residual(1), "picture.svg")
