"""A process that has died is explained: its signal, the likely cause, the remedy."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from kerasprune.backend.process_death import cause_of_death, remedy_of_death


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(signal.SIGKILL, "batch"), (signal.SIGSEGV, "round_to="), (signal.SIGABRT, "TF_ENABLE_ONEDNN_OPTS")],
)
def test_the_signal_that_ended_a_process_is_named_with_a_remedy(number, remedy):
    died = subprocess.run([sys.executable, "-c", f"import os; os.kill(os.getpid(), {int(number)})"], check=False)
    assert number.name in cause_of_death(died.returncode)
    assert remedy in remedy_of_death(died.returncode)


def test_a_process_that_left_by_itself_is_not_blamed_on_memory():
    assert cause_of_death(3) == "it ended with code 3"
    assert remedy_of_death(3) == ""


def test_a_signal_without_a_name_is_a_number():
    assert "63" in cause_of_death(-63)
