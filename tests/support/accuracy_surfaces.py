"""Accuracies over depth, width and resolution in closed form, and the points at which they are fitted."""

from __future__ import annotations

import numpy as np


def thirteen(low: float = 0.5) -> np.ndarray:
    """Returns the points of Algorithm 1: four steps along each dimension, and the dense network."""
    points = [np.ones(3)]
    for axis, least in enumerate((low, low**0.5, low**0.5)):
        for number in range(1, 5):
            point = np.ones(3)
            point[axis] = 1 - number * (1 - least) / 4
            points.append(point)
    return np.array(points)


def product(points: np.ndarray, cubics: np.ndarray) -> np.ndarray:
    """Returns a product of three cubics in raw monomials, written out."""
    return np.prod([sum(cubics[a, k] * points[..., a] ** k for k in range(4)) for a in range(3)], axis=0)


def rising_cubics(seed: int) -> np.ndarray:
    """Returns three cubics that grow on (0, 1] and are 1, 1 and 90 at 1, each a sum of saturating terms."""
    generator = np.random.default_rng(seed)
    cubics = np.zeros((3, 4))
    for axis in range(3):
        loss, bend = generator.uniform(0.02, 0.4), generator.uniform(0, 1)
        # 1 − loss·((1 − bend)(1 − x) + bend·(1 − x)³)
        slope, cube = loss * (1 - bend), loss * bend
        cubics[axis] = 1 - slope - cube, slope + 3 * cube, -3 * cube, cube
    cubics[2] *= 90
    return cubics
