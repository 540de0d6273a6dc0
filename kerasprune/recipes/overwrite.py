"""Makes room for a run where an earlier one lies."""

from __future__ import annotations

from pathlib import Path

from kerasprune.errors import PruneError
from kerasprune.files.strays import is_stray, remove

MARK = "recipe.yaml"
FILES = frozenset(
    {MARK, "stages.json", "metrics.csv", "costs.json", "exports.json", "summary.json", "report.html", "warnings.txt"}
    | {"plan.json", "widths.json", "graph.json", "verified.json", "points.json", "masks.npz", "norms.npz", "maps.npz"}
    | {"dense.keras", "pruned.keras", "rebuilt.keras", "reconstructed.keras", "steps.json", "slim.keras"}
)
FOLDERS = frozenset({"exports", "points", "resume"})


def make_room(path: Path) -> None:
    """Removes the files of an earlier run; nothing where there is no folder, or an empty one.

    Args:
        path: The folder.

    Raises:
        PruneError: It is not the folder of a run, or holds other files as well; nothing is removed then.
    """
    if not path.is_dir() or not any(path.iterdir()):
        return
    others = sorted(each.name for each in path.iterdir() if each.name not in FILES | FOLDERS and not is_stray(each))
    if others or not (path / MARK).is_file():
        held = f"which holds {', '.join(others[:5])}" if others else f"which has no {MARK}"
        raise PruneError(
            f"Expected the folder of an earlier run to overwrite. Received: {str(path)!r}, {held}. "
            "Choose another folder with --out."
        )
    for each in path.iterdir():
        remove(each)
