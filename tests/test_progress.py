"""Long steps say how far they are, on standard error; short and quiet ones say nothing."""

from __future__ import annotations

import io
import sys
import types

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune import progress

DATA = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")


def two_layers() -> keras.Model:
    hidden = layers.Dense(8, activation="relu", name="hidden")
    return keras.Sequential([keras.Input((4,)), hidden, layers.Dense(2, name="last")])


def solve(**options) -> None:
    model = two_layers()
    plan = kp.plan(model, keep=0.5)
    kp.reconstruct(kp.rebuild(model, plan), model, plan, DATA, **options)


STEPS = {
    "reconstruct": solve,
    "sensitivity": lambda **options: kp.sensitivity(two_layers(), DATA, keep=(0.5, 0.25), **options),
    "prune": lambda **options: kp.prune(two_layers(), 0.5, DATA, **options),
}


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[pytest.mark.experiments] * (each == "sensitivity")) for each in STEPS]
)
@pytest.mark.parametrize("verbose", [0, 1])
def test_a_long_step_says_how_far_it_is_unless_it_is_quiet(name, verbose, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_EVERY", 0)
    STEPS[name](verbose=verbose)
    shown = capsys.readouterr()
    named = "reconstruct" if name == "prune" else name
    lines = [line for line in shown.err.splitlines() if line.startswith(f"{named} ")]
    assert not shown.out
    assert [line.split()[1] for line in lines] == (["0/2", "1/2"] if verbose else [])


def test_a_short_step_says_nothing(capsys):
    solve()
    assert "reconstruct" not in "".join(capsys.readouterr())


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_one_line_is_renewed_and_gone_at_the_end(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "_RENEWED", 0)
    line = progress.ProgressLine("reconstruct", 4, "layers", verbose=1)
    for done in range(4):
        line.write(done)
    assert "\n" not in terminal.getvalue().rstrip("\r") and "2/4 layers" in terminal.getvalue()
    widest = max(map(len, terminal.getvalue().split("\r")))
    line.close()
    assert terminal.getvalue().endswith("\r") and terminal.getvalue().split("\r")[-2].strip() == ""
    assert len(terminal.getvalue().split("\r")[-2]) >= widest - 4  # nothing is left beside it


def test_in_a_notebook_it_is_not_on_standard_error_which_is_red(monkeypatch, capsys):
    kernel = types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    kp.prune(two_layers(), 0.5, DATA)
    shown = capsys.readouterr()
    assert "remove: " in shown.out and not shown.err


def test_the_time_left_is_that_of_the_parts_so_far(monkeypatch, capsys):
    now = iter([0.0, 20.0])
    monkeypatch.setattr(progress, "perf_counter", lambda: next(now))
    progress.ProgressLine("sensitivity", 6, "slim models", verbose=1).write(2)
    assert capsys.readouterr().err == "sensitivity 2/6 slim models, 20 s, 40 s left\n"


def test_auto_is_as_for_fit():
    assert progress.level_of("auto") == 1 and not progress.verbose_faults(1, "auto")
    for call in (lambda v: kp.synthesise(two_layers(), verbose=v), lambda v: solve(verbose=v)):
        with pytest.raises(kp.PruneError, match="Expected verbose to be 'auto', 0"):
            call("loud")
