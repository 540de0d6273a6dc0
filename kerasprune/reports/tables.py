"""Before and after as rows of text: what the page and the terminal both show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kerasprune.reports.numbers import count, duration, figure, milliseconds, percent, points, ratio, scientific, times

_NAMES = {"macs": "multiply–adds (MACs) kept", "params": "parameters kept"}

Rows = list[tuple[str, ...]]


def before_after(summary: Mapping[str, Any]) -> Rows:
    """Returns the rows `(what, dense, slim, change)` of the two models.

    The change of the parameters and of the multiply–adds (MACs) is the parameter-reduction ratio and the
    FLOPs-reduction ratio, `1 − params(slim) / params(dense)` and `1 − MACs(slim) / MACs(dense)`.

    Args:
        summary: What `summary.json` holds; a measure that is missing from both models is left out.

    Returns:
        One row per measure, every cell as text.

    Example:
        >>> both = {"dense": {"params": 400, "macs": 9000}, "slim": {"params": 100, "macs": 4500}}
        >>> for row in before_after(both):
        ...     print(*row, sep=" | ")
        parameters | 400 | 100 | 75.0 % fewer
        multiply–adds (MACs) | 9,000 | 4,500 | 50.0 % fewer, 2.00×

    Reference:
        Accelerate CNNs from Three Dimensions (Wang et al., ICML 2021), Eq. 9.
    """
    dense = summary.get("dense") or {}
    slim = summary.get("slim") or {}
    rows = [
        ("test accuracy", *_cells(dense, slim, "accuracy", percent), _points(dense, slim)),
        *_other_metrics(dense, slim),
        ("parameters", *_cells(dense, slim, "params", count), _reduction(dense, slim, "params")),
        (
            "parameters not zero",
            *_cells(dense, slim, "nonzero", count),
            _reduction(dense, slim, "nonzero"),
        ),
        ("multiply–adds (MACs)", *_cells(dense, slim, "macs", count), _speedup(dense, slim)),
        (
            "TFLite file, bytes",
            *_cells(dense, slim, "tflite_bytes", count),
            _reduction(dense, slim, "tflite_bytes"),
        ),
        ("blocks dropped whole", "–", *_dropped(summary.get("removed") or ())),
        ("latency, milliseconds", *_cells(dense, slim, "latency_ms", milliseconds), _faster(dense, slim)),
    ]
    return [row for row in rows if any(cell != "–" for cell in row[1:3])]


def _dropped(names: Sequence[str]) -> tuple[str, str]:
    """Returns how many blocks are gone, and which."""
    return (str(len(names)), ", ".join(names)) if names else ("–", "")


_STEPS = {
    "dense": "dense model",
    "rebuild": "after removal",
    "reconstruct": "after reconstruction",
    "finetune": "after fine-tuning",
}


def steps(summary: Mapping[str, Any]) -> Rows:
    """Returns the rows `(step, accuracy, loss, error of the outputs)` on validation examples, of what was measured."""
    return [
        (
            _STEPS.get(one["step"], one["step"]),
            percent(one.get("accuracy")),
            figure(one.get("loss")),
            figure(one.get("output_error")),
        )
        for one in summary.get("steps") or ()
        if any(one.get(key) is not None for key in ("accuracy", "loss", "output_error"))
    ]


def step_in_words(one: Mapping[str, Any]) -> str:
    """Returns a step and what was measured after it, for a line on the terminal; nothing where nothing was.

    Example:
        >>> step_in_words({"step": "rebuild", "accuracy": 0.5, "loss": 1.2, "output_error": 0.25})
        'after removal: validation accuracy 50.00 %, error of the outputs 0.25'
    """
    accuracy, loss, error = (one.get(key) for key in ("accuracy", "loss", "output_error"))
    parts = [
        accuracy is not None and f"validation accuracy {percent(accuracy)}",
        accuracy is None and loss is not None and f"validation loss {figure(loss)}",
        error is not None and f"error of the outputs {figure(error)}",
    ]
    found = ", ".join(part for part in parts if part)
    return f"{_STEPS.get(one['step'], one['step'])}: {found}" if found else ""


def exports(summary: Mapping[str, Any]) -> Rows:
    """Returns the rows `(format, bytes, bytes in gzip, agreement, largest error, latency)` of what was written."""
    return [
        (
            str(export.get("format")),
            count(export.get("bytes")),
            count(export.get("gzip_bytes")),
            percent(export.get("agreement")),
            scientific(export.get("max_error")),
            milliseconds(export.get("latency_ms")),
        )
        for export in summary.get("exports") or ()
    ]


def layers(summary: Mapping[str, Any]) -> Rows:
    """Returns the rows `(layer, class, parameters dense, slim, MACs dense, slim, MACs kept)`, and their totals.

    Args:
        summary: What `summary.json` holds, with `layers` as `layers_of` makes them.
    """
    found = summary.get("layers") or ()
    if not found:
        return []
    rows = [
        (str(one["name"]), str(one["class"]), *map(count, (*one["params"], *one["macs"])), _share(one["macs"]))
        for one in found
    ]
    sums = [[sum(one[key][side] or 0 for one in found) for side in (0, 1)] for key in ("params", "macs")]
    return [*rows, ("total", "", *map(count, (*sums[0], *sums[1])), _share(sums[1]))]


def layers_of(costs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the layers of the dense model, then those of the slim one only, each with what it costs in both.

    Args:
        costs: `{"dense": {"layers": [{"name", "kind", "params", "macs", …}]}, "slim": …}`; without `slim`, nothing was
            pruned.

    Returns:
        `{"name", "class", "params": [dense, slim], "macs": [dense, slim]}` each; 0 where a model has no such layer.

    Example:
        >>> def model(*layers):
        ...     return {"layers": [dict(zip(("name", "kind", "params", "macs"), one)) for one in layers]}
        >>> dense = model(("a", "Dense", 9, 8), ("b", "Dense", 3, 2))
        >>> layers_of({"dense": dense, "slim": model(("b", "Dense", 2, 1))})[0]
        {'name': 'a', 'class': 'Dense', 'params': [9, 0], 'macs': [8, 0]}
    """
    sides = [
        {layer["name"]: layer for layer in (costs.get(side) or {}).get("layers") or ()}
        for side in ("dense", "slim")
        if side in costs
    ]
    names = dict.fromkeys(name for side in sides for name in side)
    kinds = {name: next(side[name]["kind"] for side in sides if name in side) for name in names}
    return [
        {
            "name": name,
            "class": kinds[name],
            **{key: [side.get(name, {}).get(key, 0) for side in (sides[0], sides[-1])] for key in ("params", "macs")},
        }
        for name in names
    ]


def about(recipe: Mapping[str, Any], summary: Mapping[str, Any]) -> Rows:
    """Returns the rows `(what, in words)` of when, where and with what a run was made, as far as it is known."""
    machine, threads = summary.get("machine") or {}, summary.get("threads") or {}
    versions = summary.get("versions") or {}
    memory = machine.get("memory_gib")
    facts = {
        "finished": summary.get("date"),
        "duration": None if summary.get("seconds") is None else duration(summary["seconds"]),
        "seed": recipe.get("seed"),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "machine": ", ".join(
            str(part)
            for part in (
                machine.get("processor"),
                machine.get("cores") and f"{machine['cores']} cores",
                memory and f"{memory:g} GiB of memory",
                machine.get("system"),
                *(machine.get("devices") or ()),
            )
            if part
        ),
        "threads": ", ".join(f"{name} {number}" for name, number in threads.items()),
    }
    return [(name, str(fact)) for name, fact in facts.items() if fact not in (None, "")]


def expected(recipe: Mapping[str, Any], summary: Mapping[str, Any]) -> Rows:
    """Returns the rows `(what, expected, here, met)` for the figures that the recipe promises."""
    forms = {"accuracy_change": points, "speedup": times}
    words = {True: "met", False: "missed", None: "not judged"}
    return [
        (
            _NAMES.get(one["name"], one["name"].replace("_", " ")),
            *(forms.get(one["name"], percent)(one[key]) for key in ("expected", "here")),
            words[one["met"]],
        )
        for one in judged(recipe, summary)
    ]


def _cells(dense: Mapping[str, Any], slim: Mapping[str, Any], key: str, form: Any) -> tuple[str, str]:
    return form(dense.get(key)), form(slim.get(key))


def _other_metrics(dense: Mapping[str, Any], slim: Mapping[str, Any]) -> Rows:
    """Returns the rows of what was measured beside accuracy; the loss where there is no accuracy."""
    sides = [dict(side.get("metrics") or {}) for side in (dense, slim)]
    if dense.get("accuracy") is None and slim.get("accuracy") is None:
        sides = [{"loss": side.get("loss"), **found} for side, found in zip((dense, slim), sides, strict=True)]
    return [
        (f"test {name.replace('_', ' ')}", *(figure(side.get(name)) for side in sides), _difference(name, *sides))
        for name in dict.fromkeys(name for side in sides for name in side)
    ]


def _difference(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    both = before.get(name), after.get(name)
    return "–" if None in both else f"{both[1] - both[0]:+.4g}"


def _points(dense: Mapping[str, Any], slim: Mapping[str, Any]) -> str:
    before, after = dense.get("accuracy"), slim.get("accuracy")
    return "–" if before is None or after is None else points(after - before)


def _reduction(dense: Mapping[str, Any], slim: Mapping[str, Any], key: str) -> str:
    kept = ratio(slim.get(key), dense.get(key))
    if kept is None:
        return "–"
    return f"{100 * (1 - kept):.1f} % fewer" if kept <= 1 else f"{100 * (kept - 1):.1f} % more"


def _share(pair: Sequence[float]) -> str:
    kept = ratio(pair[1], pair[0])
    return "–" if kept is None else f"{100 * kept:.1f} %"


def _speedup(dense: Mapping[str, Any], slim: Mapping[str, Any]) -> str:
    if ratio(slim.get("macs"), dense.get("macs")) is None:
        return "–"
    return f"{_reduction(dense, slim, 'macs')}, {times(ratio(dense.get('macs'), slim.get('macs')))}"


def _faster(dense: Mapping[str, Any], slim: Mapping[str, Any]) -> str:
    factor = ratio(dense.get("latency_ms"), slim.get("latency_ms"))
    return "–" if factor is None else f"{times(factor)} as fast"


SLACK = 0.001 + 1e-9  # of a fraction: a tenth of a point, and what differences of floats lose
FACTOR_SLACK = 0.01  # of the speed-up
_FEWER_IS_BETTER = {"macs", "params"}


def judged(recipe: Mapping[str, Any], summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the figures of the recipe's `expected`, each with what came out and whether that meets it.

    A figure is met where it is not worse than expected by more than a tenth of a point; the speed-up by more than 1 %.

    Args:
        recipe: The resolved recipe.
        summary: What `summary.json` holds.

    Returns:
        `{"name", "expected", "here", "met"}` each; `met` is `None` where nothing was measured, and in a smoke run.

    Example:
        >>> recipe = {"expected": {"macs": 0.5, "accuracy": 0.9}}
        >>> summary = {"dense": {"macs": 100}, "slim": {"macs": 48, "accuracy": 0.85}}
        >>> [(one["name"], one["met"]) for one in judged(recipe, summary)]
        [('accuracy', False), ('macs', True)]
    """
    promised = recipe.get("expected") or {}
    smoke = bool(recipe.get("smoke") or summary.get("smoke"))
    return [
        {
            "name": name,
            "expected": promised[name],
            "here": here,
            "met": None if smoke else _met(name, promised[name], here),
        }
        for name, here in _measured(summary).items()
        if isinstance(promised.get(name), int | float)
    ]


def _measured(summary: Mapping[str, Any]) -> dict[str, float | None]:
    dense = summary.get("dense") or {}
    slim = summary.get("slim") or {}
    before, after = dense.get("accuracy"), slim.get("accuracy")
    return {
        "dense_accuracy": before,
        "accuracy": after,
        "accuracy_change": None if before is None or after is None else after - before,
        "macs": ratio(slim.get("macs"), dense.get("macs")),
        "params": ratio(slim.get("params"), dense.get("params")),
        "speedup": ratio(dense.get("macs"), slim.get("macs")),
        "sparsity": slim.get("sparsity"),
    }


def _met(name: str, expected: float, here: float | None) -> bool | None:
    if here is None:
        return None
    if name in _FEWER_IS_BETTER:
        return here <= expected + SLACK
    return here >= (expected * (1 - FACTOR_SLACK) if name == "speedup" else expected - SLACK)
