"""Layer collapse: how far a network can be compressed before a layer is empty."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kerasprune.sparsity.ranking import joined


def maximal_compression(saliency: Mapping[str, np.ndarray]) -> float:
    """Returns the largest compression at which no layer need be empty: `ρ_max = N / L`.

    N weights in L layers; where every layer keeps a single one, L are left.

    Args:
        saliency: `{variable path: array}` with an entry for every kernel: scores or masks, of which only shapes count.

    Example:
        >>> import numpy as np
        >>> maximal_compression({"a": np.zeros((2, 3)), "b": np.zeros(4)})
        5.0

    Reference:
        Tanaka et al., arXiv 2006.05467, section 3.
    """
    return sum(np.size(array) for array in saliency.values()) / len(saliency)


def critical_compression(saliency: Mapping[str, np.ndarray]) -> float:
    """Returns the largest compression at which scores, taken once, leave no layer empty.

    `ρ_cr = N / max_l min_{θ∈l} rank(θ)`: layer l lives until its best weight goes, which stands at that rank among all.
    Scores that are taken anew after every round have no such closed form: there look at `SparsityReport.collapsed`.

    Args:
        saliency: `{variable path: scores}`, as `criterion.saliency_of(model)` returns them.

    Returns:
        A number from 1 to `maximal_compression(saliency)`.

    Raises:
        PruneError: Scores are not finite.

    Example:
        >>> import numpy as np
        >>> critical_compression({"a": np.array([9.0, 8.0, 7.0]), "b": np.array([1.0, 2.0, 3.0])})
        1.5

    Reference:
        Tanaka et al., arXiv 2006.05467, section 3.
    """
    line = joined(saliency)
    ends = np.cumsum([np.size(scores) for scores in saliency.values()])
    best = [begin + int(np.argmax(line[begin:end])) for begin, end in zip([0, *ends], ends, strict=False)]
    ranks = [1 + int((line > line[at]).sum() + (line[:at] == line[at]).sum()) for at in best]
    return line.size / max(ranks)
