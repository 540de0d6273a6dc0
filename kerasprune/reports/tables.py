"""Before and after as rows of text: what the page and the terminal both show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Rows = list[tuple[str, ...]]


def before_after(summary: Mapping[str, Any]) -> Rows:
    """Returns the rows `(what, dense, slim, change)` of the two models.

    The change of the parameters and of the MACs is the parameter-reduction ratio and the FLOPs-reduction
    ratio, `Prr = 1 − params(slim) / params(dense)` and `Frr = 1 − MACs(slim) / MACs(dense)`.

    Args:
        summary: What `summary.json` holds; a measure that is missing from both models is left out.

    Returns:
        One row per measure, every cell as text.

    Example:
        >>> both = {"dense": {"params": 400, "macs": 9000}, "slim": {"params": 100, "macs": 4500}}
        >>> for row in before_after(both):
        ...     print(*row, sep=" | ")
        parameters | 400 | 100 | Prr 75.0 %
        MACs | 9,000 | 4,500 | Frr 50.0 %, 2.00×

    Reference:
        Accelerate CNNs from Three Dimensions (Wang et al., ICML 2021), Eq. 9.
    """
    dense = summary.get("dense") or {}
    slim = summary.get("slim") or {}
    rows = [
        ("test accuracy", *_cells(dense, slim, "accuracy", percent), _points(dense, slim)),
        ("parameters", *_cells(dense, slim, "params", count), _reduction(dense, slim, "params", "Prr ")),
        (
            "parameters not zero",
            *_cells(dense, slim, "nonzero", count),
            _reduction(dense, slim, "nonzero", ""),
        ),
        ("MACs", *_cells(dense, slim, "macs", count), _speedup(dense, slim)),
        (
            "TFLite file, bytes",
            *_cells(dense, slim, "tflite_bytes", count),
            _reduction(dense, slim, "tflite_bytes", ""),
        ),
        ("latency, ms", *_cells(dense, slim, "latency_ms", milliseconds), _faster(dense, slim)),
    ]
    return [row for row in rows if any(cell != "–" for cell in row[1:3])]


def exports(summary: Mapping[str, Any]) -> Rows:
    """Returns the rows `(format, bytes, agreement, largest error, latency)` of what was written."""
    return [
        (
            str(export.get("format")),
            count(export.get("bytes")),
            percent(export.get("agreement")),
            scientific(export.get("max_error")),
            milliseconds(export.get("latency_ms")),
        )
        for export in summary.get("exports") or ()
    ]


def expected(recipe: Mapping[str, Any], summary: Mapping[str, Any]) -> Rows:
    """Returns the rows `(what, expected, here)` for the figures that the recipe promises."""
    figures = recipe.get("expected") or {}
    dense = summary.get("dense") or {}
    slim = summary.get("slim") or {}
    here = {
        "dense_accuracy": percent(dense.get("accuracy")),
        "accuracy": percent(slim.get("accuracy")),
        "accuracy_change": _points(dense, slim),
        "macs": percent(ratio(slim.get("macs"), dense.get("macs"))),
        "params": percent(ratio(slim.get("params"), dense.get("params"))),
        "speedup": times(ratio(dense.get("macs"), slim.get("macs"))),
        "sparsity": percent(slim.get("sparsity")),
    }
    formats = {"accuracy_change": points, "speedup": times}
    return [
        (name.replace("_", " "), formats.get(name, percent)(figures[name]), here[name])
        for name in here
        if isinstance(figures.get(name), int | float)
    ]


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """Returns the quotient, or `None` where either side is missing or the denominator is zero."""
    return None if numerator is None or not denominator else numerator / denominator


def count(value: float | None) -> str:
    """Returns a whole number with thousands separated."""
    return "–" if value is None else f"{round(value):,}"


def percent(value: float | None) -> str:
    """Returns a fraction as a percentage with two decimals."""
    return "–" if value is None else f"{100 * value:.2f} %"


def points(value: float | None) -> str:
    """Returns a difference of two fractions in percentage points, with its sign."""
    return "–" if value is None else f"{100 * value:+.2f} points"


def milliseconds(value: float | None) -> str:
    """Returns milliseconds with three significant digits."""
    return "–" if value is None else f"{value:.3g}"


def scientific(value: float | None) -> str:
    """Returns a small number with two digits and an exponent."""
    return "–" if value is None else f"{value:.1e}"


def times(value: float | None) -> str:
    """Returns a factor, e.g. `2.55×`."""
    return "–" if value is None else f"{value:.2f}×"


def _cells(dense: Mapping[str, Any], slim: Mapping[str, Any], key: str, form: Any) -> tuple[str, str]:
    return form(dense.get(key)), form(slim.get(key))


def _points(dense: Mapping[str, Any], slim: Mapping[str, Any]) -> str:
    before, after = dense.get("accuracy"), slim.get("accuracy")
    return "–" if before is None or after is None else points(after - before)


def _reduction(dense: Mapping[str, Any], slim: Mapping[str, Any], key: str, label: str) -> str:
    kept = ratio(slim.get(key), dense.get(key))
    return "–" if kept is None else f"{label}{100 * (1 - kept):.1f} %"


def _speedup(dense: Mapping[str, Any], slim: Mapping[str, Any]) -> str:
    if ratio(slim.get("macs"), dense.get("macs")) is None:
        return "–"
    return f"{_reduction(dense, slim, 'macs', 'Frr ')}, {times(ratio(dense.get('macs'), slim.get('macs')))}"


def _faster(dense: Mapping[str, Any], slim: Mapping[str, Any]) -> str:
    factor = ratio(dense.get("latency_ms"), slim.get("latency_ms"))
    return "–" if factor is None else f"{times(factor)} as fast"
