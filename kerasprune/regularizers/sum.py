"""Two regularizers on one variable."""

from __future__ import annotations

from typing import Any

import keras

from kerasprune.training.composite import Pair


class Sum(Pair, keras.regularizers.Regularizer):
    """The sum of two regularizers on one variable."""

    def __call__(self, weight: Any) -> Any:
        return self.first(weight) + self.second(weight)
