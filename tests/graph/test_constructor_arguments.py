"""Which arguments of a constructor a rule has looked at: those of every layer with a rule, and strangers'."""

from __future__ import annotations

import inspect

import keras
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.graph import constructor_arguments, rule


def _named(kind: type) -> dict[str, object]:
    return dict(constructor_arguments._arguments(kind))


def test_every_argument_of_a_layer_with_a_rule_is_looked_at_or_says_nothing_of_channels():
    """A release of Keras that adds an argument fails here, and freezes the layers that use it until then."""
    unclassed = {"renorm", "renorm_clipping", "renorm_momentum"}  # not followed: frozen where given
    kinds = [each for each in rule.classes() if each.__module__.startswith("keras.")]
    assert len(kinds) > 100
    for kind in kinds:
        reads = rule.table.load()[kind].reads
        if reads is not None:
            assert set(_named(kind)) <= reads | constructor_arguments._NUMBERS | unclassed, kind


def test_what_a_rule_reads_is_an_argument_of_its_class():
    wrong = {
        (kind.__name__, name)
        for kind, each in rule.table.load().items()
        if kind.__module__.startswith("keras.")
        for name in each.reads or ()
        if not any(name in _named(other) for other, same in rule.table.load().items() if same.function is each.function)
    }
    assert not wrong


class Widened(layers.Conv2D):
    """A convolution with an argument of its own, which nobody has looked at."""

    def __init__(self, filters, kernel_size, factor=1, **more):
        super().__init__(filters * factor, kernel_size, **more)
        self.factor = factor


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (layers.Rescaling(0.5), []),
        (layers.LeakyReLU(0.2), []),
        (layers.Dropout(0.5), []),
        (layers.Dropout(0.5, noise_shape=(None, 1, 8)), []),
        (layers.BatchNormalization(momentum=0.5, epsilon=0.1), []),
        (layers.BatchNormalization(renorm=True), ["renorm", "renorm_clipping"]),
        (Widened(4, 3), []),
        (Widened(4, 3, factor=2), ["factor"]),
        (layers.Conv2D(4, 3, kernel_regularizer="l2", dilation_rate=2, padding="same", name="any"), []),
    ],
)
def test_unread(layer, names):
    assert rule.find(layer).unread(layer) == names


@pytest.mark.parametrize("layer", [Widened(4, 3, factor=2, name="own"), layers.BatchNormalization(renorm=True)])
def test_a_layer_with_an_unread_argument_is_refused_or_frozen(layer):
    inputs = keras.Input((5, 5, 3))
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layer(layers.Conv2D(8, 1, name="first")(inputs)))))
    with pytest.raises(kp.PruneError, match=f"{layer.name!r} with {rule.find(layer).unread(layer)[0]}"):
        kp.trace(model)
    graph = kp.trace(model, unknown="freeze")
    assert not graph.groups["first"].prunable and layer.name in graph.groups["first"].reason
    assert [each.name for each in graph.unknown] == [layer.name]


def test_signatures_are_those_of_the_class_and_its_bases():
    assert inspect.signature(Widened.__init__).parameters["factor"].default == dict(_named(Widened))["factor"] == 1
    assert "filters" in _named(Widened) and "kernel_size" not in _named(Widened)
