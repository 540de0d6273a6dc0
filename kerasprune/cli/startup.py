"""Starts Keras and its backend without their start-up lines."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from kerasprune.files.writing import STANDARD_ERROR, standard_error_in, write_text


def start(*, verbose: bool = False) -> None:
    """Imports Keras and holds back the log lines of TensorFlow and absl.

    Args:
        verbose: Whether they are shown. Defaults to `False`: only if the import fails.
    """
    if "keras" in sys.modules:
        return
    if verbose:
        importlib.import_module("keras")
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    # Every stage traces its own step, which TensorFlow warns of.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with tempfile.TemporaryFile() as held_back:
        try:
            with standard_error_in(held_back):
                importlib.import_module("keras")
        except BaseException:
            held_back.seek(0)
            with contextlib.suppress(OSError):  # the process has no standard error
                os.write(STANDARD_ERROR, held_back.read())
            raise


KEPT = "warnings.txt"  # in the folder of a run


class Messages:
    """Shows warnings, and writes them to a log file and to the folder of the run.

    Args:
        console: Where warnings are shown; `None` shows none.
        log: A file that they are appended to. Defaults to `None`.
        folder: The folder of a run, which need not be there yet. Defaults to `None`.
    """

    def __init__(self, console: Console | None, log: Path | None = None, folder: Path | None = None) -> None:
        self.console = console
        self.log = log
        self.folder = folder
        self.lines: list[str] = []

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Records the warnings of the block."""
        with warnings.catch_warnings():
            warnings.showwarning = self._show
            try:
                yield
            finally:
                if self.lines and self.folder is not None and self.folder.is_dir() and any(self.folder.iterdir()):
                    write_text(self.folder / KEPT, "".join(f"{line}\n" for line in self.lines))

    def _show(self, message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        line = f"warning: {message}"
        if line in self.lines:
            return
        self.lines.append(line)
        if self.console is not None:
            self.console.print(Text(line, style="yellow"), soft_wrap=True)
        if self.log is not None:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
