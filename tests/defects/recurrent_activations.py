"""Recurrent layers whose activations mix units: softmax and the like, in every gate, direction and wrapper."""

import keras
from _cases import case, exact, main
from keras import layers, ops


@keras.saving.register_keras_serializable("defects")
def minus_mean(x):
    """Subtracts the mean over the units."""
    return ops.tanh(x - ops.mean(x, axis=-1, keepdims=True))


def sequence(layer, shape=(5, 4), more=()):
    inputs = keras.Input(shape)
    x = layers.Dense(6, name="first")(inputs)
    x = layer(x)
    x = x[0] if isinstance(x, list | tuple) else x
    x = layers.Dense(5, name="second")(x)
    x = layers.Flatten()(x) if len(x.shape) > 2 else x
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


def add(name, make):
    make.__name__ = name
    case(make)


KINDS = {"lstm": layers.LSTM, "gru": layers.GRU, "simple_rnn": layers.SimpleRNN}
FUNCTIONS = {"softmax": "softmax", "ops_softmax": ops.softmax, "minus_mean": minus_mean}
for _kind, _layer in KINDS.items():
    for _name, _function in FUNCTIONS.items():
        add(
            f"{_kind}_activation_{_name}",
            lambda layer=_layer, f=_function: sequence(layer(7, activation=f, return_sequences=True)),
        )
        if _kind != "simple_rnn":
            add(
                f"{_kind}_recurrent_activation_{_name}",
                lambda layer=_layer, f=_function: sequence(layer(7, recurrent_activation=f)),
            )
    add(
        f"bidirectional_{_kind}_softmax",
        lambda layer=_layer: sequence(layers.Bidirectional(layer(7, activation="softmax", return_sequences=True))),
    )
    add(f"{_kind}_relu", lambda layer=_layer: sequence(layer(7, activation="relu")))

add(
    "bidirectional_of_two_activations",
    lambda: sequence(
        layers.Bidirectional(
            layers.LSTM(6, return_sequences=True),
            backward_layer=layers.LSTM(6, activation="softmax", return_sequences=True, go_backwards=True),
            merge_mode="sum",
        )
    ),
)
add(
    "bidirectional_lstm_and_gru",
    lambda: sequence(
        layers.Bidirectional(
            layers.LSTM(6, return_sequences=True),
            backward_layer=layers.GRU(6, return_sequences=True, go_backwards=True),
        )
    ),
)
add("gru_without_reset_after_softmax", lambda: sequence(layers.GRU(7, reset_after=False, activation="softmax")))
for _name, _cell in {
    "lstm_cell": lambda: layers.LSTMCell(7),
    "softmax_cell": lambda: layers.SimpleRNNCell(7, activation="softmax"),
    "stacked_cells": lambda: layers.StackedRNNCells([layers.LSTMCell(7), layers.GRUCell(5)]),
}.items():
    add(f"rnn_of_{_name}", lambda cell=_cell: sequence(layers.RNN(cell(), return_sequences=True)))
for _name, _more in {
    "plain": {},
    "softmax": {"activation": "softmax"},
    "recurrent_softmax": {"recurrent_activation": "softmax"},
}.items():
    add(f"conv_lstm_1d_{_name}", lambda more=_more: _conv_lstm(layers.ConvLSTM1D, (4, 6, 3), more))
    add(f"conv_lstm_2d_{_name}", lambda more=_more: _conv_lstm(layers.ConvLSTM2D, (3, 6, 6, 3), more))


def _conv_lstm(kind, shape, more):
    inputs = keras.Input(shape)
    x = layers.Dense(4)(inputs)
    x = kind(5, 2, return_sequences=True, **more)(x)
    x = layers.Dense(6)(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


@case
def lstm_states_used_downstream():
    inputs = keras.Input((5, 4))
    x, h, c = layers.LSTM(7, return_sequences=True, return_state=True)(layers.Dense(6)(inputs))
    y = layers.LSTM(7)(x, initial_state=[h, c])
    z = layers.Concatenate()([y, layers.Dense(4)(h), c])
    return keras.Model(inputs, layers.Dense(3)(z))


@case
def stateful_lstm():
    inputs = keras.Input(batch_shape=(5, 5, 4))
    x = layers.LSTM(7, stateful=True)(layers.Dense(6)(inputs))
    return keras.Model(inputs, layers.Dense(3)(x))


@case
def lstm_with_mask():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 5, mask_zero=True)(inputs)
    x = layers.LSTM(7, return_sequences=True)(x)
    x = layers.GRU(6)(x)
    return keras.Model(inputs, layers.Dense(3)(x))


@case
def masking_layer_before_lstm():
    inputs = keras.Input((6, 4))
    x = layers.Masking(0.0)(layers.ReLU()(layers.Dense(5)(inputs)))
    return keras.Model(inputs, layers.Dense(3)(layers.LSTM(7)(x)))


@case
def bidirectional_with_states():
    inputs = keras.Input((5, 4))
    x, *states = layers.Bidirectional(layers.LSTM(6, return_sequences=True, return_state=True))(inputs)
    x = layers.Bidirectional(layers.LSTM(6))(x, initial_state=states)
    return keras.Model(inputs, layers.Dense(3)(x))


@case
def bidirectional_frozen_inside():
    inputs = keras.Input((5, 4))
    x = layers.Bidirectional(layers.LSTM(6, name="inner_lstm"), name="both")(layers.Dense(5, name="before")(inputs))
    return exact(keras.Model(inputs, layers.Dense(3)(x)), freeze=("both",))


@case
def lstm_dropout_and_unit_forget_bias():
    return sequence(layers.LSTM(7, dropout=0.3, recurrent_dropout=0.2, use_bias=False, unroll=True))


@case
def time_major_go_backwards():
    return sequence(layers.GRU(7, go_backwards=True, return_sequences=True))


if __name__ == "__main__":
    main()
