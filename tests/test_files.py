"""Files are whole or absent."""

from __future__ import annotations

import json

import pytest

from kerasprune import files
from kerasprune.files import temporary_files as strays


def test_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = files.write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), files.replace_when_done(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_folder_is_moved_whole(tmp_path):
    with files.replace_when_done(tmp_path / "model") as temporary:
        temporary.mkdir()
        (temporary / "part").write_text("x")
        assert not (tmp_path / "model").exists()
    assert (tmp_path / "model" / "part").read_text() == "x"


def test_failed_folder_is_removed(tmp_path):
    with pytest.raises(RuntimeError), files.replace_when_done(tmp_path / "model") as temporary:
        temporary.mkdir()
        (temporary / "part").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_of_the_same_number_left_is_no_obstacle(tmp_path):
    stale = strays.temporary_name(tmp_path / "model")
    stale.mkdir()
    (stale / "half").write_text("x")
    with files.replace_when_done(tmp_path / "model") as temporary:
        temporary.mkdir()
        (temporary / "part").write_text("y")
    assert [file.name for file in tmp_path.rglob("*")] == ["model", "part"]


def test_json_refuses_what_json_has_not(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []
    assert json.loads(files.write_json(tmp_path / "a.json", {"loss": 1}).read_text()) == {"loss": 1}


def test_rows_come_back_with_the_columns_of_all(tmp_path):
    path = tmp_path / "rows.csv"
    assert files.read_rows(path) == []
    files.write_rows(path, [{"b": 1}, {"a": 'ä, "λ"', "b": 2}], first=["a"])
    assert files.read_rows(path) == [{"a": "", "b": "1"}, {"a": 'ä, "λ"', "b": "2"}]
    assert path.read_bytes().startswith(b"a,b") and [file.name for file in tmp_path.iterdir()] == ["rows.csv"]
