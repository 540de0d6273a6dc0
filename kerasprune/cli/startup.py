"""Starts Keras and its backend without their start-up lines."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from kerasprune.errors import PruneError
from kerasprune.files.writing import STANDARD_ERROR, standard_error_in


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
    sys.meta_path.insert(0, _LateTensorFlow())
    with _held_back():
        importlib.import_module("keras")


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Holds back what is written to standard error in the block, unless it raises."""
    with tempfile.TemporaryFile() as held_back:
        try:
            with standard_error_in(held_back):
                yield
        except BaseException:
            held_back.seek(0)
            with contextlib.suppress(OSError):  # the process has no standard error
                os.write(STANDARD_ERROR, held_back.read())
            raise


class _LateTensorFlow:
    """A finder of modules: holds back the lines of TensorFlow wherever it is imported, on other backends only late."""

    def find_spec(self, name: str, *place: Any) -> Any:
        """Returns how TensorFlow is imported; `None` for other modules, which the next finders find."""
        if name != "tensorflow":
            return None
        found = (other.find_spec(name, *place) for other in sys.meta_path if other is not self)
        spec = next(filter(None, found), None)  # it may be asked for before it is imported
        if spec is not None:
            spec.loader.exec_module = partial(self._run, spec.loader.exec_module)
        return spec

    def _run(self, run: Callable[..., Any], module: Any) -> None:
        sys.meta_path.remove(self)
        with _held_back():
            run(module)


class Messages:
    """Shows warnings on standard error, each once, and appends them to a log file.

    Args:
        quiet: Whether none is shown. Defaults to `False`.
        log: The log file. Defaults to `None`.
        words: Changes the words of a warning. Defaults to those of the messages around these, or to no change.
    """

    def __init__(
        self, *, quiet: bool = False, log: Path | None = None, words: Callable[[str], str] | None = None
    ) -> None:
        if log is not None and not log.parent.is_dir():
            raise PruneError(f"Expected an existing folder for the log file. Received: --log-file {log}.")
        self.console = None if quiet else Console(stderr=True)
        self.log = log
        around = getattr(warnings.showwarning, "__self__", None)
        self.words = words or (around.words if isinstance(around, Messages) else str)
        self.lines: list[str] = []

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Shows the warnings of the block."""
        with warnings.catch_warnings():
            warnings.showwarning = self._show
            yield

    def _show(self, message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        line = f"warning: {self.words(str(message))}"
        if line in self.lines:
            return
        self.lines.append(line)
        if self.console is not None:
            self.console.print(Text(line, style="yellow"), soft_wrap=True)
        if self.log is not None:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
