"""A child process that converts, so that a crash of TensorFlow's converter does not end Python.

Calibration may crash it: a loop in the graph (`LSTM`, `GRU`) is a segmentation fault, and samples take memory. The
child is kept for later conversions, since importing TensorFlow takes longer than most of them; it ends with this
process, or after a minute without requests.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any

from kerasprune.backend.process_death import cause_of_death
from kerasprune.export.converter_child import RESULT

CHILD = "kerasprune.export.converter_child"


class ConverterRefusal(Exception):
    """The converter raised an error; the message is its own."""


class ConverterDeath(Exception):
    """The child has crashed.

    Args:
        cause: The cause in words.
        log: Its last lines of output.
    """

    def __init__(self, cause: str, log: str) -> None:
        super().__init__(cause)
        self.cause, self.log = cause, log


class ConverterProcess:
    """A child process that converts one SavedModel after the other.

    Args:
        module: The module that it runs. Defaults to the module `kerasprune.export.converter_child`.
    """

    def __init__(self, module: str = CHILD) -> None:
        self._module = module
        self._child: subprocess.Popen | None = None
        self._log: IO[bytes] | None = None
        self._owner = 0
        self._lock = threading.RLock()
        atexit.register(self.stop)

    def start(self) -> None:
        """Starts the child unless it runs already; it imports TensorFlow in the meantime, which takes a few seconds."""
        with self._lock:
            if self._child is not None and self._owner == os.getpid() and self._child.poll() is None:
                return
            self.stop()
            self._log = tempfile.TemporaryFile()  # noqa: SIM115  open as long as the child writes into it
            # As this process finds modules, so does the child; a GPU is of no use to it, and may be in use.
            places = os.pathsep.join(place or os.getcwd() for place in sys.path)
            given = {"PYTHONPATH": places, "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"}
            try:
                self._child = subprocess.Popen(
                    [sys.executable, "-P", "-m", self._module],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._log,
                    env=os.environ | given,
                    text=True,
                )
            except OSError as error:
                raise ConverterDeath(f"it could not be started ({error})", "") from error
            self._owner = os.getpid()

    def convert(self, folder: Path, quantize: str | None, io: str) -> bytes:
        """Returns the result of `converter.convert_saved_model`, computed in the child.

        Raises:
            ConverterRefusal: The converter raised an error.
            ConverterDeath: The child crashed.
        """
        self._ask("convert", folder, quantize, io)
        return (folder / RESULT).read_bytes()

    def write(self, how: str, carried: Path, folder: Path) -> None:
        """Lets the child write a SavedModel by `carried_models.write_carried`; raises as `convert` does."""
        self._ask(how, carried, str(folder))

    def trace(self, carried: Path) -> None:
        """Lets the child read and trace models by `carried_models.trace_carried`; raises as `convert` does."""
        self._ask("trace", carried)

    def _ask(self, what: str, folder: Path, *how: str | None) -> None:
        with self._lock:
            answer = self._answer([what, str(folder), *how])
        if "error" in answer:
            raise ConverterRefusal(answer["error"])

    def _answer(self, request: list[Any], again: bool = True) -> dict[str, str]:
        self.start()
        before = self._log.seek(0, os.SEEK_END)
        try:
            self._child.stdin.write(json.dumps(request) + "\n")
            self._child.stdin.flush()
            line = self._child.stdout.readline()
        except OSError:  # it has ended already
            line = ""
        except BaseException:  # an interrupt: the answer of this request must not be taken for that of the next
            self.stop()
            raise
        if line:
            return json.loads(line)
        code = self._child.wait()
        if code == 0 and again:  # it had ended after a minute without work
            return self._answer(request, again=False)
        self._log.seek(before)
        log = self._log.read().decode(errors="replace")
        self.stop()
        raise ConverterDeath(cause_of_death(code), log)

    def stop(self) -> None:
        """Ends the child process if it is running."""
        child, self._child = self._child, None
        if child is None or self._owner != os.getpid():  # after a fork it is the other process's
            return
        child.kill()  # it holds nothing that could be lost, and may be in the middle of importing TensorFlow
        for stream in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):
                stream.close()
        child.wait()
        self._log.close()


process = ConverterProcess()
"""The child of this process."""
