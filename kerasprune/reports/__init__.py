"""Reports of runs: pure functions of the files of a run."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(
    {
        "compared": "kerasprune.reports.comparison:compared",
        "Record": "kerasprune.reports.record:Record",
        "page": "kerasprune.reports.html:page",
        "read": "kerasprune.reports.record:read",
        "write": "kerasprune.reports.html:write",
    }
)
