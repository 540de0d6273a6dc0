"""The oracle: a rebuilt model must equal the dense one with the removed channels silenced."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasprune.graph.plans import Plan
from kerasprune.graph.trace import layer_names, size_to_try
from kerasprune.rules.gate import Gate
from kerasprune.surgery.absorb import fold
from kerasprune.surgery.comparison import difference, finite_outputs_of, outputs_of
from kerasprune.surgery.costs.cost import cost
from kerasprune.surgery.costs.counts import Cost
from kerasprune.surgery.cut import Cut
from kerasprune.surgery.mask import mask
from kerasprune.surgery.random_inputs import random_inputs
from kerasprune.surgery.rebuild import rebuild
from kerasprune.testing.toys import require

_SPREAD = 30  # least spread of outputs between samples, in tolerances
_FOLDED = 5  # largest error with folded constants, which are summed in another order, in tolerances


@dataclass(frozen=True)
class Agreement:
    """The agreement of two models on a batch, over all outputs.

    Args:
        error: `max |a − b| / max |a|`.
        spread: `max std_samples(a) / max |a|`, how much the outputs vary with the inputs.
    """

    error: float
    spread: float


def compare(expected: keras.Model, model: keras.Model, inputs: Any) -> Agreement:
    """Returns the agreement of two models on a batch, for the output that differs most.

    Raises:
        PruneError: The first model outputs infinity or NaN.
        AssertionError: The second model does, or its outputs differ in shape.
    """
    found = []
    for a, b in zip(finite_outputs_of(expected, inputs), outputs_of(model, inputs), strict=True):
        require(a.shape == b.shape, f"Expected outputs of shape {a.shape}. Received: shape {b.shape}.")
        require(np.isfinite(b).all(), f"Expected finite outputs of {model.name!r}. Received: NaN or infinity.")
        found.append(difference(a, b))
    return Agreement(max(each.error for each in found), min(each.spread for each in found))


def check_rebuild(
    model: keras.Model, plan: Plan, *, inputs: Any = None, tolerance: float = 1e-5, seed: int = 0
) -> Agreement:
    """Checks that `kp.rebuild` and `kp.mask` carry out a plan exactly.

    `rebuild(model, plan, absorb=False)` must equal `mask(model, plan)`, and if folded constants meet no padding,
    `rebuild(model, plan)` must equal `mask(model, plan, silence="weights")`. Outputs must vary between samples and
    differ from the dense model's, otherwise the comparison proves nothing. With nothing removed, both must equal the
    dense model: a config that omits an argument spoils the masked and the rebuilt copy in the same way. The costs must
    be the predicted ones, layer names must be kept, and the dense model must not change.

    Args:
        model: A model with random weights (see `randomise`) whose outputs are logits.
        plan: The plan.
        inputs: A batch. Defaults to random inputs.
        tolerance: Largest relative difference; five times as much with folded constants. Defaults to 1e-5.
        seed: Seed of the random inputs. Defaults to 0.

    Returns:
        The agreement in the first comparison.

    Raises:
        AssertionError: One of these checks fails.

    Example:
        >>> import keras, kerasprune as kp
        >>> from kerasprune.testing import check_rebuild, randomise
        >>> inputs = keras.Input((4,))
        >>> x = keras.layers.Dense(6, activation="relu", name="hidden")(inputs)
        >>> model = randomise(keras.Model(inputs, keras.layers.Dense(2)(x)))
        >>> check_rebuild(model, kp.Plan({"hidden": [0, 2, 5]})).error < 1e-5
        True
    """
    inputs = random_inputs(model, seed=seed) if inputs is None else inputs
    before = model.to_json(), model.get_weights()
    _check_copies(model, plan, inputs, tolerance)
    cut, silent = Cut.of(model, plan), mask(model, plan)
    slim, folded = rebuild(model, plan, absorb=False), rebuild(model, plan)
    found = compare(silent, slim, inputs)
    require(
        found.spread > _SPREAD * tolerance,
        f"Expected outputs that differ between samples. Received: a relative spread of {found.spread:.1e}, on which "
        "no comparison can fail. Give the model other weights (randomise) or logits as outputs.",
    )
    require(
        found.error <= tolerance,
        f"Expected rebuild(absorb=False) to equal mask() to {tolerance:.0e}. "
        f"Received: a relative difference of {found.error:.1e}.",
    )
    _check_effect(model, silent, cut, inputs, tolerance)
    _check_folded(model, cut, folded, inputs, tolerance)
    _check_names(cut, slim)
    _check_costs(model, plan, slim, folded)
    require(
        before[0] == model.to_json() and all(map(np.array_equal, before[1], model.get_weights())),
        f"Expected rebuild and mask to leave {model.name!r} untouched. Received: another config or other weights.",
    )
    return found


def check_saved(model: keras.Model, inputs: Any, custom_objects: dict[str, Any] | None = None) -> None:
    """Checks that a model loads from a `.keras` file in safe mode and computes the same.

    Args:
        model: The slim model.
        inputs: A batch.
        custom_objects: The user's own classes by name. Defaults to none.

    Raises:
        AssertionError: The loaded model computes something else.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slim.keras"
        model.save(path)
        loaded = keras.models.load_model(path, custom_objects=custom_objects, compile=False, safe_mode=True)
    error = compare(model, loaded, inputs).error
    require(error <= 1e-6, f"Expected the saved model to compute the same. Received: a difference of {error:.1e}.")


def _check_copies(model: keras.Model, plan: Plan, inputs: Any, tolerance: float) -> None:
    """Checks that copies with nothing removed equal the model."""
    whole = Plan({}, coupling=plan.coupling)
    for make in (mask, rebuild):
        error = compare(model, make(model, whole), inputs).error
        require(
            error <= tolerance,
            f"Expected {make.__name__}() without removed channels to equal the model itself to {tolerance:.0e}. "
            f"Received: a relative difference of {error:.1e}. A layer differs from one made from its config: let "
            "get_config() return all arguments of the constructor.",
        )


def _check_effect(model: keras.Model, silent: keras.Model, cut: Cut, inputs: Any, tolerance: float) -> None:
    if cut.alive.all() and not cut.plan.removed:
        return
    effect = compare(model, silent, inputs).error
    require(
        effect > 10 * tolerance,
        f"Expected removed channels to change the outputs. Received: a relative change of {effect:.1e}, "
        "so that the comparison cannot fail. Remove more, or give the channels larger weights.",
    )


def _check_folded(model: keras.Model, cut: Cut, slim: keras.Model, inputs: Any, tolerance: float) -> None:
    found = fold(cut)
    if found.padded or found.lost:
        return
    error = compare(mask(model, cut.plan, silence="weights"), slim, inputs).error
    require(
        error <= _FOLDED * tolerance,
        f"Expected rebuild(absorb=True) to equal mask(silence='weights') to {_FOLDED * tolerance:.0e}, as no folded "
        f"layer is padded. Received: a relative difference of {error:.1e}.",
    )


def _check_names(cut: Cut, slim: keras.Model) -> None:
    """Checks that kept layers have the same names in the same order, but for operations that widen a branch."""
    operations = [call.operation for call in cut.graph.calls]
    named = dict.fromkeys(each.name for each in operations if not isinstance(each, Gate))  # gates are multiplied in
    expected = [
        name for name in named if name not in cut.plan.removed
    ]  # a dense block is removed with its concatenation
    received = layer_names(slim)
    if cut.graph.padded:  # that operation also moves others in the order of the calls
        expected, received = sorted(expected), sorted(set(received) & set(expected))
    require(expected == received, f"Expected the same layer names. Received: {received} instead of {expected}.")


def _check_costs(model: keras.Model, plan: Plan, slim: keras.Model, folded: keras.Model) -> None:
    """Checks that the predicted cost of a plan is that of the built model, layer by layer."""
    side = size_to_try(model)
    found = cost(slim, size=side)
    _same_costs(cost(model, plan, size=side), found, "absorb=False")
    _same_costs(cost(model, plan, size=side, absorb=True), cost(folded, size=side), "absorb=True")
    require(
        found.params == slim.count_params(),
        f"Expected {slim.count_params()} parameters, as Keras counts them. Received: cost().params={found.params}.",
    )


def _same_costs(predicted: Cost, actual: Cost, how: str) -> None:
    for key in ("params", "macs", "activations", "bytes"):
        a, b = getattr(predicted, key), getattr(actual, key)
        parts = [
            f"{one.name}: {getattr(one, key)} predicted, {getattr(two, key)} built"
            for one, two in zip(predicted.layers, actual.layers, strict=False)
            if getattr(one, key) != getattr(two, key)
        ]
        require(
            a == b,
            f"Expected the predicted {key} to be those of the model built with {how}. Received: {a} ≠ {b} {parts}.",
        )
