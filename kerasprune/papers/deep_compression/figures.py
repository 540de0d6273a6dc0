"""What Figures 5 and 6 show of a packed model: the entropy of its symbols, and kernels factorised by SVD."""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras
import numpy as np

from kerasprune.export.codec.entries import GAPS
from kerasprune.export.codec.packing import pack
from kerasprune.graph.graph import values
from kerasprune.surgery.clone import starting_from
from kerasprune.surgery.copy_layer import make_layer


def symbol_bits(model: keras.Model) -> dict[str, dict[str, float]]:
    """Returns the bits of a weight that is left, for every kernel of a dense layer that a `.kpz` file holds by gaps.

    Those of its code and of its gap: in symbols of equal length, Huffman-coded, and the entropy
    `−Σ p log₂ p` of the symbols; gaps with the escapes that they need.

    Args:
        model: The model, of which weights are removed and shared.

    Example:
        >>> import keras, numpy as np
        >>> kernel = np.zeros((64, 1), "float32")
        >>> kernel[[3, 11, 19, 27], 0] = 1, 1, 1, 2
        >>> model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(1, name="d")])
        >>> model.layers[0].set_weights([kernel, np.zeros(1)])
        >>> round(symbol_bits(model)["d/kernel"]["code, entropy"], 3)
        0.811
    """
    with tempfile.TemporaryDirectory() as folder:
        table = pack(model, Path(folder) / "model.kpz", bits={})
    kernels = {f"{layer.name}/kernel": layer for layer in model.layers if isinstance(layer, keras.layers.Dense)}
    found = {}
    for size in table.layers:
        if size.form not in GAPS or size.path not in kernels:
            continue
        kernel = keras.ops.convert_to_numpy(kernels[size.path].kernel).ravel()
        places = np.flatnonzero(kernel)
        gaps = GAPS[size.form].symbols(places)[0]
        found[size.path] = {
            "code": float(np.ceil(np.log2(size.values))),
            "code, coded": size.code_bits / size.kept,
            "code, entropy": entropy(kernel[places]),
            "gap": GAPS[size.form].bits * len(gaps) / size.kept,
            "gap, coded": size.gap_bits / size.kept,
            "gap, entropy": entropy(gaps) * len(gaps) / size.kept,
        }
    return found


def entropy(symbols: np.ndarray) -> float:
    """Returns the entropy of symbols, in bits each."""
    share = np.unique(symbols, return_counts=True)[1] / symbols.size
    return float(-(share * np.log2(share)).sum())


def factorised(model: keras.Model, share: float) -> keras.Model:
    """Returns a chain of layers whose hidden dense kernels are `W ≈ (U_r S_r) · V_r`, by SVD; the last one is kept.

    Args:
        model: A chain of layers.
        share: Numbers in the factors, r · (inputs + outputs), as a fraction of those of the kernel.
    """
    x = inputs = keras.Input(model.input_shape[1:])
    for layer in model.layers[1:]:
        new, factors = make_layer(layer), {}
        if isinstance(layer, keras.layers.Dense) and layer is not model.layers[-1]:
            kernel = values(layer.kernel)
            rank = max(1, round(share * kernel.size / sum(kernel.shape)))
            left, middle, right = np.linalg.svd(kernel, full_matrices=False)
            first = keras.layers.Dense(rank, use_bias=False)
            x = first(x)
            first.kernel.assign(left[:, :rank] * middle[:rank])
            factors[id(layer.kernel)] = right[:rank]
        with starting_from(layer, new, lambda v, factors=factors: factors.get(id(v), values(v))):
            x = new(x)
    return keras.Model(inputs, x)
