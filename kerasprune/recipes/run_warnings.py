"""The warnings of a run: one list, kept in its folder and read from there by its report."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kerasprune.files import read_text, write_text

FILE = "warnings.txt"


def texts_of_warnings(folder: Path) -> list[str]:
    """Returns the texts of the warnings of a run, each once, in the order in which they came."""
    path = folder / FILE
    if not path.is_file():
        return []
    return [text.strip() for text in re.split(r"^warning: ", read_text(path, "the warnings of a run"), flags=re.M)[1:]]


class Warnings:
    """Adds the warnings of a run to `warnings.txt` of its folder, and shows them as before.

    Args:
        folder: The folder, which need not be there yet.
        mark: The file that makes it the folder of a run: nothing is written before it is there.
    """

    def __init__(self, folder: Path, mark: str) -> None:
        self._folder, self._mark = folder, mark
        self._texts = texts_of_warnings(folder)
        self._written = len(self._texts)

    @contextmanager
    def collected(self) -> Iterator[Warnings]:
        """Collects the warnings of the block."""
        with warnings.catch_warnings():
            shown = warnings.showwarning

            def show(message: Warning | str, *place: Any, **more: Any) -> None:
                self._add(str(message).strip())
                shown(message, *place, **more)

            warnings.showwarning = show
            try:
                yield self
            finally:
                self.write()

    def _add(self, text: str) -> None:
        if text not in self._texts:
            self._texts.append(text)
            self.write()

    def write(self) -> None:
        """Writes the file, if there are new warnings, and the folder is that of a run."""
        if len(self._texts) > self._written and (self._folder / self._mark).exists():
            write_text(self._folder / FILE, "".join(f"warning: {text}\n" for text in self._texts))
            self._written = len(self._texts)
