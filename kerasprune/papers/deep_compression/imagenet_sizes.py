"""The megabytes of Deep Compression's abstract compared with those of drawn weights at published densities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kerasprune.export.codec.entries import entry_of
from kerasprune.export.codec.gaps import Gaps
from kerasprune.export.codec.sharing import BITS, share
from kerasprune.export.codec.size_table import LayerSize, table_of
from kerasprune.recipes.reproductions.entry import Note, Row

DRAWN = 1 << 20
"""Weights of a layer that are drawn at most; its size is in proportion."""


@dataclass(frozen=True)
class PublishedLayer:
    """A layer of a published network.

    Args:
        kind: `"conv"` or `"dense"`, of which codes and indices have 8 and 5 bits.
        weights: The number of weights.
        density: The share of them that is left.
        biases: The number of biases, which stay in float32.
    """

    kind: str
    weights: int
    density: float
    biases: int

    @property
    def bits(self) -> int:
        """Bits of a code, and of an index, before Huffman coding."""
        return BITS[self.kind]

    @property
    def kept(self) -> float:
        """The weights that are left."""
        return self.weights * self.density

    def fixed_bytes(self) -> float:
        """Returns the bytes before Huffman coding, if each weight is left independently of the others.

        A gap has k zeros with probability `p (1 − p)^k`; the mean number of fillers before a weight, one in 2^b places,
        is `q / (1 − q)`, `q = (1 − p)^(2^b)`.
        """
        q = (1 - self.density) ** Gaps(self.bits, True).step
        return self.kept / (1 - q) * 2 * self.bits / 8 + 4 * (1 << self.bits) + 4 * self.biases

    @cached_property
    def drawn(self) -> LayerSize:
        """The bytes in a `.kpz` file of normal weights of which the largest are left, shared."""
        values = np.random.default_rng(0).standard_normal(min(self.weights, DRAWN), np.float32)
        values[np.abs(values) < np.quantile(np.abs(values), 1 - self.density)] = 0
        entry = entry_of("kernel", share(values, 1 << self.bits), kernel=True)
        return table_of([entry], 0).layers[0]

    def coded_bytes(self) -> float:
        """Returns the bytes of these, as many as the layer has, and of the biases."""
        return self.drawn.bytes * self.weights / self.drawn.weights + 4 * self.biases


def _layers(kind: str, *layers: tuple[int, float, int]) -> list[PublishedLayer]:
    return [PublishedLayer(kind, inputs * outputs, density, outputs) for inputs, density, outputs in layers]


NETWORKS = {
    "AlexNet": (
        _layers("conv", (363, 0.84, 96), (1200, 0.38, 256), (2304, 0.35, 384), (1728, 0.37, 384), (1728, 0.37, 256))
        + _layers("dense", (9216, 0.09, 4096), (4096, 0.09, 4096), (4096, 0.25, 1000))
    ),
    "VGG-16": (
        _layers("conv", (27, 0.58, 64), (576, 0.22, 64), (576, 0.34, 128), (1152, 0.36, 128), (1152, 0.53, 256))
        + _layers("conv", (2304, 0.24, 256), (2304, 0.42, 256), (2304, 0.32, 512), (4608, 0.27, 512))
        + _layers("conv", (4608, 0.34, 512), (4608, 0.35, 512), (4608, 0.29, 512), (4608, 0.36, 512))
        + _layers("dense", (25088, 0.04, 4096), (4096, 0.04, 4096), (4096, 0.23, 1000))
    ),
}
"""Inputs of an output, densities and outputs: Han et al. 2015, Tables 4 and 5."""
PRINTED = {"AlexNet": (240, 9, 6.9), "VGG-16": (552, 13, 11.3)}
"""Megabytes, connections before ÷ after, megabytes: the abstract."""


def deep_compression() -> list[Row]:
    """Recounts the sizes of AlexNet and VGG-16 in the abstract of Deep Compression.

    Neither network was trained here. The densities of layers are published figures, those of Learning both Weights and
    Connections (Tables 4 and 5); bits of codes and indices are 8 of convolutions and 5 of dense layers. The weights
    are drawn: normal, independent, the largest left, then shared and coded as `kp.codec.pack` does. Nothing is
    fitted. Gaps between independent weights take the most bits that a density allows.

    Reference:
        Han et al., Deep Compression, ICLR 2016, arXiv 1510.00149; Han et al., Learning both Weights and Connections for
        Efficient Neural Networks, NIPS 2015, arXiv 1506.02626.
    """
    return [row for name in NETWORKS for row in _rows(name)]


def _rows(name: str) -> Iterator[Row]:
    layers, (dense, fewer, small) = NETWORKS[name], PRINTED[name]
    weights, kept = (sum(getattr(layer, key) for layer in layers) for key in ("weights", "kept"))
    megabytes = (4 * weights + 4 * sum(layer.biases for layer in layers)) / 1e6
    coded = sum(layer.coded_bytes() for layer in layers) / 1e6

    def each(what: str) -> float:
        """Returns bits of drawn weights for each that is left."""
        return sum(layer.kept * getattr(layer.drawn, what) / layer.drawn.kept for layer in layers) / kept

    codes, gaps = each("code_bits"), each("gap_bits")
    left = 8e6 * small / kept - gaps
    known = (
        f"{small} MB are {left + gaps:.1f} bits for each weight that is left; {gaps:.1f} for its gap leave {left:.1f} "
        f"for its code; codes of drawn weights take {codes:.1f}. Trained ones are more uneven, or lie closer together."
    )
    yield Row(f"{name}, float32", dense, megabytes, 0.02 * dense, " MB")
    yield Row(f"{name}, fewer connections", fewer, weights / kept, 0.5, "×")
    shared = sum(layer.kept * layer.bits for layer in layers) / kept
    yield Note(f"{name}, bits a connection", "5", f"{shared:.1f}")
    fixed = sum(layer.fixed_bytes() for layer in layers) / 1e6
    yield Note(f"{name}, pruned and shared, fillers counted", "–", f"{fixed:.1f} MB, {megabytes / fixed:.0f}×")
    yield Row(f"{name}, Huffman-coded, of drawn weights", small, coded, 0.05 * small, " MB", known)
    yield Note(f"{name}, smaller by", f"{dense / small:.0f}×", f"{megabytes / coded:.0f}×")
