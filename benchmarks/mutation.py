"""Faults put into the package on purpose: do its tests notice?

    python benchmarks/mutation.py cover TIER [FILE …] # once, default, then thorough: which test runs which line
    python benchmarks/mutation.py run NUMBER [SEED]   # so many mutants drawn at random over all rooms, the default tier
    python benchmarks/mutation.py tiers               # the known ones once more: which tier notices them
    python benchmarks/mutation.py again [FILE …]      # both tiers for those that live on and are not called equivalent
    python benchmarks/mutation.py page
    python benchmarks/mutation.py rows                # the fault of every exact row of the papers' page

A mutant (`mutants.py`) is put into a copy of the package, and the tests that run its lines are run against that copy,
quick ones first, until one fails. `run` takes tests of the default tier, of `ENOUGH` seconds; `again` all of both
tiers. Each process is forked from one that has imported Keras and nothing of ours. Rows go into
`results/mutation.csv`; what a person says of a mutant that changes nothing stands in its column `equivalent`. `cover`
needs `pip install coverage`. With KERAS_BACKEND=jax, `cover` and `again` do the same with the tests that run there.
`row_faults.csv` has a fault for each row of `docs/seeds.yml` that says "exact"; `rows` tries those without an outcome:
the test that the row names has to notice.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from mutants import Mutant, mutants
from rows import append, read, write

HERE = Path(__file__).parent
ROOT = HERE.parent
BACKEND = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CI="1")  # drawn examples that repeat
ROWS, PAGE = (HERE / "results" / f"mutation.{end}" for end in ("csv", "md"))
FAULTS = HERE / "row_faults.csv"
COVERED = ROOT / "runs" / f"mutation_{BACKEND}.json"  # not kept under version control
FIELDS = ("file", "line", "kind", "before", "after", "backend", "outcome", "tests", "killer", "equivalent", "tier")
MARKS = {"default": "not slow and not thorough", "thorough": "thorough and not slow"}
ALIVE = ("survived", "no test", "not run")
ENOUGH, AT_IMPORT, BOTH = 15.0, -1, tuple(MARKS)
BEFOREHAND = ("keras", "numpy", "pytest", "scipy.optimize", "hypothesis", "pydantic", "yaml", "PIL.Image")


# ---- which test runs which line --------------------------------------------------------------------------------------


class Watch:
    """Notes how long each test takes and its tier, and tells the coverage whose lines these are."""

    def __init__(self, coverage: Any) -> None:
        self.coverage, self.seconds, self.thorough = coverage, defaultdict(float), set()

    def pytest_collection_finish(self, session: Any) -> None:
        self.thorough |= {item.nodeid for item in session.items if item.get_closest_marker("thorough")}

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        self.coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.outcome == "passed":
            self.seconds[report.nodeid] += report.duration


def cover(tier: str, *files: str) -> None:
    """Runs tests of a tier and writes `{"seconds": {test: …}, "thorough": …, "lines": {file: {line: [test, …]}}}`.

    Args:
        tier: One of `MARKS`. All tests of the default tier begin anew; others are entered beside those that are known.
        *files: Whose tests are run. Defaults to all.
    """
    import pytest
    from coverage import Coverage

    folder = tempfile.mkdtemp()
    watched = Coverage(data_file=f"{folder}/lines", source=[str(ROOT / "kerasprune")], config_file=False)
    watched.start()
    watch = Watch(watched)
    marked = MARKS[tier] if BACKEND == "tensorflow" else f"{BACKEND} and {MARKS[tier]}"
    paths = [str(ROOT / place) for place in files or ("tests",)]
    os.environ["PYTHONPATH"] = str(ROOT)
    sys.path.insert(0, str(ROOT))
    importlib.import_module("kerasprune.graph.rule").table.load()  # else the first test would seem to run all rules
    pytest.main([*_options(), "--maxfail=20", "-m", marked, *paths], plugins=[watch])
    watched.stop()
    data = watched.get_data()
    anew = tier == "default" and not files
    before = {"seconds": {}, "thorough": [], "lines": {}} if anew else json.loads(COVERED.read_text())
    seconds = before["seconds"] | watch.seconds
    numbers = {"": AT_IMPORT} | {test: number for number, test in enumerate(seconds)}
    lines = before["lines"]
    for file in data.measured_files():
        own = lines.setdefault(str(Path(file).relative_to(ROOT)), {})
        for line, tests in data.contexts_by_lineno(file).items():
            found = {numbers[test] for test in tests if test in numbers}
            own[str(line)] = sorted(found | set(own.get(str(line), ())))
    COVERED.parent.mkdir(exist_ok=True)
    thorough = sorted(watch.thorough | set(before["thorough"]))
    COVERED.write_text(json.dumps({"seconds": seconds, "thorough": thorough, "lines": lines}))


def chosen(mutant: Mutant, covered: dict, tiers: Sequence[str] = ("default",)) -> list[tuple[float, str]]:
    """Returns the seconds and names of the tests of some tiers that run a mutant's lines, quickest first.

    What runs at import only, as a decorator or a table does, belongs to the tests of the function around it, of the
    file, or to all.
    """
    lines, seconds, thorough = covered["lines"].get(mutant.path, {}), covered["seconds"], set(covered["thorough"])
    names = list(seconds)
    found = set(names)
    for begin, end in (mutant.statement, mutant.scope, (1, 10**6)):
        run = [each for line, each in lines.items() if begin <= int(line) <= end]
        tests = {names[n] for each in run for n in each if n != AT_IMPORT}
        if tests or not run:
            found = tests
            break
    return sorted((seconds[test], test) for test in found if BOTH[test in thorough] in tiers)


# ---- running ---------------------------------------------------------------------------------------------------------


class Chosen:
    """Runs the chosen tests in their order; notes the first that fails."""

    def __init__(self, tests: list[str]) -> None:
        self.order, self.killer, self.run = {test: n for n, test in enumerate(tests)}, "", 0

    def pytest_collection_modifyitems(self, items: list) -> None:
        numbers = {i: self.order.get(i.nodeid, self.order.get(i.nodeid.partition("[")[0])) for i in items}
        items[:] = sorted((i for i in items if numbers[i] is not None), key=numbers.__getitem__)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.run += report.when == "call"
        if report.failed and not self.killer:
            self.killer = report.nodeid

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed and not self.killer:
            self.killer = f"importing {report.nodeid}"


def _options() -> list[str]:
    return ["-q", "-x", "-p", "no:cacheprovider", "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]


def outcome(mutant: Mutant, tests: list[tuple[float, str]], copy: Path) -> dict:
    """Puts the fault into the copy, runs the tests in a process of its own, and takes it out again."""
    place, answer = copy / mutant.path, copy / "answer.json"
    whole = place.read_text()
    place.write_text(mutant.source)
    answer.unlink(missing_ok=True)
    limit = 300 + 6 * sum(seconds for seconds, _ in tests)
    child = os.fork()
    if not child:
        _child([test for _, test in tests], copy, answer)
    began = time.monotonic()
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() - began > limit:
            os.killpg(child, signal.SIGKILL)
            ended = os.waitpid(child, 0)
            break
        time.sleep(0.05)
    place.write_text(whole)
    if answer.exists():
        return json.loads(answer.read_text())
    late = time.monotonic() - began > limit
    return {"outcome": "timeout" if late else "killed", "tests": 0, "killer": "" if late else f"ended with {ended[1]}"}


def _child(tests: list[str], copy: Path, answer: Path) -> None:
    """Runs tests against the copy and leaves the process, whatever happens."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(null, stream)
    sys.path.insert(0, str(copy))
    sys.dont_write_bytecode = True
    os.environ |= {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(copy)}
    plugin = Chosen(tests)
    files = sorted({str(ROOT / test.split("::")[0]) for test in tests})
    try:
        import pytest

        code = pytest.main([*_options(), "-m", "", *files], plugins=[plugin])
        import kerasprune

        kind = {0: "survived", 5: "not run"}.get(int(code), "killed")
        found = {"outcome": kind, "tests": plugin.run, "killer": plugin.killer}
        if not kerasprune.__file__.startswith(str(copy)):
            found = {"outcome": "not run", "tests": 0, "killer": f"the package was that of {kerasprune.__file__}"}
    except BaseException as error:  # noqa: BLE001
        found = {"outcome": "killed", "tests": plugin.run, "killer": repr(error)[:80]}
    answer.write_text(json.dumps(found))
    os._exit(0)


def copied() -> Path:
    """Returns a new folder with a copy of the package."""
    folder = Path(tempfile.mkdtemp(prefix="mutation"))
    shutil.copytree(ROOT / "kerasprune", folder / "kerasprune", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def everything() -> list[Mutant]:
    """Returns all mutants, file by file."""
    return [mutant for file in sorted((ROOT / "kerasprune").rglob("*.py")) for mutant in mutants(file, ROOT)]


def run(number: int, seed: int = 0) -> None:
    """Draws mutants and runs those that have no row yet."""
    covered, copy = _prepared()
    done = {_key(row) for row in read(ROWS)}
    for mutant in random.Random(seed).sample(everything(), number):
        if _key(row := _row(mutant)) not in done:
            tests = chosen(mutant, covered)
            while sum(seconds for seconds, _ in tests[:-1]) > ENOUGH:
                tests.pop()
            append(ROWS, FIELDS, [row | _tried(mutant, tests, copy)])
    shutil.rmtree(copy)


def tiers() -> None:
    """Runs all known mutants once more, against the default tier, and if they live on against the thorough one."""
    covered, copy = _prepared()
    rows, known = read(ROWS), everything()
    for row in rows:
        mutant = None if row["equivalent"] or row["tier"] else _found(row, known)
        for tier in BOTH if mutant else ():
            tests = chosen(mutant, covered, [tier])
            row |= {"line": mutant.line, "backend": BACKEND, "tier": tier} | _tried(mutant, tests, copy)
            if row["outcome"] not in ALIVE:
                break
        if mutant:
            row |= {} if row["outcome"] not in ALIVE else {"tier": "neither"}
            ROWS.unlink()
            append(ROWS, FIELDS, rows)
    shutil.rmtree(copy)


def _found(row: dict, known: Sequence[Mutant]) -> Mutant | None:
    """Returns the mutant of a row, the nearest of those that read alike; `None` if its code is gone."""
    alike = [mutant for mutant in known if _key(_row(mutant))[:4] == _key(row)[:4]]
    return min(alike, key=lambda each: abs(each.line - int(row["line"])), default=None)


def again(*places: str) -> None:
    """Runs more tests of the mutants that live on.

    Args:
        *places: Files of tests. Defaults to all.
    """
    covered, copy = _prepared()
    rows, known = read(ROWS), everything()
    for row in rows:
        if row["outcome"] not in ALIVE or row["equivalent"]:
            continue
        mutant = _found(row, known)
        tests = [each for each in chosen(mutant, covered, BOTH) if each[1].startswith(places or "")] if mutant else []
        if tests:
            row |= {"line": mutant.line, "backend": BACKEND} | _tried(mutant, tests, copy)
            ROWS.unlink()
            append(ROWS, FIELDS, rows)
    shutil.rmtree(copy)


def of_the_page() -> None:
    """Runs the test that an exact row of the papers' page names against a package with the row's fault."""
    _import_beforehand()
    copy = copied()
    page = yaml.safe_load((ROOT / "docs" / "seeds.yml").read_text())["seeds"]
    named = {(seed["title"], item["at"]): item.get("test", "") for seed in page for item in seed["items"]}
    faults = read(FAULTS)
    for fault in faults:
        if not fault["outcome"]:
            mutant = fault_of(fault)
            found = _tried(mutant, [(60.0, named[fault["paper"], fault["at"]])], copy)
            fault |= {"outcome": found["outcome"], "killer": found["killer"]}
            write(FAULTS, list(fault), faults)
    shutil.rmtree(copy)


def fault_of(row: Mapping[str, str]) -> Mutant:
    """Returns the mutant of a row of `row_faults.csv`.

    Raises:
        ValueError: What it replaces is not there once.
    """
    source = (ROOT / row["file"]).read_text()
    before = source.partition(row["before"])[0]
    if source.count(row["before"]) != 1:
        raise ValueError(
            f"Expected {row['before']!r} to be in {row['file']} once. Received: {source.count(row['before'])}."
        )
    line, changed = before.count("\n") + 1, source.replace(row["before"], row["after"])
    return Mutant(row["file"], "row", line, (line, line), (line, line), row["before"], row["after"], changed)


def _prepared() -> tuple[dict, Path]:
    """Imports what is not ours, before anything is forked; returns which test runs which line, and a copy."""
    _import_beforehand()
    return json.loads(COVERED.read_text()), copied()


def _import_beforehand() -> None:
    for name in BEFOREHAND:
        importlib.import_module(name)


def _tried(mutant: Mutant, tests: list[tuple[float, str]], copy: Path) -> dict:
    began = time.perf_counter()
    found = outcome(mutant, tests, copy) if tests else {"outcome": "no test", "tests": 0, "killer": ""}
    print(f"{time.perf_counter() - began:5.0f} s  {found['outcome']:8}  {mutant.path}:{mutant.line}  ", end="")
    print(" ".join(f"{mutant.before} → {mutant.after}".split())[:150], flush=True)
    return found


def _row(mutant: Mutant) -> dict:
    before, after = (" ".join(text.split()) for text in (mutant.before, mutant.after))
    where = {"file": mutant.path, "line": mutant.line, "kind": mutant.kind, "before": before, "after": after}
    return where | {"backend": BACKEND, "equivalent": "", "tier": ""}


def _key(row: dict) -> tuple:
    return row["file"], row["kind"], row["before"], row["after"], int(row["line"])


LEFT = [
    "`inline.py` was being written anew when this ran. `padding.py`: a subclass of `ZeroPadding` with an argument of",
    "its own. `callback.py`: a callback that begins twice in one fit, and `Resume` with `BackupAndRestore`; not all",
    "tests of these two were run.",
]


# ---- the page --------------------------------------------------------------------------------------------------------


def page() -> None:
    """Writes what all rows come to, and who lives on."""
    rows = read(ROWS)
    equivalent = [row for row in rows if row["equivalent"]]
    counted = [row for row in rows if not row["equivalent"]]
    alive = [row for row in counted if row["outcome"] in ALIVE]
    lines = [
        "# Faults put in on purpose",
        "",
        f"{len(rows)} of the {len(everything())} mutants, drawn at random (`benchmarks/mutation.py`, {_stamp()}).",
        f"{len(equivalent)} change nothing that can be seen. Of the other {len(counted)}, the tests notice "
        f"**{len(counted) - len(alive)}, {(len(counted) - len(alive)) / len(counted):.1%}** "
        f"({sum(row['outcome'] == 'timeout' for row in counted)} of them by never ending).",
        "",
        "| Package | Mutants | Equivalent | Noticed | Not noticed |",
        "|---|---|---|---|---|",
    ]
    for package in sorted({row["file"].split("/")[1] for row in rows}):
        own, same, left = (
            [row for row in some if row["file"].split("/")[1] == package] for some in (rows, equivalent, alive)
        )
        lines.append(f"| {package} | {len(own)} | {len(same)} | {len(own) - len(same) - len(left)} | {len(left)} |")
    lines += ["", "## Not noticed", "", *_table(alive, "outcome"), "", *LEFT]
    lines += ["", "## Equivalent", "", *_table(equivalent, "equivalent")]
    PAGE.write_text("\n".join(lines) + "\n")


def _stamp() -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("keras", "tensorflow", "jax"))
    return f"{date.today().isoformat()}; Python {sys.version.split()[0]}, {versions}"


def _table(rows: list[dict], last: str) -> list[str]:
    """Returns a table of mutants."""
    head = [f"| Line | Before | After | {last.capitalize()} |", "|---|---|---|---|"]
    return head + [
        f"| {row['file'].removeprefix('kerasprune/')}:{row['line']} | {_cell(row['before'])} | {_cell(row['after'])} | "
        f"{row[last]} |"
        for row in sorted(rows, key=lambda row: (row["file"], int(row["line"])))
    ]


def _cell(text: str) -> str:
    return f"`{text[:70] + '…' * (len(text) > 70)}`".replace("|", "\\|")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["cover", ("default" | "thorough") as tier, *files]:
            cover(tier, *files)
        case ["tiers"]:
            tiers()
        case ["again", *places]:
            again(*places)
        case ["page"]:
            page()
        case ["rows"]:
            of_the_page()
        case ["run", *numbers] if 1 <= len(numbers) <= 2:
            run(*map(int, numbers))
        case _:
            sys.exit(__doc__)
