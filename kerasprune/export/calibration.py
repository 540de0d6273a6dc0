"""The samples that fix the ranges of activations, and whether they can."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kerasprune.data.signature import Signature
from kerasprune.errors import warn
from kerasprune.export.samples import Samples

CALIBRATION_SAMPLES = 256  # enough for stable ranges; more only widens them by outliers
FEW_SAMPLES = 50


def write_calibration(samples: Samples, signature: Signature, path: Path) -> None:
    """Writes the first samples as arrays by input name, and warns where they are few or all alike.

    Args:
        samples: The caller's data.
        signature: The inputs.
        path: The `.npz` file.
    """
    singles = list(samples.singles(CALIBRATION_SAMPLES))
    columns = zip(*singles, strict=True)
    arrays = {name: np.concatenate(column) for name, column in zip(signature.names, columns, strict=True)}
    for words in complaints(arrays):
        warn(words)  # the caller of kp.export.tflite
    np.savez(path, **arrays)


def complaints(arrays: dict[str, np.ndarray]) -> list[str]:
    """Returns what is wrong with samples for calibration, in sentences.

    Args:
        arrays: One array `(samples, …)` for each input.

    Example:
        >>> import numpy as np
        >>> [words[:46] for words in complaints({"image": np.ones((64, 2))})]
        ['Every calibration sample of these inputs is th']
    """
    found = []
    count = len(next(iter(arrays.values())))
    if count < FEW_SAMPLES:
        found.append(
            f"The ranges of activations come from {count} calibration samples, and may be too narrow for others. "
            f"Pass data= of at least {FEW_SAMPLES}, better {CALIBRATION_SAMPLES}."
        )
    same = [name for name, array in arrays.items() if count > 1 and (array == array[:1]).all()]
    if same:
        found.append(
            f"Every calibration sample of these inputs is the same: {', '.join(same)}. Ranges of activations that come "
            "from one input do not hold for others. Pass data= as the model sees them in use."
        )
    return found
