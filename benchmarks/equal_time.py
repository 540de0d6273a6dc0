"""Accuracy at equal measured time on glyphs: plans by time beside plans by multiply–adds.

    python benchmarks/equal_time.py plans [resnet20] [mobilenet]   # quiet cores: some minutes a network
    python benchmarks/equal_time.py run [--seeds 0 1 2] [--workers 2]

`plans` brings every plan to half of the dense network's time as a float32 TFLite file, one thread: the target is
corrected by what is measured, all plans in turn, until the time is within 2 %, or no channel is left that brings it
nearer. `run` trains each for four epochs, reconstructed and taught by the dense network, as `equal_epochs.py` does.
Test accuracy is taken once, at the end. The table of docs/latency.md is written by `python benchmarks/summary.py`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import equal_epochs
import greg_schedules as protocol
import rows
from equal_epochs_grid import BEST, TESTBEDS, replace

HERE = Path(__file__).parent
PLANS = HERE.parent / "runs" / "equal_time"
TIMES, ACCURACIES = HERE / "results" / "equal_time_plans.csv", HERE / "results" / "equal_time.csv"
OF_TIMES = ("network", "plan", "asked", "macs", "predicted", "measured", *rows.STAMP)
OF_ACCURACIES = ("network", "plan", "seed", "validation", "test", *rows.STAMP)
WAYS = {
    "uniform": {"counted": "macs", "round_to": 1},
    "multiples of 8": {"counted": "macs", "round_to": 8},
    "multiples of 16": {"counted": "macs", "round_to": 16},
    "uniform, by time": {"counted": "time", "round_to": "table"},
    "sensitivity": {"counted": "macs", "budget": "sensitivity", "round_to": 1},
    "sensitivity, by time": {"counted": "time", "budget": "sensitivity", "round_to": "table"},
}
HALF, NEAR, CORRECTIONS = 0.5, 0.02, 5
NETWORKS = tuple(TESTBEDS)


def plan_of(graph, table, way: dict, asked: float, examples):
    """Returns the plan of a way for a target."""
    import kerasprune as kp

    way = dict(way)
    by_time = way.pop("counted") == "time"
    target = {"target": kp.targets.Time(table, fraction=asked)} if by_time else {"macs": asked}
    if way.get("round_to") == "table":
        way["round_to"] = table
    data = examples if "budget" in way else None
    return kp.plan(graph, "l1", **way, **target, data=data, size=protocol.SIZE)


def plan_all(network: str) -> None:
    """Brings the plans of a network to half of its time, and writes them with their times."""
    import keras

    import kerasprune as kp
    from kerasprune.export.latency.whole_networks import times_of

    keras.utils.set_random_seed(0)
    run = replace(BEST, testbed=network)
    graph = kp.trace(equal_epochs.dense_model(run, smoke=False))
    fixed = kp.trace(graph.model, size=protocol.SIZE) if None in graph.model.input_shape[1:] else graph
    table = kp.latency.profile(graph.model, size=protocol.SIZE, verbose=0)
    examples = equal_epochs.unlabelled_images(run).take(equal_epochs.IMAGES // 100)
    dense = kp.Plan({}, coupling=graph.coupling)
    asked, tried = dict.fromkeys(WAYS, HALF), {name: {} for name in WAYS}
    for _ in range(CORRECTIONS):
        plans = {}
        for name in [name for name, each in tried.items() if not is_near(each)]:
            try:
                plans[name] = plan_of(graph, table, WAYS[name], asked[name], examples)
            except kp.errors.PruneError as error:
                print(name, error, flush=True)
                del tried[name]
        whole, *times = times_of(fixed, [dense, *plans.values()], "float32", 1, rounds=40)
        for (name, plan), time in zip(plans.items(), times, strict=True):
            tried[name][asked[name]] = (time / whole, plan)
            asked[name] = next_target(asked[name], tried[name])
        print({name: min(each.values(), key=away)[0] for name, each in tried.items()}, flush=True)
        if all(map(is_near, tried.values())):
            break
    nearest = {name: min(each.items(), key=lambda pair: away(pair[1])) for name, each in tried.items()}
    whole, *times = times_of(fixed, [dense, *(plan for _, (_, plan) in nearest.values())], "float32", 1, rounds=60)
    found = []
    for (name, (target, (_, plan))), time in zip(nearest.items(), times, strict=True):
        plan.save(PLANS / f"{network}-{name}.json")
        shares = {"macs": kp.cost(fixed, plan).macs / kp.cost(fixed).macs, "measured": time / whole}
        shares |= {"asked": target, "predicted": table.predict(fixed, plan) / table.predict(fixed)}
        row = {"network": network, "plan": name} | {key: f"{value:.4f}" for key, value in shares.items()}
        found.append(row | rows.stamp("ai-edge-litert"))
    rows.append(TIMES, OF_TIMES, found)


def away(result: tuple) -> float:
    """Returns how far a measured share of the time is from a half."""
    return abs(result[0] - HALF)


def is_near(tried: dict) -> bool:
    """Returns whether one of the plans tried takes half of the time."""
    return any(away(result) < NEAR * HALF for result in tried.values())


def next_target(asked: float, tried: dict) -> float:
    """Returns the target to ask for next: between the nearest tried on either side of a half, else in proportion."""
    below = [target for target, (share, _) in tried.items() if share <= HALF]
    above = [target for target, (share, _) in tried.items() if share > HALF]
    if below and above:
        return (max(below) + min(above)) / 2
    return min(asked * HALF / tried[asked][0], 0.95)


def trained(network: str, plan, seed: int) -> dict[str, float]:
    """Trains the slim network of a plan, and returns its accuracies in per cent."""
    import keras

    import kerasprune as kp

    run = replace(BEST, testbed=network, seed=seed)
    keras.utils.set_random_seed(seed)
    model = equal_epochs.dense_model(run, smoke=False)
    slim = equal_epochs.started(model, plan, run, smoke=False)
    data = equal_epochs.images("train", run)
    rate = keras.optimizers.schedules.CosineDecay(protocol.FINETUNE_RATE, run.epochs * len(data))
    protocol.fit(kp.distil(slim, model), data, rate, run.epochs, [])
    return {split: protocol.accuracy(slim, equal_epochs.images(split, run)) for split in ("validation", "test")}


def train(network: str, name: str, seed: int) -> None:
    """Trains the slim network of a plan that was written, and appends its accuracy."""
    import kerasprune as kp

    scores = trained(network, kp.Plan.load(PLANS / f"{network}-{name}.json"), seed)
    row = {"network": network, "plan": name, "seed": seed, **scores, **rows.stamp("tensorflow")}
    rows.append(ACCURACIES, OF_ACCURACIES, [row])
    print(row, flush=True)


def train_all(given: argparse.Namespace) -> None:
    """Trains what has no row yet, in one-threaded processes."""
    done = {(row["network"], row["plan"], int(row["seed"])) for row in rows.read(ACCURACIES)}
    planned = [(n, name) for n in given.networks for name in WAYS if (PLANS / f"{n}-{name}.json").exists()]
    cells = [(*one, seed) for seed in given.seeds for one in planned if (*one, seed) not in done]
    if given.worker is not None:
        for cell in cells[given.worker :: given.workers]:
            train(*cell)
        return
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    command = [sys.executable, __file__, *sys.argv[1:], "--worker"]
    started = [subprocess.Popen([*command, str(number)], env=environment) for number in range(given.workers)]
    codes = [process.wait() for process in started]
    if any(codes):
        sys.exit("a worker failed; the finished rows are kept")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("plans", "run"))
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--worker", type=int)
    given = parser.parse_args()
    if given.what == "plans":
        PLANS.mkdir(parents=True, exist_ok=True)
        for network in given.networks:
            plan_all(network)
    else:
        train_all(given)


if __name__ == "__main__":
    main()
