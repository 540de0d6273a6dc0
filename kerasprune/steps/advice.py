"""Advice before any work: what quantizing and what removing channels would give, and the commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kerasprune.graph.sizes import Size, write_size
from kerasprune.steps.numbers import figure
from kerasprune.tables import Part, Shown, Table

ALLOWED = 0.05
"""Error of the outputs that an offer may have, relative to their spread."""
_NEAR = 0.03  # relative difference of times that noise explains: fewer bytes decide
_OFFERS = 5  # that are shown, at most


@dataclass(frozen=True)
class Offer:
    """A way to a smaller model, and what it was measured to give.

    Args:
        macs: Share of the multiply–adds to keep; `None` if no channel is removed.
        quantize: Precision of the `.tflite` file, as for `kp.export.tflite`; `None` for float32.
        error: Error of the outputs relative to their spread, 0 = the same, 1 = no better than a constant; `None`
            without examples.
        time: The time of the file ÷ that of the float32 file of the dense model, on this processor.
        bytes: The bytes of the file ÷ those.
    """

    macs: float | None
    quantize: str | None
    error: float | None
    time: float
    bytes: float

    @property
    def name(self) -> str:
        """What it does, in words."""
        kept = [] if self.macs is None else [f"keep {self.macs:.2f} of the multiply–adds"]
        return ", ".join(kept + ([f"quantize to {self.quantize}"] if self.quantize else [])) or "leave it as it is"

    def command(self, model: str = "MODEL", data: str = "DATA", size: Size | None = None) -> str:
        """Returns the command that does it.

        Args:
            model: The file of the model. Defaults to a placeholder.
            data: The data, as `--data` takes them. Defaults to a placeholder.
            size: Size of free sides. Defaults to `None`: the model has none.

        Example:
            >>> Offer(0.5, "int8", 0.01, 0.3, 0.1).command()
            'kerasprune prune MODEL --macs 0.5 --data DATA --export tflite-int8 --out slim'
        """
        form = f"tflite-{self.quantize}" if self.quantize else "tflite"
        if self.macs is not None:
            given = _given(data, size)
            return f"kerasprune prune {model} --macs {self.macs:.3g}{given} --export {form} --out slim"
        given = _given(data if self.quantize == "int8" else None, size)
        return f"kerasprune export {model} --format {form}{given} --out model.tflite"

    def __str__(self) -> str:
        """Returns the name and what it gives."""
        error = "error not known" if self.error is None else f"error {self.error:.3g}"
        return f"{self.name}: ×{self.time:.2f} the time, ×{self.bytes:.2f} the bytes, {error}"


@dataclass(frozen=True)
class Advice(Shown):
    """What was measured before any work, and what it says.

    Args:
        macs: Multiply–adds of the model.
        params: Its parameters.
        milliseconds: The time of its float32 `.tflite` file on this processor, one thread; `None` if not measured.
        bytes: The bytes of this file; `None` likewise.
        dearest: The layers with the most multiply–adds: name, share of the multiply–adds, share of the parameters.
        least_time: What remains of the time if every group keeps one channel; `None` if not measured.
        redundancy: Shares of the multiply–adds, and the error of the outputs there after least squares.
        offers: The best first: the fastest whose error is at most 0.05, fewer bytes where times are alike.
        remarks: What was not measured, and why.
        complete: Whether there was time for everything. Defaults to `True`.
        size: The size of the model's free sides. Defaults to `None`: it has none.
    """

    macs: int
    params: int
    milliseconds: float | None
    bytes: int | None
    dearest: tuple[tuple[str, float, float], ...]
    least_time: float | None
    redundancy: tuple[tuple[float, float], ...]
    offers: tuple[Offer, ...]
    remarks: tuple[str, ...] = ()
    complete: bool = True
    size: Size | None = None

    @property
    def line(self) -> str:
        """The advice in a line; empty if nothing could be measured."""
        if not self.offers or self.offers[0].error is None:
            return ""
        best = self.offers[0]
        gives = f"×{best.time:.2f} the time, ×{best.bytes:.2f} the bytes, error {best.error:.2g}"
        if best.macs is None and best.quantize is None:
            return f"leave it as it is: nothing measured is faster at an error of {ALLOWED} or less"
        pruned = self.complete or any(each.macs is not None for each in self.offers)
        if best.macs is None and best.time > 1 - _NEAR:
            return f"quantize for the bytes alone: {best.quantize} gives {gives}"
        if best.macs is None:
            advice = "quantize, do not prune" if pruned else "quantize (there was no time to measure pruning)"
            return f"{advice}: {best.quantize} gives {gives}"
        after = f", then {best.quantize}" if best.quantize else ""
        return f"prune to {best.macs:.2f} of the multiply–adds{after}: {gives}"

    def shown(self, model: str = "MODEL", data: str = "DATA") -> str:
        """Returns the advice, the offers with their commands, and what they rest on.

        Args:
            model: The file of the model, for the commands. Defaults to a placeholder.
            data: The data, for the commands. Defaults to a placeholder.
        """
        timed = "" if self.milliseconds is None else f", {self.milliseconds:.3g} ms, {self.bytes:,} bytes as float32"
        lines = [self.line or "no advice: too little could be measured", ""]
        for place, each in enumerate(self.offers, start=1):
            lines += [f"{place}. {each}", f"   {each.command(model, data, self.size)}"]
        lines += ["", f"the model: {self.macs:,} multiply–adds, {self.params:,} parameters{timed}"]
        lines += [f"  {name}: {macs:.1%} of the multiply–adds, {params:.1%} of the parameters"
                  for name, macs, params in self.dearest]  # fmt: skip
        if self.least_time is not None:
            lines.append(f"with one channel in every group ×{self.least_time:.2f} of the time remains")
        if self.redundancy:
            found = ", ".join(f"{error:.2g} at {share:.2f}" for share, error in self.redundancy)
            lines.append(f"error after removal and least squares, by the multiply–adds kept: {found}")
            command = f"kerasprune prune {model} --max-drop 0.01{_given(data, self.size)} --out slim"
            lines.append(f"with training more can go: {command}")
        return "\n".join([*lines, *self.remarks])

    def __str__(self) -> str:
        return self.shown()

    def _shown(self) -> list[Part]:
        rows = [(each.name, f"×{each.time:.2f}", f"×{each.bytes:.2f}", figure(each.error)) for each in self.offers]
        bars = {1: [each.time for each in self.offers], 2: [each.bytes for each in self.offers]}
        dear = [(name, f"{macs:.1%}", f"{params:.1%}") for name, macs, params in self.dearest]
        shares = {1 + at: [each[1 + at] for each in self.dearest] for at in range(2)}
        errors = [(f"{share:.2f}", f"{error:.2g}") for share, error in self.redundancy]
        return [
            self.line or "no advice: too little could be measured",
            Table(("", "time", "bytes", "error"), rows, bars=bars),
            *(f"{each.name}: {each.command(size=self.size)}" for each in self.offers),
            Table(("layer", "multiply–adds", "parameters"), dear, "The dearest layers", bars=shares),
            Table(
                ("multiply–adds kept", "error of the outputs"), errors, "After removal and least squares",
                bars={1: [error for _, error in self.redundancy]},
            ),
            *self.remarks,
        ]  # fmt: skip


def _given(data: str | None, size: Size | None) -> str:
    """Returns the options of a command for the data and for the size of free sides."""
    given = {"data": data, "size": None if size is None else write_size(size)}
    return "".join(f" --{name} {value}" for name, value in given.items() if value is not None)


def rank_offers(offers: Sequence[Offer]) -> list[Offer]:
    """Returns the fastest with a small error first, of those that are alike the smallest; five at most."""

    def far(each: Offer) -> bool:
        return each.error is not None and each.error > ALLOWED

    rest, found = sorted(offers, key=lambda each: (far(each), each.time)), []
    while rest:
        alike = [e for e in rest if far(e) == far(rest[0]) and e.time <= (1 + _NEAR) * rest[0].time]
        found.append(min(alike, key=lambda each: each.bytes))
        rest.remove(found[-1])
    return found[:_OFFERS]
