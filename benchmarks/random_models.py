"""Random models that compose all rules, three plans of each against the oracle.

    python benchmarks/random_models.py FIRST NUMBER   # seeds FIRST … FIRST + NUMBER − 1

What a model is made of, and what is asked of it, is in `random_models.py` and `random_checks.py` of `tests/support`.
Seeds run in processes of their own, some at a time. Each finished process appends a line to
`results/random_models.csv`, faults are printed, and `results/random_models.md` sums up all lines.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from rows import append as append_rows
from rows import read

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

HERE = Path(__file__).parent
ROWS, DRAWN, PAGE = (HERE / "results" / f"random_models.{end}" for end in ("csv", "json", "md"))
FIELDS = ("date", "first", "models", "plans", "mismatches", "crashes", "blocks_dropped", "folded", "seconds")
AT_A_TIME = 50


def checked(first: int, number: int) -> tuple[dict, Counter]:
    """Checks some seeds; returns their row, and how many models contain each pair of neighbouring kinds of rules."""
    from support.random_checks import Mismatch, Outcome, findings
    from support.random_models import built, contents

    row, pairs = Counter(), Counter()
    began = time.perf_counter()
    for seed in range(first, first + number):
        for kind, found in findings(seed).items():
            row["plans"] += kind != "model"
            if isinstance(found, Outcome):
                row["blocks_dropped"] += found.removed
                row["folded"] += found.folded is not None
            else:
                row["mismatches" if isinstance(found, Mismatch) else "crashes"] += 1
                print(f"seed {seed}, plan {kind}: {type(found).__name__}: {found}", file=sys.stderr)
                if not isinstance(found, Mismatch):
                    traceback.print_exception(found, limit=-4)
        classes, neighbours = contents(built(seed))
        pairs.update({(kind_of(each), "") for each in classes} | {(kind_of(a), kind_of(b)) for a, b in neighbours})
        pairs.update({(each.__name__, "class") for each in classes})
    row.update(first=first, models=number, seconds=round(time.perf_counter() - began))
    return {"date": date.today().isoformat(), **{field: row[field] for field in FIELDS[1:]}}, pairs


def kind_of(cls: type) -> str:
    """Returns the kind of a class's rule: the file that holds it."""
    from kerasprune.graph.rule import find

    return find(object.__new__(cls)).function.__module__.rpartition(".")[2]


def main(first: int, number: int) -> None:
    """Checks the seeds, some at a time, then writes the page."""
    ROWS.parent.mkdir(exist_ok=True)
    end = first + number
    for begin in range(first, end, AT_A_TIME):
        for row, pairs in finished(begin, min(AT_A_TIME, end - begin)):
            append(row, pairs)
            print(row, flush=True)
    page()


def finished(first: int, number: int) -> Iterator[tuple[dict, dict]]:
    """Checks some seeds in a process of their own; where that is killed, half of them at a time, down to the seed."""
    command = [sys.executable, __file__, "--some", str(first), str(number)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if not done.returncode:
        yield tuple(json.loads(done.stdout.splitlines()[-1]))
        return
    print(
        f"seeds {first} … {first + number - 1}: the process ended with {done.returncode}", file=sys.stderr, flush=True
    )
    half = number // 2
    if half:
        yield from finished(first, half)
        yield from finished(first + half, number - half)


def append(row: dict, pairs: dict) -> None:
    """Adds a line, and what was drawn."""
    append_rows(ROWS, FIELDS, [row])
    before = json.loads(DRAWN.read_text()) if DRAWN.exists() else {}
    DRAWN.write_text(json.dumps(dict(sorted((Counter(before) + Counter(pairs)).items())), indent=0) + "\n")


def page() -> None:
    """Writes what all lines come to."""
    from kerasprune.rules import classes

    rows = read(ROWS)
    total = {field: sum(int(row[field]) for row in rows) for field in FIELDS[2:]}
    drawn = {tuple(key.split("→")): count for key, count in json.loads(DRAWN.read_text()).items()}
    kinds = sorted({first for first, second in drawn if not second})
    known = {cls.__name__ for cls in classes() if cls.__module__.startswith("keras.")}
    seen = {first for first, second in drawn if second == "class"}
    pairs = [(a, b) for a in kinds for b in kinds]
    missing = [f"{a} → {b}" for a, b in pairs if (a, b) not in drawn]
    lines = [
        "# Random models against the oracle",
        "",
        f"{total['models']} models, {total['plans']} plans: {total['mismatches']} mismatches, {total['crashes']} "
        f"crashes. {total['blocks_dropped']} blocks were dropped; in {total['folded']} plans constants were folded "
        "where that is exact.",
        "",
        f"Drawn: {len(known & seen)} of {len(known)} classes with a rule; {len(pairs) - len(missing)} of the "
        f"{len(pairs)} pairs of neighbouring kinds of rules (a kind is a file below `kerasprune/rules/`).",
    ]
    lines += [f"Not drawn: {', '.join(sorted(known - seen))}."] * bool(known - seen)
    lines += [f"Pairs not drawn: {', '.join(missing)}."] * bool(missing)
    PAGE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--some"]:
        sys.path.insert(0, str(HERE.parent / "tests"))
        row, pairs = checked(int(sys.argv[2]), int(sys.argv[3]))
        print(json.dumps([row, {"→".join(pair): count for pair, count in pairs.items()}]))
    elif len(sys.argv) == 3:
        main(int(sys.argv[1]), int(sys.argv[2]))
    else:
        sys.exit(__doc__)
