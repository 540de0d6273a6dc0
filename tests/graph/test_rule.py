"""Rules that say which arguments of the constructor they have looked at."""

from __future__ import annotations

import keras
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.graph.rule import BUILT_IN, table


class Leaning(layers.Layer):
    """`x` with a weight for neighbours, which a rule may not have thought of."""

    def __init__(self, size=2, lean=0.0, **more):
        super().__init__(**more)
        self.size, self.lean = size, lean

    def call(self, x):
        return x + self.lean * keras.ops.roll(x, 1, axis=-1)


def test_every_class_is_named_beside_the_file_that_teaches_it():
    """Else its rule would be found only if another class of the file was looked up before."""
    files = {cls: each.function.__module__.rpartition(".") for cls, each in table.load().items()}
    taught = {(file, cls.__name__) for cls, (room, _, file) in files.items() if room == "kerasprune.rules"}
    named = {(file, name) for file, names in BUILT_IN.items() for name in names.split()}
    assert taught <= named and not [name for _, name in named - taught if hasattr(layers, name)]  # Keras may be older


def around(layer):
    inputs = keras.Input((4,))
    return keras.Model(inputs, layers.Dense(2)(layer(layers.Dense(6, name="first")(inputs))))


@pytest.mark.parametrize("reads, known", [(["size"], False), (["size", "lean"], True), (None, True)])
def test_an_argument_that_a_rule_has_not_looked_at(monkeypatch, reads, known):
    monkeypatch.setattr("kerasprune.graph.rule.table.rules", dict(table.load()))

    @kp.rule(Leaning, reads=reads)
    def leaning(graph, layer, x):
        return x

    assert kp.trace(around(Leaning(size=7))).groups["first"].prunable == (reads is None or "size" in reads)
    if known:
        assert kp.trace(around(Leaning(lean=0.3))).groups["first"].prunable
        return
    with pytest.raises(kp.PruneError, match="Leaning.*lean"):
        kp.trace(around(Leaning(lean=0.3)))
    assert not kp.trace(around(Leaning(lean=0.3)), unknown="freeze").groups["first"].prunable


@pytest.mark.parametrize(
    "given", [(), (None,), ("Leaning",), (layers.Dense(2),), (layers.Dense, None), (lambda graph, layer, x: x,)]
)
def test_a_rule_is_for_classes(given):
    with pytest.raises(kp.PruneError, match="Expected a class of layers or operations"):
        kp.rule(*given)


def test_how_a_constant_passes_is_one_of_eight():
    with pytest.raises(kp.PruneError, match="constant='nothing'"):
        kp.rule(Leaning, constant="nothing")
