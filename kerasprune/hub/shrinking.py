"""`shrink`: a model of KerasHub made smaller, of the same class, with its preprocessor and all that it can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasprune import criteria
from kerasprune._keras import inner_layers
from kerasprune.checks import choice_faults, given_values, proper_fraction_faults
from kerasprune.criteria.base import Criterion
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.plans import Plan
from kerasprune.graph.trace import trace
from kerasprune.graph.walk import changed_weights, has_free_axes
from kerasprune.hub.class_plans import ClassPlans
from kerasprune.hub.config_within import config_within
from kerasprune.hub.configs import asked_config, changed_words, numbers_of, with_numbers
from kerasprune.hub.examples import model_inputs
from kerasprune.hub.layer_scores import LAYER_SCORES
from kerasprune.hub.same_class import Numbered, backbone_of, with_config, with_fewer_layers
from kerasprune.hub.same_cut import SameCut
from kerasprune.hub.shrunk_report import ShrunkReport
from kerasprune.surgery.comparison import difference, outputs_of
from kerasprune.surgery.compute_dtype import coarsest_type
from kerasprune.surgery.cut import Cut
from kerasprune.surgery.inlining.inline import write_out
from kerasprune.surgery.random_inputs import random_inputs
from kerasprune.surgery.rebuild import rebuild

_TOLERANCE = 1e-5
_ROUNDED = 0.05  # of half precision
_LENGTH = 16  # of texts on which models are compared
_SIDE = 128  # of images: every level of a pyramid has one
_END = "open_end_"


class Shrunk(NamedTuple):
    """What `shrink` returns: the slim model, the plan of its channels, and a report."""

    slim: keras.Model
    plan: Plan
    report: ShrunkReport


def shrink(
    model: keras.Model,
    *,
    hidden: int | None = None,
    heads: int | None = None,
    kv_heads: int | None = None,
    intermediate: int | None = None,
    layers: int | None = None,
    filters: Sequence[int] | None = None,
    params: float | None = None,
    macs: float | None = None,
    data: Any = None,
    criterion: str | dict | type | Criterion | None = None,
    depth: str = "influence",
    reconstruct: bool = True,
    seed: int = 0,
) -> Shrunk:
    """Makes a model of KerasHub smaller, of the same class.

    A task stays a task, with its preprocessor, `fit`, `generate` and presets: only the numbers in the config of its
    backbone are smaller. Weights are cut in place, so that the outputs are those of the model from which the same
    channels are removed. First layers go, those that turn the hidden states least, then channels, heads and hidden
    units, in every layer the same number. With data the kernels that are left are then solved, layer by layer, for the
    outputs of the dense model, see `kp.reconstruct`; they are taken if the outputs come nearer to it.

    Args:
        model: A task or a backbone of KerasHub; it is left untouched.
        hidden: Channels of the hidden states. Defaults to `None`: as they are.
        heads: Heads of every attention; of queries, if keys have fewer. Defaults to `None`.
        kv_heads: Heads of keys and values. Defaults to `None`.
        intermediate: Units between the two dense layers of a block. Defaults to `None`.
        layers: Number of layers. Defaults to `None`.
        filters: Channels of every stack of convolutions, of a ResNet. Defaults to `None`.
        params: Instead of these: fraction of the parameters kept at most, by all widths in proportion. Defaults to
            `None`.
        macs: Likewise, of the multiply–adds. Defaults to `None`.
        data: Examples without labels, as `task.fit` takes them, through its own preprocessor; or inputs of the model.
            Defaults to `None`: scores by the weights, and layers go from the end, but for the last one.
        criterion: Scores channels. Defaults to `None`: `"activation"` with data, else `"l1"`.
        depth: Scores layers, with data: `"influence"`, 1 − cos of input and output, or `"error"` of the outputs
            without the layer, which takes a pass for each. Defaults to `"influence"`.
        reconstruct: Whether kernels are solved, with data. Defaults to `True`.
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
    numbers = {"hidden": hidden, "heads": heads, "kv_heads": kv_heads, "intermediate": intermediate}
    asked, shares = given_values(**numbers, layers=layers, filters=filters), given_values(params=params, macs=macs)
    _check(model, asked, shares, depth)
    config = backbone_of(model).get_config()
    wanted = asked_config(config, asked, type(backbone_of(model)).__name__)
    inputs = None if data is None else model_inputs(model, data)
    dense, kept = model, None
    if "layers" in asked and layers < numbers_of(config)["layers"]:
        numbered = Numbered.of(backbone_of(model))
        number = len(numbered.layers)
        worth = _worth_at_the_ends(number) if inputs is None else LAYER_SCORES[depth](model, inputs, numbered.layers)
        model, kept = with_fewer_layers(model, with_numbers(config, {"layers": layers}), worth, numbered)
    from kerasprune.hub.rules import whole_configs  # needs KerasHub

    with whole_configs():
        writer, written = write_out(model, copies=False)
        size = _side(model) if has_free_axes(written) else None
        graph = trace(_with_open_ends(written, backbone_of(model) is model), unknown="freeze", size=size)
        plans = ClassPlans(graph, writer.sources, model)
        wanted = wanted if asked else config_within(plans, config, **shares)
        criterion = criteria.get(criterion or ("l1" if inputs is None else "activation"))
        scores = criteria.score(criterion, graph, inputs, seed=seed)  # takes memory, as does the slim model
        slim = with_config(model, wanted)
        plan = plans.plan(slim, scores)
        rebuilt = rebuild(graph, plan)  # with what constant channels add to biases
        cut = SameCut(slim, model, Cut.of(graph, plan), rebuilt, writer.sources)
        error = _difference(rebuilt, slim, size)
        repaired = cut.solve(dense, inputs, seed) if inputs is not None and reconstruct and plan.keep else None
    sizes = dense.count_params(), slim.count_params()
    changed = changed_words(backbone_of(dense).get_config(), backbone_of(slim).get_config())
    left = None if kept else plans.macs_kept(plan.keep)
    report = ShrunkReport(type(dense).__name__, changed, kept and tuple(kept), sizes, left, error, repaired)
    return Shrunk(slim, plan, report)


def _check(model: Any, asked: Mapping[str, Any], shares: Mapping[str, float], depth: str) -> None:
    """Raises unless the model is one of KerasHub and one thing is asked for."""
    modules = {each.__module__.partition(".")[0] for each in type(model).__mro__}
    faults = proper_fraction_faults(**shares) + choice_faults(tuple(LAYER_SCORES), depth=depth)
    if "keras_hub" not in modules:
        faults.append(
            f"Expected a task or a backbone of KerasHub. Received: {type(model).__name__}. Take kp.prune for others."
        )
    if "keras_hub" in modules:
        faults += _config_faults(backbone_of(model))
    if (len(shares) != 1) if not asked else shares:
        given = ", ".join([*asked, *shares]) or "none"
        faults.append(f"Expected numbers for the config, or one of params= and macs=. Received: {given}.")
    if changed := next((layer for layer in inner_layers(model) if changed_weights(layer)), None):
        faults.append(
            f"Expected layers with their weights alone, in floating point. Received: {changed.name!r} "
            f"{changed_weights(changed)}. Shrink the model before that."
        )
    raise_faults("Invalid arguments for shrink:", faults)


def _config_faults(backbone: keras.Model) -> list[str]:
    """Returns the reasons why no config of a class says that a model is smaller."""
    config, name = backbone.get_config(), type(backbone).__name__
    if not numbers_of(config):
        return [f"Expected a class whose config has widths. Received: {name}. Take kp.prune, which needs none."]
    if experts := config.get("num_experts"):
        return [f"Expected a model without experts, whose kernels are one. Received: {name} with {experts}."]
    return []


def _worth_at_the_ends(number: int) -> np.ndarray:
    """Returns a worth of layers by which the first ones and the last one stay."""
    worth = np.arange(number, 0, -1.0)
    worth[-1] = worth.sum()
    return worth


def _with_open_ends(written: keras.Model, is_backbone: bool) -> keras.Model:
    """Returns a model whose hidden states may be cut: those of a backbone are read by a layer each."""
    if not is_backbone:
        return written
    ends = [keras.layers.Dense(1, name=f"{_END}{place}")(y) for place, y in enumerate(written.outputs)]
    return keras.Model(written.input, ends, name=written.name)


def _side(model: keras.Model) -> int:
    """Returns a length of texts, or a side of images, that a model takes."""
    config = backbone_of(model).get_config()
    return _SIDE if "filters" in numbers_of(config) else min(config.get("max_sequence_length") or _LENGTH, _LENGTH)


def _difference(rebuilt: keras.Model, slim: keras.Model, size: int | None) -> float:
    """Returns how far the outputs are from those of the written-out model that is cut likewise.

    Raises:
        PruneError: They differ by more than rounding.
    """
    ends = [layer for layer in rebuilt.layers if layer.name.startswith(_END)]
    if ends:
        rebuilt = keras.Model(rebuilt.input, [layer.input for layer in ends])
    inputs = random_inputs(rebuilt, 2, side=size)
    pairs = zip(outputs_of(rebuilt, inputs), outputs_of(slim, inputs), strict=True)
    error = max(difference(one, other).error for one, other in pairs)
    tolerance = _TOLERANCE if coarsest_type(rebuilt) == "float32" else _ROUNDED
    if not error <= tolerance:
        raise PruneError(
            f"Expected {type(slim).__name__} to compute what its cut graph does. Received: outputs that differ by "
            f"{error:.1e}. Report it, and take kp.prune, which returns a plain model."
        )
    return error
