"""Products of tensors against closed forms; the total of multiply–adds is what it was without them."""

from __future__ import annotations

import keras
import pytest
from keras import layers, ops

import kerasprune as kp


def counted(shapes, call, plan=None):
    inputs = [keras.Input(shape) for shape in shapes]
    return kp.cost(kp.functional(keras.Model(inputs, call(*inputs))), plan)


class Own(layers.Layer):
    """A product with a weight of its own."""

    def __init__(self, product, shape):
        super().__init__()
        self.product, self.shape = product, shape

    def build(self, _):
        self.kernel = self.add_weight(shape=self.shape, name="kernel")

    def call(self, x):
        return self.product(x, self.kernel)


@pytest.mark.parametrize(
    ("shapes", "call", "products"),
    [
        # heads · queries · keys · (size of a key + size of a value)
        ([(5, 4), (7, 6)], lambda x, y: layers.MultiHeadAttention(2, 3, value_dim=4)(x, y), 2 * 5 * 7 * (3 + 4)),
        ([(2, 5, 4)], lambda x: layers.MultiHeadAttention(2, 3, attention_axes=(1, 2))(x, x), 2 * 10 * 10 * (3 + 3)),
        ([(5, 4), (7, 4)], lambda x, y: layers.GroupQueryAttention(3, 6, 2)(x, y), 6 * 5 * 7 * (3 + 3)),
        (
            [(5, 4, 3), (7, 2, 3)],
            lambda x, y: ops.dot_product_attention(x, y, y),
            4 * 5 * 7 * (3 + 3),
        ),
        ([(4, 5, 3), (4, 7, 3)], lambda x, y: ops.matmul(x, ops.transpose(y, (0, 1, 3, 2))), 4 * 5 * 7 * 3),
        ([(5, 3), (7, 3)], lambda x, y: ops.einsum("btc,bsc->bts", x, y), 5 * 7 * 3),
        # linear attention: (keyᵀ · value) first, then query · that, never a score for each pair of positions
        ([(9, 3), (9, 4)], lambda x, y: ops.matmul(x, ops.matmul(ops.transpose(x, (0, 2, 1)), y)), 2 * 3 * 9 * 4),
        ([(5, 4), (7, 4)], lambda x, y: layers.Attention()([x, y]), 5 * 7 * (4 + 4)),
        ([(5, 4), (7, 4)], lambda x, y: layers.AdditiveAttention()([x, y]), 5 * 7 * 4),
        ([(6, 4), (6, 5)], lambda x, y: layers.Dot(axes=1)([x, y]), 6 * 4 * 5),
        ([(5, 4)], Own(lambda x, w: ops.matmul(x, 2 * w), (4, 6)), 5 * 4 * 6),  # more than a kernel
        ([(5, 4)], Own(lambda x, w: ops.einsum("btc,nc->btn", x, 2 * w), (6, 4)), 5 * 4 * 6),
        ([(5, 4)], lambda x: layers.TimeDistributed(layers.Dense(3))(x), 0),
    ],
)
def test_closed_forms(shapes, call, products):
    found = counted(shapes, call)
    assert found.products == products == sum(layer.products for layer in found.layers)
    dense = sum(layer.macs for layer in found.layers)
    assert found.macs == dense


def attending() -> keras.Model:
    inputs = keras.Input((5, 4))
    x = layers.MultiHeadAttention(4, 3, name="attention")(inputs, inputs)
    query, key = layers.Dense(8, name="query")(x), layers.Dense(8, name="key")(x)
    scores = ops.softmax(ops.matmul(query, ops.transpose(key, (0, 2, 1))))
    return keras.Model(inputs, layers.Dense(2)(ops.matmul(scores, layers.Dense(6, name="value")(x))))


def test_a_plan_is_counted_as_what_it_builds():
    model = attending()
    plan = kp.Plan({"attention/heads": [0, 2], "value": [0, 1, 5]})
    predicted, built = kp.cost(model, plan), kp.cost(kp.rebuild(model, plan))
    assert predicted.products == built.products == 2 * 25 * (3 + 3) + 25 * 8 + 25 * 3
    assert kp.cost(model).products == 4 * 25 * 6 + 25 * 8 + 25 * 6


def test_the_report_has_a_line_where_there_are_products():
    model = attending()
    (line,) = [line for line in kp.report(model, kp.Plan({"value": [0]})).splitlines() if line.startswith("products")]
    assert line.split() == ["products", "950", "825", "86.8%"]
    inputs = keras.Input((4,))
    plain = keras.Model(inputs, layers.Dense(2)(layers.Dense(3, name="a")(inputs)))
    assert "products" not in kp.report(plain, kp.Plan({"a": [0]}))


def test_a_free_length_is_left_out_rather_than_guessed():
    model = keras.Model(x := keras.Input((None, 4)), ops.matmul(x, ops.transpose(x, (0, 2, 1))))
    assert kp.cost(model).products == 0


def test_a_notebook_says_in_words_what_is_counted_and_what_is_not():
    page = kp.cost(attending())._repr_html_()
    assert "<p>not included: 950 multiply–adds of products of activations</p>" in page and "Cost(" not in page
