"""Masks as they are given, checked against a model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kerasprune.errors import nearest, raise_faults
from kerasprune.graph.graph import ChannelGraph


def fitting(graph: ChannelGraph, masks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns masks as boolean arrays.

    Raises:
        PruneError: A path is not that of a kernel, a mask has another shape, or holds something else than 0 and 1.
    """
    shapes = {kernel.variable.path: tuple(kernel.variable.shape) for kernel in graph.kernels}
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
