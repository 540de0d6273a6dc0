"""Checks of given masks against a model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from kerasprune.errors import PruneError, first_of, nearest, raise_faults, warn
from kerasprune.graph.graph import ChannelGraph


def check_candidates(kernels: Collection[Any], frozen: Collection[str]) -> None:
    """Checks that a model has trainable kernels; warns of frozen ones.

    Args:
        kernels: The trainable kernels.
        frozen: The names of frozen kernels.

    Raises:
        PruneError: No kernel is trainable.
    """
    if not kernels:
        raise PruneError(
            "Expected trainable kernels. Received: a model without any, or all of them frozen. "
            "Set layer.trainable = True, or freeze less."
        )
    if frozen:
        warn(f"Frozen kernels are kept whole: {first_of(frozen)}.")


def boolean_masks(graph: ChannelGraph, masks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns masks as boolean arrays.

    Raises:
        PruneError: A path is not that of a kernel, or a mask has another shape or other values than 0 and 1.
    """
    kernels = [kernel.variable for kernel in graph.weight_kernels]
    shapes = {graph.paths[id(variable)]: tuple(variable.shape) for variable in kernels}
    faults = []
    for path, mask in masks.items():
        array = np.asarray(mask)
        if path not in shapes:
            faults.append(f"no kernel is called {path!r}.{nearest(path, shapes)}")
        elif array.shape != shapes[path]:
            faults.append(f"{path!r} has shape {shapes[path]}. Received: a mask of shape {array.shape}.")
        elif not np.isin(array, (0, 1)).all():
            faults.append(f"Expected zeros and ones. Received: other values in the mask of {path!r}.")
    raise_faults("The masks do not fit the model:", faults)
    return {path: np.asarray(mask).astype(bool) for path, mask in masks.items()}
