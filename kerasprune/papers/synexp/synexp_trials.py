"""A Monte Carlo test of SynExp: the mean over random weights and masks compared with the closed form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import pi, prod, sqrt

import numpy as np

from kerasprune.checks import choice_faults, fraction_faults, seed_faults, whole_number_faults
from kerasprune.errors import raise_faults
from kerasprune.papers.synexp.synexp import expectation

_MAGNITUDE = sqrt(2 / pi)  # of a standard normal number


@dataclass(frozen=True)
class SynExpTrial:
    """The mean of the sum of SynFlow scores over random networks, and its expected value.

    Args:
        mean: Mean over the samples.
        standard_error: Standard error of the mean.
        expected: `N · C_{N+1} · Π p_l · C_l · E|x_l|`, with the densities of the masks.
    """

    mean: float
    standard_error: float
    expected: float

    @property
    def deviation(self) -> float:
        """The distance of the mean from its expected value, in standard errors."""
        return (self.mean - self.expected) / self.standard_error


def synexp_trial(
    widths: Sequence[int],
    densities: Sequence[float],
    granularity: str = "weight",
    samples: int = 1000,
    seed: int = 0,
) -> SynExpTrial:
    """Draws weights and masks of a chain of dense layers, and compares the sum of SynFlow's scores with SynExp.

    The scores of each layer add up to `R = 1ᵀ Π_l |W_l ⊙ M_l| 1`, those of all N layers to N·R. Weights are drawn from
    a standard normal distribution.

    Args:
        widths: C_1 … C_{N+1}, the input's and each layer's outputs.
        densities: p_1 … p_N; each layer keeps an integer number of weights or channels, at least one.
        granularity: `"weight"`, `"filter"` (outputs) or `"channel"` (inputs), drawn layer by layer; or `"cropped"`:
            layer l loses `1 − √p_l` of its outputs and its consumer the same inputs; the theorem does not apply to
            this case. Defaults to `"weight"`.
        samples: Number of draws of weights and masks. Defaults to 1000.
        seed: Random seed of weights and masks. Defaults to 0.

    Example:
        >>> abs(synexp_trial([4, 6, 2], [0.5, 0.25], "filter").deviation) < 3
        True

    Reference:
        Cai et al., Structured Pruning is All You Need for Pruning CNNs at Initialization, arXiv 2203.02549,
        Theorem 1.
    """
    faults = choice_faults(tuple(DRAW), granularity=granularity) + seed_faults(seed=seed)
    faults += whole_number_faults(2, samples=samples)
    faults += whole_number_faults(1, **{f"widths[{at}]": width for at, width in enumerate(widths)})
    faults += fraction_faults(**{f"densities[{at}]": density for at, density in enumerate(densities)})
    if len(widths) != len(densities) + 1:
        faults.append(f"Expected one width more than densities. Received: {len(widths)} and {len(densities)}.")
    raise_faults("Invalid arguments for synexp_trial:", faults)
    generator = np.random.default_rng(seed)
    sums, real = [], np.zeros(len(densities))
    for _ in range(samples):
        flow = np.ones(widths[0])
        for layer, mask in enumerate(DRAW[granularity](generator, widths, densities)):
            flow = flow @ np.abs(generator.standard_normal(mask.shape) * mask)
            real[layer] += mask.mean() / samples
        sums.append(len(densities) * flow.sum())
    expected = expectation(widths, real, [_MAGNITUDE] * len(densities))
    return SynExpTrial(float(np.mean(sums)), float(np.std(sums, ddof=1) / sqrt(samples)), expected)


Draw = Callable[[np.random.Generator, Sequence[int], Sequence[float]], Iterator[np.ndarray]]


def _some(generator: np.random.Generator, number: int, fraction: float) -> np.ndarray:
    """Returns a random mask that keeps a fraction, at least one."""
    return generator.permutation(np.arange(number) < max(round(fraction * number), 1))


def _by_layer(shape_of: Callable[[int, int], tuple[int, int]]) -> Draw:
    """Returns a function that draws masks layer by layer, of shape `shape_of(inputs, outputs)`, broadcast."""

    def draw(generator: np.random.Generator, widths: Sequence[int], densities: Sequence[float]) -> Iterator[np.ndarray]:
        for *shape, p in zip(widths, widths[1:], densities, strict=False):
            drawn = shape_of(*shape)
            yield np.broadcast_to(_some(generator, prod(drawn), p).reshape(drawn), shape)

    return draw


def _cropped(generator: np.random.Generator, widths: Sequence[int], densities: Sequence[float]) -> Iterator[np.ndarray]:
    inputs = np.ones(widths[0], bool)
    for number, (width, p) in enumerate(zip(widths[1:], densities, strict=True), 1):
        last = number == len(densities)  # all outputs of the network are kept
        outputs = np.ones(width, bool) if last else _some(generator, width, sqrt(p))
        yield np.outer(inputs, outputs)
        inputs = outputs


DRAW: dict[str, Draw] = {
    "weight": _by_layer(lambda inputs, outputs: (inputs, outputs)),
    "filter": _by_layer(lambda inputs, outputs: (1, outputs)),
    "channel": _by_layer(lambda inputs, outputs: (inputs, 1)),
    "cropped": _cropped,
}
