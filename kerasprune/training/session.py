"""One callback in one fit: its steps, the parts it has attached to the model, and its state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune._keras import raw_iterations, trained_variables
from kerasprune.checks import choice_faults
from kerasprune.errors import PruneError, raise_faults
from kerasprune.training.constraints import Attached, Before, attach, take_off
from kerasprune.training.in_step import state_variable
from kerasprune.training.jax_step import JaxStep, synchronise
from kerasprune.training.optimizer import batches_per_update, ensure_built, forget_steps, inner_optimizer, places

State = dict[str, np.ndarray]
"""The state of a callback by name: plain arrays, so that files need no pickle."""
Change = Callable[[Any], Any]
"""Returns the gradient that takes the place of one. Called inside the compiled step."""


class Session:
    """The attached parts and the state of a callback in one fit, which the base class detaches, saves and restores.

    Steps are updates of the weights, not calls of hooks: right under `steps_per_execution`, gradient accumulation and
    loss scaling (an update that is skipped for infinite gradients does not count).

    Registered here are regularizers and constraints (`regularize`, `constrain`), variables that the compiled step reads
    or assigns (`variable`, `track`), and arrays that only hooks read (`notes`).

    A penalty acts by its gradient and adds nothing to the value of the loss; see `AttachedPenalty`.

    Args:
        model: The compiled model in training.
        done: Steps of an earlier fit of the same callback, from which they are counted on. Defaults to 0.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> model.compile("sgd", "mse")
        >>> session = Session(model)
        >>> session.regularize(model.layers[0].kernel, keras.regularizers.L2(0.1))
        >>> session.detach()
        >>> model.layers[0].kernel.regularizer is None
        True
    """

    def __init__(self, model: keras.Model, done: int = 0) -> None:
        self.model = model
        self._optimizer = inner_optimizer(model.optimizer)
        self._attached: list[tuple[str, Any, Attached]] = []
        self._begun_at = self._batches()
        self.start = int(ops.convert_to_numpy(self._optimizer.iterations)) - done
        self.begun = False
        self.done: int | None = None
        self.last_acts: list[Callable[[], None]] = []  # called after the last callback of the fit, ours or not
        self.variables: dict[str, Any] = {}
        self._in_loss: set[str] = set()
        self._jax: JaxStep | None = None
        self.ends: list[Callable[[], None]] = []  # called once when it detaches, also if the fit was interrupted
        self.notes: dict[str, np.ndarray] = {}

    # ---- steps ----------------------------------------------------------------------------------------------

    def now(self) -> int:
        """Returns the number of steps since the fit began, as an `int`."""
        synchronise(self.model)
        return int(ops.convert_to_numpy(self._optimizer.iterations)) - self.start

    def count_on(self, back: int) -> None:
        """Counts on after the optimizer was set back by some steps, unless the compiled step holds the count."""
        if not self._attached:
            self.start -= back

    def batches(self) -> int:
        """Returns the number of gradients given to the optimizer since the session began."""
        synchronise(self.model)
        return self._batches() - self._begun_at

    def _batches(self) -> int:
        return int(ops.convert_to_numpy(raw_iterations(self._optimizer)))

    def close(self) -> None:
        """Stores the number of steps, for a later fit that continues, and detaches."""
        if self.done is None:
            self.done = self.now()
        self.detach()

    def step(self) -> Any:
        """Returns the number of steps as a tensor, inside a regularizer and so inside the compiled step."""
        steps = self._optimizer.iterations if self._jax is None else self._jax.steps
        return ops.cast(ops.convert_to_tensor(steps), "int32") - self.start

    def step_after_update(self) -> Any:
        """Returns, inside a constraint, the number of steps including the present one.

        Keras applies constraints after the update of the weights and before it counts it; while gradients are
        accumulated nothing is counted until the update.
        """
        raw = ops.cast(ops.convert_to_tensor(raw_iterations(self._optimizer)), "int32") + 1
        return raw // batches_per_update(self._optimizer) - self.start

    def due(self) -> Any:
        """Returns, inside a constraint, whether this batch updates the weights, rather than accumulating a gradient."""
        steps = batches_per_update(self._optimizer)
        raw = ops.cast(ops.convert_to_tensor(raw_iterations(self._optimizer)), "int32") + 1
        return ops.equal(raw % steps, 0)

    def rate(self) -> Any:
        """Returns the learning rate of the present step, inside a constraint."""
        return ops.cast(self._optimizer.learning_rate, "float32")

    # ---- parts of the step ----------------------------------------------------------------------------------

    def regularize(self, variable: Any, regularizer: keras.regularizers.Regularizer) -> None:
        """Adds a regularizer to a variable, in addition to an existing one."""
        self._attached.append(("regularizer", variable, attach(variable, "regularizer", regularizer)))

    def constrain(self, variable: Any, constraint: keras.constraints.Constraint) -> None:
        """Adds a constraint to a variable, applied after an existing one."""
        self._attached.append(("constraint", variable, attach(variable, "constraint", constraint)))

    def change_gradient(self, variable: Any, change: Change) -> None:
        """Replaces the gradient of a variable by `change(gradient)` in every step, before the optimizer uses it.

        To be called along with `constrain`, by which it is known whether a step updates through the optimizer.
        """
        replaced = vars(self._optimizer)
        if not isinstance(replaced.get("apply"), _ChangedGradients):  # one for all callbacks, whichever ends first
            replaced["apply"] = _ChangedGradients(self._optimizer)
        every, mine = replaced["apply"].changes, (variable, change)
        every.append(mine)

        def end() -> None:
            every[:] = [each for each in every if each is not mine]
            if not every:
                replaced.pop("apply", None)

        self.ends.append(end)

    def before(self, variables: Iterable[Any], act: Callable[[], None]) -> None:
        """Calls `act` in every step, after the update of the weights and before the constraints added next.

        Args:
            variables: Trained variables; Keras applies the constraints of the first of them first.
            act: The function, which may read any weight.
        """
        ensure_built(self.model)
        order = places(self.model.optimizer)
        self.constrain(min(variables, key=lambda variable: order.get(id(variable), len(order))), Before(act))

    def attached(self, kind: str) -> list[tuple[Any, Attached]]:
        """Returns the attached `(variable, part)` of a kind: `"regularizer"` or `"constraint"`."""
        return [(variable, part) for what, variable, part in self._attached if what == kind]

    def watch(self, watched: bool) -> None:
        """Sets whether the model is training now, rather than being evaluated in between."""
        for _, _, part in self._attached:
            part.watched = watched

    def compile(self) -> None:
        """Makes Keras trace the training step again if anything was attached, since it reads parts only then."""
        if self._attached:
            if keras.backend.backend() == "jax":
                in_loss = [variable for name, variable in self.variables.items() if name in self._in_loss]
                in_update = [variable for name, variable in self.variables.items() if name not in self._in_loss]
                ensure_built(self.model)
                self._jax = JaxStep(self.model, in_loss, in_update)
            self.model.test_function = None
            self.model.make_train_function(force=True)

    def detach(self) -> None:
        """Removes the attached parts, and nothing else; the next `fit` or `evaluate` traces again."""
        for end in self.ends:
            end()
        self.ends.clear()
        if not self._attached:
            return
        for kind, variable, part in self._attached:
            take_off(variable, kind, part)
        self._attached.clear()
        if self._jax is not None:
            self._jax.detach()
            self._jax = None
        forget_steps(self.model)

    @property
    def needs_fit(self) -> bool:
        """Whether attached parts act in the step of `fit` only: penalties that follow the step, on JAX."""
        return self._jax is not None and any(kind == "regularizer" for kind, _, _ in self._attached)

    # ---- state ----------------------------------------------------------------------------------------------

    def variable(
        self, name: str, value: np.ndarray | np.generic | float, read_by: str = "constraint"
    ) -> keras.Variable:
        """Returns a new untrained variable that is part of the state; see `track`."""
        return self.track(name, state_variable(value, name.split("/")[0]), read_by)

    def track(self, name: str, variable: Any, read_by: str = "constraint") -> Any:
        """Makes a variable part of the state, and returns it.

        Args:
            name: Its name in the state.
            variable: The variable, as `state_variable` makes it.
            read_by: The part that reads or assigns it inside the step: `"regularizer"` or `"constraint"`; on JAX they
                belong to different functions. Defaults to `"constraint"`, also for variables that only hooks use.
        """
        raise_faults("Invalid arguments for track:", choice_faults(("regularizer", "constraint"), read_by=read_by))
        self.variables[name] = variable
        if read_by == "regularizer":
            self._in_loss.add(name)
        return variable

    @property
    def looks(self) -> np.ndarray:
        """The steps at which `look` was called, shape `(times,)`."""
        return self.notes.get("steps", np.zeros(0, int))

    def look(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Appends arrays to the notes, one row each; a second look at a step replaces the first.

        Args:
            arrays: `{name: array}`, of the same shapes at every look.
        """
        now = self.now()
        before = self.looks != now
        self.notes["steps"] = np.append(self.looks[before], now)
        for name, array in arrays.items():
            seen = self.notes.get(name, array[None][:0])
            self.notes[name] = np.concatenate([seen[before], array[None]])

    def state(self) -> State:
        """Returns the step at which the session began, the variables and the notes, as arrays."""
        values = {name: ops.convert_to_numpy(variable) for name, variable in self.variables.items()}
        notes = {name: np.asarray(note) for name, note in self.notes.items()}
        return {"start": np.asarray(self.start), **values, **notes}

    def goes_on(self, state: State) -> None:
        """Restores the state of an earlier fit of the same callback, whose steps were given as `done`.

        Raises:
            PruneError: The model has changed meanwhile.
        """
        if any(name not in state or np.shape(state[name]) != tuple(v.shape) for name, v in self.variables.items()):
            raise PruneError(
                "Expected the model as the earlier fit of this callback left it. Received: one with other prunable "
                "kernels. Call callback.reset() to start afresh."
            )
        self.restore({**state, "start": np.asarray(self.start)})

    def restore(self, state: State) -> None:
        """Restores a state."""
        for name, variable in self.variables.items():
            variable.assign(state[name])
        self.start = int(state["start"])
        self._begun_at = self._batches()  # batches before the kill are not of this fit
        self.notes = {name: array for name, array in state.items() if name not in self.variables and name != "start"}


class _ChangedGradients:
    """Stands in for `optimizer.apply`, a public method through which every step of Keras goes, on all backends.

    Args:
        optimizer: The optimizer that updates the weights, without loss scaling around it.
    """

    def __init__(self, optimizer: keras.Optimizer) -> None:
        self._optimizer, self._apply = optimizer, optimizer.apply
        self.changes: list[tuple[Any, Change]] = []

    def __call__(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> Any:
        variables = trained_variables(self._optimizer) if trainable_variables is None else trainable_variables
        changed = list(grads)
        for variable, change in self.changes:
            for place, each in enumerate(variables):
                if each is variable and changed[place] is not None:
                    changed[place] = change(changed[place])
        return self._apply(changed, trainable_variables)
