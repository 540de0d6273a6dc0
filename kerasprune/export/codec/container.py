"""The bytes of a `.kpz` file: a head of JSON, the entries, and a checksum over all of it.

| Bytes | What |
|---|---|
| 4 | `KPZ` and the version, 1 |
| 4, 4 | bytes of the head, deflated and not |
| … | the head: the config of the model, and `[path, dtype, shape, form, values, codes, gaps]` of every entry |
| … | of every entry its values; of its codes and then its gaps 4 bits a length, 2 bytes a block, and the bits |
| 16 | BLAKE2b of all before |

Numbers are little-endian; codes are canonical, so that their lengths say which they are.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from kerasprune.errors import PruneError, short
from kerasprune.export.codec.entries import DENSE, DTYPES, FORMS, GAPS, MOST_VALUES, RAW, Entry, dtype_of
from kerasprune.export.codec.huffman import BLOCK, Stream
from kerasprune.files import parse_json
from kerasprune.files.arrays import EXPANSION, FREE_BYTES
from kerasprune.files.reading import MOST_BYTES, existing_path
from kerasprune.files.system_errors import denials

WHAT = "a .kpz file"
MAGIC, VERSION, DIGEST = b"KPZ", 1, 16
_START = 12


def to_bytes(config: dict[str, Any], entries: Sequence[Entry]) -> bytes:
    """Returns the file of a config and its entries.

    Raises:
        PruneError: It would be refused as one that unpacks to too much.
    """
    records = [
        [e.path, e.dtype, list(e.shape), e.form, e.values.size, _count(e.codes), _count(e.gaps)] for e in entries
    ]
    head = json.dumps({"model": config, "entries": records}, separators=(",", ":")).encode()
    small = zlib.compress(head, 9)
    parts = [MAGIC + bytes([VERSION]), len(small).to_bytes(4, "little"), len(head).to_bytes(4, "little"), small]
    for entry in entries:
        parts.append(entry.values.tobytes())
        for stream in entry.streams:
            nibbles = np.pad(stream.lengths, (0, stream.lengths.size % 2))
            parts += [(nibbles[::2] | nibbles[1::2] << 4).tobytes(), stream.blocks.astype("<u2").tobytes()]
            parts.append(stream.payload)
    content = b"".join(parts)
    content += hashlib.blake2b(content, digest_size=DIGEST).digest()
    _check_size(sum(e.size * e.values.itemsize for e in entries), len(content))
    return content


def read_file(path: Path | str) -> tuple[dict[str, Any], list[Entry], int]:
    """Returns the config of the model in a `.kpz` file, its entries, not decoded, and the bytes of the file.

    Raises:
        PruneError: There is no such file, it is damaged, of a later version, or unpacks to far more than it has.
    """
    path = existing_path(path, WHAT)
    with denials(path, f"{WHAT} that can be read"):
        content = path.read_bytes()
    try:
        return (*_parsed(content, short(str(path))), len(content))
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise PruneError(f"Expected {WHAT} that is undamaged. Received: {short(str(path))} ({error}).") from error


def _parsed(content: bytes, source: str) -> tuple[dict[str, Any], list[Entry]]:
    if content[:3] != MAGIC:
        raise ValueError("it does not begin as one")
    if content[3:4] != bytes([VERSION]):
        raise ValueError(f"version {content[3] if len(content) > 3 else 'missing'}, expected {VERSION}")
    if hashlib.blake2b(content[:-DIGEST], digest_size=DIGEST).digest() != content[-DIGEST:]:
        raise ValueError("its checksum does not match: it is damaged or cut short")
    body = _Bytes(content[_START:-DIGEST])
    small, whole = (int.from_bytes(content[at : at + 4], "little") for at in (4, 8))
    if whole > MOST_BYTES:
        raise ValueError(f"its head has {whole:,} bytes")
    inflating = zlib.decompressobj()
    text = inflating.decompress(body.take(small), whole + 1)
    if len(text) != whole or not inflating.eof:
        raise ValueError("its header does not have the length that it declares")
    head = parse_json(text.decode(), source, WHAT)
    records = [_record(record) for record in head["entries"]]
    _check_size(sum(prod(shape) * dtype_of(dtype).itemsize for _, dtype, shape, *_ in records), len(content))
    entries = [_entry(body, *record) for record in records]
    if body.left or not isinstance(head["model"], dict):
        raise ValueError("it holds more than a model and its weights")
    return head["model"], entries


def _count(stream: Stream | None) -> int:
    return 0 if stream is None else stream.count


def _check_size(declared: int, size: int) -> None:
    if declared > max(FREE_BYTES, EXPANSION * size):
        raise PruneError(
            f"Expected a model of at most {FREE_BYTES >> 20} MiB, or of {EXPANSION} times the bytes of its file, so "
            f"that no small file fills the memory. Received: {declared:,} bytes in {size:,}."
        )


def _record(record: Any) -> tuple[str, str, tuple[int, ...], str, int, int, int]:
    """Returns the record of an entry in the head, its numbers within bounds."""
    path, dtype, shape, form, *numbers = record
    if not isinstance(path, str) or dtype not in DTYPES or form not in FORMS or len(numbers) != 3:
        raise ValueError(f"an entry {short(record)}")
    if any(type(number) is not int or not 0 <= number < 1 << 40 for number in (*shape, *numbers)) or len(shape) > 32:
        raise ValueError(f"an entry of sizes {short([shape, numbers])}")
    (values, codes, gaps), size = numbers, prod(shape)
    coded = form == DENSE or form in GAPS and not form.startswith("sparse")
    fits = {
        RAW: values == size and not codes and not gaps,
        DENSE: codes == size and not gaps,
    }.get(form, gaps <= size and (codes <= gaps if coded else values <= gaps and not codes))
    if not fits or coded and values > MOST_VALUES:
        raise ValueError(f"an entry of sizes {short([shape, numbers])}")
    return path, dtype, tuple(shape), form, values, codes, gaps


class _Bytes:
    """A buffer that is read from the front."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    @property
    def left(self) -> int:
        """The bytes that are left."""
        return len(self._content) - self._at

    def take(self, number: int) -> bytes:
        """Returns the next bytes."""
        if number > self.left:
            raise ValueError("it is shorter than it declares")
        self._at += number
        return self._content[self._at - number : self._at]


def _entry(
    body: _Bytes, path: str, dtype: str, shape: tuple[int, ...], form: str, values: int, codes: int, gaps: int
) -> Entry:
    kind = dtype_of(dtype)
    book = np.frombuffer(body.take(values * kind.itemsize), np.uint8).view(kind)
    coded = form == DENSE or form in GAPS and not form.startswith("sparse")
    of_codes = _stream(body, codes, values) if coded else None
    of_gaps = _stream(body, gaps, GAPS[form].last + 1) if form in GAPS else None
    return Entry(path, dtype, shape, form, book, of_codes, of_gaps)


def _stream(body: _Bytes, count: int, size: int) -> Stream:
    nibbles = np.frombuffer(body.take(-(-size // 2)), np.uint8)
    lengths = np.stack([nibbles & 15, nibbles >> 4], 1).reshape(-1)[:size]
    if not count or np.count_nonzero(lengths) < 2:
        return Stream(count, lengths, np.zeros(0, np.uint16), b"")
    blocks = np.frombuffer(body.take(2 * -(-count // BLOCK)), "<u2")
    return Stream(count, lengths, blocks, body.take(-(-int(blocks.sum(dtype=np.int64)) // 8)))
