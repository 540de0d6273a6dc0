"""RAM and flash of networks for microcontrollers, before and after; and accuracy at half of the RAM.

    python benchmarks/microcontroller.py networks      # the four of MLPerf Tiny, untrained
    python benchmarks/microcontroller.py arms [SEED …] # MobileNetV2 of half width at 64², in half of its arena
    python benchmarks/microcontroller.py table         # writes the table from the rows

Arms, each with four epochs of fine-tuning, taught by the dense model, at the same arena: `peak`, `kp.targets.Memory`;
`uniform`, all groups by the same share; `input`, the dense network fed with smaller images.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import rows

RESULTS = Path(__file__).parent / "results"
NETWORK_ROWS, ARM_ROWS, TABLE = (RESULTS / f"microcontroller{end}" for end in (".csv", "_arms.csv", ".md"))
NETWORK_FIELDS = ("network", "asked", "ram", "flash", "macs", "narrower", "groups", *rows.STAMP)
ARM_FIELDS = ("arm", "seed", "ram", "macs", "accuracy", *rows.STAMP)
SHARES = (0.75, 0.5)
NUMBER, EPOCHS, BATCH, SIDE = 10_000, 4, 32, 64
RUNS = Path("runs") / "microcontroller"


def networks() -> None:
    """Writes the rows of the four networks: dense, and with as much RAM as is asked for."""
    import keras
    from support.micro_networks import network, separable

    import kerasprune as kp
    from kerasprune.export.arena.memory_report import Arena
    from kerasprune.export.tflite_graph import TfliteFile

    made = {
        "ResNet-8, images": lambda: network("resnet8"),
        "MobileNetV1 ×.25, persons": lambda: keras.applications.MobileNet(
            (96, 96, 3), alpha=0.25, weights=None, classes=2
        ),
        "DS-CNN, spoken words": lambda: separable(64),
        "autoencoder, anomalies": lambda: network("autoencoder"),
    }
    found = []
    for name, make in made.items():
        keras.utils.set_random_seed(0)
        graph = kp.trace(make(), unknown="freeze")
        target = kp.targets.Memory(fraction=0.5, io="int8").prepared(graph)
        for share in (1.0, *SHARES):
            try:
                dense = kp.Plan({})
                plan = dense if share == 1 else kp.plan(graph, target=replace(target, fraction=share), round_to=1)
            except kp.PruneError as error:
                print(name, share, error)
                continue
            content = target.file_of(graph, plan)
            narrower = [each for each, kept in plan.keep.items() if len(kept) < graph.groups[each].size]
            row = {
                "network": name,
                "asked": share,
                "ram": Arena.of(TfliteFile.of(content)).ram,
                "flash": len(content),
                "macs": kp.cost(graph, plan).macs,
                "narrower": len(narrower),
                "groups": len(graph.prunable),
            }
            print(row, flush=True)
            found.append(row | rows.stamp("keras", "tensorflow"))
    rows.write(NETWORK_ROWS, NETWORK_FIELDS, found)


def mobilenet(side: int = SIDE) -> Any:
    """Returns MobileNetV2 of half the width for images of a side, compiled and not trained."""
    import keras

    import kerasprune as kp

    model = kp.models.mobilenet_v2(36, (side, side, 3), width=0.5, seed=0)
    rate = keras.optimizers.schedules.CosineDecay(0.05, 14 * (NUMBER // BATCH))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss, metrics=["accuracy"])
    return model


def images(split: str, side: int, seed: int = 0, augment: str | None = None) -> Any:
    """Returns batches of glyphs."""
    import kerasprune as kp

    how = {"augment": augment} if augment else {}
    return kp.data.load("glyphs/small", split, size=side, batch=BATCH, seed=seed, **how)


def arms(seed: int) -> None:
    """Runs the arms of a seed."""
    import keras

    import kerasprune as kp
    from kerasprune.planning.targets.memory import measured_ram

    path = RUNS / "dense.keras"
    if not path.exists():
        keras.utils.set_random_seed(0)
        model = mobilenet()
        model.fit(images("train", SIDE, augment="crop"), epochs=14, verbose=2)
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
    dense, done = keras.models.load_model(path), {(row["arm"], row["seed"]) for row in rows.read(ARM_ROWS)}
    graph = kp.trace(dense)
    target = kp.targets.Memory(fraction=0.5).prepared(graph)
    limit = 0.5 * target.measured.dense

    def ram_at(plan: Any) -> int:
        return measured_ram(target, graph, plan)

    def uniform() -> Any:
        low, high = 0.02, 1.0
        for _ in range(7):
            middle = (low + high) / 2
            low, high = (middle, high) if ram_at(kp.plan(graph, keep=middle, round_to=1)) <= limit else (low, middle)
        return kp.plan(graph, keep=low, round_to=1)

    train, how = images("train", SIDE, seed, "crop"), {"epochs": EPOCHS, "batch": BATCH, "seed": seed, "verbose": 2}
    how |= {"optimizer": "sgd", "validation": images("validation", SIDE)}
    for arm in ("dense", "peak", "uniform", "input"):
        if (arm, str(seed)) in done or arm == "dense" and seed:
            continue
        side, slim, plan = SIDE, dense, kp.Plan({})
        if arm in ("peak", "uniform"):
            plan = kp.plan(graph, target=target, round_to=1) if arm == "peak" else uniform()
            slim = kp.prune(dense, plan=plan, data=train, **how).slim
            ram = ram_at(plan)
        elif arm == "dense":
            ram = ram_at(plan)
        else:
            side = max(each for each in range(16, SIDE, 4) if ram_of(mobilenet(each)) <= limit)
            slim = mobilenet(side)
            slim.set_weights(dense.get_weights())
            rate = keras.optimizers.schedules.CosineDecay(1e-2, EPOCHS * (NUMBER // BATCH))
            slim.compile(keras.optimizers.SGD(rate, momentum=0.9), slim.loss, metrics=["accuracy"])
            keras.utils.set_random_seed(seed)
            slim.fit(images("train", side, seed, "crop"), epochs=EPOCHS, verbose=2)
            ram = ram_of(slim)
        accuracy = slim.evaluate(images("test", side), verbose=0)[1]
        row = {"arm": arm, "seed": seed, "ram": ram, "macs": kp.cost(slim).macs, "accuracy": round(accuracy, 5)}
        rows.append(ARM_ROWS, ARM_FIELDS, [row | rows.stamp("keras", "tensorflow")])
        print(row, flush=True)


def ram_of(model: Any) -> int:
    """Returns the RAM of a model as an int8 file."""
    import kerasprune as kp
    from kerasprune.planning.targets.memory import measured_ram

    return measured_ram(kp.targets.Memory(fraction=0.5), kp.trace(model), kp.Plan({}))


def table() -> None:
    """Writes the tables of the rows."""
    lines = ["| network | RAM, kB | flash, kB | MACs, M | narrower |", "|---|---|---|---|---|"]
    for row in rows.read(NETWORK_ROWS):
        asked, (ram, flash, macs) = float(row["asked"]), (int(row[key]) for key in ("ram", "flash", "macs"))
        name = row["network"] if asked == 1 else f"– in {asked:.0%} of it"
        narrower = f"{row['narrower']} of {row['groups']}" if asked < 1 else ""
        lines.append(f"| {name} | {ram / 1e3:.1f} | {flash / 1e3:.0f} | {macs / 1e6:.2f} | {narrower} |")
    if found := rows.read(ARM_ROWS):
        lines += ["", "| arm | seeds | RAM, kB | MACs, M | test accuracy, % |", "|---|---|---|---|---|"]
        for arm in dict.fromkeys(row["arm"] for row in found):
            own = [row for row in found if row["arm"] == arm]
            accuracy = rows.mean_std([100 * float(row["accuracy"]) for row in own], 2)
            ram, macs = int(own[0]["ram"]) / 1e3, int(own[0]["macs"]) / 1e6
            lines.append(f"| {arm} | {len(own)} | {ram:.1f} | {macs:.2f} | {accuracy} |")
    TABLE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    rows.run_asked({"arms": arms}, {"networks": networks, "table": table}, seeds=[0])
