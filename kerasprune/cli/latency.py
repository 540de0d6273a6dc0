"""Times models in turn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kerasprune.checks import choice_faults, whole_number_faults
from kerasprune.cli.application import commands
from kerasprune.cli.options import (
    CODE,
    DEVICE,
    check_model_path,
    load,
    option,
    start_command,
    take_options,
)
from kerasprune.cli.tables import print_table
from kerasprune.errors import PruneError, raise_faults
from kerasprune.export.latency.machine import DEVICES, device_faults
from kerasprune.tables import Table

if TYPE_CHECKING:
    from kerasprune.export.latency import LatencyComparison

TFLITE = ".tflite"


@commands.command()
@take_options(*CODE)
def latency(
    models: Annotated[
        list[Path], typer.Argument(metavar="MODEL…", help="Paths of .keras and .tflite files, first the reference.")
    ],
    device: Annotated[str, typer.Option(help=DEVICE)] = "litert",
    batch: Annotated[int | None, typer.Option(help="Samples in one inference; for LiteRT 1.")] = None,
    size: Annotated[str | None, option("model.size")] = None,
    threads: Annotated[int, typer.Option(help="Threads of LiteRT's interpreter.")] = 1,
    runs: Annotated[int, typer.Option(help="Timed rounds, one inference of every model in each.")] = 50,
    warmup: Annotated[int, typer.Option(help="Rounds before them that are not timed.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print the times as JSON, and nothing else.")] = False,
    **options: Any,
) -> None:
    """Time one inference of models in turn on this machine: as float32 TFLite, or as Keras runs them."""
    numbers = {"--threads": threads, "--runs": runs, **({} if batch is None else {"--batch": batch})}
    faults = whole_number_faults(1, **numbers) + whole_number_faults(0, **{"--warmup": warmup})
    faults += choice_faults(DEVICES, **{"--device": device})
    files = [str(path) for path in models if path.suffix == TFLITE]
    faults += [] if faults else [*device_faults(device, files, threads, batch)]
    raise_faults("Invalid arguments for latency:", faults)
    for path in models:
        _check(path)
    start_command(options)
    from kerasprune.export.latency import compare_latency

    opened = [path if path.suffix == TFLITE else load(path) for path in models]
    how = {"device": device, "batch": batch, "size": size, "threads": threads}
    timed = compare_latency(opened, **how, runs=runs, warmup=warmup)
    if as_json:
        typer.echo(json.dumps(_rows(models, timed), indent=2))
        return
    print_latencies(models, timed)


def print_latencies(models: Sequence[Path], timed: LatencyComparison) -> None:
    """Prints a table of the times of models, and what was measured on."""
    told = any(each.memory is not None for each in timed.latencies)
    header = ("model", "ms, median", "5 % … 95 %", "ratio to the first", *["MiB beyond weights"] * told)
    print_table(Table(header, [_cells(**row)[: len(header)] for row in _rows(models, timed)]))
    typer.echo(f"{timed.where}, {timed.latencies[0].runs} runs in turn; below 1 is faster.")


def _check(path: Path) -> None:
    """Checks that a path can be a file that is timed, before anything heavy is imported."""
    if path.suffix != TFLITE:
        check_model_path(path)
    elif not path.is_file():
        raise PruneError(f"Expected a .tflite file. Received: {str(path)!r}, which is not a file.")


def _rows(models: Sequence[Path], timed: LatencyComparison) -> list[dict]:
    pairs = zip(models, timed.latencies, timed.ratios, strict=True)
    return [{"model": str(path), **asdict(one), "ratio": ratio} for path, one, ratio in pairs]


def _cells(
    model: str, median_ms: float, low_ms: float, high_ms: float, runs: int, memory: int | None, ratio: float
) -> tuple[str, ...]:  # fmt: skip
    del runs  # the same for all
    size = "–" if memory is None else f"{memory / 2**20:.3g}"
    return model, f"{median_ms:.3g}", f"{low_ms:.3g} … {high_ms:.3g}", f"×{ratio:.3f}", size
