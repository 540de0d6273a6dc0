"""The virtual environment of the torch side, `.venv` beside this file, or the Python that `TORCH_PYTHON` names."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

VENV = Path(__file__).resolve().parent / ".venv"
NEEDS = ("torch==2.13.0", "torchvision==0.28.0", "torch-pruning==1.6.1", "keras==3.15.1")


def prepare() -> Path:
    """Makes the virtual environment of the other side, where there is none, and returns its Python."""
    if given := os.environ.get("TORCH_PYTHON"):
        return Path(given)
    python = VENV / "bin" / "python"
    if not python.exists():
        venv.create(VENV, with_pip=True)
    cpu = ["--extra-index-url", "https://download.pytorch.org/whl/cpu"]
    for more in ([], cpu):
        done = subprocess.run([python, "-m", "pip", "install", "-q", *more, *NEEDS], timeout=600, check=False)
        if not done.returncode:
            return python
    sys.exit(f"Expected {', '.join(NEEDS)} from a package index. Received: none. Install them into {VENV}.")
