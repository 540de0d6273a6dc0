"""Layers that were changed after they were built: PReLU as an activation, LoRA, quantization, other dtypes."""

import keras
from _cases import case, main
from keras import layers


def image(middle):
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 1, name="first")(inputs)
    x = middle(x)
    x = layers.Flatten()(x) if len(x.shape) > 2 else x
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


def vector(middle):
    inputs = keras.Input((5,))
    x = middle(layers.Dense(8, name="first")(inputs))
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


def add(name, make):
    make.__name__ = name
    case(make)


for _name, _make in {
    "prelu": layers.PReLU,
    "prelu_shared": lambda: layers.PReLU(shared_axes=[1, 2]),
    "leaky": layers.LeakyReLU,
    "relu": lambda: layers.ReLU(6.0),
    "elu": layers.ELU,
    "softmax": layers.Softmax,
    "batch_norm": layers.BatchNormalization,
    "layer_norm": layers.LayerNormalization,
    "dense": lambda: layers.Dense(8),
    "dropout": lambda: layers.Dropout(0.5),
}.items():
    add(f"activation_layer_of_{_name}", lambda m=_make: image(lambda x: layers.Activation(m())(x)))
    if _name != "dense":
        add(f"conv_activation_{_name}", lambda m=_make: image(lambda x: layers.Conv2D(6, 3, activation=m())(x)))
    if _name not in ("prelu_shared",):
        add(f"dense_activation_{_name}", lambda m=_make: vector(lambda x: layers.Dense(8, activation=m())(x)))


def changed(make_layer, change, sequence=False):
    layer = make_layer()
    model = (image if isinstance(layer, layers.Conv2D) else vector)(layer) if not sequence else _sequence(layer)
    change(layer)
    return model


def _sequence(layer):
    inputs = keras.Input((4, 5))
    x = layer(layers.Dense(8)(inputs))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


EINSUM = lambda: layers.EinsumDense("abc,cd->abd", (4, 6), bias_axes="d")  # noqa: E731
add("lora_dense", lambda: changed(lambda: layers.Dense(6), lambda la: la.enable_lora(2)))
add("lora_dense_alpha", lambda: changed(lambda: layers.Dense(6), lambda la: la.enable_lora(2, lora_alpha=4)))
add("lora_conv", lambda: changed(lambda: layers.Conv2D(6, 3), lambda la: la.enable_lora(2)))
add("lora_einsum", lambda: changed(EINSUM, lambda la: la.enable_lora(2), True))
add("lora_rank_in_config", lambda: vector(lambda x: layers.Dense(6, lora_rank=2)(x)))
add("lora_conv_rank_in_config", lambda: image(lambda x: layers.Conv2D(6, 3, lora_rank=2)(x)))
for _mode in ("int8", "int4", "float8"):
    add(f"quantized_dense_{_mode}", lambda m=_mode: changed(lambda: layers.Dense(6), lambda la: la.quantize(m)))
    add(f"quantized_einsum_{_mode}", lambda m=_mode: changed(EINSUM, lambda la: la.quantize(m), True))


@case
def quantized_model():
    model = vector(lambda x: layers.Dense(6)(x))
    model.quantize("int8")
    return model


@case
def quantized_lora():
    return changed(lambda: layers.Dense(6), lambda la: (la.quantize("int8"), la.enable_lora(2)))


@case
def quantized_inside_time_distributed():
    inner = layers.Dense(6)
    model = _sequence(layers.TimeDistributed(inner))
    inner.quantize("int8")
    return model


@case
def lora_inside_time_distributed():
    inner = layers.Dense(6)
    model = _sequence(layers.TimeDistributed(inner))
    inner.enable_lora(2)
    return model


@case
def lora_inside_attention():
    attention = layers.MultiHeadAttention(3, 8)
    inputs = keras.Input((4, 5))
    x = layers.Dense(8)(inputs)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(attention(x, x))))
    attention._query_dense.enable_lora(2)
    attention._value_dense.enable_lora(2)
    return model


@case
def quantized_inside_attention():
    attention = layers.MultiHeadAttention(3, 8)
    inputs = keras.Input((4, 5))
    x = layers.Dense(8)(inputs)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(attention(x, x))))
    attention._value_dense.quantize("int8")
    return model


@case
def lora_inside_bidirectional_neighbour():
    inputs = keras.Input((4, 5))
    x = layers.Bidirectional(layers.LSTM(6))(layers.Dense(6)(inputs))
    last = layers.Dense(3)
    model = keras.Model(inputs, last(x))
    last.enable_lora(2)
    return model


@case
def lora_embedding():
    inputs = keras.Input((4,), dtype="int32")
    layer = layers.Embedding(10, 8)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.Dense(5)(layer(inputs)))))
    layer.enable_lora(2)
    return model


@case
def quantized_embedding():
    inputs = keras.Input((4,), dtype="int32")
    layer = layers.Embedding(10, 8)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.Dense(5)(layer(inputs)))))
    layer.quantize("int8")
    return model


@case
def reversible_embedding():
    inputs = keras.Input((4,), dtype="int32")
    layer = layers.ReversibleEmbedding(10, 8) if hasattr(layers, "ReversibleEmbedding") else layers.Embedding(10, 8)
    x = layers.Dense(8)(layer(inputs))
    x = layer(x, reverse=True) if hasattr(layers, "ReversibleEmbedding") else x
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


@case
def several_dtypes():
    inputs = keras.Input((5,))
    x = layers.Dense(8, dtype="float64")(inputs)
    x = layers.Dense(6, dtype="float32")(x)
    return keras.Model(inputs, layers.Dense(3)(x))


if __name__ == "__main__":
    main()
