"""`shrink`: a model of KerasHub made smaller, of the same class, with its preprocessor and all that it can do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasprune import criteria
from kerasprune._keras import inner_layers
from kerasprune.checks import given_values, proper_fraction_faults
from kerasprune.criteria.base import Criterion, Scores, top
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.graph import ChannelGraph, values
from kerasprune.graph.plans import Plan
from kerasprune.graph.trace import trace
from kerasprune.graph.walk import changed_weights, has_free_axes
from kerasprune.hub.configs import asked_config, changed_words, entries_of, nearest_words, smaller_config
from kerasprune.hub.examples import model_inputs
from kerasprune.hub.layer_scores import layer_influence
from kerasprune.hub.same_class import Numbered, backbone_of, copy_cut, with_config, with_fewer_layers
from kerasprune.surgery.comparison import difference, outputs_of
from kerasprune.surgery.compute_dtype import coarsest_type
from kerasprune.surgery.inlining.inline import write_out
from kerasprune.surgery.random_inputs import random_inputs
from kerasprune.surgery.rebuild import rebuild

_TOLERANCE = 1e-5
_ROUNDED = 0.05  # of half precision
_TRIALS = 12
_LENGTH = 16  # of texts on which models are compared
_END = "open_end_"


class Shrunk(NamedTuple):
    """What `shrink` returns: the slim model, the plan of its channels, and a report."""

    slim: keras.Model
    plan: Plan
    report: ShrunkReport


@dataclass(frozen=True)
class ShrunkReport:
    """The config, layers and parameters of a model of KerasHub before and after.

    Args:
        name: Its class.
        changed: `{word: (before, after)}` of the config.
        layers: Numbers of the layers that are kept; `None` if all are.
        params: Parameters before and after.
        error: The largest difference to the written-out model that is cut likewise, relative to its largest output.
    """

    name: str
    changed: Mapping[str, tuple[int, int]]
    layers: tuple[int, ...] | None
    params: tuple[int, int]
    error: float

    def __str__(self) -> str:
        """Returns a line for each entry of the config that changed, and for the parameters."""
        dense, slim = self.params
        lines = [f"{self.name}: {slim:,} of {dense:,} parameters, {slim / dense:.3f}"]
        lines += [f"{word}: {before:,} → {after:,}" for word, (before, after) in self.changed.items()]
        if self.layers is not None:
            lines.append(f"layers kept: {', '.join(map(str, self.layers))}")
        return "\n".join([*lines, f"largest difference to the cut graph: {self.error:.1e} of its outputs"])


def shrink(
    model: keras.Model,
    *,
    hidden: int | None = None,
    heads: int | None = None,
    kv_heads: int | None = None,
    intermediate: int | None = None,
    layers: int | None = None,
    params: float | None = None,
    data: Any = None,
    criterion: str | dict | type | Criterion | None = None,
    seed: int = 0,
) -> Shrunk:
    """Makes a model of KerasHub smaller, of the same class.

    A task stays a task, with its preprocessor, `fit`, `generate` and presets: only the numbers in the config of its
    backbone are smaller. Weights are cut in place, so that the outputs are those of the model from which the same
    channels are removed. First layers go, those that turn the hidden states least, then channels, heads and hidden
    units, in every layer the same number.

    Args:
        model: A task or a backbone of KerasHub; it is left untouched.
        hidden: Channels of the hidden states. Defaults to `None`: as they are.
        heads: Heads of every attention; of queries, if keys have fewer. Defaults to `None`.
        kv_heads: Heads of keys and values. Defaults to `None`.
        intermediate: Units between the two dense layers of a block. Defaults to `None`.
        layers: Number of layers. Defaults to `None`.
        params: Instead of these: fraction of the parameters kept at most, by hidden channels, heads and units in
            proportion. Defaults to `None`.
        data: Examples without labels, as `task.fit` takes them, through its own preprocessor; or inputs of the model.
            Defaults to `None`: scores by the weights, and layers go from the end, but for the last one.
        criterion: Scores channels. Defaults to `None`: `"activation"` with data, else `"l1"`.
        seed: Random seed. Defaults to 0.

    Returns:
        The slim model, compiled as its class is by itself, the plan, and a report.

    Raises:
        PruneError: No config of the class has the numbers that are given: the nearest that one has are named. Or
            channels cannot be cut: the reason is named.

    Example:
        >>> import pytest; keras_hub = pytest.importorskip("keras_hub")  # doctest: +SKIP
        >>> task = keras_hub.models.TextClassifier.from_preset("my_bert")  # doctest: +SKIP
        >>> slim, plan, report = kp.hub.shrink(task, params=0.5, data=texts)  # doctest: +SKIP

    Reference:
        Muralidharan et al., Compact Language Models via Pruning and Knowledge Distillation, NeurIPS 2024.
    """
    asked = given_values(hidden=hidden, heads=heads, kv_heads=kv_heads, intermediate=intermediate, layers=layers)
    _check(model, asked, params)
    config, name = backbone_of(model).get_config(), type(backbone_of(model)).__name__
    inputs = None if data is None else model_inputs(model, data)
    dense, kept = model, None
    wanted = asked_config(config, asked, name)
    if "layers" in asked and layers < config[entries_of(config)["layers"]]:
        kept = _kept_layers(model, layers, inputs)
        config = {**config, entries_of(config)["layers"]: layers}
        model = with_fewer_layers(model, config, kept)
    from kerasprune.hub.rules import whole_configs  # needs KerasHub

    with whole_configs():
        writer, written = write_out(model)
        graph = trace(_with_open_ends(written, backbone_of(model) is model), unknown="freeze")
        scores = _scores(graph, criterion, inputs, seed)
        slim = with_config(model, wanted if params is None else _config_within(model, config, params))
        plan = _plan(graph, writer.sources, model, slim, scores)
        rebuilt = rebuild(graph, plan)  # with what constant channels add to biases
        pairs = zip(graph.model.weights, rebuilt.weights, strict=True)
        left = {id(writer.sources[id(old)]): values(new) for old, new in pairs if id(old) in writer.sources}
        copy_cut(slim, model, left)
        error = _difference(rebuilt, slim)
    sizes = dense.count_params(), slim.count_params()
    changed = changed_words(backbone_of(dense).get_config(), backbone_of(slim).get_config())
    return Shrunk(slim, plan, ShrunkReport(type(dense).__name__, changed, kept and tuple(kept), sizes, error))


def _check(model: Any, asked: Mapping[str, int], params: float | None) -> None:
    """Raises unless the model is one of KerasHub and one thing is asked for."""
    modules = {each.__module__.partition(".")[0] for each in type(model).__mro__}
    faults = [] if params is None else proper_fraction_faults(params=params)
    if "keras_hub" not in modules:
        faults.append(
            f"Expected a task or a backbone of KerasHub. Received: {type(model).__name__}. Take kp.prune for others."
        )
    if bool(asked) == (params is not None):
        faults.append(
            "Expected numbers for the config, or params=. Received: "
            f"{', '.join([*asked, *['params'] * (params is not None)]) or 'none'}."
        )
    if changed := next((layer for layer in inner_layers(model) if changed_weights(layer)), None):
        faults.append(
            f"Expected layers with their weights alone, in floating point. Received: {changed.name!r} "
            f"{changed_weights(changed)}. Shrink the model before that."
        )
    raise_faults("Invalid arguments for shrink:", faults)


def _kept_layers(model: keras.Model, number: int, inputs: Any) -> list[int]:
    """Returns the layers that are kept, in order."""
    count = len(Numbered.of(backbone_of(model)).layers)
    if inputs is None:
        return [*range(number - 1), count - 1]
    influence = layer_influence(model, inputs)
    return sorted(np.argsort(-influence, kind="stable")[:number].tolist())


def _with_open_ends(written: keras.Model, is_backbone: bool) -> keras.Model:
    """Returns a model whose hidden states may be cut: those of a backbone are read by a layer each."""
    if not is_backbone:
        return written
    ends = [keras.layers.Dense(1, name=f"{_END}{place}")(y) for place, y in enumerate(written.outputs)]
    return keras.Model(written.input, ends, name=written.name)


def _scores(graph: ChannelGraph, criterion: Any, inputs: Any, seed: int) -> Scores:
    criterion = criteria.get(criterion or ("l1" if inputs is None else "activation"))
    return criteria.score(criterion, graph, inputs, seed=seed)


def _plan(
    graph: ChannelGraph, sources: Mapping[int, Any], dense: keras.Model, slim: keras.Model, scores: Scores
) -> Plan:
    """Returns the plan that keeps of every group as many channels as the slim model has.

    Raises:
        PruneError: Channels that the slim model lacks cannot be cut.
    """
    places = {id(weight): place for place, weight in enumerate(dense.weights)}
    (owner, _), names, counts = graph.places, list(graph.groups), defaultdict(set)
    for entry in graph.slices:
        source = sources.get(id(entry.variable))
        if source is None:
            continue
        shape = tuple(slim.weights[places[id(source)]].shape)
        if len(shape) != len(entry.variable.shape):  # a table of what was one row
            shape = (shape[0] if len(shape) > 1 else 1, prod(shape[1:] if len(shape) > 1 else shape))
        for size, ids in zip(shape, entry.ids, strict=True):
            numbers = () if ids is None else np.unique(owner[graph.classes[ids]])
            if len(numbers) == 1 and numbers[0] >= 0:
                name = names[numbers[0]]
                counts[name].add(size * graph.groups[name].size // len(ids))
    faults = []
    for name, found in counts.items():
        group = graph.groups[name]
        if len(found) > 1:
            faults.append(f"{name!r} would have {' and '.join(map(str, sorted(found)))} channels at once.")
        elif not group.prunable and min(found) < group.size:
            faults.append(f"{name!r} keeps its {group.size} channels: {group.reason}.")
    near = nearest_words(backbone_of(dense).get_config(), backbone_of(slim).get_config())
    raise_faults(f"{type(slim).__name__} cannot be cut to this config.{near}", faults)
    kept = {name: min(found) for name, found in counts.items() if min(found) < graph.groups[name].size}
    return Plan.of(graph, {name: top(scores[name], number) for name, number in kept.items()})


def _config_within(model: keras.Model, config: Mapping[str, Any], share: float) -> dict[str, Any]:
    """Returns the largest config in proportion to the dense one whose parameters are at most a share of its."""
    low, high, limit, found = 0.0, 1.0, share * model.count_params(), None
    for _ in range(_TRIALS):
        middle = (low + high) / 2
        tried = smaller_config(config, middle)
        if with_config(model, tried).count_params() <= limit:
            low, found = middle, tried
        else:
            high = middle
    if found is None:
        raise PruneError(
            f"Expected a share that some config meets. Received: params={share}. Give a larger one, or the numbers."
        )
    return found


def _length(model: keras.Model) -> int:
    """Returns a length of texts that a model takes."""
    return min(backbone_of(model).get_config().get("max_sequence_length") or _LENGTH, _LENGTH)


def _difference(rebuilt: keras.Model, slim: keras.Model) -> float:
    """Returns how far the outputs are from those of the written-out model that is cut likewise.

    Raises:
        PruneError: They differ by more than rounding.
    """
    ends = [layer for layer in rebuilt.layers if layer.name.startswith(_END)]
    if ends:
        rebuilt = keras.Model(rebuilt.input, [layer.input for layer in ends])
    inputs = random_inputs(rebuilt, 2, side=_length(slim) if has_free_axes(rebuilt) else None)
    pairs = zip(outputs_of(rebuilt, inputs), outputs_of(slim, inputs), strict=True)
    error = max(difference(one, other).error for one, other in pairs)
    tolerance = _TOLERANCE if coarsest_type(rebuilt) == "float32" else _ROUNDED
    if not error <= tolerance:
        raise PruneError(
            f"Expected {type(slim).__name__} to compute what its cut graph does. Received: outputs that differ by "
            f"{error:.1e}. Report it, and take kp.prune, which returns a plain model."
        )
    return error
