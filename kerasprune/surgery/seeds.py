"""Seeds of the random layers of a model."""

from __future__ import annotations

import keras
import numpy as np


def seed_layers(model: keras.Model, seed: int) -> None:
    """Sets the global seeds, and the seeds of the random layers of a model in order.

    Otherwise a new or loaded layer has its own seed, so that equal models would be trained with different dropout.
    """
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.name == "seed_generator_state":
            variable.assign(np.array([generator.integers(2**31), 0], "uint32"))
