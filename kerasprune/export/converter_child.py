"""The process in which TensorFlow's converter may crash: `python -m kerasprune.export.converter_child`.

One request is a line of JSON on the standard input, `[folder, quantize, io]`; one answer is a line on the standard
output, `{}` if `converted.tflite` is in the folder and `{"error": …}` if the converter raised. The process ends
with its parent, or after a while without requests.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from pathlib import Path

RESULT = "converted.tflite"
IDLE_SECONDS = 60.0  # a process that has imported TensorFlow holds half a gigabyte


def main() -> None:
    """Answers requests until the standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # C++ prints to descriptor 1 too; both lead to the parent's log
    without_core_dump()
    # TensorFlow imports these if installed, in three of its five seconds; a converter needs neither.
    sys.modules["keras"] = sys.modules["jax"] = None
    import tensorflow as tf  # noqa: F401  before the first request: the parent writes the SavedModel meanwhile

    from kerasprune.export.converter import convert_saved_model

    waiting = _timer()
    for line in sys.stdin:
        waiting.cancel()
        folder, quantize, io = json.loads(line)
        try:
            (Path(folder) / RESULT).write_bytes(convert_saved_model(Path(folder), quantize, io))
            answer = {}
        except Exception as error:  # the converter raises its own, private family; the parent words it
            answer = {"error": str(error) or type(error).__name__}
        print(json.dumps(answer), file=answers, flush=True)
        waiting = _timer()


def without_core_dump() -> None:
    """Disables core dumps, which would be written to the caller's folder."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows has no such limits
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _timer() -> threading.Timer:
    timer = threading.Timer(IDLE_SECONDS, os._exit, [0])
    timer.daemon = True
    timer.start()
    return timer


if __name__ == "__main__":
    main()
