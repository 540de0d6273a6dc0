"""The bytes of a packed model, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kerasprune.export.codec.container import read_file
from kerasprune.export.codec.entries import DENSE, Entry
from kerasprune.tables import Part, Shown, Table


@dataclass(frozen=True)
class LayerSize:
    """The bytes of one array.

    Args:
        path: Its name.
        weights: How many weights it has.
        kept: How many of them have a code or are stored as they are, fillers not counted.
        form: How it is stored: `"raw"`, `"dense"` (codes for all weights), `"escape4"` … `"sparse8"` (gaps of so many
            bits).
        values: Distinct values of the codes, or values stored as they are.
        code_bits: Bits of all codes.
        gap_bits: Bits of all gaps.
        bytes: Bytes in the file: values, tables, blocks and bits.
    """

    path: str
    weights: int
    kept: int
    form: str
    values: int
    code_bits: int
    gap_bits: int
    bytes: int


@dataclass(frozen=True)
class SizeTable(Shown):
    """The bytes of a file, measured on the file.

    Args:
        layers: Its arrays.
        bytes: Bytes of the whole file: with the config of the model, tables and checksum.
    """

    layers: tuple[LayerSize, ...]
    bytes: int

    @property
    def dense_bytes(self) -> int:
        """Bytes of all variables in float32."""
        return 4 * sum(layer.weights for layer in self.layers)

    @property
    def compression(self) -> float:
        """`dense_bytes / bytes`."""
        return self.dense_bytes / self.bytes

    @property
    def table(self) -> Table:
        """A row for each array: name, weights, % kept, form, values, bits a code and a gap, bytes."""
        rows = [
            (
                each.path,
                f"{each.weights:,}",
                f"{100 * each.kept / max(each.weights, 1):.1f}",
                each.form,
                f"{each.values:,}",
                _each(each.code_bits, each.weights if each.form == DENSE else each.kept),
                _each(each.gap_bits, each.kept),
                f"{each.bytes:,}",
            )
            for each in self.layers
        ]
        return Table(_HEADER, rows, left=(0, 3), bars={7: [each.bytes / self.bytes for each in self.layers]})

    def total(self) -> str:
        """Returns the line of the whole file."""
        return f"{self.dense_bytes:,} bytes in float32, {self.bytes:,} in the file: {self.compression:.1f}×"

    def __str__(self) -> str:
        return "\n".join(map(str, self._shown()))

    def _shown(self) -> list[Part]:
        return [self.table, self.total()]


_HEADER = ("array", "weights", "kept, %", "form", "values", "bits a code", "bits a gap", "bytes")


def _each(bits: int, number: int) -> str:
    return f"{bits / number:.2f}" if bits and number else "–"


def sizes(path: Path | str) -> SizeTable:
    """Returns the bytes of a `.kpz` file; its model is not built.

    Args:
        path: The file.

    Raises:
        PruneError: There is no such file, or it is damaged.
    """
    _, entries, size = read_file(path)
    return table_of(entries, size)


def table_of(entries: Sequence[Entry], size: int) -> SizeTable:
    """Returns the table of the entries of a file of so many bytes."""
    return SizeTable(tuple(map(_layer, entries)), size)


def _layer(entry: Entry) -> LayerSize:
    kept = entry.size
    if entry.gaps is not None:
        kept = min(entry.gaps.count, entry.values.size if entry.codes is None else entry.codes.count)
    code_bits, gap_bits = (0 if each is None else int(each.blocks.sum(dtype=int)) for each in (entry.codes, entry.gaps))
    size = entry.values.nbytes + sum(
        -(-stream.lengths.size // 2) + 2 * stream.blocks.size + len(stream.payload) for stream in entry.streams
    )
    return LayerSize(entry.path, entry.size, kept, entry.form, entry.values.size, code_bits, gap_bits, size)
