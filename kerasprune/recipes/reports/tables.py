"""The tables of a run, for the page and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kerasprune.progress import duration
from kerasprune.steps.numbers import (
    as_fast,
    count,
    difference,
    figure,
    milliseconds,
    percent,
    points,
    ratio,
    scientific,
    share,
    signed,
    times,
)
from kerasprune.tables import Table

_NAMES = {"macs": "multiply–adds (MACs) kept", "params": "parameters kept"}

Form = Callable[[float | None], str]
Change = Callable[[float | None, float | None], str]


def before_after(summary: Mapping[str, Any]) -> Table:
    """Returns the measures of the two models beside each other.

    The change of the parameters and of the multiply–adds (MACs) is the parameter-reduction ratio and the
    FLOPs-reduction ratio, `1 − params(slim) / params(dense)` and `1 − MACs(slim) / MACs(dense)`.

    Args:
        summary: The content of `summary.json`; a measure that is missing from both models is left out.

    Returns:
        A row for each measure.

    Example:
        >>> both = {"dense": {"params": 400, "macs": 9000}, "slim": {"params": 100, "macs": 4500}}
        >>> print(before_after(both))
                              dense   slim               change
        parameters              400    100         75.0 % fewer
        multiply–adds (MACs)  9,000  4,500  50.0 % fewer, 2.00×

    Reference:
        Accelerate CNNs from Three Dimensions (Wang et al., ICML 2021), Eq. 9.
    """
    both = sides(summary)
    removed = summary.get("removed") or ()
    judged_by_accuracy = any(one.get("accuracy") is not None for one in both)
    others = [other_metrics(one, judged_by_accuracy) for one in both]
    rows = [
        _row("test accuracy", "accuracy", both, percent, _points),
        *(_row(f"test {name.replace('_', ' ')}", name, others, figure, _difference) for name in others[0] | others[1]),
        _row("parameters", "params", both, count, _reduction),
        _row("parameters not zero", "nonzero", both, count, _reduction),
        _row("multiply–adds (MACs)", "macs", both, count, _speedup),
        _row("TFLite file, bytes", "tflite_bytes", both, count, _reduction),
        ("blocks dropped whole", "–", str(len(removed) or "–"), ", ".join(removed)),
        _row("latency, milliseconds", "latency_ms", both, milliseconds, _faster),
    ]
    shown = [row for row in rows if any(cell != "–" for cell in row[1:3])]
    return Table(("", "dense", "slim", "change"), shown, "Before and after")


def sides(summary: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Returns the measures of the dense and the slim model, empty if there is none."""
    return summary.get("dense") or {}, summary.get("slim") or {}


def other_metrics(model: Mapping[str, Any], judged_by_accuracy: bool) -> dict[str, float | None]:
    """Returns the measures of a model except accuracy; with the loss if accuracy was not measured."""
    loss = {} if judged_by_accuracy else {"loss": model.get("loss")}
    return loss | dict(model.get("metrics") or {})


def _row(what: str, key: str, both: Sequence[Mapping[str, Any]], form: Form, change: Change) -> tuple[str, ...]:
    before, after = (one.get(key) for one in both)
    return what, form(before), form(after), change(before, after)


def _points(before: float | None, after: float | None) -> str:
    return points(difference(after, before))


def _difference(before: float | None, after: float | None) -> str:
    return signed(difference(after, before))


def _reduction(before: float | None, after: float | None) -> str:
    kept = ratio(after, before)
    if kept is None:
        return "–"
    return f"{100 * (1 - kept):.1f} % fewer" if kept <= 1 else f"{100 * (kept - 1):.1f} % more"


def _speedup(before: float | None, after: float | None) -> str:
    fewer = _reduction(before, after)
    return fewer if fewer == "–" else f"{fewer}, {times(ratio(before, after))}"


def _faster(before: float | None, after: float | None) -> str:
    return as_fast(ratio(before, after))


_STEPS = {
    "dense": "dense model",
    "rebuild": "after removal",
    "reconstruct": "after reconstruction",
    "finetune": "after fine-tuning",
}


def steps(summary: Mapping[str, Any]) -> Table:
    """Returns accuracy, loss and error of the outputs after the measured steps, on validation examples."""
    rows = [
        (
            f"{_name_of(one)}{', delivered' if one.get('delivered') else ''}",
            percent(one.get("accuracy")),
            figure(one.get("loss")),
            one.get("unjudged") or figure(one.get("output_error")),
        )
        for one in summary.get("steps") or ()
        if any(one.get(key) is not None for key in ("accuracy", "loss", "output_error"))
    ]
    return Table(("on validation examples", "accuracy", "loss", "error of the outputs"), rows, "Step by step")


def step_in_words(one: Mapping[str, Any]) -> str:
    """Returns a step and its measures as a line for the terminal, `""` without measures.

    Example:
        >>> step_in_words({"step": "rebuild", "accuracy": 0.5, "loss": 1.2, "output_error": 0.25})
        'after removal: validation accuracy 50.00 %, error of the outputs 0.25'
    """
    accuracy, loss, error = (one.get(key) for key in ("accuracy", "loss", "output_error"))
    parts = [
        accuracy is not None and f"validation accuracy {percent(accuracy)}",
        accuracy is None and loss is not None and f"validation loss {figure(loss)}",
        error is not None and f"error of the outputs {one.get('unjudged') or figure(error)}",
    ]
    found = ", ".join(part for part in parts if part)
    return f"{_name_of(one)}: {found}" if found else ""


def _name_of(step: Mapping[str, Any]) -> str:
    epoch = step.get("epoch")
    return f"{_STEPS.get(step['step'], step['step'])}{'' if epoch is None else f', epoch {epoch}'}"


def files(summary: Mapping[str, Any]) -> list[tuple[str, bool, Mapping[str, Any]]]:
    """Returns `(name, whether of the dense model, measures)` of the exported files, of each format the dense one first.

    Args:
        summary: The content of `summary.json`; a dense model that has no such file has nothing there.
    """
    found = []
    for export in summary.get("exports") or ():
        form, dense = str(export.get("format")), export.get("dense")
        found += [(f"{form}, dense", True, dense)] if dense else []
        found.append((f"{form}, slim" if dense else form, False, export))
    return found


def exports(summary: Mapping[str, Any]) -> Table:
    """Returns the measures of the exported files; those that no file has are left out.

    Args:
        summary: The content of `summary.json`.

    Example:
        >>> dense, slim = ({"bytes": size, "accuracy": 0.97, "judged": 500} for size in (4000, 1000))
        >>> print(exports({"exports": [{"format": "tflite", **slim, "dense": dense}]}))
        file           bytes  test accuracy, 500 examples
        tflite, dense  4,000                      97.00 %
        tflite, slim   1,000                      97.00 %
    """
    found = files(summary)
    classifies = any(one.get("accuracy") is not None for *_, one in found)
    others = dict.fromkeys(name for *_, one in found for name in other_metrics(one, classifies))
    judged = next((one for *_, one in found if one.get("judged")), {})
    number = f"{judged.get('judged', 0):,} {'random inputs' if judged.get('judged_on') == 'random' else 'examples'}"
    columns: list[tuple[str, str, Form]] = [
        ("bytes", "bytes", count),
        ("in gzip", "gzip_bytes", count),
        ("RAM of tflite-micro", "ram", count),
        ("latency, ms", "latency_ms", milliseconds),
        (f"test accuracy, {number}", "accuracy", percent),
        *((f"test {name.replace('_', ' ')}, {number}", name, figure) for name in others),
        (f"same class as dense Keras, {number}", "dense_agreement", percent),
        ("the same, mean over classes", "dense_balanced", percent),
        (f"error of the outputs, {number}", "dense_error", figure),
        ("same class as Keras", "agreement", percent),
        ("same, mean over classes", "balanced", percent),
        ("error as to Keras", "error", figure),
        ("largest error", "max_error", scientific),
    ]
    rows = [{**one, **other_metrics(one, classifies)} for *_, one in found]
    shown = [column for column in columns if any(row.get(column[1]) is not None for row in rows)]
    names = [name for name, *_ in found]
    cells = [tuple(form(row.get(key)) for _, key, form in shown) for row in rows]
    header = "file", *(title for title, *_ in shown)
    return Table(header, [(name, *row) for name, row in zip(names, cells, strict=True)], "Exports")


def gains(summary: Mapping[str, Any]) -> Table:
    """Returns multiply–adds, time and unexpected operators of files compared with the dense model's.

    Args:
        summary: The content of `summary.json`; `arrives` is `(t₀ ÷ t) ÷ (m₀ ÷ m)`.

    Example:
        >>> files = [{"format": "tflite", "arrives": 0.75, "unexpected": ["1 TRANSPOSE of turned"]}]
        >>> print(gains({"dense": {"macs": 400}, "slim": {"macs": 200}, "exports": files}))
                multiply–adds           time  operators not expected
        tflite    2.00× fewer  1.50× as fast  1 TRANSPOSE of turned
    """
    dense, slim = sides(summary)
    fewer = ratio(dense.get("macs"), slim.get("macs"))
    rows = [
        (
            str(one["format"]),
            f"{times(fewer)} fewer",
            as_fast(None if None in (fewer, one["arrives"]) else fewer * one["arrives"]),
            ", ".join(one["unexpected"]) or "none",
        )
        for one in summary.get("exports") or ()
        if "arrives" in one
    ]
    return Table(("", "multiply–adds", "time", "operators not expected"), rows, "Did it help?", left=(0, 3))


def layers(summary: Mapping[str, Any]) -> Table:
    """Returns parameters and multiply–adds of the layers in both models, and their totals.

    Args:
        summary: The content of `summary.json`, with `layers` as `layers_of` makes them.
    """
    found = summary.get("layers") or ()
    if not found:
        return Table(_OF_LAYERS, ())
    rows = [
        (str(one["name"]), str(one["class"]), *map(count, (*one["params"], *one["macs"])), _share(one["macs"]))
        for one in found
    ]
    sums = [[sum(one[key][side] or 0 for one in found) for side in (0, 1)] for key in ("params", "macs")]
    return Table(_OF_LAYERS, [*rows, ("total", "", *map(count, (*sums[0], *sums[1])), _share(sums[1]))], left=(0, 1))


_OF_LAYERS = ("layer", "class", "parameters, dense", "parameters, slim", "MACs, dense", "MACs, slim", "MACs kept")


def layers_of(costs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the layers of the dense model, then those of the slim one only, each with its costs in both.

    Args:
        costs: `{"dense": {"layers": [{"name", "kind", "params", "macs", …}]}, "slim": …}`; without `slim`, nothing was
            pruned.

    Returns:
        `{"name", "class", "params": [dense, slim], "macs": [dense, slim]}` each; 0 if a model has no such layer.

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


def groups(graph: Mapping[str, Any]) -> Table:
    """Returns the groups of coupled channels.

    Args:
        graph: The content of `graph.json`; in runs of earlier versions groups were stored otherwise, and are not shown.
    """
    rows = [row for row in graph.get("groups") or () if isinstance(row, list)]
    return Table(("group", "channels", "kept", "layers"), rows, "Groups", left=(0, 3))


def about(recipe: Mapping[str, Any], summary: Mapping[str, Any]) -> Table:
    """Returns the known circumstances of a run: date, machine, versions, …"""
    machine, threads = summary.get("machine") or {}, summary.get("threads") or {}
    versions = summary.get("versions") or {}
    cores, memory = machine.get("cores"), machine.get("memory_gib")
    size = (cores and f"{cores} cores", memory and f"{memory:g} GiB of memory")
    parts = (machine.get("processor"), *size, machine.get("system"), *(machine.get("devices") or ()))
    facts = {
        "finished": summary.get("date"),
        "duration": None if summary.get("seconds") is None else duration(summary["seconds"]),
        "seed": recipe.get("seed"),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "machine": ", ".join(str(part) for part in parts if part),
        "threads": ", ".join(f"{name} {number}" for name, number in threads.items()),
    }
    return Table((), [(name, str(fact)) for name, fact in facts.items() if fact not in (None, "")], "This run")


def expected(recipe: Mapping[str, Any], summary: Mapping[str, Any]) -> Table:
    """Returns the figures that the recipe promises, those of the run, and whether they meet them."""
    forms = {"accuracy_change": points, "speedup": times}
    words = {True: "met", False: "missed", None: "not judged"}
    rows = [
        (
            _NAMES.get(one["name"], one["name"].replace("_", " ")),
            *(forms.get(one["name"], percent)(one[key]) for key in ("expected", "here")),
            words[one["met"]],
        )
        for one in judge_expected(recipe, summary)
    ]
    return Table(("", "expected", "here", ""), rows, "Expected")


def _share(pair: Sequence[float]) -> str:
    return share(ratio(pair[1], pair[0]))


SLACK = 0.001 + 1e-9  # of a fraction: a tenth of a point, and the rounding of differences
FACTOR_SLACK = 0.01  # of the speed-up
_FEWER_IS_BETTER = {"macs", "params"}


def judge_expected(recipe: Mapping[str, Any], summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the figures of the recipe's `expected`, each with its measured value and whether that meets it.

    A figure is met if it is not worse than expected by more than a tenth of a point; the speed-up by more than 1 %.

    Args:
        recipe: The resolved recipe.
        summary: The content of `summary.json`.

    Returns:
        `{"name", "expected", "here", "met"}` each; `met` is `None` if nothing was measured, and in a smoke run.

    Example:
        >>> recipe = {"expected": {"macs": 0.5, "accuracy": 0.9}}
        >>> summary = {"dense": {"macs": 100}, "slim": {"macs": 48, "accuracy": 0.85}}
        >>> [(one["name"], one["met"]) for one in judge_expected(recipe, summary)]
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
    dense, slim = sides(summary)
    return {
        "dense_accuracy": dense.get("accuracy"),
        "accuracy": slim.get("accuracy"),
        "accuracy_change": difference(slim.get("accuracy"), dense.get("accuracy")),
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
