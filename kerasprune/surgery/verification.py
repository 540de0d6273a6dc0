"""The guarantee as a function: a slim model computes what its plan says, costs what was predicted, and loads alone."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import tree

from kerasprune._keras import DRAWING
from kerasprune.checks import kind_faults
from kerasprune.data.batches import example_batches, free_size
from kerasprune.data.signature import inputs_of
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.built_model import LOAD, body_of
from kerasprune.graph.graph import ChannelGraph, check_finite_weights
from kerasprune.graph.plans import Plan, plan_faults
from kerasprune.graph.trace import size_to_try
from kerasprune.graph.walk import has_free_axes
from kerasprune.surgery.absorb import fold
from kerasprune.surgery.comparison import finite_outputs_of, largest_error, outputs_of
from kerasprune.surgery.compute_dtype import coarsest_type, rounding
from kerasprune.surgery.costs.cost import cost
from kerasprune.surgery.cut import Cut
from kerasprune.surgery.graphs import graph_at, graph_for
from kerasprune.surgery.mask import mask_cut
from kerasprune.surgery.random_inputs import random_inputs, structure_inputs
from kerasprune.surgery.rebuild import rebuild_cut
from kerasprune.tables import Part, Shown, Table

_TOLERANCES = {"float32": 1e-4, "float16": 3e-2, "bfloat16": 3e-2}
_SECONDS = 600
_COMPARED = 128  # examples
_GIVE_DATA = "Give data to compare on."
_FOLDED, _DROPPED = "folding constants at padded borders", "dropping what cannot be folded"
_ALONE = """
import sys
sys.modules["kerasprune"] = None  # importing it raises
import keras, numpy as np
def zeros(self, shape, dtype=None):  # in place of draws, which the file replaces: JAX compiles one for each shape
    return keras.ops.zeros(shape, dtype)
for name in sys.argv[4:]:
    getattr(keras.initializers, name).__call__ = zeros
model = keras.models.load_model(sys.argv[1], compile=False)
if keras.backend.backend() == "jax":
    import jax
    jax.config.update("jax_default_matmul_precision", "highest")
elif keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    tf.config.experimental.enable_tensor_float_32_execution(False)
elif keras.backend.backend() == "torch":
    import torch
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
arrays = np.load(sys.argv[2])
inputs = keras.tree.pack_sequence_as(model.input, [arrays[str(i)] for i in range(len(arrays.files))])
outputs = keras.tree.flatten(model(inputs, training=False))
np.savez(sys.argv[3], *[keras.ops.convert_to_numpy(keras.ops.cast(y, "float32")) for y in outputs])
"""


class RandomInputsRefused(PruneError):
    """Raised if a model does not take random inputs, or returns no numbers for them."""


@dataclass(frozen=True)
class Verdict(Shown):
    """The result of `verify`.

    Args:
        error: Largest relative difference between the slim model and the masked dense model; NaN if the dense model's
            outputs are random, so that they cannot be compared.
        copy_error: The same difference between the dense model and an unpruned copy of it. The masked model is such a
            copy, so a layer that its config does not fully describe is noticed only here.
        reload_error: The same difference between the slim model and the slim model saved and reloaded in a process
            without kerasprune; `None` if this was not requested.
        params: `(predicted, actual)` number of parameters.
        macs: `(predicted, actual)` number of multiply–adds.
        approximate: Names of layers into which constants of removed channels could not be folded exactly: constants
            valid except at the border of the image, and values that are not constant, which are dropped.
        faults: The problems found, one sentence each.
        reason: Why the two differ by more than rounding; empty if they do not. Defaults to `""`.

    Example:
        >>> import keras, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> plan = kp.plan(model, keep=0.5)
        >>> verdict = kp.verify(model, kp.rebuild(model, plan), plan, reload=False)
        >>> verdict.passed, verdict.params
        (True, (30, 30))
    """

    error: float
    copy_error: float
    reload_error: float | None
    params: tuple[int, int]
    macs: tuple[int, int]
    approximate: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether no fault was found."""
        return not self.faults

    def __str__(self) -> str:
        """Returns the findings, a line each."""
        return "\n".join([*(f"{name}: {found}" for name, found in self._findings()), *self._listed()])

    def _shown(self) -> list[Part]:
        return [Table((), self._findings()), *self._listed()]

    def _findings(self) -> list[tuple[str, str]]:
        folded = f", for the constants folded into {', '.join(self.approximate)}" if self.approximate else ""
        compared = [
            ("slim against masked model", f"{self.error:.1e}{folded}"),
            ("copy against dense model", f"{self.copy_error:.1e}"),
        ]
        draws = bool(np.isnan(self.copy_error))
        if draws:
            compared = [("outputs", "not compared, since those of the dense model change from call to call")]
        return [
            ("verified", ("yes", "the predicted cost")[draws] if self.passed else "NO"),
            *compared,
            ("loaded without kerasprune", "not tried" if self.reload_error is None else f"{self.reload_error:.1e}"),
            ("parameters", f"{self.params[1]:,} of {self.params[0]:,} predicted"),
            ("multiply–adds", f"{self.macs[1]:,} of {self.macs[0]:,} predicted"),
        ]

    def _listed(self) -> list[str]:
        return [f"- {fault}" for fault in self.faults]


def verify(
    model: keras.Model | ChannelGraph,
    slim: keras.Model,
    plan: Plan,
    data: Any = None,
    *,
    strict: bool = False,
    reload: bool = True,
) -> Verdict:
    """Checks that a slim model computes and costs what its plan says.

    The outputs are compared with those of `kp.mask(model, plan)` on one batch, the cost with the predicted one, and the
    model is saved and reloaded in a process that cannot import kerasprune. Products are computed in full precision on
    every device. Call it before training the slim model.

    Args:
        model: The dense model, with the same weights as when the slim model was built, or its graph.
        slim: The slim model that `kp.rebuild` returned.
        plan: The plan.
        data: Examples in any form that `fit` takes, of which the first are compared, at most 128; labels are ignored.
            Defaults to random numbers.
        strict: Whether to raise an error if a check fails. Defaults to `False`: the verdict reports it.
        reload: Whether to load the slim model in another process, which takes a few seconds. Defaults to `True`.

    Returns:
        The verdict.

    Raises:
        PruneError: A check fails and `strict` is set, the plan is of another model, or the two models are swapped.

    Example:
        >>> import keras, kerasprune as kp
        >>> inputs = keras.Input((4,))
        >>> x = keras.layers.Dense(6, activation="relu", name="hidden")(inputs)
        >>> model = keras.Model(inputs, keras.layers.Dense(2)(x))
        >>> plan = kp.plan(model, keep=0.5)
        >>> kp.verify(model, kp.rebuild(model, plan), plan, reload=False).passed
        True
    """
    given = {"model": model.model if isinstance(model, ChannelGraph) else model, "slim": slim}
    faults = [*kind_faults(keras.Model, LOAD, **given), *plan_faults(plan=plan)]
    raise_faults("Nothing can be verified:", faults)
    graph = model if isinstance(model, ChannelGraph) else graph_for(model, plan, plan.resolution)
    check_order(graph.model, slim, plan)
    if data is not None:
        data = structure_inputs(graph.model, example_batches(graph.model, data, _COMPARED)[0])
    return verify_cut(Cut.of(graph, plan), slim, data, strict=strict, reload=reload)


def verify_cut(cut: Cut, slim: keras.Model, data: Any = None, *, strict: bool = False, reload: bool = True) -> Verdict:
    """Returns the verdict on the slim model of a cut; see `verify`."""
    model = cut.model
    faults: list[str] = []
    cut = at_known_size(cut, data)
    inputs = random_inputs(model, side=cut.whole.size) if data is None else data
    precision = coarsest_type(model)
    tolerance = _TOLERANCES[precision]
    params, macs, wrong = _costs(cut, slim)
    wanted = _outputs_of_dense(model, inputs, at_random=data is None)
    draws = largest_error(wanted, outputs_of(model, inputs)) > tolerance
    reload_error = _loaded_alone(slim, inputs) if reload else None
    copy_error = error = float("nan")
    approximate, reason = (), ""
    if not draws:
        copy_error = largest_error(wanted, outputs_of(rebuild_cut(cut.nothing), inputs))
        what = "A copy of the dense model, from which nothing is removed"
        faults += _too_large(what, copy_error, tolerance, precision)
        folded = fold(cut)
        error, approximate = _against_masks(cut, slim, inputs, tolerance, [*folded.padded, *folded.lost])
        inexact = {_FOLDED: folded.padded, _DROPPED: folded.lost} if approximate else {}
        reason = " and ".join(each for each, layers in inexact.items() if layers)
        faults += _too_large("The slim model", error, tolerance, precision) if not approximate else []
    if reload_error is not None and not draws:
        what = "The slim model, saved and loaded without kerasprune,"
        faults += _too_large(what, reload_error, 1e-5 + tolerance / 10, precision)
    verdict = Verdict(error, copy_error, reload_error, params, macs, approximate, (*faults, *wrong), reason)
    raise_faults("The slim model is not what its plan says:", list(verdict.faults) if strict else [])
    return verdict


def check_order(model: keras.Model, slim: keras.Model, plan: Plan) -> None:
    """Raises if the plan is one of the second model, which is the larger one: the two were swapped."""
    params, more = body_of(model).count_params(), body_of(slim).count_params()
    if more <= params:
        return
    try:
        Cut.of(graph_for(slim, plan), plan)
    except PruneError:
        return
    raise PruneError(
        f"Expected the dense model as model, and the smaller one as slim. Received: a model of {params:,} parameters "
        f"and a slim one of {more:,}, which the plan is for. Swap the two."
    )


def _against_masks(
    cut: Cut, slim: keras.Model, inputs: Any, tolerance: float, inexact: Sequence[str]
) -> tuple[float, tuple[str, ...]]:
    """Returns the difference from the masked model, and the layers in which folded constants explain it.

    A model that was rebuilt with `absorb=True` equals the masked model whose biases still speak, where all constants
    could be folded exactly. Otherwise it must equal a second `rebuild`, which must be exact except for the folding:
    without folding, it must equal the masked model.
    """
    found = outputs_of(slim, inputs)
    error = largest_error(finite_outputs_of(mask_cut(cut, silence="weights"), inputs), found)
    if error <= tolerance:
        return error, ()
    masked = finite_outputs_of(mask_cut(cut), inputs)
    error = min(error, largest_error(masked, found))
    if error <= tolerance or not inexact:
        return error, ()
    unfolded = largest_error(masked, outputs_of(rebuild_cut(cut, absorb=False), inputs))
    if max(unfolded, largest_error(finite_outputs_of(rebuild_cut(cut), inputs), found)) > tolerance:
        return error, ()
    return error, tuple(dict.fromkeys(inexact))


def _outputs_of_dense(model: keras.Model, inputs: Any, *, at_random: bool) -> list[np.ndarray]:
    """Returns the outputs of the dense model; raises a `PruneError` if it has none, or none that are finite."""
    try:
        return finite_outputs_of(model, inputs)
    except PruneError as error:  # on JAX an index out of range gives NaN, and no error
        if not at_random:
            raise
        check_finite_weights(model)
        raise RandomInputsRefused(f"{error} {_GIVE_DATA}") from error
    except Exception as error:  # whatever layers raise
        if not at_random:
            raise
        first = str(error).strip().partition("\n")[0]
        raise RandomInputsRefused(
            f"Expected a model that takes random inputs, for the comparison. Received: {model.name!r}, which raises "
            f"{type(error).__name__}: {first} {_GIVE_DATA}"
        ) from error


def _too_large(what: str, error: float, tolerance: float, precision: str) -> list[str]:
    if error <= tolerance:
        return []
    limit = f"{rounding(precision)} explains at most {tolerance:.0e}"
    return [f"{what} differs by {error:.1e}; {limit}. Was it trained or reconstructed since, or is a rule wrong?"]


def at_known_size(cut: Cut, data: Any = None) -> Cut:
    """Returns a cut whose costs are counted at a known size: its own, else that of the data, else one that is tried."""
    size = cut.whole.size or cut.plan.resolution
    if size is None and data is not None and has_free_axes(cut.model):
        size = free_size(cut.model, [x.shape for x in inputs_of(cut.model).flatten(data)])
    graph = graph_at(cut.whole, None, size_to_try(cut.model, size))
    return cut if graph is cut.whole else Cut.of(graph, cut.plan)


def _costs(cut: Cut, slim: keras.Model) -> tuple[tuple[int, int], tuple[int, int], list[str]]:
    """Returns parameters and multiply–adds, predicted and found, and the faults of them."""
    found = cost(slim, size=cut.whole.size)
    predicted = [cut.cost(added=fold(cut).added), cut.cost()]
    nearest = min(predicted, key=lambda each: abs(each.params - found.params))
    pairs = {"parameters": (nearest.params, found.params), "multiply–adds": (nearest.macs, found.macs)}
    wrong = [f"{name}: {a:,} were predicted, the slim model has {b:,}." for name, (a, b) in pairs.items() if a != b]
    if found.params != slim.count_params():
        wrong.append(f"parameters: kp.cost counts {found.params:,}, Keras {slim.count_params():,}.")
    return *pairs.values(), wrong


def _loaded_alone(slim: keras.Model, inputs: Any) -> float:
    """Returns how far the slim model is from itself, loaded in a process that cannot import kerasprune."""
    with tempfile.TemporaryDirectory() as folder:
        model, fed, made = (Path(folder) / name for name in ("slim.keras", "inputs.npz", "outputs.npz"))
        slim.save(model)
        arrays = [_without_objects(keras.ops.convert_to_numpy(x)) for x in tree.flatten(inputs)]
        np.savez(fed, **{str(index): array for index, array in enumerate(arrays)})
        done = subprocess.run(
            [sys.executable, "-c", _ALONE, str(model), str(fed), str(made), *DRAWING],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            env={**os.environ, "KERAS_BACKEND": keras.backend.backend()},
            check=False,
        )
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["no message."]
            raise PruneError(
                f"Expected a slim model that loads in another process. Received: {said[-1]} "
                "Custom classes must be registered and imported there: verify with reload=False."
            )
        outputs = np.load(made)
        here = outputs_of(slim, inputs, keras.Model.__call__)  # as Keras alone calls it there
        return largest_error(here, [outputs[name] for name in outputs.files])


def _without_objects(array: np.ndarray) -> np.ndarray:
    """Converts texts to an array of bytes; returns other arrays unchanged."""
    if array.dtype.kind != "O":
        return array
    return np.array([x.encode() if isinstance(x, str) else x for x in array.flat], "S").reshape(array.shape)
