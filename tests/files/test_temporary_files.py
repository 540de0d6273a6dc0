"""Kills inside saves: nothing is lost but that save, and the next one removes what it has left, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kerasprune import files
from kerasprune.files import temporary_files as strays

KILLED = """
import os, signal, sys
from pathlib import Path
from kerasprune import files
HOW, path = sys.argv[1], Path(sys.argv[2])
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if HOW == "folder":
    with files.replace_when_done(path) as temporary:
        temporary.mkdir()
        (temporary / "part").write_text("half")
        die()
elif HOW == "before the move":
    os.replace = die
elif HOW == "half written":
    Path.write_text = lambda self, text, **_: (self.write_bytes(text.encode()[:3]), die())
files.write_text(path, "a whole text")
"""


@pytest.mark.parametrize("how", ["folder", "before the move", "half written"])
def test_next_save_removes_what_a_killed_one_has_left(how, tmp_path):
    target = tmp_path / ("model" if how == "folder" else "text.txt")
    if how != "folder":
        files.write_text(target, "before")
    others = {".notes.txt": "mine", ".text.kerasprune-mine.txt": "mine", ".a.kerasprune-abcdef-12-3": "mine"}
    for name, text in others.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run([sys.executable, "-c", KILLED, how, str(target)], env={**os.environ}, check=False)
    assert done.returncode == -signal.SIGKILL
    left = {path.name for path in tmp_path.iterdir()} - {*others, target.name}
    assert len(left) == 1  # the kill came in the middle
    if how != "folder":
        assert target.read_text() == "before"
    files.write_text(tmp_path / "another.json", "{}")
    assert {path.name for path in tmp_path.iterdir()} - {target.name} == {*others, "another.json"}
    assert all((tmp_path / name).read_text() == text for name, text in others.items())


def test_a_save_under_way_in_another_process_is_left_alone(tmp_path):
    here = strays.temporary_name(tmp_path / "text.txt")
    alive = here.with_name(here.name.replace(f"-{os.getpid()}.", f"-{os.getppid()}."))
    elsewhere = here.with_name(here.name.replace(f".kerasprune-{strays._HOST}", ".kerasprune-000000"))
    for path in (alive, elsewhere):
        path.write_text("under way")
    assert strays.remove_strays(tmp_path) == []
    os.utime(elsewhere, (0, 0))  # older than a day on any clock
    assert strays.remove_strays(tmp_path) == [elsewhere]
    assert alive.exists()


def test_a_link_is_removed_without_what_it_points_to(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    name = strays.temporary_name(tmp_path / "text.txt").name.replace(f"-{os.getpid()}.", "-4000000000.")
    (tmp_path / name).symlink_to(tmp_path / "mine")
    assert len(strays.remove_strays(tmp_path)) == 1
    assert (tmp_path / "mine" / "file").read_text() == "mine"


@pytest.mark.parametrize("path", [None, 3, "a\0b", "x" * 5000, "{}/file/below.txt", "{}"])
def test_where_no_file_can_be(path, tmp_path):
    (tmp_path / "file").write_text("x")
    path = path.format(tmp_path) if isinstance(path, str) else path
    with pytest.raises(files.writing.PruneError, match="Received: path="):
        files.write_text(path, "text")
    assert [each.name for each in Path(tmp_path).iterdir()] == ["file"]
