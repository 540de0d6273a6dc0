"""The figures of EIE's abstract compared with its arithmetic on AlexNet's dense layers."""

from __future__ import annotations

import statistics
import time

import numpy as np
from scipy.sparse import csr_array

from kerasprune.papers.eie.columns import Columns
from kerasprune.recipes.reproductions.entry import Note, Row

ELEMENTS, CLOCK, QUEUE = 64, 0.8e9, 8
LAYERS = {"fc6": (4096, 9216, 0.09), "fc7": (4096, 4096, 0.09), "fc8": (1000, 4096, 0.25)}
"""Rows, columns and density of AlexNet's dense layers: Table 4 of Learning both Weights and Connections."""
ACTIVE = 1 / 3
"""The share of activations other than zero: the abstract's factor of 3."""
DRAM, SRAM = 640.0, 5.0
"""Picojoules to read 32 bits, in 45 nm: Figure 1 there. EIE's abstract says 120× for their ratio."""
WATTS, FRAMES = 0.6, 1.88e4


def eie() -> list[Row]:
    """Recounts the abstract of EIE on random matrices of the sizes and densities of AlexNet's dense layers.

    Cycles are counted with fillers, queues and the elements that wait for the slowest; nothing is fitted. A third of
    the activations, at random, is other than zero, as the abstract's 3× says (Table 4 of the paper that the densities
    are from prints 34, 36 and 40 %). Densities and picojoules were read there; the depth of queues, 8, was not looked
    up. Of energy only the memory of weights is counted. The last row is measured, not counted: SciPy's product of
    compressed rows with a vector on one thread, in turn with the dense one on all threads that BLAS takes; Deep
    Compression's 3× is its mean over layers on a CPU (Figure 9).

    Reference:
        Han et al., EIE: Efficient Inference Engine on Compressed Deep Neural Network, ISCA 2016, arXiv 1602.01528;
        Han et al., Learning both Weights and Connections for Efficient Neural Networks, NIPS 2015, arXiv 1506.02626.
    """
    draw = np.random.default_rng(0)
    dense = sum(rows * columns for rows, columns, _ in LAYERS.values())
    kept = sum(rows * columns * density for rows, columns, density in LAYERS.values())
    work, filled, seconds = 0.0, 0, {1: 0.0, QUEUE: 0.0, 1 << 20: 0.0}
    for rows, columns, density in LAYERS.values():
        layer, active = Columns.drawn(rows, columns, density, ELEMENTS, draw), draw.random(columns) < ACTIVE
        work += layer.weights[active].sum()
        filled += layer.entries[active].sum()
        for queue in seconds:
            seconds[queue] += layer.cycles(active, queue) / CLOCK
    power = 2 * ELEMENTS * CLOCK
    perfect, alone = (CLOCK * ELEMENTS / each for each in (work, filled))
    left = dense * DRAM * 1e-12 / (DRAM / SRAM) / (dense / kept) / 8 * ACTIVE
    return [
        Row("64 elements · 0.8 GHz · 2", 102, power / 1e9, 0.5, " GOPS"),
        Row("the same for a dense network, · 10 · 3", 3, power / 1e12 * dense / kept / ACTIVE, 0.5, " TOPS"),
        Row("energy, from DRAM to SRAM", 120, DRAM / SRAM, 8, "×"),
        Row("energy, by sparsity", 10, dense / kept, 0.5, "×"),
        Row("energy, by sharing: 32 bits in 4", 8, 32 / 4, 0, "×"),
        Note("energy, by zero activations", "3×", f"{1 / ACTIVE:g}× (assumed)"),
        Row("AlexNet's dense layers, queues of 8, frames/s", FRAMES, 1 / seconds[QUEUE], 0.25 * FRAMES),
        Note("frames/s without fillers or waiting", "–", f"{perfect:,.0f}"),
        Note("frames/s with fillers, without waiting", "–", f"{alone:,.0f}"),
        Note("frames/s with queues of 1", "–", f"{1 / seconds[1]:,.0f}"),
        Note("frames/s with queues without end", "–", f"{1 / seconds[1 << 20]:,.0f}"),
        Note("energy a frame: 600 mW; memory of weights", f"{1e6 * WATTS / FRAMES:.1f} µJ", f"{1e6 * left:.1f} µJ"),
        Note(f"this CPU: {', '.join(LAYERS)} faster in compressed rows", "3×", ", ".join(map(_faster, LAYERS))),
    ]


def faster_sparse(rows: int, columns: int, density: float, rounds: int = 15) -> float:
    """Returns the time of a dense product with a vector ÷ that of SciPy's compressed rows, the median of pairs."""
    draw, ratios = np.random.default_rng(0), []
    dense = draw.random((rows, columns), np.float32)
    dense[dense >= density] = 0
    sparse, vector = csr_array(dense), draw.random(columns, np.float32)
    for _ in range(rounds):
        began = time.perf_counter()
        _ = dense @ vector
        between = time.perf_counter()
        _ = sparse @ vector
        ratios.append((between - began) / (time.perf_counter() - between))
    return statistics.median(ratios)


def _faster(layer: str) -> str:
    return f"{faster_sparse(*LAYERS[layer]):.1f}×"
