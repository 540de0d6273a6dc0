"""Jobs killed by SIGKILL at random steps and started again, against the job that was left alone.

    python benchmarks/resume.py [--kills 20] [--epochs 12] [--every 4] [--depth 20] [NAME ...]

A ResNet-20 on digits (kp.data, order and augmentation a function of seed and epoch), one callback of kerasprune beside
`Resume`, which saves at every epoch of 9 steps and every 4 steps within it. The job writes every step it has taken to a
progress file; the parent waits for a random one and kills it. At the end weights, plan and masks are compared bit by
bit; then the finished job is started once more, and timed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

RESULTS = Path(__file__).parent / "results"
DEPTH, SIZE, BATCH = 20, 16, 128
OPTIONS = ("--epochs", "--every", "--depth")
HEAD = ("| callback | kills | bit-equal | epochs trained when run again | seconds of that |", "|---|---|---|---|---|")


def callbacks(epochs: int) -> dict:
    """Returns a maker for every callback with a state, its schedule fitted into the epochs."""
    import kerasprune as kp

    steps = epochs * 9  # digits: 9 batches an epoch
    masks = epochs // 3
    return {
        "GReg1": lambda: kp.callbacks.GReg1(keep=0.5, schedule={"stop": False}).compressed(steps),
        "GReg2": lambda: kp.callbacks.GReg2(keep=0.5, schedule={"stop": False}).compressed(steps),
        "Polarization": lambda: kp.callbacks.Polarization(strength=1e-3),
        "NetworkSlimming": lambda: kp.callbacks.NetworkSlimming(strength=1e-3, keep=0.5),
        "GradualMagnitude": lambda: kp.callbacks.GradualMagnitude(
            kp.schedules.cubic(keep=0.1, end=f"{epochs - 1}ep"), every=5, scope="global"
        ),
        "IterativeMagnitude": lambda: kp.callbacks.IterativeMagnitude(rounds=masks - 1, keep_per_round=0.5),
        "LearningRateRewinding": lambda: kp.callbacks.LearningRateRewinding(rounds=1, keep_per_round=0.2),
        "SoftFilterPruning": lambda: kp.callbacks.SoftFilterPruning(keep=0.5),
        "IncReg": lambda: kp.callbacks.IncReg(
            keep=0.5, schedule={"step": 0.05, "every": 5, "ceiling": 0.3, "settle": 20}
        ),
        "ShrinkRounds": lambda: kp.callbacks.ShrinkRounds("width", rounds=masks, epochs_per_round=3, monitor="loss"),
    }


def job(name: str, folder: Path, epochs: int, every: int, depth: int) -> None:
    """The script that is killed: trains, and writes `result.npz` when it has finished."""
    import keras
    import numpy as np

    import kerasprune as kp

    class Progress(keras.callbacks.Callback):
        """Appends a byte for every step."""

        def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
            with (folder / "progress").open("ab") as file:
                file.write(b".")

    keras.utils.set_random_seed(0)
    model = kp.models.resnet_cifar(depth=depth, classes=10, input_shape=(SIZE, SIZE, 3))
    rate = keras.optimizers.schedules.CosineDecay(0.05, epochs * 9)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss)
    data = kp.data.load("digits", size=SIZE, batch=BATCH, augment="crop")
    callback = callbacks(epochs)[name]()
    trained = []  # History holds the epochs before a kill too
    count = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: trained.append(epoch))
    model.fit(
        data,
        epochs=epochs,
        verbose=0,
        shuffle=False,
        callbacks=[callback, kp.callbacks.Resume(folder / "state", every=every), Progress(), count],
    )
    found = {f"w{place}": weights for place, weights in enumerate(model.get_weights())}
    try:
        found |= {f"keep/{group}": np.asarray(kept) for group, kept in callback.plan.keep.items()}
    except kp.PruneError:
        found |= {f"mask/{place}": mask for place, mask in enumerate(callback.masks.values())}
    np.savez(folder / "result.npz", epochs=len(trained), **found)


def start(name: str, folder: Path, *numbers: int) -> subprocess.Popen:
    """Starts the job in a process group of its own; the numbers are epochs, steps between saves, depth."""
    numbers = [text for pair in zip(OPTIONS, map(str, numbers), strict=True) for text in pair]
    command = [sys.executable, "-W", "ignore", __file__, "--job", name, str(folder), *numbers]
    return subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def steps(folder: Path) -> int:
    """Returns how many steps were taken in this folder, repeated ones included."""
    progress = folder / "progress"
    return progress.stat().st_size if progress.exists() else 0


def killed(name: str, folder: Path, epochs: int, every: int, depth: int, *, kills: int, seed: int) -> int:
    """Runs the job, killing it at random steps, until it has ended; returns the number of kills."""
    generator, done = random.Random(seed), 0
    while True:
        process = start(name, folder, epochs, every, depth)
        limit = steps(folder) + generator.randint(1, 12) if done < kills else None
        while process.poll() is None:
            if limit is not None and steps(folder) >= limit:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                done += 1
                break
            time.sleep(0.01)
        else:
            if process.returncode:
                raise RuntimeError(f"{name}: the job failed with {process.returncode}")
            return done


def bit_equal(folder: Path, name: str, epochs: int, every: int, depth: int, *, kills: int) -> tuple[int, bool]:
    """Runs a job alone, and one that is killed; returns the number of kills, and whether both ended the same."""
    import numpy as np

    alone, broken = folder / "alone", folder / "broken"
    alone.mkdir()
    broken.mkdir()
    if start(name, alone, epochs, every, depth).wait():
        raise RuntimeError(f"{name}: the job failed")
    done = killed(name, broken, epochs, every, depth, kills=kills, seed=1)
    with np.load(alone / "result.npz") as one, np.load(broken / "result.npz") as other:
        return done, set(one.files) == set(other.files) and all(
            np.array_equal(one[key], other[key]) for key in one.files if key != "epochs"
        )


def compare(name: str, epochs: int, kills: int, every: int = 4, depth: int = DEPTH) -> str:
    """Returns the row of one callback; the finished job is started once more, and timed."""
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        done, same = bit_equal(Path(folder), name, epochs, every, depth, kills=kills)
        broken = Path(folder) / "broken"
        began = time.time()
        start(name, broken, epochs, every, depth).wait()
        seconds = time.time() - began
        with np.load(broken / "result.npz") as again:
            trained = int(again["epochs"])
        return f"| {name} | {done} | {'yes' if same else 'NO'} | {trained} | {seconds:.0f} |"


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--job", nargs=2)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--depth", type=int, default=DEPTH)
    given = parser.parse_args()
    if given.job:
        job(given.job[0], Path(given.job[1]), given.epochs, given.every, given.depth)
        return
    page = RESULTS / "resume.md"
    known = page.read_text().splitlines() if page.exists() else list(HEAD)
    for name in given.names or callbacks(given.epochs):
        line = compare(name, given.epochs, given.kills, given.every, given.depth)
        known = [row for row in known if not row.startswith(f"| {name} |")] + [line]
        print(line, flush=True)
        page.write_text("\n".join(known) + "\n")


if __name__ == "__main__":
    main()
