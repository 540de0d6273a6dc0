"""The only file that uses private Keras, which a new release may move.

The operation classes behind `keras.ops`, three layers and one architecture of `keras.applications`, two layers of
`FeatureSpace`, and attributes with a leading underscore. Everything else in the package uses the public interface.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
from keras.src import backend
from keras.src import ops as own_ops
from keras.src.applications.convnext import LayerScale, StochasticDepth
from keras.src.applications.efficientnet import DEFAULT_BLOCKS_ARGS, EfficientNet
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer
from keras.src.distribution import distribution_lib
from keras.src.layers.preprocessing.feature_space import TFDConcat, TFDIdentity
from keras.src.models.functional import Functional
from keras.src.ops import core, nn
from keras.src.ops import numpy as numpy_operations
from keras.src.saving import object_registration
from keras.src.trainers import compile_utils, trainer
from keras.src.utils import python_utils

__all__ = [
    "DEFAULT_BLOCKS_ARGS", "CustomScaleLayer", "EfficientNet", "Functional", "LayerScale", "StochasticDepth",
    "TFDConcat", "TFDIdentity", "core", "nn", "numpy_operations",
]  # fmt: skip

# ---- models and calls ---------------------------------------------------------------------------------------


def is_functional(model: Any) -> bool:
    """Returns whether a model is functional or Sequential and computes what its graph says, with Keras's own call."""
    if not isinstance(model, Functional | keras.Sequential) or "call" in vars(model):
        return False
    call = type(model).call
    return call in (Functional.call, keras.Sequential.call) or hasattr(call, "computes_graph")


def computes_graph(call: Callable[..., Any]) -> Callable[..., Any]:
    """Marks the `call` of a functional model's class as one that computes what the graph says, and notes it."""
    call.computes_graph = True
    return call


def inner_functional(model: keras.Sequential) -> Functional | None:
    """Returns the functional model inside a Sequential; `None` if its input shape is unknown."""
    return model._functional if model.built else None


def over_same_layers(model: Functional | keras.Sequential) -> keras.Model:
    """Returns another functional or Sequential model of the layers of one, without calling them again."""
    if not isinstance(model, keras.Sequential):
        return keras.Model(*structures(model), name=model.name)
    other = keras.Sequential(name=model.name)
    for layer in model._layers:
        other.add(layer, rebuild=False)
    other._functional, other.built = model._functional, True
    return other


def nodes_by_depth(model: Functional) -> dict[int, list[Any]]:
    """Returns the calls of a functional model by their depth; the deepest come first in a forward pass."""
    return model._nodes_by_depth


def structures(model: Functional) -> tuple[Any, Any]:
    """Returns the nested structures of the inputs and outputs that a functional model was made with."""
    return model._inputs_struct, model._outputs_struct


def maker(tensor: keras.KerasTensor) -> Any:
    """Returns the layer or operation that makes a symbolic tensor."""
    return tensor._keras_history.operation


def has_chosen_batch(tensor: keras.KerasTensor) -> bool:
    """Returns whether an input was made by hand, as `keras.Input` does, not for the first batch or from a file."""
    given = tensor._keras_history.operation._auto_config.config
    return given["dtype"] is None or given["shape"] is not None


def making_node(tensor: keras.KerasTensor) -> Any:
    """Returns the call that makes a symbolic tensor."""
    operation, index, _ = tensor._keras_history
    return operation._inbound_nodes[index]


def is_input(tensor: keras.KerasTensor) -> bool:
    """Returns whether a symbolic tensor is an input, made by no other call."""
    return not hasattr(tensor, "_keras_history") or isinstance(maker(tensor), keras.layers.InputLayer)


def output_specs(operation: Any, args: Any, kwargs: Any) -> list[keras.KerasTensor]:
    """Returns the symbolic outputs of an operation, traced if it declares sizes free that its inputs fix."""
    declared = keras.tree.flatten(operation.compute_output_spec(*args, **kwargs))
    if not any(None in y.shape[1:] for y in declared):
        return declared
    if any(None in x.shape[1:] for x in keras.tree.flatten((args, kwargs)) if isinstance(x, keras.KerasTensor)):
        return declared
    return keras.tree.flatten(backend.compute_output_spec(operation.call, *args, **kwargs))


def number_of_calls(operation: Any) -> int:
    """Returns how many times a layer or operation is called."""
    return len(operation._inbound_nodes)


# ---- layers -------------------------------------------------------------------------------------------------


def declared_output_shape(layer: keras.layers.Lambda) -> Any:
    """Returns the output shape that a Lambda was made with."""
    return layer._output_shape


def stored_kernel(layer: keras.layers.Dense) -> Any:
    """Returns the kernel variable of a dense layer, without the update of LoRA."""
    return layer._kernel


def stored_embeddings(layer: keras.layers.Embedding) -> Any:
    """Returns the table of an embedding, without the update of LoRA."""
    return layer._embeddings


def merge_adapter(layer: Any) -> None:
    """Adds the product of LoRA's factors to the kernel or table of a layer, in place, and removes the factors."""
    name = "embeddings" if isinstance(layer, keras.layers.Embedding) else "kernel"
    stored = getattr(layer, f"_{name}")
    factors = [vars(layer).pop(f"lora_{name}_{end}") for end in "ab"]
    first, second, own = (keras.ops.convert_to_numpy(each).astype("float32") for each in (*factors, stored))
    stored.assign(own + layer.lora_alpha / layer.lora_rank * np.matmul(first, second))  # of full precision everywhere
    for each in factors:
        layer._untrack_variable(each)
    layer.lora_enabled, layer.lora_rank, layer.lora_alpha = False, None, None
    stored.trainable = True


def argument_names(operation: Any) -> list[str]:
    """Returns the names of the arguments of an operation's calls."""
    return list(inspect.signature(operation.call).parameters)


def in_inference(operation: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the named arguments of a call as a model passes them in inference, even if it was made with training."""
    return {**kwargs, "training": False} if "training" in argument_names(operation) else dict(kwargs)


def copied_operation(operation: Any) -> Any:
    """Returns a copy of an operation without its calls; `copy.copy` would use its config."""
    new = object.__new__(type(operation))
    vars(new).update(vars(operation), _inbound_nodes=[], _outbound_nodes=[])
    return new


def is_of_keras(kind: Any) -> bool:
    """Returns whether a class or function is one of Keras itself."""
    return getattr(kind, "__module__", "").startswith("keras.")


def inner_layers(layer: Any) -> list[Any]:
    """Returns a layer and all layers inside it; an operation has none."""
    return list(layer._flatten_layers()) if isinstance(layer, keras.layers.Layer) else []


@contextmanager
def sharing_weights(layer: keras.layers.Layer, source: keras.layers.Layer) -> Iterator[None]:
    """Lets a layer, and layers inside it, that are built in this block take the variables of another one like it.

    What belongs to what is found by places. Variables that are created in another way are not shared.
    """
    original = keras.layers.Layer.add_weight

    def add_weight(self: Any, shape: Any = None, *args: Any, name: str | None = None, **how: Any) -> Any:
        like = _at_its_place(self, layer, source)
        own = () if like is None else (*like._trainable_variables, *like._non_trainable_variables)
        found = [variable for variable in own if variable.name == name]
        if len(found) != 1 or tuple(found[0].shape) != tuple(shape or ()):
            return original(self, shape, *args, name=name, **how)
        self._track_variable(found[0])
        return found[0]

    with replaced_attributes((keras.layers.Layer, "add_weight", add_weight)):
        yield


def _at_its_place(inner: Any, layer: Any, source: Any) -> Any:
    """Returns the part of `source` at the place that `inner` has in a layer like it; `None` if there is none."""
    if inner is layer:
        return source
    pairs = zip(layer._layers, source._layers, strict=False)
    return next((found for pair in pairs if (found := _at_its_place(inner, *pair)) is not None), None)


def batch_moments(norm: keras.layers.BatchNormalization, inputs: Any, mask: Any) -> tuple[Any, Any]:
    """Returns mean and variance of the inputs of a BatchNorm, of the steps that a mask leaves."""
    return norm._moments(inputs, mask)


def named_in_config(layer: Any) -> list[Any]:
    """Returns the classes and functions that the config of a layer names, beside Keras's public classes.

    A config has no module of a function, and none of what a script defines. Lambdas are written as code.
    """
    found, name_of, code_of = [], object_registration.get_registered_name, python_utils.func_dump

    def named(each: Any) -> Any:
        found.append(each)
        return name_of(each)

    def written(function: Callable[..., Any]) -> Any:
        found.append(function)
        return code_of(function)

    functions = (object_registration, "get_registered_name", named), (python_utils, "func_dump", written)
    with replaced_attributes(*functions):
        keras.saving.serialize_keras_object(layer)
    return found


def mask_of(tensor: Any) -> Any:
    """Returns the Keras mask of a tensor, or `None`."""
    return backend.get_keras_mask(tensor)


def put_mask(tensor: Any, mask: Any) -> None:
    """Sets the Keras mask of a tensor."""
    backend.set_keras_mask(tensor, mask)


def lacks_mask(layer: keras.layers.Layer, inputs: Any, outputs: Any) -> bool:
    """Returns whether a layer computes a mask that its outputs do not have yet."""
    if not layer.supports_masking:
        return False
    masks = layer.compute_mask(inputs, keras.tree.map_structure(mask_of, inputs))
    pairs = zip(keras.tree.flatten(outputs), keras.tree.flatten(masks), strict=False)
    return any(mask is not None and mask_of(y) is None for y, mask in pairs)


def own_weights(layer: Any) -> list[Any]:
    """Returns the variables of a layer itself, without those of layers inside it."""
    return [*layer._trainable_variables, *layer._non_trainable_variables]


@contextmanager
def same_draws(model: keras.Model) -> Iterator[None]:
    """Lets all seed generators of a model draw from the same state in this block; puts their states back after it."""
    generators = [each for layer in inner_layers(model) for each in layer._seed_generators]
    states = [each.state for each in generators if isinstance(each, keras.random.SeedGenerator)]
    before = [keras.ops.copy(state.value) for state in states]
    for state in states:
        state.assign(keras.ops.zeros_like(state.value))
    try:
        yield
    finally:
        for state, value in zip(states, before, strict=True):
            state.assign(value)


@contextmanager
def calls_of_layers(visit: Callable[..., Any]) -> Iterator[None]:
    """Replaces every call of a layer or operation in this block by `visit(self, call, args, kwargs)`."""
    of_layers, of_operations = keras.layers.Layer.__call__, keras.Operation.__call__

    def layer_called(self: Any, *args: Any, **kwargs: Any) -> Any:
        return visit(self, of_layers, args, kwargs)

    def operation_called(self: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(self, keras.layers.Layer):  # from within its own call
            return of_operations(self, *args, **kwargs)
        return visit(self, of_operations, args, kwargs)

    with replaced_attributes(
        (keras.layers.Layer, "__call__", layer_called), (keras.Operation, "__call__", operation_called)
    ):
        yield


@contextmanager
def replaced_operations(functions: Mapping[str, Callable[..., Any]], item: Callable[[Any, Any], Any]) -> Iterator[None]:
    """Replaces functions of `keras.ops` by name, and `x[key]` by `item(x, key)`."""
    public = [(module, name, function) for module in (keras.ops, own_ops) for name, function in functions.items()]
    with replaced_attributes(*public, (keras.KerasTensor, "__getitem__", lambda x, key: item(x, key))):
        yield


def call_operation(operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls a model, layer or operation; biases of channels first are added along the channels.

    On TensorFlow Keras adds one of shape `(1, n, 1, 1)` along the last axis if that is of size n, too; `fit` and
    `predict`, whose graphs are optimised, do not.
    """
    add = backend.numpy.add

    def added(x1: Any, x2: Any) -> Any:
        shape = tuple(getattr(x2, "shape", ()))
        if len(shape) > 2 and shape[0] == shape[-1] == 1:
            return backend.numpy.subtract(x1, backend.numpy.negative(x2))
        return add(x1, x2)

    with replaced_attributes((backend.numpy, "add", added), (distribution_lib, "distribute_tensor", _laid_out)):
        return operation(*args, **kwargs)


def in_stateless_scope() -> bool:
    """Returns whether variables have other values here than their own, as within a `keras.StatelessScope`."""
    return backend.common.stateless_scope.in_stateless_scope()


DRAWING = ("VarianceScaling", "RandomNormal", "RandomUniform", "TruncatedNormal", "Orthogonal")
"""Initializers of `keras.initializers` that draw, beside those derived from them."""


@contextmanager
def without_draws() -> Iterator[None]:
    """Makes weights zero in this block that initializers would draw, or fill with ones: on JAX a program each shape."""

    def zeros(self: Any, shape: Any, dtype: Any = None) -> Any:
        return keras.ops.convert_to_tensor(np.zeros(shape, "float32"), keras.backend.standardize_dtype(dtype))

    with replaced_attributes(*((getattr(keras.initializers, name), "__call__", zeros) for name in (*DRAWING, "Ones"))):
        yield


@contextmanager
def replaced_attributes(*attributes: tuple[Any, str, Any]) -> Iterator[None]:
    """Sets attributes, `(owner, name, value)`, in this block."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in attributes]
    for owner, name, value in attributes:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def signs_without_bits() -> AbstractContextManager[None]:
    """Lets signs, by which `keras.ops.argmax` tells −0.0 from 0.0, be traced without operators on bits in this block.

    TFLite has none; −0.0 counts as 0.0 then.
    """
    return replaced_attributes((backend.numpy, "signbit", lambda x: backend.numpy.less(x, 0)))


def attention_parts(layer: Any) -> SimpleNamespace:
    """Returns the sizes and projections of a multi-head or grouped-query attention layer by name."""
    names = ("num_heads", "key_dim", "value_dim", "use_gate", "gate_dense", "query_dense", "key_dense", "value_dense")
    return SimpleNamespace(**{name: getattr(layer, f"_{name}", None) for name in (*names, "output_dense")})


# ---- several devices ----------------------------------------------------------------------------------------

_DISTRIBUTE_TENSOR = distribution_lib.distribute_tensor


def layout_of(variable: Any) -> Any:
    """Returns the layout of a variable on the devices of `keras.distribution`; `None` without one."""
    return getattr(variable, "_layout", None)


def lay_out_alike(old: Iterable[Any], new: Iterable[Any]) -> None:
    """Gives variables the layouts of old ones."""
    for before, after in zip(old, new, strict=True):
        if layout_of(before) not in (None, layout_of(after)):
            after._layout = layout_of(before)
            after.assign(after.value)


def _laid_out(tensor: Any, layout: Any) -> Any:
    """Returns outputs of a layer in their layout, or whole if it does not divide them, as compiled steps do."""
    try:
        return _DISTRIBUTE_TENSOR(tensor, layout)
    except ValueError:
        return tensor


def undivided_remainders(replicas: int) -> AbstractContextManager[None]:
    """Gives batches that are no multiple of the replicas whole to every device in a block; JAX refuses them."""
    divide = backend.distribution_lib.distribute_data_input

    def placed(batch: Any, layout: Any, batch_dim_name: str) -> Any:
        if batch is not None and len(batch) % replicas:
            layout = distribution_lib.TensorLayout([None] * batch.ndim, distribution_lib.distribution().device_mesh)
        return divide(batch, layout, batch_dim_name)

    return replaced_attributes((backend.distribution_lib, "distribute_data_input", placed))


# ---- state of a step on JAX ---------------------------------------------------------------------------------


class Added:
    """Items added to a list of Keras, until `remove`."""

    def __init__(self, target: list[Any], items: list[Any], undo: Callable[[], None] = lambda: None) -> None:
        self._target, self._items, self._undo = target, items, undo
        for item in items:
            list.append(target, item)  # past Keras's tracking, which is locked

    def remove(self) -> None:
        """Removes the items."""
        mine = set(map(id, self._items))
        kept = [item for item in self._target if id(item) not in mine]
        list.__setitem__(self._target, slice(None), kept)
        self._undo()


def added_statistics(model: keras.Model, variables: Iterable[Any]) -> Added:
    """Adds variables to the state of a model that is neither trained nor saved, like that of random seeds."""
    return Added(model._seed_generators, [SimpleNamespace(state=variable) for variable in variables])


def added_optimizer_variables(
    optimizer: keras.Optimizer, variables: Iterable[Any], holders: Iterable[keras.Optimizer] = ()
) -> Added:
    """Adds variables to the state of an optimizer; files saved or loaded before `remove` do not contain them.

    Args:
        optimizer: The optimizer that updates the weights.
        variables: The variables to add.
        holders: Optimizers around it, which save its state too. Defaults to none.
    """
    new = list(variables)
    files = [(each, name) for each in (optimizer, *holders) for name in ("save_own_variables", "load_own_variables")]
    for holder, name in files if new else ():
        if not isinstance(vars(holder).get(name), _Without):  # one for all callbacks, whichever ends first
            vars(holder)[name] = _Without(getattr(holder, name), optimizer)
        vars(holder)[name].added |= set(map(id, new))

    def undo() -> None:
        for holder, name in files if new else ():
            vars(holder)[name].added -= set(map(id, new))
            if not vars(holder)[name].added:
                del vars(holder)[name]

    return Added(optimizer._variables, new, undo)


class _Without:
    """Replaces a method that saves or loads an optimizer: the added variables are left out."""

    def __init__(self, method: Callable[[Any], None], optimizer: keras.Optimizer) -> None:
        self.added: set[int] = set()
        self._method, self._optimizer = method, optimizer

    def __call__(self, store: Any) -> None:
        items = self._optimizer._variables
        before = list(items)
        list.__setitem__(items, slice(None), [item for item in items if id(item) not in self.added])
        try:
            self._method(store)
        finally:
            list.__setitem__(items, slice(None), before)


# ---- training -----------------------------------------------------------------------------------------------


def compile_arguments(model: keras.Model) -> dict[str, Any]:
    """Returns the arguments a model was compiled with, the objects themselves."""
    return dict(model._compile_config.config)


def can_be_jitted(model: keras.Model) -> bool:
    """Returns whether all layers of a model support XLA, and its training is not spread over devices."""
    return trainer.model_supports_jit(model) and getattr(model, "_distribute_strategy", None) is None


def is_jitted(model: keras.Model) -> bool:
    """Returns whether Keras compiles the predictions of a model by XLA, or on torch by `torch.compile`."""
    return bool(model.jit_compile if model.compiled else model._resolve_auto_jit_compile())


def first_metric(model: keras.Model) -> tuple[str, bool | None] | None:
    """Returns the name in the logs of the first compiled metric of an evaluated model, and whether more is better.

    `None` without metrics; more is `None` for a metric without a direction.
    """
    compiled = model._compile_metrics
    if compiled is None or not compiled.metrics:
        return None
    return next(iter(compiled.result())), more_is_better(compiled.metrics[0])


def more_is_better(metric: keras.Metric) -> bool | None:
    """Returns whether more of a metric is better; `None` if it does not say."""
    direction = getattr(metric, "_direction", None)
    return None if direction is None else direction == "up"


def compiled_metrics(model: keras.Model) -> keras.Metric | None:
    """Returns the container of a model's compiled metrics, which are built with the first batch; `None` without any."""
    return model._compile_metrics


def metrics_by_name(compiled: keras.Metric) -> dict[str, keras.Metric]:
    """Returns the metrics of a container that is built by their names in the logs."""
    return dict(zip(compiled.result(), compiled.metrics, strict=True))


def first_metric_of_outputs(compiled: keras.Metric) -> list[str]:
    """Returns the names in the logs of the first metric of every output that has one, of a container that is built."""
    names, found = iter(compiled.result()), []
    for each in (*compiled._flat_metrics, *compiled._flat_weighted_metrics):
        found += [next(names) for _ in (each.metrics if each else ())][:1]
    return found[: max(len(compiled._flat_metrics), 1)]


def compiled_loss(model: keras.Model, y: Any, y_pred: Any, sample_weight: Any) -> Any:
    """Returns the compiled loss of a batch, without penalties."""
    return model._compile_loss(y, y_pred, sample_weight)


def added_loss(model: keras.Model, loss: Any) -> Any:
    """Returns a penalty as a model adds it to the loss: its sum, divided by the number of replicas."""
    return model._aggregate_additional_loss(loss)


def first_epoch(model: keras.Model) -> int | None:
    """Returns the `initial_epoch` of a fit."""
    return model._initial_epoch


def set_first_epoch(model: keras.Model, epoch: int | None) -> None:
    """Sets the epoch that a fit begins with, from within `on_train_begin`."""
    model._initial_epoch = epoch


def deep_copy(metric: keras.Metric) -> keras.Metric:
    """Returns a copy of a metric and those in it; `copy.deepcopy` would use their configs."""
    new = object.__new__(type(metric))
    inside = {id(each): deep_copy(each) for each in metric._metrics}
    vars(new).update(copy.deepcopy(vars(metric), {id(metric): new, **inside}))
    return new


def optimizer_of_state(
    old: keras.Optimizer, fresh: Callable[[Any], Any], settings: Mapping[str, Any]
) -> keras.Optimizer:
    """Returns an unbuilt optimizer with the settings of another that are attributes; its constructor is not called.

    Args:
        old: The other optimizer, with a number as its learning rate.
        fresh: Returns a new object for an optimizer or a metric that is an attribute.
        settings: Other settings by name.
    """
    new, base = object.__new__(type(old)), keras.Optimizer.get_config(old)
    keras.Optimizer.__init__(new, **{name: settings.get(name, value) for name, value in base.items()})
    own = {name: fresh(each) for name, each in vars(old).items() if name not in vars(new) and "_exclude_" not in name}
    vars(new).update(own | {name: each for name, each in settings.items() if name in own})
    return new


def trained_variables(optimizer: keras.Optimizer) -> list[Any]:
    """Returns the variables that a built optimizer updates, in its order."""
    return list(optimizer._trainable_variables)


def raw_iterations(optimizer: keras.Optimizer) -> Any:
    """Returns the variable that counts batches, including those whose gradients are only accumulated."""
    return optimizer._iterations


def learning_rate_variable(optimizer: keras.Optimizer) -> Any:
    """Returns the learning rate of an optimizer: a variable or a schedule."""
    return optimizer._learning_rate


def excluded_from_decay(optimizer: keras.Optimizer) -> tuple[str | None, int]:
    """Returns the arguments of `exclude_from_weight_decay`: the pattern of names, and the number of variables."""
    pattern = getattr(optimizer, "_exclude_from_weight_decay_pattern", None)
    return pattern and pattern.pattern, len(getattr(optimizer, "_exclude_from_weight_decay", ()))


def moving_averages(optimizer: keras.Optimizer) -> list[Any]:
    """Returns the averages of the weights that an optimizer with `use_ema` holds, in the order of the variables."""
    return optimizer._model_variables_moving_average


def loss_object(loss: Any, labels: Any, outputs: Any) -> keras.losses.Loss:
    """Returns the loss object that `compile` makes from a name, a function or an object."""
    return compile_utils.get_loss(loss, labels, outputs)


@contextmanager
def without_schedule(optimizer: keras.Optimizer) -> Iterator[None]:
    """Replaces a learning rate that is a schedule, which may have no configuration, by a number in this block."""
    rate = vars(optimizer)["_learning_rate"]
    vars(optimizer)["_learning_rate"] = 1.0 if callable(rate) else rate
    try:
        yield
    finally:
        vars(optimizer)["_learning_rate"] = rate
