"""Channel axes of variables that several devices share, under `keras.distribution`: each has a part of equal width."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasprune._keras import layout_of
from kerasprune.graph.channels import Slice


class ShardedAxis(NamedTuple):
    """A channel axis of a variable whose width must be a multiple of the number of devices that share it."""

    owner: Any
    ids: np.ndarray
    mesh_axis: str
    devices: int


def sharded_axes(slices: Sequence[Slice]) -> list[ShardedAxis]:
    """Returns the channel axes that devices share: as variables are laid out, else as the active distribution would.

    Args:
        slices: The variables of a graph.
    """
    if keras.backend.backend() != "jax":
        return []
    active = keras.distribution.distribution()
    found = []
    for entry in slices:
        layout = layout_of(entry.variable)
        if layout is None and active is not None:
            layout = active.get_variable_layout(entry.variable)
        for ids, (name, devices) in zip(entry.ids, () if layout is None else _parts(layout), strict=False):
            if ids is not None and devices > 1:
                found.append(ShardedAxis(entry.owner, ids, name, devices))
    return found


def _parts(layout: Any) -> list[tuple[str, int]]:
    """Returns for each axis of a tensor the axis of the mesh that divides it, and the number of its parts."""
    sharding = layout.backend_layout if isinstance(layout, keras.distribution.TensorLayout) else layout
    names = [(each,) if isinstance(each, str) else tuple(each or ()) for each in sharding.spec]
    return [(", ".join(each), prod(sharding.mesh.shape[name] for name in each)) for each in names]
