"""Tables, figures and one self-contained page: pure functions of a run folder's files, no model needed."""

from __future__ import annotations

from kerasprune.reports.html import page, write
from kerasprune.reports.record import Record, read

__all__ = ["Record", "page", "read", "write"]
