"""Weight sharing: the nonzero weights of a kernel are replaced by the means of k clusters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from kerasprune.checks import choice_faults, given_values, is_named, seed_faults, whole_number_faults
from kerasprune.errors import PruneError, first_of, nearest, raise_faults, short

BITS: Mapping[str, int] = MappingProxyType({"conv": 8, "dense": 5})
"""Bits of a code in the paper."""
MOST_BITS = 8
MOST_DISTINCT = 2048
"""Distinct weights of a kernel that `start="exact"` clusters."""
_MOST_ROUNDS = 1000
_CHUNK = 1 << 20
ONE_EACH = ("bias", "gamma", "beta", "mean", "variance")
"""Variables of one number a channel, which are not shared, however many axes they have."""

Start = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def linear(ordered: np.ndarray, codes: int, generator: np.random.Generator) -> np.ndarray:
    """Returns centroids evenly spaced from the smallest to the largest weight: large weights have one nearby."""
    return np.linspace(ordered[0], ordered[-1], codes, dtype=np.float64)


def density(ordered: np.ndarray, codes: int, generator: np.random.Generator) -> np.ndarray:
    """Returns centroids at equal steps of the distribution function: most among the most frequent weights."""
    return ordered[np.linspace(0, ordered.size - 1, codes).astype(int)].astype(np.float64)


def random(ordered: np.ndarray, codes: int, generator: np.random.Generator) -> np.ndarray:
    """Returns randomly drawn weights as centroids."""
    return np.sort(generator.choice(ordered, codes, replace=False)).astype(np.float64)


STARTS: dict[str, Start] = {"linear": linear, "density": density, "random": random}


def share(values: np.ndarray, codes: int, *, start: str = "linear", seed: int = 0) -> np.ndarray:
    """Returns a kernel with at most `codes` different values other than zero.

    The weights `w` other than zero are divided into clusters `C_1 … C_k`, and each becomes the mean `c_i` of its own:

    `argmin_C Σ_i Σ_{w ∈ C_i} |w − c_i|²`

    by rounds of nearest centroids and means until no weight changes its cluster (a local minimum), or exactly. Zeros
    stay zero. A kernel with no more distinct values than codes is returned as it is, but for zeros that were negative.

    Args:
        values: The kernel, of floats.
        codes: k, the number of clusters.
        start: Centroids of the first round: `"linear"` from the least to the largest weight, `"density"` (equal
            numbers of weights between them) or `"random"`; `"exact"`: the global minimum, for kernels of at most
            2,048 distinct weights. Defaults to `"linear"`, the best of the three in the paper.
        seed: Random seed of `"random"`. Defaults to 0.

    Raises:
        PruneError: A value is not finite, an argument is out of range, or there are too many weights for `"exact"`.

    Example:
        >>> import numpy as np
        >>> share(np.array([0, 1, 2, 9, 11], "float32"), 2).tolist()
        [0.0, 1.5, 1.5, 10.0, 10.0]

    Reference:
        Han et al., Deep Compression: Compressing Deep Neural Networks with Pruning, Trained Quantization and Huffman
        Coding, ICLR 2016, arXiv 1510.00149, section 3, Eq. 2.
    """
    faults = whole_number_faults(1, codes=codes) + choice_faults([*STARTS, "exact"], start=start)
    if not isinstance(values, np.ndarray | np.generic) or not _of_floats(values):
        faults.append(f"Expected values to be a NumPy array of floats. Received: values={short(values)}.")
    raise_faults("Invalid arguments for share:", faults + seed_faults(seed=seed))
    wide = widen_floats(values)
    if not np.isfinite(wide).all():
        raise PruneError("Expected weights that are finite. Received: NaN or infinity. Train again, or load others.")
    kept = wide[wide != 0]
    kept.sort()
    if np.count_nonzero(kept[1:] != kept[:-1]) < codes:
        return values + np.zeros((), values.dtype)
    centroids = _centroids(kept, codes, start, seed)
    del kept
    means = centroids.astype(values.dtype)
    shared = np.zeros(values.size, values.dtype)
    for begin in range(0, values.size, _CHUNK):
        part = wide.reshape(-1)[begin : begin + _CHUNK]
        shared[begin : begin + _CHUNK] = np.where(
            part == 0, np.zeros((), values.dtype), means[assigned(part, centroids)]
        )
    return shared.reshape(values.shape)


def _centroids(ordered: np.ndarray, codes: int, start: str, seed: int) -> np.ndarray:
    if start == "exact":
        return exact(ordered, codes)
    return lloyd(ordered, STARTS[start](ordered, codes, np.random.default_rng(seed)))


def widen_floats(values: np.ndarray) -> np.ndarray:
    """Returns values of a type that NumPy calculates with: float64 as it is, narrower ones in float32."""
    return values if values.dtype == np.float64 else np.asarray(values, np.float32)


def assigned(values: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Returns the index of the centroid next to each value; centroids are sorted."""
    return np.searchsorted(_between(centroids, values.dtype), values)


def _between(centroids: np.ndarray, dtype: Any) -> np.ndarray:
    return ((centroids[1:] + centroids[:-1]) / 2).astype(dtype)


def lloyd(ordered: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Returns the cluster means found by Lloyd's algorithm; a cluster without weights is left out.

    A cluster of sorted weights lies between two places, so that its sum is a difference of sums up to them.

    Args:
        ordered: The weights, sorted.
        centroids: The first centroids, sorted.
    """
    sums = np.zeros(ordered.size + 1)
    for begin in range(0, ordered.size, _CHUNK):  # at once NumPy would copy all weights
        part = sums[begin + 1 : begin + 1 + _CHUNK]
        np.cumsum(ordered[begin : begin + _CHUNK], dtype=np.float64, out=part)
        part += sums[begin]
    before = None
    for _ in range(_MOST_ROUNDS):
        inner = np.searchsorted(ordered, _between(centroids, ordered.dtype), side="right")
        places = np.concatenate([[0], inner, [ordered.size]])
        if before is not None and np.array_equal(places, before):
            break
        before, number = places, np.diff(places)
        means = np.diff(sums[places]) / np.maximum(number, 1)
        centroids = np.sort(np.where(number > 0, means, centroids))
    return centroids[np.diff(before) > 0]


def exact(ordered: np.ndarray, codes: int) -> np.ndarray:
    """Returns the means of the division into `codes` clusters with the least sum of squares, by dynamic programming.

    `D_k(j) = min_i D_{k−1}(i) + Σ_{i < m ≤ j} n_m (w_m − mean)²` over the distinct weights `w_m`, each met `n_m` times.

    Args:
        ordered: The weights, sorted.
        codes: The number of clusters, less than that of distinct weights.

    Raises:
        PruneError: There are more than 2,048 distinct weights.
    """
    distinct, number = np.unique(ordered, return_counts=True)
    if distinct.size > MOST_DISTINCT:
        raise PruneError(
            f"Expected at most {MOST_DISTINCT:,} distinct weights for start='exact'. Received: {distinct.size:,}. "
            "Take start='linear'."
        )
    centred = distinct.astype(np.float64) - distinct.mean(dtype=np.float64)
    n, s, q = (np.concatenate([[0.0], np.cumsum(number * centred**power)]) for power in (0, 1, 2))
    n_ij, s_ij, q_ij = (each[None, :] - each[:, None] for each in (n, s, q))  # from i, without, to j, with
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = np.where(n_ij > 0, q_ij - s_ij**2 / n_ij, np.inf)
    least, last = cost[0], []
    for _ in range(codes - 1):
        total = least[:, None] + cost
        last.append(total.argmin(0))
        least = total.min(0)
    places = [distinct.size]
    for from_place in reversed(last):
        places.append(int(from_place[places[-1]]))
    places = [0, *reversed(places)]
    return np.diff(s[places]) / np.diff(n[places]) + distinct.mean(dtype=np.float64)


def _of_floats(values: np.ndarray) -> bool:
    return values.dtype.kind == "f" or str(values.dtype) == "bfloat16"


def bits_of(layers: Sequence[Any], bits: Mapping[str, int] | int) -> dict[int, int]:
    """Returns `{id of a layer: bits}` for the layers whose kernels are shared.

    Args:
        layers: The layers with kernels of their own.
        bits: Bits of a code, 1 … 8, for all; or by keys: a part of the class (`"conv"`, `"dense"`), its name, the
            name of a layer, or a wildcard for it. The last key that fits counts; other layers are not shared.

    Raises:
        PruneError: A number is out of range, or a key that is not a part of a class fits no layer.
    """
    names = [layer.name for layer in layers]
    faults, found = bits_faults(bits), {}
    for key, number in bits.items() if isinstance(bits, Mapping) else [("*", bits)]:
        fits = [layer for layer in layers if isinstance(key, str) and _fits(layer, key)]
        found |= {id(layer): number for layer in fits}
        if not fits and key not in ("conv", "dense", "*"):
            faults.append(
                f"Expected the keys of bits to fit layers with kernels of their own: {first_of(names)}. Received: "
                f"{short(key)}, which fits none.{nearest(key, names)}"
            )
    raise_faults("Invalid bits:", faults)
    return found


def bits_faults(bits: Mapping[str, int] | int) -> list[str]:
    """Returns a fault for each number of bits that is out of range."""
    named = {f"bits[{key!r}]": number for key, number in bits.items()} if isinstance(bits, Mapping) else {"bits": bits}
    return [
        f"Expected {name} to be an integer, 1 … {MOST_BITS}. Received: {name}={short(number)}."
        for name, number in named.items()
        if type(number) is not int or not 1 <= number <= MOST_BITS
    ]


def sharing_faults(bits: Mapping[str, int] | int, start: str, rest: str | None) -> list[str]:
    """Returns the faults of how the weights of a file are to be stored; arguments as for `kp.codec.pack`."""
    faults = [*bits_faults(bits), *choice_faults([*STARTS, "exact"], start=start)]
    return faults + choice_faults(["float16"], **given_values(rest=rest))


def _fits(layer: Any, key: str) -> bool:
    kind = type(layer).__name__
    return key.lower() in kind.lower() or is_named(layer.name, key) or is_named(kind, key)


def is_shared(name: str, values: np.ndarray) -> bool:
    """Returns whether an array is a kernel: floats with at least two axes whose name is not that of one per channel."""
    return _of_floats(values) and values.ndim >= 2 and not name.endswith(ONE_EACH)
