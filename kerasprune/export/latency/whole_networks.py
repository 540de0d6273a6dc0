"""Whole networks as files, and their times."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path

import keras
import numpy as np

from kerasprune.export.conversion import parts_to_tflite, to_tflite
from kerasprune.export.latency.table import PRECISIONS
from kerasprune.export.samples import samples_of
from kerasprune.export.tflite_export import static_signature
from kerasprune.export.tflite_interpreter import open_interpreter, signature_timer
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.kept_channels import legal
from kerasprune.graph.plans import Plan
from kerasprune.graph.sizes import Size, shapes_at_size
from kerasprune.surgery.rebuild import rebuild

UNDISTURBED = 10  # percentile of the runs: other work on the machine only adds time
WARM = 3
NETWORK = "network"  # the signature of its file
_ALIKE = 1.25  # sum of the weights into a channel; at 1 the converter would leave out products
_MEAN = 1e-3  # of a BatchNormalization


def uniform(graph: ChannelGraph, share: float) -> Plan:
    """Returns the plan that keeps a share of the channels of every group, the first ones.

    Args:
        graph: The dense model.
        share: The share, above 0.
    """
    return narrow_groups(graph, lambda _: share)


def narrow_groups(graph: ChannelGraph, share_of: Callable[[str], float]) -> Plan:
    """Returns the plan that keeps the first channels of every group.

    Args:
        graph: The dense model.
        share_of: Returns the share of the channels of a group that is kept, above 0, by its name.
    """
    sizes = {name: group.size for name, group in graph.prunable.items()}
    keep = {name: np.arange(max(1, round(share_of(name) * size))) for name, size in sizes.items()}
    return Plan.of(graph, legal(graph, keep, {name: -np.arange(size) for name, size in sizes.items()}))


def file_of(graph: ChannelGraph, plan: Plan, precision: str) -> bytes:
    """Returns the file of a slim model as `kp.export.tflite` writes it; ranges of activations are of random numbers.

    Args:
        graph: The dense model.
        plan: The plan.
        precision: As for `profile`.
    """
    return _exported(rebuild(graph, plan), graph, precision)


def changed_file_of(graph: ChannelGraph, plan: Plan, precision: str, io: str = "float") -> bytes:
    """Returns the same file with other weights: equal constants, such as biases that are all zero, are stored once.

    Other arguments as for `file_of`.

    Args:
        io: As for `kp.export.tflite`. Defaults to `"float"`.
    """
    return _exported(_with_drawn_weights(rebuild(graph, plan)), graph, precision, io)


def timed_file_of(graph: ChannelGraph, plan: Plan, precision: str) -> bytes:
    """Returns a file of a slim model with other weights, in and out of which go the numbers that it computes with.

    Those of a model may silence channels on random numbers, and LiteRT runs no empty range. Arguments as for `file_of`.
    """
    slim = _with_drawn_weights(rebuild(graph, plan))
    return parts_to_tflite({NETWORK: _fixed(slim, graph.size)}, PRECISIONS[precision])


def times_of(graph: ChannelGraph, plans: Sequence[Plan], precision: str, threads: int, rounds: int = 40) -> list[float]:
    """Returns the milliseconds of slim models that are timed in turn, each after a run that is not timed.

    Args:
        graph: The dense model.
        plans: The plans.
        precision: As for `profile`.
        threads: Threads of the interpreter.
        rounds: Timed runs of each. Defaults to 40.
    """
    timers = []
    for plan in plans:
        with tempfile.TemporaryDirectory() as folder:
            (path := Path(folder) / "network.tflite").write_bytes(timed_file_of(graph, plan, precision))
            timers.append(signature_timer(open_interpreter(path, threads=threads), NETWORK))
    times = np.array([[(timed(), timed())[-1] for timed in timers] for _ in range(WARM + rounds)])[WARM:]
    return np.percentile(times, UNDISTURBED, axis=0).tolist()


def _exported(slim: keras.Model, graph: ChannelGraph, precision: str, io: str = "float") -> bytes:
    signature = static_signature(slim, None, graph.size)
    return to_tflite(slim, signature, PRECISIONS[precision], samples_of(signature), io)


def _with_drawn_weights(slim: keras.Model) -> keras.Model:
    """Returns a model of its own with weights above 0, nearly alike but no two equal."""
    generator = np.random.default_rng(0)
    for weight in filter(lambda each: keras.backend.is_float_dtype(each.dtype), slim.weights):
        value = _MEAN if weight.name.endswith("mean") else _ALIKE / prod(weight.shape[:-1])
        weight.assign(keras.ops.cast(value * generator.uniform(0.9, 1.1, weight.shape), weight.dtype))
    return slim


def _fixed(model: keras.Model, size: Size | None) -> keras.Model:
    """Returns a model whose free sides are fixed."""
    if size is None or all(None not in each.shape[1:] for each in model.inputs):
        return model
    inputs = [
        keras.Input(shape, dtype=each.dtype, name=each.name)
        for each, shape in zip(model.inputs, shapes_at_size(model, size), strict=True)
    ]
    return keras.Model(inputs, model(keras.tree.pack_sequence_as(model.input, inputs)))
