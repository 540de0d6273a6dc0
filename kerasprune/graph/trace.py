"""`kp.trace`: walks a model once and applies the rule of every layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from math import prod
from typing import Any

import keras
from keras import KerasTensor, tree

from kerasprune._keras import argument_names, inner_layers, maker, output_specs
from kerasprune.checks import choice_faults, is_named
from kerasprune.defaults import COUPLINGS
from kerasprune.errors import Key, PruneError, first_of, nearest, raise_faults, warn
from kerasprune.graph.adapters import adapted_layers
from kerasprune.graph.blocks import droppable, find_blocks
from kerasprune.graph.builder import Call, GraphBuilder
from kerasprune.graph.built_model import body_of
from kerasprune.graph.channels import Ids, TracedCall, Unknown
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.ranged_model import without_ranges
from kerasprune.graph.rule import KEEP_ITS_CHANNELS, NORMALISED, Rule, find, find_general, find_or_try
from kerasprune.graph.sizes import GUESSES, Size, fill_size, input_shapes, shape_at, shapes_at_size, size_faults
from kerasprune.graph.walk import (
    Dropped,
    all_nodes,
    bodies,
    changed_weights,
    has_free_axes,
    is_model,
    named_operations,
    pause_collection,
    walk,
)

_NEUTRAL = frozenset({"training", "mask"})
"""Arguments that Keras passes to any layer."""
_LARGEST = 2**22  # numbers of an input at a size that is guessed


@pause_collection()
def trace(
    model: keras.Model,
    *,
    coupling: str = "tied",
    freeze: Sequence[str] = (),
    unknown: str = "raise",
    size: Size | None = None,
    removed: Sequence[str] = (),
) -> ChannelGraph:
    """Finds which channels of a model are coupled, and so must be pruned together.

    Args:
        model: A functional or Sequential model; nested models and shared layers are followed.
        coupling: What happens where tensors are added: `"tied"`: they are pruned together; `"free"`: they keep their
            width, and only channels inside the branches can be pruned; `"padded"`: a branch may become narrower than
            the trunk, and is added to its first channels. Defaults to `"tied"`.
        freeze: Names of layers, or wildcards, all of whose channels are kept; that of a nested model stands for all
            layers in it. Defaults to none.
        unknown: What to do at a layer without a rule, or with quantized weights: `"raise"` an error, or `"freeze"` the
            channels it reads and report the layer. Defaults to `"raise"`.
        size: Size of the inputs at which output positions are counted, where the model leaves axes free: a number, one
            for each free axis as `(height, width)`, or a dict of these by input name. Defaults to the model's own.
        removed: Names of blocks to leave out. Defaults to none.

    Returns:
        The channel graph.

    Raises:
        PruneError: The model has no graph, a layer has no rule, or a name to freeze matches no layer.

    Example:
        >>> import keras, kerasprune as kp
        >>> inputs = keras.Input((8, 8, 3))
        >>> x = keras.layers.Conv2D(4, 3, name="first")(inputs)
        >>> x = keras.layers.GlobalAveragePooling2D()(x)
        >>> graph = kp.trace(keras.Model(inputs, keras.layers.Dense(2, name="logits")(x)))
        >>> graph.groups["first"].size
        4
    """
    choices = choice_faults(COUPLINGS, coupling=coupling) + choice_faults(("raise", "freeze"), unknown=unknown)
    raise_faults("Invalid arguments for trace:", choices)
    model = without_ranges(model)
    body = body_of(model)
    patterns = as_patterns(freeze)
    _check_patterns(body, patterns)
    named = named_operations(body, patterns)
    graph = GraphBuilder(coupling)
    counted = size is not None or _is_free_inside(body) or _is_vague(body)
    shapes = iter(shapes_at(model, size, removed)) if counted else None

    def visit(node: Any, *args: Any, **kwargs: Any) -> Any:
        operation = node.operation
        outputs = next(shapes) if shapes else tuple(output.shape for output in node.outputs)
        tensors = [x for x in tree.flatten((args, kwargs)) if isinstance(x, Ids)]
        graph.call = Call(node, tuple(x.shape for x in tensors), outputs, tuple(tensors))
        made: list[Ids] = []
        with graph.first_axis(tensors, made):
            out = _apply(graph, find_or_try(operation), operation, tensors, args, kwargs, unknown)
            made += [out] if isinstance(out, Ids) else out
        if id(operation) in named:
            graph.pin_made(operation, "named in freeze=")
            for each in made:
                graph.pin_all(each, "named in freeze=")
        graph.calls.append(TracedCall(operation, node, tuple(tensors), tuple(made)))
        return made

    def absent(tensor: KerasTensor) -> Ids:
        return Ids(tuple(tensor.shape), {len(tensor.shape) - 1: graph.removed(tensor.shape[-1])})

    left_out = tensors_left_out(model, removed, absent)

    def enter(node: Any, *args: Any, **kwargs: Any) -> Any:
        fed = [x for x in tree.flatten((args, kwargs)) if isinstance(x, Ids)]
        graph.enter(node.operation, fed)
        return walk(body_of(node.operation), fed, visit, enter, left_out)

    inputs = [_input_ids(graph, x, size) for x in body.inputs]
    for output in walk(body, inputs, visit, enter, left_out):
        graph.pin_all(output, "an output of the model")
    return graph.finish(model, droppable, patterns, size)


def warn_of_unknown(graph: ChannelGraph, what: str) -> None:
    """Warns that layers without a rule are left as they are, with their share of the weights; `what` does so."""
    names = {unknown.name for unknown in graph.unknown}
    inside = {id(v): v for layer, weights, _ in graph.weights if layer.name in names for v in weights}
    share = sum(prod(v.shape) for v in inside.values()) / max(graph.model.count_params(), 1)
    if names:
        warn(
            f"{what} leaves {share:.0%} of the weights as they are: those of layers without a rule, "
            f"{first_of(sorted(names))}. Write the model out with kp.functional(model) first, or teach their classes "
            "with @kp.rule."
        )


def without(graph: ChannelGraph, removed: Sequence[str]) -> ChannelGraph:
    """Returns the graph of the same model without the blocks `removed`; layers without a rule are kept whole."""
    if not removed:
        return graph
    return trace(
        graph.model,
        coupling=graph.coupling,
        freeze=graph.freeze,
        unknown="freeze",
        size=graph.size,
        removed=removed,
    )


def tensors_left_out(
    model: keras.Model, removed: Sequence[str], absent: Callable[[KerasTensor], Any] | None = None
) -> Dropped:
    """Returns the tensors that a walk leaves out to remove the named blocks.

    Args:
        model: The model.
        removed: Names of blocks.
        absent: Function from the branch of a dense block to the value used in its place in the concatenation.
            Defaults to leaving the concatenation out.
    """
    if not removed:
        return Dropped()
    blocks = find_blocks(model)
    raise_faults(
        f"Expected the names of droppable blocks of {model.name!r}:",
        [f"Received: {name!r}.{nearest(name, blocks)}" for name in removed if name not in blocks],
    )
    bypass, missing = {}, {}
    for block in (blocks[name] for name in removed):
        if block.kind == "dense" and absent is not None:
            missing[id(block.branch)] = absent(block.branch)
        else:
            bypass[id(block.target)] = block.source
    return Dropped(bypass, missing)


def _apply(
    graph: GraphBuilder,
    rule: Rule | None,
    operation: Any,
    tensors: list[Ids],
    args: Any,
    kwargs: Any,
    unknown: str,
) -> Any:
    """Calls the rule of an operation, or tries a layer that has none and is as good as an operation.

    Otherwise raises, or pins all channels it reads if unknown is "freeze".
    """
    kind, changed = type(operation).__name__, changed_weights(operation)
    called = args, kwargs
    args, given = _bound(operation, rule, *called)
    unread = rule.unread(operation, given) if rule is not None else []
    if unread and (general := find_general(operation)) is not None:  # it is tried instead
        rule, unread = general, []
        args, given = _bound(operation, rule, *called)
    if changed:
        kind += f" {changed}"
    elif unread:
        kind += f" with {', '.join(unread)}"
    elif rule is not None:
        try:
            with graph.pinned_on_error(f"{operation.name!r} of class {kind} cannot be traced"):
                made = rule.function(graph, operation, *args, **{k: v for k, v in given.items() if rule.takes(k)})
        except PruneError:
            if unknown == "raise" and find(operation) is not None:
                raise
        else:
            passed = {**given, **kwargs}
            for name in rule.ignored.intersection(given) | _NEUTRAL.intersection(kwargs):
                if isinstance(passed[name], Ids):
                    graph.pin_all(passed[name], f"{operation.name!r} reads it as {name}")
            if rule.constant == NORMALISED and kwargs.get("training"):
                graph.pin_all(tensors[0], f"{operation.name!r} normalises by the batch, training=True")
            return made
    if unknown == "raise":
        raise PruneError(_cure(operation, kind, changed, unread if rule else []))
    for tensor in tensors:
        graph.pin_all(tensor, f"{operation.name!r} of the unknown class {kind} reads them")
    graph.unknown.append(Unknown(operation.name, kind))
    return [Ids(shape) for shape in graph.call.outputs]


def _bound(operation: Any, rule: Rule | None, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[tuple, dict]:
    """Returns the arguments of a call as its rule takes them: the first by position, the rest by name."""
    given = {key: value for key, value in kwargs.items() if value is not None and key not in _NEUTRAL}
    if not args:
        args = tuple(given.pop(name) for name in argument_names(operation)[:1] if name in given)
    if rule is not None and rule.positional is not None and len(args) > rule.positional:
        more = zip(argument_names(operation)[rule.positional :], args[rule.positional :], strict=False)
        given |= {key: value for key, value in more if value is not None and key not in _NEUTRAL}
        args = args[: rule.positional]
    return tuple(args), given


def _cure(operation: Any, kind: str, changed: str, unread: Sequence[str]) -> str:
    """Returns the message for a layer that cannot be traced, with the remedies."""
    freeze = f"or {KEEP_ITS_CHANNELS}"
    if unread:
        kind = type(operation).__name__
        return (
            f"Expected arguments that the rule of {kind} reads. Received: {operation.name!r} with "
            f"{', '.join(unread)}. Leave them at their defaults, teach the class with @kp.rule({kind}), {freeze}"
        )
    if changed:
        remedy = "Prune first, and call quantize() on the slim model"
        if adapted_layers(inner_layers(operation)):
            remedy = "Merge its adapters with kp.functional(model) first"
        return (
            f"Expected layers whose weights can be cut. Received: layer {operation.name!r} of class {kind}. {remedy}, "
            f"{freeze}"
        )
    if len(inner_layers(operation)) > 1:
        freeze = f"write the model out with kp.functional(model) first, {freeze}"
    return (
        f"Expected layers with a rule. Received: layer {operation.name!r} of class {kind}, which kerasprune does "
        f"not know. Teach it with @kp.rule({kind}), {freeze}"
    )


def _input_ids(graph: GraphBuilder, tensor: KerasTensor, size: Size | None) -> Ids:
    shape = (tensor.shape[0], *shape_at(maker(tensor).name, tuple(tensor.shape[1:]), size))
    if len(shape) < 2 or tensor.shape[-1] is None:
        return Ids(shape)
    name = maker(tensor).name
    return Ids(shape, {len(shape) - 1: graph.fixed(shape[-1], "an input of the model", name)})


def as_patterns(freeze: str | Sequence[str]) -> tuple[str, ...]:
    """Returns names of layers, or wildcards, as a tuple; a single one may be given as a string."""
    given = (freeze,) if isinstance(freeze, str) else freeze
    if not isinstance(given, Sequence | Set) or not all(isinstance(each, str) for each in given):
        raise PruneError(
            f"Expected freeze to be names of layers, or wildcards. Received: freeze={freeze!r}. "
            "Write freeze=[layer.name, 'stem*']."
        )
    return tuple(given)


def _check_patterns(model: Any, patterns: tuple[str, ...]) -> None:
    names = list(dict.fromkeys(node.operation.name for node in all_nodes(model)))
    for pattern in patterns:
        if not any(is_named(name, pattern) for name in names):
            raise PruneError(
                f"Expected freeze to name layers of the model. Received: {pattern!r}.{nearest(pattern, names)}"
            )


def layer_names(model: Any) -> list[str]:
    """Returns the names of all layers and operations of a model, nested ones included."""
    return list(dict.fromkeys(node.operation.name for node in all_nodes(model) if not is_model(node.operation)))


def _is_free_inside(body: Any) -> bool:
    """Returns whether a nested model has free sizes, which the model around it may set."""
    return any(has_free_axes(nested) for nested in bodies(body) if nested is not body)


def _is_vague(body: Any) -> bool:
    """Returns whether sizes of outputs are unknown that follow from the inputs: `EinsumDense(…, (None, 16))`."""
    outputs = (tensor for node in all_nodes(body) for tensor in node.outputs)
    return not has_free_axes(body) and any(None in tensor.shape[1:] for tensor in outputs)


def shapes_at(
    model: keras.Model, size: Size | None, removed: Sequence[str] = ()
) -> list[tuple[tuple[int | None, ...], ...]]:
    """Returns the output shapes of every call in the order of the walk, at a size (`None`: the model's)."""
    body = body_of(model)
    for fault in size_faults(input_shapes(body), size):
        raise fault
    shapes = []

    def visit(node: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            outputs = output_specs(node.operation, args, kwargs)
        except ValueError as error:
            if size is None:
                raise
            line = str(error).strip().partition("\n")[0]
            raise PruneError(f"Expected a size that the model takes. Received: size={size!r}: {line}") from error
        shapes.append(tuple(tuple(output.shape) for output in outputs))
        return outputs

    shapes_of_inputs = zip(body.inputs, shapes_at_size(body, size), strict=True)
    inputs = [KerasTensor((x.shape[0], *shape), dtype=x.dtype) for x, shape in shapes_of_inputs]
    absent = tensors_left_out(model, removed, lambda x: KerasTensor(x.shape, dtype=x.dtype))
    walk(body, inputs, visit, dropped=absent)
    return shapes


def size_to_try(model: keras.Model, size: Size | None = None, guesses: Sequence[int] = GUESSES) -> Size | None:
    """Returns the size at which a model is tried: axes that are left open get the first guess that it takes.

    Args:
        model: A functional or Sequential model.
        size: The size that the user, the data or the plan gives. Defaults to `None`: none.
        guesses: Numbers for open axes. Defaults to 32 and others.

    Returns:
        A size for all free axes; the given one if it leaves none open.

    Raises:
        PruneError: The model does not take the size, or none of the guesses.

    Example:
        >>> import keras
        >>> sound = keras.Input((None, 4), name="sound")
        >>> size_to_try(keras.Model(sound, keras.layers.Cropping1D(30)(sound)))
        {'sound': (64,)}
    """
    shapes = input_shapes(body_of(model))
    for fault in size_faults(shapes, size):
        raise fault
    open_axes = any(None in shape_at(name, shape, size) for name, shape in shapes.items())
    if not open_axes:
        return size
    for guess in guesses:
        tried = fill_size(shapes, size, guess)
        numbers = sum(prod(shape_at(name, shape, tried)) for name, shape in shapes.items())
        if numbers <= _LARGEST and _runs(model, tried):
            return tried
    raise PruneError(
        f"Expected a size that the model takes: {model.name!r}, with inputs of shapes {list(shapes.values())}, takes "
        "none that was tried, ", ", ".join(map(str, sorted(guesses))), ". Give ", Key("size"),
        "=…, a number for each free axis.",
    )  # fmt: skip


def _runs(model: keras.Model, size: Size) -> bool:
    try:
        shapes = shapes_at(model, size)
    except Exception:  # noqa: BLE001, layers may be anyone's
        return False
    return not any(0 in shape for call in shapes for shape in call)


def side_needed(model: keras.Model) -> PruneError:
    """Returns the error for a model with a free side whose time is asked for."""
    free = f"Received: {model.name!r} with a free side, and size=None. "
    return PruneError("Expected fixed sides, on which time depends. ", free, *give_size(model))


def give_size(model: keras.Model) -> tuple[str | Key, ...]:
    """Returns the remedy for a missing size, with one that the model takes, as parts of an error."""
    try:
        tried = size_to_try(model)
    except PruneError:
        tried = None
    if not tried:
        return "Give ", Key("size"), "=…, a number for each free axis."
    return "Give ", Key("size"), f"={next(iter(next(iter(tried.values()))))}, or another number for the free axes."
