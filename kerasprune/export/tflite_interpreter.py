"""Opens, runs and times `.tflite` files, with LiteRT."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasprune.data.batches import FlatInputs
from kerasprune.errors import PruneError, first_of
from kerasprune.export.quiet_logs import quiet
from kerasprune.export.tflite_graph import content_of, nodes

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

LITERT = "ai_edge_litert"  # the module that runs files
_SHORTEST = 1e-4  # seconds of a measurement


def open_interpreter(path: Path | str, *, threads: int = 1) -> Interpreter:
    """Returns an interpreter that is ready to run the file (XNNPACK included), with the given number of threads.

    Raises:
        PruneError: The file is missing, is not a TFLite model, or needs operators that LiteRT does not have.
    """
    content = content_of(path)
    unreached = [] if content[4:8] != b"TFL3" else [node.place for node in nodes(path) if node.is_unscalable]
    if unreached:  # it might end the process
        raise PruneError(
            "Expected calibration that reaches every part of a model. Received: samples that give nothing but zeros to "
            f"{first_of(unreached)}, which LiteRT then cannot scale. Give data= that reaches it: if inputs are padded, "
            "some of the full length; or take quantize='dynamic', which needs none."
        )
    try:
        with quiet():
            from ai_edge_litert.interpreter import Interpreter

            # From memory, so that no open file hinders a later move of the path.
            interpreter = Interpreter(model_content=content, num_threads=threads)
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise PruneError(f"LiteRT cannot run this file. Received: path={str(path)!r}. It reports: {error}") from error
    return interpreter


def single_runner(
    interpreter: Interpreter, input_names: Sequence[str], output_names: Callable[[int], Sequence[str]]
) -> Callable[[FlatInputs], list[np.ndarray]]:
    """Returns a function that feeds a batch sample by sample and stacks the outputs, in floats.

    Args:
        interpreter: An interpreter of a file with a batch axis of 1 and one signature.
        input_names: The signature's inputs, in the order of a batch.
        output_names: Maps the number of outputs to their names, in the order to return them.
    """
    runner = interpreter.get_signature_runner()
    taken, given = runner.get_input_details(), runner.get_output_details()

    def run(batch: FlatInputs) -> list[np.ndarray]:
        rows = []
        for i in range(len(batch[0])):
            feed = {n: _quantized(array[i : i + 1], taken[n]) for n, array in zip(input_names, batch, strict=True)}
            with _refusals():
                outputs = runner(**feed)
            rows.append([_real(outputs[name], given[name]) for name in output_names(len(outputs))])
        return [np.concatenate(column) for column in zip(*rows, strict=True)]

    return run


@contextmanager
def _refusals() -> Iterator[None]:
    """Raises `PruneError` if an operator stops, as a division by the number of tokens does if all are padding."""
    try:
        yield
    except RuntimeError as error:
        raise PruneError(
            f"Expected inputs that the file can run on. Received: some at which LiteRT stops: {error} "
            "Pass data like the inputs in deployment, without examples that are all padding."
        ) from error


def _quantized(array: np.ndarray, detail: dict) -> np.ndarray:
    """Returns floats as integers of a file, `round(x ÷ scale) + zero`; others unchanged."""
    scale, zero = detail["quantization"]
    if not scale or array.dtype.kind != "f":
        return array
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.round(array / scale) + zero, limits.min, limits.max).astype(detail["dtype"])


def _real(array: np.ndarray, detail: dict) -> np.ndarray:
    """Returns integers of a file as real numbers, `(q − zero) · scale`."""
    scale, zero = detail["quantization"]
    return (array.astype(np.float32) - zero) * scale if scale and array.dtype.kind in "iu" else array


def fill_inputs(interpreter: Interpreter) -> None:
    """Sets every input to random numbers."""
    generator = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], _random(detail["shape"], detail["dtype"], generator))


def time_invocation(interpreter: Interpreter) -> float:
    """Returns the milliseconds of an invocation."""
    with _refusals():
        return _milliseconds(interpreter.invoke)


def _milliseconds(run: Callable[[], None]) -> float:
    """Returns the milliseconds of a run, of short ones the mean over 0.1 ms: clocks have steps."""
    begin, count, passed = time.perf_counter(), 0, 0.0
    while passed < _SHORTEST:
        run()
        count, passed = count + 1, time.perf_counter() - begin
    return passed / count * 1e3


def signature_timer(interpreter: Interpreter, name: str) -> Callable[[], float]:
    """Returns a function that runs one signature on random inputs and returns the milliseconds it took.

    LiteRT's public call copies inputs and outputs, which takes longer than a small operator; so the subgraph is run
    as that call runs it.
    """
    runner = interpreter.get_signature_runner(name)
    generator = np.random.default_rng(0)
    runner(
        **{key: _random(each["shape"], each["dtype"], generator) for key, each in runner.get_input_details().items()}
    )
    return partial(_timed, interpreter, runner._subgraph_index)


def _timed(interpreter: Interpreter, index: int) -> float:
    """Returns the milliseconds of one run; the interpreter is held, since its wrapper reads the file that it owns."""
    return _milliseconds(partial(interpreter._interpreter.Invoke, index))


def _random(shape: Sequence[int], dtype: Any, generator: np.random.Generator) -> np.ndarray:
    """Returns random numbers, so that nothing is timed on zeros; integers of 32 bits and booleans: 1, no padding."""
    kind = np.dtype(dtype)
    if kind in (np.int8, np.uint8):
        return generator.integers(*(np.iinfo(kind).min, np.iinfo(kind).max), shape, kind)
    numbers = generator.standard_normal(shape) if kind.kind == "f" else np.ones(shape)
    return numbers.astype(kind)
