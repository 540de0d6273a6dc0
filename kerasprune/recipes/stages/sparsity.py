"""Single weights that are removed, counted."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from kerasprune.attaching.masks import masked_variables


def counted(model: keras.Model, masks: Mapping[str, np.ndarray] | None) -> dict[str, float]:
    """Returns how many parameters are not zero, and the share of masked kernels' weights that are zero."""
    if masks is None:
        return {}
    nonzero = sum(int(np.count_nonzero(keras.ops.convert_to_numpy(v))) for v in model.variables)
    values = [keras.ops.convert_to_numpy(variable) for variable, _ in masked_variables(model.variables, masks)]
    zeros = sum(int(value.size - np.count_nonzero(value)) for value in values)
    return {"nonzero": nonzero, "sparsity": zeros / sum(value.size for value in values)}
