"""The figures of EIE's abstract beside its arithmetic on AlexNet's dense layers."""

from __future__ import annotations

import numpy as np

from kerasprune.papers.eie.columns import Columns
from kerasprune.recipes.reproductions.entry import Note, Row

ELEMENTS, CLOCK, QUEUE = 64, 0.8e9, 8
LAYERS = {"fc6": (4096, 9216, 0.09), "fc7": (4096, 4096, 0.09), "fc8": (1000, 4096, 0.25)}
"""Rows, columns and density of AlexNet's dense layers in Deep Compression."""
ACTIVE = 1 / 3
"""The share of activations other than zero: the abstract's factor of 3."""
DRAM, SRAM = 640.0, 5.0
"""Picojoules to read 32 bits, in 45 nm, of which both papers speak."""
WATTS, FRAMES = 0.6, 1.88e4


def eie() -> list[Row]:
    """Recounts the abstract of EIE on random matrices of the sizes and densities of AlexNet's dense layers.

    Cycles are counted with fillers, queues and the elements that wait for the slowest; nothing is fitted. A third of
    the activations, at random, is other than zero. Densities, picojoules and the depth of queues are those of tables in
    both papers, whose abstracts alone were at hand here: they were not looked up again. Of energy only the memory
    of weights is counted.

    Reference:
        Han et al., EIE: Efficient Inference Engine on Compressed Deep Neural Network, ISCA 2016, arXiv 1602.01528.
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
    ]
