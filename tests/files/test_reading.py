"""Files of others: bounded before they are parsed, refused in our words, and read as they are where they are good."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasprune import PruneError, files
from kerasprune.files.arrays import read_arrays

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=80, deadline=None)
@given(JSON)
def test_what_json_writes_is_read(data):
    assert files.parse_json(json.dumps(data), "here") == data


@settings(max_examples=120, deadline=None)
@given(JSON, st.integers(0, 10_000), st.text(alphabet='[]{}",:\\0123456789.eE-truefalsn', max_size=6))
def test_json_that_was_changed_is_read_or_refused(data, at, more):
    text = json.dumps(data)
    at %= len(text) + 1
    try:
        files.parse_json(text[:at] + more + text[at + 1 :], "here")
    except PruneError as error:
        assert "Received: here" in str(error)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "are nested"),
        ('{"a":' * 300 + "1" + "}" * 300, "are nested"),
        ("[" + "[]," * 1_000_001 + "[]]", "there are more than"),
        ('{"a": 1, "a": 2}', "'a' appears twice"),
        ("9" * 5000, "not JSON"),
        ('["[[[[', "not JSON"),
    ],
    ids=["lists", "objects", "wide", "twice", "digits", "open"],
)
def test_json_beyond_its_bounds(text, words):
    with pytest.raises(PruneError, match=words):
        files.parse_json(text, "here")


def test_brackets_within_texts_are_no_depth():
    assert files.parse_json(json.dumps(["[" * 500, '\\"[' * 100]), "here") == ["[" * 500, '\\"[' * 100]


def test_text_that_is_too_large_or_of_another_coding(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 11)
    assert files.read_text(path, most=11) == "x" * 11
    with pytest.raises(PruneError, match="at most 10 bytes"):
        files.read_text(path, most=10)
    path.write_bytes("\ufeffGröße".encode())
    assert files.read_text(path) == "Größe"
    path.write_bytes("Größe".encode("latin-1"))
    with pytest.raises(PruneError, match="Save it as UTF-8"):
        files.read_text(path)
    with pytest.raises(PruneError, match="which is not a file"):
        files.read_text(tmp_path)


def archive(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(f"{name}.npy", content)
    return path


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def test_arrays_come_back(tmp_path):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array(True), "c": np.zeros((0, 4), "int8"), "d": np.array("x")}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    found = read_arrays(tmp_path / "a.npz")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_arrays_that_are_not_what_they_say(tmp_path, monkeypatch):
    monkeypatch.setattr("kerasprune.files.arrays.FREE_BYTES", 1 << 20)
    good = npy(np.zeros(8, "float32"))
    header = good.replace(b"(8,), ", b"(9**9,")  # the header is a literal, no expression
    larger = good.replace(b"(8,), }       ", b"(800000000,), }")
    for name, content in {
        "objects": npy(np.array([{}], object)),
        "expression": header,
        "larger": larger,
        "text": b"hello",
        "short": good[:-4],
        "bomb": npy(np.zeros(4 << 20, "uint8")),
    }.items():
        with pytest.raises(PruneError, match="Received"):
            read_arrays(archive(tmp_path / f"{name}.npz", a=content))
    assert larger != good != header


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.binary(max_size=8), st.booleans())
def test_archives_that_were_changed_are_read_or_refused(tmp_path_factory, at, more, cut):
    buffer = io.BytesIO()
    np.savez(buffer, a=np.arange(4), b=np.ones((2, 2)))
    content = buffer.getvalue()
    at %= len(content)
    path = tmp_path_factory.getbasetemp() / "changed.npz"
    path.write_bytes(content[:at] + more + (b"" if cut else content[at + len(more) :]))
    try:
        read_arrays(path)
    except PruneError as error:
        assert "changed.npz" in str(error)


def test_rows_are_read_back_as_they_were_written(tmp_path):
    rows = [{"a": cell, "b": "1"} for cell in ("x\u2028y", "u\x0cv", "l\nm", "q\x85r", "s\r\nt", 'a "b", c')]
    assert files.read_rows(files.write_rows(tmp_path / "rows.csv", rows)) == rows
