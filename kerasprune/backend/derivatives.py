"""Values, gradients and Hessian-vector products of a function of variables, outside of `fit`, on every backend.

The function runs in a stateless scope: its assignments, such as statistics of BatchNorm and seeds, are dropped, so a
model is unchanged. It is computed in full precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import keras
from keras import ops, tree

from kerasprune.backend.engine import engine, full_precision
from kerasprune.backend.tracing import traced_for_each_model

Gradient = Callable[..., tuple[Any, list[Any]]]
"""`(*arguments) → (value, gradients)`: tensors of the backend, one gradient for each variable."""


def measurement(function: Callable[..., Any], variables: Sequence[keras.Variable]) -> Callable[..., Any]:
    """Returns a function of variables as one program, which can be run at any moment.

    Args:
        function: `function(*arguments)` returns a structure of tensors; it reads these variables alone.
        variables: The variables.

    Returns:
        The program; it returns arrays in the structure.

    Raises:
        PruneError: Keras runs on another backend.

    Example:
        >>> import keras
        >>> x = keras.Variable([1.0, 3.0])
        >>> total = measurement(lambda: {"sum": keras.ops.sum(x)}, [x])
        >>> x.assign_add([1.0, 1.0]) is None, float(total()["sum"])
        (False, 6.0)
    """
    variables = list(variables)
    pure = _pure(function, variables, [])
    program = engine().compiled_over(lambda values, *arguments: pure(values, [], *arguments), variables)

    @full_precision()
    @traced_for_each_model()
    def measured(*arguments: Any) -> Any:
        return tree.map_structure(ops.convert_to_numpy, program(*_tensors(arguments)))

    return measured


def gradient(
    function: Callable[..., Any], variables: Sequence[keras.Variable], state: Sequence[keras.Variable] = ()
) -> Gradient:
    """Returns the gradient of a scalar function with respect to variables, as a function of its arguments.

    `gradient(f, variables)(*arguments) = (f(*arguments), [∂f/∂v for v in variables])`

    Args:
        function: `function(*arguments)` returns a scalar tensor; it reads variables as a model does, and may call
            models. Its assignments are dropped.
        variables: Variables of floating point, in the order of the gradients.
        state: All other variables that the function reads, such as `model.variables`. On JAX these are arguments of
            the compiled function; others are constants of it. Defaults to none.

    Returns:
        The gradient; arguments are nested structures of tensors or arrays. Compiled once per shape of arguments.

    Raises:
        PruneError: Keras runs on a backend without gradients.

    Example:
        >>> import keras
        >>> x = keras.Variable([1.0, 3.0])
        >>> square = gradient(lambda scale: keras.ops.sum(scale * x**2), [x])
        >>> value, (slope,) = square(2.0)
        >>> float(value), keras.ops.convert_to_numpy(slope).tolist()
        (20.0, [4.0, 12.0])
    """
    variables, rest = list(variables), _others(variables, state)
    differentiated = engine().gradient(_pure(function, variables, rest))

    @full_precision()
    @traced_for_each_model()
    def evaluated(*arguments: Any) -> tuple[Any, list[Any]]:
        return differentiated(_values(variables), _values(rest), *_tensors(arguments))

    return evaluated


def hessian_vector_product(
    function: Callable[..., Any], variables: Sequence[keras.Variable], state: Sequence[keras.Variable] = ()
) -> Callable[..., list[Any]]:
    """Returns the exact product of the Hessian of a scalar function with vectors.

    `hessian_vector_product(f, variables)(vectors, *arguments) = ∂(Σ ∂f/∂v · vector)/∂variables`

    Args:
        function: As for `gradient`; it must have second derivatives.
        variables: As for `gradient`.
        state: As for `gradient`.

    Returns:
        The product: a function of one vector for each variable, in its shape, and of the arguments.

    Raises:
        PruneError: Keras runs on a backend without gradients.

    Example:
        >>> import keras
        >>> x = keras.Variable([1.0, 3.0])
        >>> curvature = hessian_vector_product(lambda: keras.ops.sum(x**3), [x])
        >>> keras.ops.convert_to_numpy(curvature([[1.0, 1.0]])[0]).tolist()
        [6.0, 18.0]

    Reference:
        Pearlmutter, Fast Exact Multiplication by the Hessian, Neural Computation 6 (1994).
    """
    variables, rest = list(variables), _others(variables, state)
    product = engine().hessian_vector_product(_pure(function, variables, rest))

    @full_precision()
    @traced_for_each_model()
    def evaluated(vectors: Sequence[Any], *arguments: Any) -> list[Any]:
        typed = [ops.convert_to_tensor(v, dtype=variable.dtype) for v, variable in zip(vectors, variables, strict=True)]
        return product(_values(variables), _values(rest), typed, *_tensors(arguments))

    return evaluated


def per_example(of: Gradient, *arguments: Any) -> Iterator[tuple[Any, list[Any]]]:
    """Yields value and gradients of every example, in batches of one.

    Args:
        of: A function returned by `gradient`.
        arguments: Structures of arrays whose first axis counts the examples, or `None`.

    Example:
        >>> import keras
        >>> x = keras.Variable(1.0)
        >>> cube = gradient(lambda batch: keras.ops.mean(batch * x**3), [x])
        >>> [float(slope) for _, (slope,) in per_example(cube, keras.ops.array([1.0, 2.0]))]
        [3.0, 6.0]
    """
    number = tree.flatten(arguments)[0].shape[0]
    for i in range(number):
        yield of(*tree.map_structure(itemgetter(slice(i, i + 1)), arguments, none_is_leaf=False))


def _pure(
    function: Callable[..., Any], variables: list[keras.Variable], rest: list[keras.Variable]
) -> Callable[..., Any]:
    """Returns the function with the values of its variables as arguments, without side effects."""

    def pure(values: Sequence[Any], others: Sequence[Any], *arguments: Any) -> Any:
        with keras.StatelessScope([*zip(variables, values, strict=True), *zip(rest, others, strict=True)]):
            return function(*arguments)

    return pure


def _others(variables: Sequence[keras.Variable], state: Sequence[keras.Variable]) -> list[keras.Variable]:
    chosen = set(map(id, variables))
    return list({id(each): each for each in state if id(each) not in chosen}.values())


def _values(variables: Sequence[keras.Variable]) -> list[Any]:
    return [ops.convert_to_tensor(variable) for variable in variables]


def _tensors(arguments: Any) -> Any:
    return tree.map_structure(ops.convert_to_tensor, arguments, none_is_leaf=False)
