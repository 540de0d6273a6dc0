"""Tables: one content as text, on a page and in a notebook; results that show themselves; hostile names."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.export.latency.timing import Latency, LatencyComparison
from kerasprune.steps.advice import Advice, Offer
from kerasprune.steps.search_report import CostCurve, SearchReport, Tried
from kerasprune.tables import Graphic, Table, html_of, svg_element
from kerasprune.training.sparsity.report import LayerSparsity, SparsityReport

HOSTILE = "<script>alert('é')</script>", "a" * 300, 'x" onload="y'


class Page(HTMLParser):
    """The tags of a page, their attributes, and the text of its cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.tags, self.attributes, self.cells = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open or "th" in self.open:
            self.cells[-1] += data


def check_is_safe(html: str) -> Page:
    """Checks that a part of a page is well formed, has no script and fetches nothing."""
    page = Page(html)
    assert "script" not in page.tags and not [name for name, _ in page.attributes if name.startswith("on")]
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:|//)|url\((?!#)|@import", html)
    return page


def test_text_and_page_have_the_same_cells():
    table = Table(("name", "n", "why"), [("first", "1", "long words"), ("b", "1,000", "")], left=(0, 2))
    assert str(table).splitlines() == ["name       n  why", "first      1  long words", "b      1,000"]
    assert Page(table.html()).cells == ["name", "n", "why", "first", "1", "long words", "b", "1,000", ""]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_texts(name):
    shown = html_of(
        [
            name,
            Table((name, "n"), [(name, "1")], name, bars={1: [0.5]}),
            Graphic('<svg width="2" height="1"><g/></svg>', name),
        ]
    )
    assert check_is_safe(shown).cells == [name, "n", name, "1"]


def test_bars_are_as_long_as_their_fractions_and_never_longer_than_the_cell():
    html = Table(("a", "b"), [("x", "1"), ("y", "2"), ("z", "3")], bars={1: [0.25, 7.0, float("-1")]}).html()
    assert re.findall(r"transparent ([\d.]+)%", html) == ["25.0", "100.0", "0.0"]


def test_a_drawing_takes_the_colours_of_the_page_and_keeps_its_references():
    svg = '<?xml?><svg width="9pt" height="3pt"><g id="a"/><use href="#a" fill="#1f5fa8" stroke="#000000"/></svg>'
    found = svg_element(svg, "n", 'a "b"', {"#1f5fa8": "var(--slim)"})
    assert 'viewBox="0 0 9 3"' in found and 'href="#n-a"' in found and "var(--slim)" in found
    assert "&quot;b&quot;" in found and "currentColor" in found and "max-width:9pt" in found


def network(first: str, second: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), name="in")
    x = layers.Dense(12, "relu", name=second)(layers.Dense(12, "relu", name=first)(inputs))
    model = keras.Model(inputs, layers.Dense(3, "softmax", name="last")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


X = np.random.default_rng(0).normal(size=(200, 6)).astype("float32")
Y = X[:, :3].argmax(1)


@pytest.fixture(scope="module")
def model():
    model = network("first>b", "second")  # all that TensorFlow runs
    model.fit(X, Y, epochs=2, verbose=0)
    return model


def latencies():
    return LatencyComparison((Latency(1.0, 0.9, 1.2, 5), Latency(0.5, 0.4, 0.6, 5)), (1.0, 0.5), machine="<chip>")


def search():
    tried = (
        Tried(0.5, 0.5, 0.5, "accuracy", 0.9, 0.9, 0.0, 0.01, 0.01, True, 1.0),
        Tried(0.2, 0.2, 0.3, "accuracy", 0.8, 0.9, 0.1, 0.01, 0.11, False, 1.0, "<b>"),
    )
    return SearchReport(CostCurve("macs", tried, 0.02, False, 0), 0.84, ("<i>",), {"accuracy": (0.9, 0.89)})


def advice():
    offers = (Offer(None, "int8", 0.01, 0.4, 0.3), Offer(0.5, None, 0.2, 0.5, 0.5))
    return Advice(100, 50, 1.0, 400, (("<script>", 0.5, 0.5),), 0.2, ((0.5, 0.1),), offers, ("no <b> time",))


MADE = {
    "graph": kp.trace,
    "plan": lambda model: kp.plan(model, keep=0.5),
    "report": lambda model: kp.report(model, kp.plan(model, keep=0.5)),
    "cost": kp.cost,
    "verdict": lambda model: kp.verify(model, kp.rebuild(model, p := kp.plan(model, keep=0.5)), p, reload=False),
    "pruned": lambda model: kp.prune(model, 0.5, (X, Y), 1, validation=(X, Y), verbose=0),
    "pruning report": lambda model: kp.prune(model, 0.5, X, verbose=0).report,
    "sensitivity": lambda model: kp.sensitivity(model, X, keep=(0.5,), verbose=0),
    "picture": lambda model: kp.plot(model, kp.plan(model, keep=0.5)),
    "latencies": lambda model: latencies(),
    "search": lambda model: search(),
    "curve": lambda model: search().curve,
    "advice": lambda model: advice(),
    "sparsity": lambda model: SparsityReport((LayerSparsity("<script>/kernel", 100, 20, 10),), 40.0),
}


@pytest.mark.parametrize("name", ["graph", "plan", "report", "cost", "picture"])
def test_hostile_names_of_layers_are_texts_in_a_notebook(name):
    html = MADE[name](network("<script>alert(1)<", "é" * 300))._repr_html_()
    check_is_safe(html)
    assert "&lt;script" in html and "é" * 10 in html


class Printer:
    """What IPython passes to a result at an interactive prompt."""

    shown = ""

    def text(self, text: str) -> None:
        self.shown += text


@pytest.mark.experiments
@pytest.mark.parametrize("name", MADE)
def test_results_show_themselves_in_a_notebook_and_at_a_prompt(name, model):
    result, printer = MADE[name](model), Printer()
    page = check_is_safe(result._repr_html_())
    assert "kerasprune" in dict(page.attributes)["class"] or any(value == "kerasprune" for _, value in page.attributes)
    result._repr_pretty_(printer, False)
    assert printer.shown in (str(result), str(getattr(result, "report", result)))
    figures = set(re.findall(r"\d+\.\d+", " ".join(page.cells)))
    if name in ("report", "sensitivity", "search", "curve", "sparsity"):
        assert figures <= set(re.findall(r"\d+\.\d+", str(result)))  # nothing that the text does not say
