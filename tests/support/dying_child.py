"""A child that dies of what it is asked to convert, in place of `kerasprune.export.converter_child`."""

import json
import os
import signal
import sys

from kerasprune.export.converter_child import RESULT, without_core_dump


def main() -> None:
    without_core_dump()
    print("first words", file=sys.stderr, flush=True)
    for line in sys.stdin:
        _, folder, quantize, _ = json.loads(line)
        print(f"I0000 00:00 a line of TensorFlow's log\nlast words on {quantize}", file=sys.stderr, flush=True)
        if quantize == "int8":
            os.abort()
        if quantize == "int16x8":
            os.kill(os.getpid(), signal.SIGKILL)
        if quantize == "dynamic":  # asked just as it goes for want of work, the first time
            mark = os.path.join(folder, "gone")
            if not os.path.exists(mark):
                open(mark, "w").close()
                sys.exit(0)
        if quantize == "float16":
            print(json.dumps({"error": "no"}), flush=True)
            continue
        with open(os.path.join(folder, RESULT), "wb") as file:
            file.write(b"tflite")
        print("{}", flush=True)


if __name__ == "__main__":
    main()
