"""Remedies of exports that are followed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

import kerasprune as kp
from kerasprune.data.signature import signature_of
from kerasprune.export.arena.counted_arena import CountedArena
from kerasprune.export.carried import carriable, check_traced
from support.remedies.networks import Own, Written, X, built, conv, dense, fit, optimizer_of, with_lambda, with_own
from support.remedies.places import Case
from support.remedies.recipes import command, files

WORDS = np.array([["red"], ["green"], ["blue"], ["red"]])


@keras.saving.register_keras_serializable("remedies")
class Noisy(layers.Layer):
    """A layer that draws numbers in inference, too."""

    def call(self, x: Any) -> Any:
        return x + keras.random.normal(keras.ops.shape(x))


class Eager(layers.Layer):
    """A layer that calls NumPy, which cannot be traced."""

    def call(self, x: Any) -> Any:
        return keras.ops.convert_to_tensor(np.tanh(x.numpy()))

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor(x.shape, x.dtype)


class Stepped(keras.Model):
    """A model with a training step of its own."""

    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


def through(layer: Any, shape: tuple[int, ...] = (6,), dtype: str | None = None) -> keras.Model:
    """Returns a model of a layer, or of a function of tensors, before a dense one."""
    keras.utils.set_random_seed(0)
    x = layer(inputs := keras.Input(shape, dtype=dtype))
    return keras.Model(inputs, layers.Dense(3, name="last")(x))


def uncounted(*units: int, other: bool = False) -> CountedArena:
    """Returns the arena of a network by files of others, whose widths are not those of its plans."""
    widths = iter(units)

    def file_of(plan: kp.Plan) -> bytes:
        inputs, width = keras.Input((6,)), next(widths)
        x = layers.Dense(width, "tanh" if other and width != units[0] else "relu")(inputs)
        kp.export.tflite(keras.Model(inputs, layers.Dense(3)(x)), "a.tflite", overwrite=True)
        return Path("a.tflite").read_bytes()

    return CountedArena(kp.trace(dense()), file_of)


def of_file(name: str) -> None:
    """Prints the RAM of a file."""
    command("inspect", name, "--ram")


def small_file() -> None:
    """Writes a file of integers, and prints the RAM that it needs."""
    files()
    command("export", "mine.keras", "--format", "tflite-int8", "--calibrate", "inputs.npy", "--out", "a.tflite")
    command("inspect", "a.tflite", "--ram")


def by_size() -> kp.Plan:
    """Returns a plan for a size."""
    return kp.plan(through(layers.Dense(200, "relu")), target=kp.targets.Size(5000), round_to=1)


def by_memory(fraction: float) -> kp.Plan:
    """Returns a plan for a share of the RAM."""
    how = {"precision": "float32", "fraction": fraction}
    return kp.plan(through(layers.Dense(200, "relu")), target=kp.targets.Memory(**how), round_to=1)


def carried(model: keras.Model) -> keras.Model:
    """Returns a model as a process on TensorFlow reads it."""
    return carriable(model, signature_of(model))


def traced(model: keras.Model) -> None:
    """Lets a process on TensorFlow trace a model, as exports from another backend do first."""
    check_traced(model, signature_of(model))


def masked_by(number: float) -> None:
    """Exports scores to which a mask that is fed is added before a softmax."""
    mask = np.where(np.random.default_rng(0).random(X.shape) < 0.5, 0, number).astype("float32")
    scores, fed = keras.Input(X.shape[1:]), keras.Input(X.shape[1:])
    model = keras.Model([scores, fed], keras.ops.softmax(layers.Add()([scores, fed])))
    tflite(model, "int8", data=(3 * X, mask), force=True)


def positive() -> layers.Layer:
    """Returns a layer that is zero for all numbers below zero."""
    return layers.Dense(8, "relu", kernel_initializer="ones")


def quantized_by_keras() -> keras.Model:
    """Returns the classifier with kernels that Keras has quantized."""
    (model := dense()).quantize("int8", filters="hidden")
    return model


def looked_up(kind: type[layers.Layer], vocabulary: list[Any], dtype: str) -> keras.Model:
    """Returns a model that looks its inputs up."""
    return through(kind(vocabulary=vocabulary, output_mode="multi_hot", name="table"), (1,), dtype)


def numbers() -> keras.Model:
    """Returns a model that looks numbers up."""
    return looked_up(layers.IntegerLookup, [1, 2, 3], "int64")


def texts() -> keras.Model:
    """Returns a model that looks words up."""
    return looked_up(layers.StringLookup, ["red", "green", "blue"], "string")


def after_table(model: keras.Model) -> keras.Model:
    """Returns the part of a model after the layer that looks up."""
    return keras.Model(model.get_layer("table").output, model.output)


def in_half(make: Any) -> keras.Model:
    """Returns a model in mixed precision."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return make()
    finally:
        keras.config.set_dtype_policy("float32")


def subclassed() -> keras.Model:
    """Returns a subclassed model after its first batch."""
    return built(Written())


def two_scales() -> keras.Model:
    """Returns a model of two outputs that share a tensor, one ten thousand times as large as the other."""
    joined = layers.Dense(2, use_bias=False)
    model = keras.Model(inputs := keras.Input((2,)), [joined(inputs)[:, :1], joined(inputs)[:, 1:]])
    joined.set_weights([np.diag([1e4, 1.0])])
    return model


def two_heads() -> keras.Model:
    """Returns a model of two outputs, one ten thousand times as large as the other."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,))
    return keras.Model(inputs, [layers.Dense(1)(inputs) * 1e4, layers.Dense(1)(inputs)])


def two_columns() -> keras.Model:
    """Returns a model in which these are columns of one output."""
    model = two_heads()
    return keras.Model(model.input, layers.Concatenate()(model.output))


def nearly_tied() -> keras.Model:
    """Returns a classifier whose logits differ little beside what they have in common."""
    model = through(layers.Identity())
    kernel, bias = model.get_layer("last").get_weights()
    kernel[0] = 1000
    model.get_layer("last").set_weights([kernel, bias])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def scans(x: Any) -> Any:
    """Returns sums over time, made in a loop."""
    rows = keras.ops.transpose(x, (1, 0, 2))
    return keras.ops.scan(lambda carry, row: (carry + row, carry + row), rows[0], rows)[1][-1]


class Loop(layers.Layer):
    """A layer with a loop."""

    def call(self, x: Any) -> Any:
        return scans(x)


def sevens(x: Any) -> Any:
    """Returns rows that were put together by sevens."""
    return keras.ops.reshape(keras.ops.reshape(x, (7, -1)), (-1, 6))


def clipped(activation: str) -> keras.Model:
    """Returns a model of three layers with an activation between them."""
    x = layers.Dense(8, activation)(layers.Dense(8, activation)(inputs := keras.Input((6,))))
    return keras.Model(inputs, layers.Dense(3)(x))


def of_this_machine(model: keras.Model | None = None, **given: Any) -> kp.latency.LatencyTable:
    """Returns the table of a model, measured here."""
    return kp.latency.profile(model or dense(), verbose=0, **given)


def tflite(model: keras.Model, quantize: str | None = None, **given: Any) -> Any:
    """Writes `a.tflite`."""
    return kp.export.tflite(model, "a.tflite", quantize=quantize, overwrite=True, **given)


def fixed(batch: int | None) -> keras.Model:
    """Returns a model of batches of one size."""
    inputs = keras.Input((6,), batch_size=batch)
    return keras.Model(inputs, layers.Dense(3)(inputs))


def table(**given: Any) -> kp.latency.LatencyTable:
    """Returns a table of one operator."""
    about = {"precision": "float32", "threads": 1, "machine": "mine", "runtime": "none"}
    return kp.latency.LatencyTable({"a": {(4, 4): 1.0}}, {"a": "Dense"}, **about | given)


CASES = [
    Case(
        "cli/inspect.py",
        "Write one with",
        lambda: (files(), command("inspect", "mine.keras", "--ram")),
        small_file,
        True,
    ),
    Case(
        "cli/inspect.py",
        "Give --ram",
        lambda: (small_file(), command("inspect", "a.tflite")),
        lambda: command("inspect", "a.tflite", "--ram"),
        True,
    ),
    Case(
        "cli/options.py",
        "Give 0.5 for a half",
        lambda: (files(), command("prune", "mine.keras", "--ram", "50%", "--out", "o")),
        lambda: command("prune", "mine.keras", "--ram", "0.995", "--precision", "float32", "--out", "o"),
        True,
    ),
    Case(
        "export/tflite_graph.py",
        "Export it again",
        lambda: (small_file(), Path("b.tflite").write_bytes(Path("a.tflite").read_bytes()[:700]), of_file("b.tflite")),
        lambda: of_file("a.tflite"),
        True,
    ),
    Case(
        "export/arena/counted_arena.py",
        "Expected a model whose files",
        lambda: uncounted(16, 11, 13, 7, other=True),
        by_size,
        True,
    ),
    Case(
        "export/arena/counted_arena.py", "Expected a file whose sides", lambda: uncounted(16, 11, 13, 7), by_size, True
    ),
    Case("planning/targets/local_shrinking.py", "Ask for more", lambda: by_memory(0.01), lambda: by_memory(0.9), True),
    Case(
        "export/tflite_export.py",
        "ends in .tflite",
        lambda: kp.export.tflite(dense(), "."),
        lambda: kp.export.tflite(dense(), "model.tflite"),
        True,
    ),
    Case(
        "export/tflite_export.py",
        "Pass data=, a few hundred",
        lambda: kp.export.tflite(dense(), "a.tflite", quantize="int8"),
        lambda: kp.export.tflite(dense(), "a.tflite", quantize="dynamic"),
        True,
    ),
    Case(
        "export/tflite_export.py",
        "Export the model as it was before",
        lambda: tflite(quantized_by_keras(), "int8", data=X),
        lambda: tflite(dense(), "int8", data=X),
        True,
    ),
    Case(
        "export/tflite_export.py",
        "Replace these layers",
        lambda: tflite(through(layers.ELU()), "int8", data=X, io="int8"),
        lambda: tflite(through(layers.ReLU()), "int8", data=X, io="int8"),
        True,
    ),
    Case(
        "export/tflite_export.py",
        "Pass data= that reaches it",
        lambda: tflite(through(layers.ReLU()), "int8", data=-abs(X), force=True),
        lambda: tflite(through(layers.ReLU()), "int8", data=X),
        True,
    ),
    Case(
        "export/tflite_interpreter.py",
        "Give data= that reaches it",
        lambda: tflite(through(positive()), "int8", data=-abs(X)),
        lambda: (tflite(through(positive()), "int8", data=X), tflite(through(positive()), "dynamic")),
        True,
    ),
    Case(
        "export/tflite_export.py",
        "Leave out what does not apply",
        lambda: kp.export.tflite(dense(), "a.tflite", float_layers=["last"]),
        lambda: kp.export.tflite(dense(), "a.tflite"),
        True,
    ),
    Case(
        "export/tflite_export.py",
        "Expected a list of names",
        lambda: kp.export.tflite(dense(), "a.tflite", quantize="mixed", data=X, float_layers="last"),
        lambda: kp.export.tflite(dense(), "a.tflite", quantize="mixed", data=X, float_layers=["last"]),
        True,
    ),
    Case(
        "export/destination.py",
        "Name a file in it",
        lambda: (os.mkdir("a.tflite"), kp.export.tflite(dense(), "a.tflite")),
        lambda: kp.export.tflite(dense(), "a.tflite/a.tflite"),
        True,
    ),
    Case(
        "export/destination.py",
        "Make the folder first",
        lambda: kp.export.tflite(dense(), "none/a.tflite"),
        lambda: kp.export.tflite(dense(), "a.tflite"),
        True,
    ),
    Case(
        "export/saved_model_export.py",
        "A SavedModel is a folder",
        lambda: kp.export.saved_model(dense(), "a.keras"),
        lambda: kp.export.saved_model(dense(), "a"),
        True,
    ),
    Case(
        "export/carried.py",
        "Keep to keras.ops in its call",
        lambda: carried(through(type("Local", (Eager,), {})())),
        lambda: carried(through(Own())),
    ),
    Case(
        "export/carried.py",
        "let get_config return all arguments",
        lambda: traced(through(Eager())),
        lambda: traced(through(Own())),
    ),
    Case(
        "export/quantization/aware.py",
        "Give aware.plain.",
        lambda: kp.quantization_aware(kp.quantization_aware(dense())),
        lambda: kp.quantization_aware(kp.quantization_aware(dense()).plain),
    ),
    Case(
        "export/quantization/fake_quantize.py",
        "Give aware.plain",
        lambda: keras.models.clone_model(kp.quantization_aware(dense())),
        lambda: keras.models.clone_model(kp.quantization_aware(dense()).plain),
    ),
    Case(
        "export/destination.py",
        "Choose another path, or pass",
        lambda: (Path("a.tflite").write_text(""), kp.export.tflite(dense(), "a.tflite")),
        lambda: kp.export.tflite(dense(), "a.tflite", overwrite=True),
        True,
    ),
    Case(
        "export/codec/packing.py",
        "Load it first",
        lambda: kp.codec.pack("net.keras", "a.kpz"),
        lambda: kp.codec.pack(dense(), "a.kpz"),
    ),
    Case(
        "export/quantization/aware.py",
        "Call aware.fit(",
        lambda: kp.export.tflite(kp.quantization_aware(dense()), "a.tflite", quantize="int8"),
        lambda: kp.export.tflite(
            fit(keras.callbacks.Callback(), optimizer_of(kp.quantization_aware(dense()))), "a.tflite", quantize="int8"
        ),
        True,
    ),
    Case(
        "export/quantization/aware.py",
        "Call aware.plain.quantize",
        lambda: kp.quantization_aware(dense()).quantize("int8"),
        lambda: kp.quantization_aware(dense()).plain.quantize("int8"),
    ),
    Case(
        "export/quantization/aware.py",
        "Call aware.save(path)",
        lambda: kp.quantization_aware(dense()).get_config(),
        lambda: kp.quantization_aware(dense()).plain.save("a.keras"),
    ),
    Case(
        "export/calibration.py",
        "Pass data= of at least",
        lambda: tflite(dense(), "int8", data=X[:8]),
        lambda: tflite(dense(), "int8", data=X),
        True,
    ),
    Case(
        "export/calibration.py",
        "Pass data= like the inputs",
        lambda: tflite(dense(), "int8", data=np.ones_like(X)),
        lambda: tflite(dense(), "int8", data=X),
        True,
    ),
    Case(
        "export/codec/packing.py",
        "Use model.save",
        lambda: kp.codec.pack(numbers(), "a.kpz"),
        lambda: numbers().save("a.keras"),
    ),
    Case(
        "export/codec/packing.py",
        "Write a layer class instead",
        lambda: kp.codec.pack(with_lambda(), "a.kpz"),
        lambda: kp.codec.pack(with_own(), "a.kpz"),
    ),
    Case(
        "export/codec/sharing.py",
        "Train again, or load others",
        lambda: kp.codec.share(np.array([0.5, np.nan], "float32"), 1),
        lambda: kp.codec.share(dense().get_layer("hidden").get_weights()[0], 1),
    ),
    Case(
        "export/codec/sharing.py",
        "Take start='linear'",
        lambda: kp.codec.share(np.linspace(1, 2, 3000, dtype="float32"), 4, start="exact"),
        lambda: kp.codec.share(np.linspace(1, 2, 3000, dtype="float32"), 4, start="linear"),
    ),
    Case(
        "export/conversion.py",
        "Replace the layers that use them",
        lambda: tflite(through(keras.ops.erfinv)),
        lambda: (
            tflite(through(keras.ops.tanh)),
            kp.export.saved_model(through(keras.ops.erfinv), "a", data=np.tanh(X)),
        ),
        True,
    ),
    Case(
        "export/conversion.py",
        "Export the part after that layer",
        lambda: tflite(numbers()),
        lambda: (tflite(after_table(numbers())), kp.export.saved_model(numbers(), "a")),
        True,
    ),
    Case(
        "export/conversion.py",
        "Keep to keras.ops",
        lambda: tflite(through(Eager())),
        lambda: tflite(through(keras.ops.tanh)),
        True,
    ),
    Case(
        "export/conversion.py",
        "Try quantize='dynamic' or 'float16', or",
        lambda: tflite(through(layers.ELU()), "int16x8", data=X),
        lambda: (
            tflite(through(layers.ELU()), "dynamic"),
            tflite(through(layers.ELU()), "float16"),
            kp.export.saved_model(through(layers.ELU()), "a"),
        ),
        True,
    ),
    Case(
        "export/conversion.py",
        "crashed in its own process",
        lambda: tflite(through(Loop(), (4, 6)), "int8", data=X[:, None].repeat(4, 1)),
        lambda: (tflite(through(Loop(), (4, 6)), "dynamic"), tflite(through(Loop(), (4, 6)), "float16")),
        True,
    ),
    Case(
        "export/destination.py",
        "Choose a path that does not exist",
        lambda: (
            os.mkdir("mine"),
            Path("mine/notes.txt").write_text(""),
            kp.export.saved_model(dense(), "mine", overwrite=True),
        ),
        lambda: kp.export.saved_model(dense(), "other", overwrite=True),
        True,
    ),
    Case(
        "export/conversion.py",
        "Build it under the float32 policy",
        lambda: tflite(in_half(subclassed), data=X),
        lambda: (model := subclassed(), model.set_weights(in_half(subclassed).get_weights()), tflite(model, data=X)),
        True,
    ),
    Case(
        "export/latency/table.py",
        "Take another file",
        lambda: (of_this_machine(store="a.csv"), of_this_machine(store="a.csv", threads=2)),
        lambda: of_this_machine(store="b.csv", threads=2),
        True,
    ),
    Case(
        "export/latency/table.py",
        "Measure them on that device",
        lambda: table().predict(dense()),
        lambda: kp.latency.profile(dense(), precision="float32", threads=1, verbose=0).predict(dense()),
        True,
    ),
    Case(
        "export/latency/table.py",
        "Pass overwrite=True",
        lambda: (table().save("a.csv"), table().save("a.csv")),
        lambda: table().save("a.csv", overwrite=True),
    ),
    Case(
        "export/latency/table.py",
        "Measure the wider model",
        lambda: of_this_machine().predict(dense(units=16)),
        lambda: of_this_machine(dense(units=16)).predict(dense(units=16)),
        True,
    ),
    Case(
        "export/latency/table.py",
        "Measure it again",
        lambda: (Path("a.csv").write_text("reads,makes\n"), kp.latency.LatencyTable.load("a.csv")),
        lambda: (of_this_machine().save("b.csv"), kp.latency.LatencyTable.load("b.csv")),
        True,
    ),
    Case(
        "export/latency/device_timer.py",
        "Leave it out, or make the model",
        lambda: kp.latency.latency(fixed(4), device="keras", batch=8, runs=1),
        lambda: (
            kp.latency.latency(fixed(4), device="keras", runs=1),
            kp.latency.latency(fixed(None), device="keras", batch=8, runs=1),
        ),
    ),
    Case(
        "export/latency/timing.py",
        "Write [model], or",
        lambda: kp.latency.compare_latency(dense(), device="keras", runs=1),
        lambda: (
            kp.latency.compare_latency([dense()], device="keras", runs=1),
            kp.latency.latency(dense(), device="keras", runs=1),
        ),
    ),
    Case(
        "export/latency/machine.py",
        "Load a .keras file",
        lambda: (dense().save("a.keras"), kp.latency.latency("a.keras", device="keras", runs=1)),
        lambda: kp.latency.latency(keras.models.load_model("a.keras"), device="keras", runs=1),
    ),
    Case(
        "export/latency/machine.py",
        "Leave it out: the backend",
        lambda: kp.latency.latency(dense(), device="keras", threads=2, runs=1),
        lambda: kp.latency.latency(dense(), device="keras", runs=1),
    ),
    Case(
        "export/latency/machine.py",
        "Leave it out, or ",
        lambda: kp.latency.latency(dense(), batch=8, runs=1),
        lambda: (kp.latency.latency(dense(), runs=1), kp.latency.latency(dense(), device="keras", batch=8, runs=1)),
        True,
    ),
    Case(
        "export/latency/timing.py",
        "Leave it out",
        lambda: (tflite(conv(None), size=8), kp.latency.compare_latency(["a.tflite"], size=8, runs=1)),
        lambda: (
            kp.latency.compare_latency(["a.tflite"], runs=1),
            kp.latency.compare_latency([conv(None)], size=8, runs=1),
        ),
        True,
    ),
    Case(
        "export/mixed_precision.py",
        "Raise it, or prune more",
        lambda: tflite(dense(), "mixed", data=X, max_bytes=100),
        lambda: tflite(dense(), "mixed", data=X, max_bytes=10_000),
        True,
    ),
    Case(
        "export/parity.py",
        "Take another format",
        lambda: tflite(two_scales(), "int8", data=X[:, :2], force=True),
        lambda: tflite(two_scales(), "float16", data=X[:, :2]),
        True,
    ),
    Case(
        "export/parity.py",
        "Give it an output of its own",
        lambda: tflite(two_columns(), "int8", data=X[:, :2]),
        lambda: tflite(two_heads(), "int8", data=X[:, :2]),
        True,
    ),
    Case(
        "export/parity.py",
        "Export the mean",
        lambda: tflite(through(lambda x: Noisy()(layers.Dense(8, name="mean")(x)))),
        lambda: (
            model := through(lambda x: Noisy()(layers.Dense(8, name="mean")(x))),
            tflite(keras.Model(model.input, model.get_layer("mean").output)),
        ),
        True,
    ),
    Case(
        "export/parity.py",
        "Give data= like the inputs",
        lambda: tflite(two_scales(), "int8", data=X[:, :2]),
        lambda: (
            tflite(two_scales(), "float16", data=X[:, :2]),
            tflite(two_scales(), "int8", data=X[:, :2], force=True),
        ),
        True,
    ),
    Case(
        "export/parity.py",
        "Check that the outputs are finite",
        lambda: tflite(through(keras.ops.log), data=X),
        lambda: tflite(through(lambda x: keras.ops.log(keras.ops.abs(x) + 1)), data=X),
        True,
    ),
    Case(
        "export/parity.py",
        "Build it so that",
        lambda: tflite(through(sevens)),
        lambda: tflite(through(layers.Reshape((7, 6)), (42,))),
        True,
    ),
    Case(
        "export/quantization/aware.py",
        "Build the same graph",
        lambda: (model := dense(), kp.quantization_aware(Stepped(model.input, model.output))),
        lambda: (model := dense(), kp.quantization_aware(keras.Model(model.input, model.output))),
    ),
    Case(
        "export/quantization/aware.py",
        "Build it under the float32 policy",
        lambda: kp.quantization_aware(in_half(dense)),
        lambda: (model := dense(), model.set_weights(in_half(dense).get_weights()), kp.quantization_aware(model)),
    ),
    Case(
        "export/quantization/aware.py",
        "Export model.plain",
        lambda: tflite(kp.quantization_aware(dense())),
        lambda: tflite(kp.quantization_aware(dense()).plain),
        True,
    ),
    Case(
        "export/quantization/equalisation.py",
        "Train with relu",
        lambda: kp.quantization.equalise(clipped("relu6")),
        lambda: kp.quantization.equalise(clipped("relu")),
    ),
    Case(
        "export/samples.py",
        "Pass data=",
        lambda: kp.export.saved_model(texts(), "a"),
        lambda: kp.export.saved_model(texts(), "a", data=WORDS),
        True,
    ),
    Case(
        "export/saved_model_export.py",
        "Keep to keras.ops",
        lambda: kp.export.saved_model(through(Eager()), "a"),
        lambda: kp.export.saved_model(through(keras.ops.tanh), "a"),
        True,
    ),
    Case(
        "export/tflite_export.py",
        "Export a SavedModel; or export the part",
        lambda: tflite(texts(), data=WORDS),
        lambda: (kp.export.saved_model(texts(), "a", data=WORDS), tflite(after_table(texts()))),
        True,
    ),
    Case(
        "export/tflite_export.py",
        "Measure its accuracy first",
        lambda: tflite(nearly_tied(), "int8", data=X),
        lambda: tflite(nearly_tied(), "float16", data=X),
        True,
    ),
    Case(
        "export/tflite_export.py",
        "Make a mask that is fed or",
        lambda: masked_by(-1e9),
        lambda: masked_by(-30.0),
        True,
    ),
]

CANNOT_BE_RUN = [
    ("export/conversion.py", "Export a SavedModel."),  # a failure of the converter that names no operator
    ("export/latency/profiling.py", "Measure again when the machine is quiet"),
    ("planning/targets/device_time.py", "Measure on a quiet device"),
]
"""`(file, words)` of remedies for what a test in this process cannot bring about."""
