"""Writes a model to a small file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kerasprune.cli.application import commands
from kerasprune.cli.options import (
    CODE,
    AsJson,
    ModelPath,
    check_model_path,
    import_code,
    load,
    take_options,
)
from kerasprune.cli.startup import start as start_keras
from kerasprune.cli.tables import print_table
from kerasprune.errors import PruneError, raise_faults
from kerasprune.export.destination import check_place

if TYPE_CHECKING:
    from kerasprune.export.codec import SizeTable

PACKED = ".kpz"


@commands.command()
@take_options(*CODE)
def pack(
    model: ModelPath,
    out: Annotated[Path, typer.Option("--out", metavar="FILE.kpz", help="File to write; must not exist yet.")],
    bits: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=BITS|BITS", help="Bits of a code by layer; repeatable. Defaults to conv=8, dense=5."),
    ] = None,
    start: Annotated[str, typer.Option(help="First centroids: linear, density, random or exact.")] = "linear",
    rest: Annotated[str | None, typer.Option(help="float16: store what is not coded in half precision.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file at --out.")] = False,
    as_json: AsJson = False,
    **options: Any,
) -> None:
    """Write a model with shared, Huffman-coded weights to a .kpz file, and measure it."""
    check_model_path(model)
    if out.suffix != PACKED:
        raise PruneError(f"Expected --out to end in {PACKED}. Received: --out {out}.")
    from kerasprune.export.codec.sharing import BITS, sharing_faults

    check_place(out, overwrite)
    table = _bits(bits) or BITS
    raise_faults("Invalid arguments for pack:", sharing_faults(table, start, rest))
    start_keras(verbose=options["verbose"])
    from kerasprune.export import codec

    import_code(*(options[name] for name in CODE))
    written = codec.pack(load(model), out, start=start, rest=rest, overwrite=overwrite, bits=table)
    _print(written, as_json)


def _bits(texts: list[str] | None) -> dict[str, int]:
    """Returns `{key: bits}` of texts such as `conv=8` and `6`, which is for all layers."""
    found = {}
    for text in texts or ():
        key, _, number = text.rpartition("=")
        if not number.isdecimal():
            raise PruneError(f"Expected --bits as a number, or as KEY=NUMBER such as conv=8. Received: --bits {text}.")
        found[key or "*"] = int(number)
    return found


def print_sizes(path: Path, as_json: bool) -> None:
    """Prints the bytes of a packed model, which is not built."""
    from kerasprune.export.codec.size_table import sizes

    _print(sizes(path), as_json)


def _print(table: SizeTable, as_json: bool) -> None:
    if as_json:
        total = {"bytes": table.bytes, "dense_bytes": table.dense_bytes, "compression": table.compression}
        typer.echo(json.dumps({**total, "layers": [asdict(layer) for layer in table.layers]}, indent=2))
        return
    print_table(table.table)
    typer.echo(table.total())
