"""What becomes of every public layer and operation of Keras, found by going through them; a page holds it as tables."""

from __future__ import annotations

import ast
import inspect
import textwrap
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import layers, ops, tree

import kerasprune as kp
from kerasprune.graph.rule import Rule, table

WHOLE = ("augmentation", "preprocessing")
"""Files of rules that keep all channels."""
ABSTRACT = ("InputLayer", "InputSpec", "Layer", "Wrapper")
"""Nothing that a model calls."""
REFUSED = {
    "FlaxLayer": "code of another framework",
    "JaxLayer": "code of another framework",
    "TFSMLayer": "code of another framework",
    "TorchModuleWrapper": "code of another framework",
    "GRUCell": "followed inside `RNN`; by itself it has no rule",
    "LSTMCell": "followed inside `RNN`; by itself it has no rule",
    "SimpleRNNCell": "followed inside `RNN`; by itself it has no rule",
    "StackedRNNCells": "followed inside `RNN`; by itself it has no rule",
}
"""Why a layer has no rule; every one of those needs a line here."""


def page_tables() -> str:
    """Returns the tables as Markdown."""
    return "\n".join(
        [
            f"Keras {keras.__version__}, as it is on {keras.backend.backend().replace('tensorflow', 'TensorFlow')}.",
            "",
            *_layer_rows(),
            "",
            *_operation_rows(),
        ]
    )


# ---- layers -------------------------------------------------------------------------------------------------


def layer_classes() -> dict[str, type]:
    """Returns the public layers by name."""
    found = {name: getattr(layers, name) for name in dir(layers) if not name.startswith("_")}
    return {name: cls for name, cls in found.items() if inspect.isclass(cls) and name not in ABSTRACT}


def without_rule() -> list[str]:
    """Returns the names of the public layers that have no rule."""
    return sorted(name for name, cls in layer_classes().items() if cls not in table.load())


def _layer_rows() -> Iterator[str]:
    yield "| Layers | How | What the rule says |"
    yield "|---|---|---|"
    by_rule: dict[Any, list[str]] = {}
    for name, cls in sorted(layer_classes().items()):
        if cls in table.load():
            by_rule.setdefault(table.load()[cls].function, []).append(name)
    for function, names in sorted(by_rule.items(), key=lambda item: item[1]):
        file = function.__module__.rpartition(".")[2]
        yield f"| {_spelt(_one_of_each(names))} | {'frozen' if file in WHOLE else 'rule'} | {_said(function)} |"
    by_reason: dict[str, list[str]] = {}
    for name in without_rule():
        by_reason.setdefault(REFUSED[name], []).append(name)
    for reason, names in sorted(by_reason.items()):
        yield f"| {_spelt(names)} | refused | {reason} |"


def _one_of_each(names: list[str]) -> list[str]:
    """Returns names without the second of two for one class, such as `MaxPool2D` and `MaxPooling2D`."""
    classes: dict[type, str] = {}
    for name in names:
        before = classes.get(getattr(layers, name))
        if before is None or name == getattr(layers, name).__name__:
            classes[getattr(layers, name)] = name
    return sorted(classes.values())


def _said(function: Callable) -> str:
    """Returns the first sentence of a rule."""
    return inspect.getdoc(function).split("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def _spelt(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


# ---- operations ---------------------------------------------------------------------------------------------


def operations() -> dict[str, Callable]:
    """Returns the public functions of `keras.ops`, each under one name."""
    found, seen = {}, set()
    for module, prefix in ((ops, ""), (ops.image, "image."), (ops.linalg, "linalg.")):
        for name in sorted(dir(module)):
            function = getattr(module, name)
            if name.startswith("_") or not inspect.isfunction(function) or function in seen:
                continue
            seen.add(function)
            found[prefix + name] = function
    return found


def classes_of(function: Callable, depth: int = 0) -> list[type]:
    """Returns the operation classes that the code of a function makes, through the functions that it calls."""
    function = inspect.unwrap(function)
    code = ast.parse(textwrap.dedent(inspect.getsource(function)))
    found: list[type] = []
    for node in ast.walk(code):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        called = function.__globals__.get(node.func.id)
        if inspect.isclass(called) and issubclass(called, keras.Operation):
            found.append(called)
        elif inspect.isfunction(called) and called.__module__.startswith("keras.src.ops.") and depth < 2:
            found += classes_of(called, depth + 1)
    return list(dict.fromkeys(found))


def how(function: Callable) -> tuple[str, Rule | None]:
    """Returns what becomes of an operation: `"rule"` and the rule, `"tried"`, or `"constant"`."""
    found = classes_of(function)
    if not found:
        return "constant", None
    rule = table.load().get(found[-1])
    return ("tried", None) if rule is None else ("rule", rule)


def tried(function: Callable) -> str:
    """Returns what trying an operation with default arguments on tensors of shape `(batch, 4, 6)` comes to."""
    for number in (1, 2):
        inputs = keras.Input((4, 6))
        made = [layers.Dense(6, name=f"made_{n}", activation="sigmoid")(inputs) for n in range(number)]
        try:
            outputs = [y for y in tree.flatten(function(*made)) if len(y.shape) > 1 and None not in y.shape[1:]]
            ends = [layers.Dense(2)(layers.Flatten()(ops.cast(y, "float32"))) for y in outputs]
            groups = kp.trace(keras.Model(inputs, ends)).groups
        except Exception:  # noqa: BLE001  it takes other arguments
            continue
        return "followed" if groups["made_0"].prunable else "kept whole"
    return "needs arguments"


def _operation_rows() -> Iterator[str]:
    yield "| Operations | How | What happens |"
    yield "|---|---|---|"
    by_rule: dict[Any, list[str]] = {}
    by_trial: dict[str, list[str]] = {}
    constants = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, function in operations().items():
            status, rule = how(function)
            if rule is not None:
                by_rule.setdefault(rule.function, []).append(name)
            elif status == "tried":
                by_trial.setdefault(tried(function), []).append(name)
            else:
                constants.append(name)
    for function, names in sorted(by_rule.items(), key=lambda item: item[1]):
        yield f"| {_spelt(names)} | rule | {_said(function)} |"
    for found, names in sorted(by_trial.items()):
        yield f"| {_spelt(names)} | tried | {_TRIALS[found]} |"
    yield f"| {_spelt(constants)} | – | makes a constant, or takes no tensor of a model |"


_TRIALS = {
    "followed": "acts on every channel by itself with default arguments: channels may go",
    "kept whole": "mixes channels, or cannot be run on fewer, with default arguments: all stay",
    "needs arguments": "depends on the arguments: tried in every model",
}
