"""What the system denies becomes one message with the path; what was there stays, and nothing half is left."""

from __future__ import annotations

import errno
import os
from unittest import mock

import keras  # noqa: F401  the first model that is read would import it
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy
from support.commands import run_command

import kerasprune as kp
from kerasprune import PruneError, files
from kerasprune.files.arrays import read_array, read_arrays
from kerasprune.files.keras_model import load_model
from kerasprune.training.saved_state import SavedState

WRITES = {
    "text": lambda folder: files.write_text(folder / "a", "new"),
    "rows": lambda folder: files.write_rows(folder / "a", [{"new": 1}]),
    "plan": lambda folder: kp.Plan({"new": [0]}).save(folder / "plan"),
    "state": lambda folder: SavedState(0, 0, False, {"w": np.ones(3)}, {}).save(folder),
}
READS = {
    "text": lambda folder: files.read_text(folder / "a"),
    "rows": lambda folder: files.read_rows(folder / "a"),
    "array": lambda folder: read_array(folder / "a"),
    "arrays": lambda folder: read_arrays(folder / "a"),
    "model": lambda folder: load_model(folder / "a"),
}
DOORS = [
    *((each, place) for each in WRITES.values() for place in ("io.open", "os.replace")),
    *((each, "io.open") for each in READS.values()),
    (lambda folder: files.make_folder(folder / "new"), "os.mkdir"),
]


@settings(deadline=None)
@given(number=st.sampled_from(sorted(errno.errorcode)), door=st.sampled_from(DOORS), named=st.booleans())
def test_whatever_the_system_says_is_one_message_with_the_path(tmp_path_factory, number, door, named):
    folder = tmp_path_factory.mktemp("disk")
    (folder / "a").write_text("old")
    kp.Plan({"old": [0]}).save(folder / "plan")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    call, place = door

    def deny(path, *_, **__):
        raise OSError(number, os.strerror(number), *([str(path)] if named else []))

    with mock.patch(place, deny), pytest.raises(PruneError) as caught:
        call(folder)
    assert isinstance(caught.value, OSError)
    assert str(folder) in str(caught.value) and os.strerror(number) in str(caught.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs limits on the size of files")
def test_a_disk_that_is_full_leaves_the_old_file(tmp_path):
    import resource

    path = kp.Plan({"old": [0]}).save(tmp_path / "plan.json")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(PruneError, match="plan.json' .*File too large.* Free some room"):
            kp.Plan({"new": range(1000)}).save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert kp.Plan.load(path) == kp.Plan({"old": [0]})
    assert [file.name for file in tmp_path.iterdir()] == ["plan.json"]


def test_names_that_no_disk_takes_are_refused_at_once(tmp_path):
    for path in (tmp_path / ("x" * 300), str(tmp_path / "a\0b"), ""):
        for call in (files.make_folder, files.path_of, kp.Plan({}).save, lambda path: files.write_text(path, "")):
            with pytest.raises(PruneError, match="path="):
                call(path)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(PruneError, match="a link to a missing file"):
        files.make_folder(tmp_path / "link")
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_an_array_that_says_more_than_it_has_is_refused_before_memory_is_asked_for(tmp_path):
    with (tmp_path / "x.npy").open("wb") as file:
        npy.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (10**11,)})
    with pytest.raises(PruneError, match=r"x.npy declares the shape \(100000000000,\)"):
        read_array(tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", np.eye(3))
    np.testing.assert_array_equal(read_array(tmp_path / "x.npy"), np.eye(3))


def _said(error: Exception, monkeypatch) -> str:
    """Returns what a command says that meets an error."""

    def find(_):
        raise error

    monkeypatch.setattr("kerasprune.recipes.library.find", find)
    result = run_command(["show", "mine"])
    assert result.exit_code == 2 and "Traceback" not in result.output, result.exception
    return result.stderr


@pytest.mark.experiments
def test_no_command_ends_in_a_traceback_of_the_system(monkeypatch):
    for number in set(errno.errorcode) - {errno.EPIPE, errno.ESHUTDOWN}:
        assert os.strerror(number) in _said(OSError(number, os.strerror(number), "mine"), monkeypatch)
    assert "fit into memory" in _said(MemoryError("Unable to allocate 373. GiB"), monkeypatch)
    assert "Received: --out nothing" in run_command(["run", "mine", "--out", ""]).stderr
    assert "Received: --out=." in run_command(["run", "mine", "--out="]).stderr
