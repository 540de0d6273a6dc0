"""The registry of targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kerasprune.registry import Registry

if TYPE_CHECKING:
    from kerasprune.planning.targets.base import Target

targets = Registry(
    "target",
    {
        "all_of": "kerasprune.planning.targets.all_of:AllOf",
        "memory": "kerasprune.planning.targets.memory:Memory",
        "size": "kerasprune.planning.targets.size:Size",
        "time": "kerasprune.planning.targets.time:Time",
    },
    base="kerasprune.planning.targets.base:Target",
)


def get_all(target: Any) -> Target:
    """Returns a target, or several as one that is met if all of them are.

    Args:
        target: As for `kp.targets.get`, or a list of such.
    """
    return targets.get({"name": "all_of", "targets": target} if isinstance(target, list | tuple) else target)
