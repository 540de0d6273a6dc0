"""`advise`: measures in about a minute what quantizing and what removing channels would give."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasprune.checks import kind_faults, positive_faults
from kerasprune.data.batches import Batches, example_batches
from kerasprune.data.examples import Examples
from kerasprune.data.signature import is_graph, signature_of
from kerasprune.errors import PruneError, check_installed, extras, raise_faults
from kerasprune.graph.built_model import LOAD, body_of, fixed_batch
from kerasprune.graph.graph import check_finite_weights
from kerasprune.graph.sizes import Size
from kerasprune.graph.trace import size_to_try, trace
from kerasprune.planning.budgets.trials import halves
from kerasprune.repair.reconstruction.reconstruct import reconstruct_cut
from kerasprune.steps.advice import ALLOWED, Advice, Offer, rank_offers
from kerasprune.steps.drawn_examples import drawn_examples
from kerasprune.steps.redundancy import POSITIONS, enough_samples, errors_at_shares, share_at
from kerasprune.steps.share_plans import SharePlans
from kerasprune.surgery.costs.cost import cost
from kerasprune.surgery.cut import Cut
from kerasprune.surgery.inlining.plain import plain
from kerasprune.surgery.output_kind import last_axes
from kerasprune.surgery.rebuild import rebuild_cut

_AIMED = 0.7 * ALLOWED  # the error on examples that nobody has seen is larger
_MOST = 0.95  # of the multiply–adds: to keep more is not worth a pruning
_BATCH = 128
_JUDGED = 64  # examples that run through files
_ROUNDS = 30  # of the times
_RETRIES = 2  # of a cut whose error is above what was interpolated
_BY_HALVES = (0.4, 0.7, 0.2, 0.55, 0.3, 0.85, 0.12, 0.06)  # the most telling first
_DEAREST = 5  # layers that are shown


def advise(model: keras.Model, data: Any = None, *, seconds: float = 60, size: Size | None = None) -> Advice:
    """Measures what quantizing and what removing channels would give, before any work.

    Files in float16, dynamic and int8 precision, the most that can be removed at an error of 0.05 right after least
    squares, and both together are made, compared with the model and timed in turn on this processor.

    Args:
        model: The trained model, which is not changed.
        data: A few hundred examples; labels are ignored. Defaults to `None`: they are drawn from the model, if it has
            statistics of BatchNorm and that does not take too long.
        seconds: How long it may take; what does not fit is left out and said. Defaults to 60.
        size: Size of free sides, see `kp.trace`. Defaults to that of the model, or of the data.

    Returns:
        The advice, which can be printed; `offers` are ranked.

    Raises:
        PruneError: An argument is out of range, the data do not fit the model, or weights are not finite.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> keras.utils.set_random_seed(0)
        >>> dense = keras.layers.Dense
        >>> model = keras.Sequential([keras.Input((40,)), dense(400, "relu"), dense(400, "relu"), dense(4)])
        >>> found = kp.advise(model, np.random.default_rng(0).normal(size=(200, 40)))
        >>> found.offers[0].error < 0.05
        True
    """
    faults = [*kind_faults(keras.Model, LOAD, model=model), *positive_faults(seconds=seconds)]
    raise_faults("Invalid arguments for advise:", faults)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of files and cuts that nobody has asked for
        return _Advising(model, data, seconds, size).result()


@dataclass
class _Clock:
    """What is left of the time, and what did not fit.

    Args:
        seconds: How long everything may take.
    """

    seconds: float
    begun: float = field(default_factory=time.perf_counter)
    left_out: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.begun + self.seconds - time.perf_counter()

    def fits(self, name: str, estimate: float = 0.0) -> bool:
        """Returns whether a step still fits, and notes it if it does not."""
        if self.left > estimate:
            return True
        self.left_out.append(name)
        return False

    @contextmanager
    def noting(self, name: str) -> Iterator[None]:
        """Notes an error in place of raising it: what cannot be had is no reason to give no advice."""
        try:
            yield
        except PruneError as error:
            self.remarks.append(f"{name}: {' '.join(str(error).split())}")


@dataclass(frozen=True)
class _Made:
    """A file that an offer is measured by."""

    macs: float | None
    quantize: str | None
    path: Path
    error: float | None


class _Advising:
    """The measurements of one model."""

    def __init__(self, model: keras.Model, data: Any, seconds: float, size: Size | None) -> None:
        check_finite_weights(model)
        self.clock = _Clock(seconds)
        known = data is None or is_graph(model)
        several = len(data) if isinstance(data, list) else 1
        self.dense = plain(model, None if known else Examples(data, _BATCH, several).first_inputs)
        fixed, inputs = fixed_batch(self.dense), len(body_of(self.dense).inputs)
        self.given = None if data is None else Examples(data, _BATCH, inputs, fixed)
        self.size, self.made = self._known_size(size), []
        self.graph = trace(self.dense, unknown="freeze", size=self.size)
        self.fitted, self.judged = self._examples()

    def result(self) -> Advice:
        """Measures, in the order of what says most."""
        counted = cost(self.graph)
        layers = sorted(counted.layers, key=lambda each: each.macs, reverse=True)[:_DEAREST]
        dearest = [(e.name, e.macs / max(counted.macs, 1), e.params / max(counted.params, 1)) for e in layers if e.macs]
        redundancy: list[tuple[float, float]] = []
        with tempfile.TemporaryDirectory() as name:
            self.folder = Path(name)
            files = self._litert()
            if files:
                self._quantized()
            if self.fitted is not None and self.graph.prunable:
                redundancy = self._redundancy()
                if files:
                    self._pruned(redundancy)
            elif not self.graph.prunable:
                self.clock.remarks.append("no channel can be removed: kerasprune inspect says why")
            milliseconds, offers, least = self._timed() if self.made else (None, [], None)
            size = self.made[0].path.stat().st_size if self.made else None
        if self.clock.left_out:
            self.clock.remarks.append(
                f"not measured within {self.clock.seconds:g} seconds: {', '.join(self.clock.left_out)}; allow more"
            )
        return Advice(
            counted.macs, counted.params, milliseconds, size, tuple(dearest), least, tuple(redundancy),
            tuple(rank_offers(offers)), tuple(self.clock.remarks), not self.clock.left_out, self.size,
        )  # fmt: skip

    # ---- examples ----------------------------------------------------------------------------------------------

    def _known_size(self, size: Size | None) -> Size | None:
        """Returns the size of free sides: the one asked for, that of the data, or one that is tried, with a remark."""
        known = size if size is not None or self.given is None else self.given.free_size(self.dense)
        found = size_to_try(self.dense, known)
        if found != known:
            self.clock.remarks.append(f"measured at size={found}; give size= for another")
        return found

    def _examples(self) -> tuple[Batches | None, Batches | None]:
        """Returns flat inputs to solve and calibrate on, and those that judge; `None` without any."""
        found = self.given
        if found is None:
            found, _, remark = drawn_examples(self.dense, self.size, _BATCH, 0, 0)
            self.clock.remarks.append(remark)
        if found is None:
            return None, None
        return halves(self.dense, example_batches(self.dense, found.inputs, 2 * enough_samples(self.graph)))

    # ---- files -------------------------------------------------------------------------------------------------

    def _litert(self) -> bool:
        """Makes the float32 file; returns whether files can be had here."""
        with self.clock.noting("files"), extras("kp.advise"):
            from kerasprune.export.tflite_interpreter import LITERT

            check_installed("tensorflow", LITERT)
            self._file(self.dense, None, None)
        return bool(self.made)

    def _file(self, model: keras.Model, macs: float | None, quantize: str | None) -> _Made:
        """Makes and judges the file of a model."""
        from kerasprune.export.conversion import to_tflite
        from kerasprune.export.parity import compare, interpreted_function, keras_function
        from kerasprune.export.samples import Samples, samples_of
        from kerasprune.export.tflite_export import static_signature

        signature = static_signature(model, self.fitted and self._inputs(self.fitted), self.size)
        examples = samples_of(signature) if self.fitted is None else Samples(lambda: iter(self.fitted), "data")
        path = self.folder / f"{len(self.made)}.tflite"
        path.write_bytes(to_tflite(model, signature, quantize, examples))
        error = None
        if self.judged is not None:
            rows = [[array[:_JUDGED] for array in self.judged[0]]]
            reference = keras_function(self.dense, signature)
            parity = compare(
                reference, interpreted_function(path, model, signature), Samples(lambda: iter(rows), "data"),
                last_axes(self.dense),
            )  # fmt: skip
            error = parity.measures()["error"]
            error = float(error) if np.isfinite(error) else 1e9
        found = _Made(macs, quantize, path, error)
        self.made.append(found)
        return found

    def _inputs(self, batches: Batches) -> list[Any]:
        """Returns flat inputs in the structure that the model takes."""
        return [signature_of(self.dense).pack(batch) for batch in batches]

    def _quantized(self) -> None:
        """Makes the files of the dense model in other precisions."""
        for name in ("int8", "dynamic", "float16") if self.fitted is not None else ("dynamic", "float16"):
            if self.clock.fits(name):
                with self.clock.noting(name):
                    self._file(self.dense, None, name)

    # ---- channels ----------------------------------------------------------------------------------------------

    @property
    def _plans(self) -> SharePlans:
        return SharePlans(self.graph, "macs", {})

    def _redundancy(self) -> list[tuple[float, float]]:
        """Returns shares and errors, as many as fit."""
        found, last, begun = [], 0.0, time.perf_counter()
        with self.clock.noting("removal"):
            inputs = self._inputs([*self.fitted, *self.judged])
            for pair in errors_at_shares(self.graph, self._plans.at, inputs, shares=_BY_HALVES):
                found.append(pair)
                last, begun = time.perf_counter() - begun, time.perf_counter()
                if len(found) < len(_BY_HALVES) and not self.clock.fits(f"shares after the first {len(found)}", last):
                    break
        return sorted(found, reverse=True)

    def _pruned(self, redundancy: Sequence[tuple[float, float]]) -> None:
        """Makes the files of the model with as few channels as the error allows."""
        share = share_at(redundancy, _AIMED) if redundancy else 1.0
        for _ in range(_RETRIES + 1):
            if share >= _MOST:
                self.clock.remarks.append(f"hardly a channel can go at an error of {ALLOWED} without training")
                return
            if not self.clock.fits("the slim model"):
                return
            with self.clock.noting("the slim model"):
                share = float(f"{share:.3g}")  # as the command asks for it: what is kept would lead to another plan
                plan, _ = self._plans.at(share)
                cut = Cut.of(self.graph, plan)
                how = {"samples": enough_samples(self.graph), "positions": POSITIONS}
                slim, _ = reconstruct_cut(rebuild_cut(cut), cut, self._inputs(self.fitted), **how)
                made = self._file(slim, share, None)
                if made.error <= ALLOWED:
                    if self.clock.fits("the slim model in int8"):
                        self._file(slim, share, "int8")
                    return
                self.made.remove(made)
            share *= 1.2

    # ---- times -------------------------------------------------------------------------------------------------

    def _timed(self) -> tuple[float, list[Offer], float | None]:
        """Returns the time of the float32 file, the offers, and what remains with one channel in every group."""
        from kerasprune.export.latency.timing import compare_latency

        paths = [each.path for each in self.made]
        if self.graph.prunable and self.clock.fits("the time with one channel"):
            with self.clock.noting("one channel"):
                least = self._plans.least_plan
                paths.append(self._file(rebuild_cut(Cut.of(self.graph, least)), 0.0, None).path)
                self.made.pop()
        found = compare_latency(paths, runs=_ROUNDS)
        sizes = [path.stat().st_size for path in paths]
        offers = [
            Offer(each.macs, each.quantize, each.error, ratio, size / sizes[0])
            for each, ratio, size in zip(self.made, found.ratios, sizes, strict=False)
        ]
        least = found.ratios[-1] if len(paths) > len(self.made) else None
        return found.latencies[0].median_ms, offers, least
