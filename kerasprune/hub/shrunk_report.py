"""What became smaller of a model of KerasHub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kerasprune.tables import Part, Shown, Table


@dataclass(frozen=True)
class ShrunkReport(Shown):
    """The config, layers and costs of a model of KerasHub before and after.

    Args:
        name: Its class.
        changed: `{word: (before, after)}` of the config.
        layers: Numbers of the layers that are kept; `None` if all are.
        params: Parameters before and after.
        macs: Share of the multiply–adds that is left; `None` if they are not known.
        error: The largest difference to the written-out model that is cut likewise, relative to its largest output.
        errors: Those of the outputs on examples held out, against the dense model's, right after the cut and after
            reconstruction, as `kp.report` has them; `None` without examples, or if outputs have other shapes.
    """

    name: str
    changed: Mapping[str, tuple[Any, Any]]
    layers: tuple[int, ...] | None
    params: tuple[int, int]
    macs: float | None
    error: float
    errors: tuple[float, float] | None = None

    def __str__(self) -> str:
        """Returns a line for each number that is smaller, and what was measured."""
        return "\n".join([self.name, str(self._table), *self._lines()])

    def _shown(self) -> Iterator[Part]:
        yield self.name
        yield self._table
        yield "\n".join(self._lines())

    @property
    def _table(self) -> Table:
        dense, slim = self.params
        rows = [("parameters", f"{dense:,}", f"{slim:,}", f"{slim / dense:.3f}")]
        if self.macs is not None:
            rows.append(("multiply–adds", "", "", f"{self.macs:.3f}"))
        rows += [(word, _number(before), _number(after), "") for word, (before, after) in self.changed.items()]
        return Table(("", "dense", "slim", "kept"), rows)

    def _lines(self) -> Iterator[str]:
        if self.layers is not None:
            yield f"Layers kept: {', '.join(map(str, self.layers))}."
        if self.errors is not None:
            cut, solved = self.errors
            yield f"Error of the outputs: {cut:.3f} removed, {solved:.3f} reconstructed."
        yield f"Difference to the cut graph: {self.error:.1e}."


def _number(number: Any) -> str:
    return f"{number:,}" if isinstance(number, int) else ", ".join(map(_number, number))
