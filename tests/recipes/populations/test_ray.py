"""Populations on a Ray cluster: the same table, whatever is killed on the way."""

from __future__ import annotations

import sys

import pytest
from support import candidates

import kerasprune as kp
from kerasprune import PruneError


def table(folder, some, **options) -> list[dict]:
    """Returns the table of a population, without what differs from run to run."""
    population = kp.recipes.Population(folder / "store.sqlite", verbose=0, **options)
    rows = population.run(candidates.shot, [{"folder": str(folder), "x": x} for x in some])
    return [{name: cell for name, cell in row.items() if name not in ("folder", "seconds")} for row in rows]


def calls(folder, x) -> list[str]:
    return (folder / f"{x}.calls").read_text().splitlines()


@pytest.fixture(scope="module")
def cluster():
    """Two cores of this machine."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    yield
    ray.shutdown()


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")
def test_a_killed_worker_changes_nothing(cluster, tmp_path):
    folders = {name: tmp_path / name for name in ("ray", "serial")}
    for folder in folders.values():
        folder.mkdir()
    (folders["serial"] / "2.calls").write_text("as if it had been killed before\n")
    some = (0, 1, 2, 3, 5)
    expected = table(folders["serial"], some, engine="serial")
    found = table(folders["ray"], some, engine="ray", workers=2, per_process=9)
    assert found == expected and [row["state"] for row in found].count("done") == 4
    assert len(set(calls(folders["ray"], 2))) == 2  # two workers, of which one was killed
    assert table(folders["ray"], some, engine="ray", workers=2) == expected  # and nothing is evaluated twice
    assert [len(calls(folders["ray"], x)) for x in some] == [1, 1, 2, 1, 1]


@pytest.mark.ray
def test_what_kills_every_worker_hangs_or_raises_fails(cluster, tmp_path):
    population = kp.recipes.Population(
        tmp_path / "s.sqlite", engine="ray", workers=2, timeout=2, per_process=9, verbose=0
    )
    with pytest.warns(UserWarning, match="2 of 3 candidates failed"):
        rows = population.run(candidates.shot, [{"folder": str(tmp_path), "x": x} for x in (4, 1, 3)])
    assert [(row["state"], row["attempts"], row.get("square")) for row in rows] == [
        ("failed", 1, None),
        ("failed", 1, None),
        ("done", 1, 9),
    ]
    assert "3 workers were lost" in rows[0]["error"] and len(calls(tmp_path, 4)) == 3
    assert rows[1]["error"] == "ValueError: no such width"
    log = next(one.log for one in population.failures() if one.arguments["x"] == 1)
    assert "candidate 1 says hello" in log and 'raise ValueError("no such width")' in log
    with pytest.warns(UserWarning, match="Given up after timeout=2 seconds"):
        population.run(candidates.unlucky, [{"folder": str(tmp_path), "x": 3}])


@pytest.mark.ray
def test_functions_that_no_worker_finds(cluster, tmp_path):
    population = kp.recipes.Population(tmp_path / "s.sqlite", engine="ray", verbose=0)
    with pytest.raises(PruneError, match="No module named 'no_such'.*working_dir"):
        population.run("no_such:thing", [{}])
    assert population.table() == []


def test_without_ray_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    population = kp.recipes.Population(tmp_path / "s.sqlite", engine="ray", verbose=0)
    with pytest.raises(PruneError, match=r"kerasprune\[ray\]"):
        population.run(candidates.shot, [{"folder": str(tmp_path), "x": 0}])
    assert population.table() == []
