"""What is printed never ends a command, whatever the code page of the terminal."""

from __future__ import annotations

import io
import sys

import keras
import pytest
from typer.main import get_command

from kerasprune import cli
from kerasprune.__main__ import main


@pytest.fixture(params=["ascii", "cp1251", "cp932", "cp437"])
def printed(request, monkeypatch):
    """Runs the program with standard output and error in a code page; returns the code, and what is printed."""

    def run(*arguments):
        streams = [io.TextIOWrapper(io.BytesIO(), encoding=request.param) for _ in range(2)]
        with monkeypatch.context() as patch:
            for name, stream in zip(("stdout", "stderr"), streams, strict=True):
                patch.setattr(sys, name, stream)
            patch.setattr(sys, "argv", ["kerasprune", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                main()
            for stream in streams:
                stream.flush()
        return ended.value.code, [
            stream.buffer.getvalue().decode(request.param, errors="replace") for stream in streams
        ]

    return run


def test_help_of_every_command_is_printed(printed):
    for name in get_command(cli.app).commands:
        code, (out, _) = printed(name, "--help")
        assert code == 0 and name in out, name


def test_a_model_is_pruned_and_counted_and_an_error_is_said(printed, tmp_path):
    x = inputs = keras.Input((4,))
    x = keras.layers.Dense(16, activation="relu", name="größe")(x)
    keras.Model(inputs, keras.layers.Dense(3)(x)).save(tmp_path / "mine.keras")
    code, (out, _) = printed("prune", tmp_path / "mine.keras", "--keep", "0.5", "--out", tmp_path / "out")
    assert code == 0 and "slim.keras" in out.replace("\n", "")
    code, (_, error) = printed(
        "prune", tmp_path / "mine.keras", "--keep", "0.5", "--criterion", "größe", "--out", tmp_path / "no"
    )
    assert code == 2 and "l1" in error
