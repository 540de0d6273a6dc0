"""One array of a model as it is stored in a file: codes into a table of its values, and gaps between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from kerasprune.errors import PruneError
from kerasprune.export.codec.gaps import Gaps
from kerasprune.export.codec.huffman import Stream, code_lengths, decode, encode
from kerasprune.export.codec.sharing import widen_floats

MOST_VALUES = 257
"""Distinct values of an array with codes, zero among them."""
RAW, DENSE = "raw", "dense"
GAPS = {
    "escape4": Gaps(4, False),
    "escape8": Gaps(8, False),
    "filler4": Gaps(4, True),
    "filler8": Gaps(8, True),
    "sparse4": Gaps(4, False),
    "sparse8": Gaps(8, False),
}
"""Forms with gaps; those called sparse hold the weights that remain as they are, without codes."""
FORMS = (RAW, DENSE, *GAPS)
DTYPES = (
    "bfloat16",
    "float16",
    "float32",
    "float64",
    "bool",
    *(f"{u}int{8 << n}" for u in ("", "u") for n in range(4)),
)


@dataclass(frozen=True)
class Entry:
    """An array in a file.

    Args:
        path: Its name, of the layer and the variable.
        dtype: Its type.
        shape: Its shape.
        form: `"raw"`: all values as they are; `"dense"`: a code for each; or a key of `GAPS`.
        values: The values of the codes, sorted; without codes all values, or those other than zero.
        codes: A code per value, or per weight that remains and per filler. Defaults to none.
        gaps: The gaps. Defaults to none.
    """

    path: str
    dtype: str
    shape: tuple[int, ...]
    form: str
    values: np.ndarray
    codes: Stream | None = None
    gaps: Stream | None = None

    @property
    def size(self) -> int:
        """The number of weights."""
        return prod(self.shape)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The streams that it has."""
        return tuple(stream for stream in (self.codes, self.gaps) if stream is not None)


def dtype_of(name: str) -> np.dtype:
    """Returns a type by its name; `bfloat16` is that of ml_dtypes, which comes with Keras."""
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def entry_of(path: str, array: np.ndarray, *, kernel: bool) -> Entry:
    """Returns an array in the form that needs the fewest bits; nothing is lost.

    Args:
        path: Its name.
        array: The values.
        kernel: Whether it may have codes or gaps; otherwise it is kept as it is.
    """
    about = (path, str(array.dtype), tuple(array.shape))
    flat = array.ravel()
    if not kernel or not flat.size:
        return Entry(*about, RAW, flat)
    wide = widen_floats(flat) + np.zeros((), np.float32)  # −0.0 is 0.0
    places = np.flatnonzero(wide)
    kept = wide[places]
    gaps = np.bincount(np.diff(places, prepend=-1) - 1) if places.size else np.zeros(0, np.int64)
    values = np.unique(kept)
    if values.size >= MOST_VALUES:
        form = min((RAW, "sparse4", "sparse8"), key=lambda form: _raw_bits(form, gaps, flat))
        return Entry(*about, RAW, flat) if form == RAW else _sparse(about, form, flat[places], places)
    numbers = np.bincount(np.searchsorted(values, kept), minlength=values.size)
    form = min((RAW, DENSE, *list(GAPS)[:4]), key=lambda form: _coded_bits(form, gaps, numbers, flat))
    if form == RAW:
        return Entry(*about, RAW, flat)
    fillers = form in GAPS and GAPS[form].fillers and bool(_fillers(GAPS[form], gaps))
    if (form == DENSE and places.size < flat.size) or fillers:
        values = np.union1d(values, np.zeros(1, values.dtype))
    if form == DENSE:
        return Entry(*about, form, values.astype(array.dtype), _codes(values, wide))
    symbols, ends = GAPS[form].symbols(places)
    if fillers:
        kept, full = np.zeros(symbols.size, kept.dtype), kept
        kept[ends] = full
    return Entry(*about, form, values.astype(array.dtype), _codes(values, kept), encode(symbols, GAPS[form].last + 1))


def _codes(values: np.ndarray, kept: np.ndarray) -> Stream:
    return encode(np.searchsorted(values, kept).astype(np.uint16), values.size)


def _sparse(about: tuple, form: str, kept: np.ndarray, places: np.ndarray) -> Entry:
    return Entry(*about, form, kept, None, encode(GAPS[form].symbols(places)[0], GAPS[form].last + 1))


def _bits(counts: np.ndarray) -> int:
    """Returns the bits of a stream and of the lengths of its codes."""
    bits = int((counts * code_lengths(counts)).sum()) if np.count_nonzero(counts) > 1 else 0
    return bits + 4 * len(counts)


def _raw_bits(form: str, gaps: np.ndarray, flat: np.ndarray) -> int:
    if form == RAW:
        return 8 * flat.nbytes
    return 8 * flat.itemsize * int(gaps.sum()) + _bits(GAPS[form].counts(gaps))


def _fillers(gaps: Gaps, counts: np.ndarray) -> int:
    """Returns how many weights of zero lie in gaps that are too long."""
    return int((counts * (np.arange(counts.size) // gaps.step)).sum())


def _coded_bits(form: str, gaps: np.ndarray, numbers: np.ndarray, flat: np.ndarray) -> int:
    """Returns the bits of a form with codes, from how often there is each gap and each value other than zero."""
    if form == RAW:
        return _raw_bits(form, gaps, flat)
    own = GAPS.get(form)
    zeros = flat.size - int(numbers.sum()) if own is None else _fillers(own, gaps) if own.fillers else 0
    counts = np.concatenate([numbers, [zeros]]) if zeros else numbers
    return _bits(counts) + 8 * flat.itemsize * counts.size + (0 if own is None else _bits(own.counts(gaps)))


def arrays_of(entries: Sequence[Entry]) -> Iterator[np.ndarray]:
    """Yields the arrays of entries; all streams are decoded together.

    Raises:
        PruneError: Streams do not fit their entry.
    """
    decoded = iter(decode([stream for entry in entries for stream in entry.streams]))
    for entry in entries:
        codes = next(decoded) if entry.codes is not None else None
        symbols = next(decoded) if entry.gaps is not None else None
        values = entry.values if codes is None else entry.values[codes]
        if symbols is not None:
            places = GAPS[entry.form].places(symbols, entry.size)
            if places.size != values.size:
                raise _unfit(entry)
            kept, values = values, np.zeros(entry.size, entry.values.dtype)
            values[places] = kept
        if values.size != entry.size:
            raise _unfit(entry)
        yield values.reshape(entry.shape)


def _unfit(entry: Entry) -> PruneError:
    return PruneError(f"Expected an undamaged file. Received: weights that do not fill {entry.path!r} {entry.shape}.")
