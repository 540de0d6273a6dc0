"""In which order the layers of a slim model are solved: each after all that its calls read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kerasprune.reconstruction.program import Program, Step


def in_order(program: Program, steps: Sequence[Step]) -> Iterator[tuple[list[Step], bool]]:
    """Yields all calls of one layer after another, each layer after those that any of its calls reads.

    Where no layer is called twice this is the order of the calls. A layer whose calls read each other, as a block that
    is applied again to what it has made, has no place in such an order: what it reads changes with it.

    Args:
        program: The calls of the model.
        steps: Those that are asked for, each after those that feed it.

    Yields:
        The calls of a layer, and whether they can be solved: `False` where they read each other.
    """
    calls: dict[int, list[Step]] = {}
    for step in steps:
        calls.setdefault(id(step.operation), []).append(step)
    if len(calls) == len(steps):
        yield from (([step], True) for step in steps)
        return
    reads = {key: _read(program, mine) & calls.keys() for key, mine in calls.items()}
    waiting = list(calls)
    for key in [key for key in waiting if key in reads[key]]:
        waiting.remove(key)
        yield calls[key], False
    while waiting:
        ready = [key for key in waiting if not reads[key] & set(waiting)]
        key = ready[0] if ready else waiting[0]
        waiting.remove(key)
        yield calls[key], bool(ready)


def _read(program: Program, calls: Sequence[Step]) -> set[int]:
    """Returns the layers and operations that the inputs of calls hang on."""
    return {id(step.operation) for step in program.before([value for call in calls for value in call.inputs])}
