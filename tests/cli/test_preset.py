"""The examples of a preset are read as all files are: whole, bounded, without objects."""

from __future__ import annotations

import numpy as np
import pytest

import kerasprune as kp
from kerasprune.cli.preset import _examples


@pytest.mark.parametrize("name, content", [("a.npy", b"no array"), ("a.txt", b"caf\xe9"), ("a.txt", b" \n")])
def test_a_file_that_holds_no_examples_is_refused_by_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(kp.PruneError, match=f"Expected(.|\n)*{name}"):
        _examples(tmp_path / name)


def test_lines_and_rows_are_examples(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo\n", encoding="utf-8")
    np.save(tmp_path / "a.npy", np.arange(6).reshape(3, 2))
    assert _examples(tmp_path / "a.txt") == ["one", "two"] and _examples(tmp_path / "a.npy").shape == (3, 2)
