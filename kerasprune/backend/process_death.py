"""The end of a process in words: of which signal, what the likely cause is, and what to do."""

from __future__ import annotations

import signal

_WORDS = {
    "SIGSEGV": "a segmentation fault",
    "SIGBUS": "a bus error",
    "SIGILL": "an instruction that the processor lacks",
    "SIGABRT": "an abort",
    "SIGKILL": "killed, perhaps for lack of memory",
}
_MEMORY = "If memory ran out, take fewer workers or a smaller batch."
_ONEDNN = (
    "On a CPU it may be oneDNN's gradient of a 1×1 convolution with a stride and fewer than 16 input channels: keep 16 "
    "(round_to=16), or set TF_ENABLE_ONEDNN_OPTS=0."
)
REMEDY = f"{_MEMORY} {_ONEDNN}"
"""What to do after a crash whose signal is not known."""


def cause_of_death(code: int) -> str:
    """Returns the return code of a process in words; negative ones are signals.

    Example:
        >>> cause_of_death(-11), cause_of_death(3)
        ('a segmentation fault (SIGSEGV)', 'it ended with code 3')
    """
    if code >= 0:
        return f"it ended with code {code}"
    name = _name(-code)
    return f"{_WORDS[name]} ({name})" if name in _WORDS else name


def remedy_of_death(code: int) -> str:
    """Returns the remedy for a process that has ended so while it trained; nothing if it has left by itself."""
    if code >= 0:
        return ""
    return _MEMORY if _name(-code) == "SIGKILL" else REMEDY


def _name(number: int) -> str:
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
