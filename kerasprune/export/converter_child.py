"""The process in which TensorFlow's converter may crash: `python -m kerasprune.export.converter_child`.

One request is a line of JSON on the standard input: `["convert", folder, quantize, io]`; or, of models of another
backend, `[how, carried, folder]` to write a SavedModel of them and `["trace", carried]` to try whether that works.
One answer is a line on the standard output, `{}` if it is done, a conversion as `converted.tflite` in the folder, and
`{"error": …}` if something raised. The process ends with its parent, or after a while without requests.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

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

    del sys.modules["keras"]  # models of another backend need it
    waiting = _timer()
    for line in sys.stdin:
        waiting.cancel()
        try:
            _fulfil(*json.loads(line))
            answer = {}
        except Exception as error:  # the converter raises its own, private family; the parent words it
            answer = {"error": str(error) or type(error).__name__}
        print(json.dumps(answer), file=answers, flush=True)
        waiting = _timer()


def _fulfil(what: str, folder: str, *how: Any) -> None:
    if what == "convert":
        from kerasprune.export.converter import convert_saved_model

        (Path(folder) / RESULT).write_bytes(convert_saved_model(Path(folder), *how))
        return
    from kerasprune.export.carried_models import trace_carried, write_carried

    if sys.modules.get("jax", sys) is None:  # Keras is imported without it; a user's own module may need it
        del sys.modules["jax"]
    if what == "trace":
        trace_carried(Path(folder))
    else:
        write_carried(what, Path(folder), Path(*how))


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
