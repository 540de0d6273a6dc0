"""Trains shared weights: each cluster of a kernel moves as one weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune._keras import inner_layers, is_of_keras, own_weights
from kerasprune.errors import PruneError, raise_faults
from kerasprune.export.codec.packing import with_kernels
from kerasprune.export.codec.sharing import BITS, bits_of, is_shared, share, widen_floats
from kerasprune.graph.adapters import check_merged
from kerasprune.graph.built_model import check_built
from kerasprune.graph.graph import values, weight_paths
from kerasprune.training.callback import PruningCallback
from kerasprune.training.optimizer import ensure_built, inner_optimizer, memory

ELEMENTWISE = ("Adam", "AdamW", "Lion", "RMSprop", "SGD")
"""Optimizers of Keras that treat two weights with the same gradients alike, whatever else is in their kernel."""


@dataclass(eq=False)
class Clusters(keras.constraints.Constraint):
    """`w ← c` of its cluster after the update; weights that are zero belong to none.

    Members of a cluster are updated alike, but not to the last bit (RMSprop on TensorFlow parts them, whose loops round
    their last entries in another way), so all take the value of the largest.

    Args:
        variable: The kernel.
        codes: The cluster of every weight, from 1 on, in the kernel's shape.
        number: The number of clusters, at most.
    """

    variable: Any
    codes: Any
    number: int

    def __call__(self, weight: Any) -> Any:
        weight = ops.convert_to_tensor(weight)
        codes = self._present(weight)
        book = ops.segment_max(ops.reshape(weight, (-1,)), ops.reshape(codes, (-1,)), self.number + 1)
        return ops.where(codes == 0, ops.zeros_like(weight), ops.take(book, codes))

    def summed(self, gradient: Any) -> Any:
        """Returns for every weight the gradient of its centroid, `∂L/∂c_k = Σ_{i ∈ C_k} ∂L/∂w_i`; 0 for zeros."""
        gradient = ops.convert_to_tensor(gradient)
        codes = self._present(ops.convert_to_tensor(self.variable))
        flat = ops.cast(ops.reshape(gradient, (-1,)), "float32")
        sums = ops.segment_sum(flat, ops.reshape(codes, (-1,)), self.number + 1)
        return ops.where(codes == 0, ops.zeros_like(gradient), ops.cast(ops.take(sums, codes), gradient.dtype))

    def _present(self, weight: Any) -> Any:
        codes = ops.convert_to_tensor(self.codes)
        return ops.where(weight == 0, ops.zeros_like(codes), codes)


class TrainedQuantization(PruningCallback):
    """Shares the weights of each kernel by clusters, and trains the shared values (centroids).

    When `fit` begins, kernels are shared (`kp.codec.share`), and the optimizer's memory of them is set to zero. In
    every step the gradient of a weight is replaced by that of its centroid, the sum over its cluster,

    `∂L/∂c_k = Σ_{i ∈ C_k} ∂L/∂w_i`,

    so that an optimizer that treats every weight alike keeps them equal; it is `optimizer.apply`, a public method, that
    takes the sums while `fit` lasts. Weights that are zero stay zero, and weights that a mask sets to zero leave their
    cluster. Biases, BatchNorm and other layers are trained as usual. `kp.codec.pack` then stores kernels as they are.

    The sum over a cluster is larger than the gradient of a weight, in proportion to its members: with SGD use a
    smaller learning rate. Weight decay of the optimizer acts once on every centroid; an L2 term in the loss is summed.

    With `Resume` the weights are those of an uninterrupted fit to the last bit on a CPU. A GPU adds the members of a
    cluster in no fixed order, unless `XLA_FLAGS=--xla_gpu_deterministic_ops=true` is set (JAX).

    Args:
        bits: Bits of a code, 1 … 8, for all layers, or by keys, as for `kp.codec.pack`. Defaults to
            `{"conv": 8, "dense": 5}`.
        start: The first centroids, see `kp.codec.share`. Defaults to `"linear"`.
        seed: Random seed of the start `"random"`. Defaults to 0.
        strict: Whether to raise an error if the callback had no effect. Defaults to `True`.

    Raises:
        PruneError: In `fit`: no kernel is shared, `bits` do not fit, or the optimizer does not treat every weight
            alike.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8)])
        >>> model.compile(keras.optimizers.SGD(0.001), "mse")
        >>> shared = TrainedQuantization(bits=2)
        >>> _ = model.fit(np.ones((8, 8)), np.ones((8, 8)), verbose=0, callbacks=[shared])
        >>> len(np.unique(model.layers[0].kernel.numpy())) <= 4
        True

    Reference:
        Han et al., Deep Compression: Compressing Deep Neural Networks with Pruning, Trained Quantization and Huffman
        Coding, ICLR 2016, arXiv 1510.00149, section 3.3, Eq. 3.
    """

    def __init__(
        self, bits: Mapping[str, int] | int = BITS, *, start: str = "linear", seed: int = 0, strict: bool = True
    ) -> None:
        super().__init__(strict=strict)
        share(np.zeros(1, np.float32), 1, start=start, seed=seed)  # checks them
        bits_of((), {} if isinstance(bits, Mapping) else bits)
        self.bits, self.start, self.seed = bits, start, seed

    def begin(self) -> None:
        """Shares the kernels, and sums their gradients from now on."""
        raise_faults("The optimizer does not keep shared weights equal:", optimizer_faults(self.model.optimizer))
        check_built(self.model)
        ensure_built(self.model)
        self._paths = weight_paths(self.model)
        self._clusters = [self._shared(variable, bits) for variable, bits in self._kernels()]
        if not self._clusters:
            raise PruneError(
                f"Expected kernels to share. Received: bits={self.bits!r}, which fit no layer with a kernel that is "
                'trained. Give a number for all, or keys such as {"conv": 8, "dense": 5}.'
            )

    def _kernels(self) -> list[tuple[Any, int]]:
        """Returns the trained kernels of the layers that `bits` names, each once, and their bits."""
        layers = list({id(layer): layer for layer in inner_layers(self.model)}.values())
        bits, found = bits_of(with_kernels(layers), self.bits), {}
        check_merged(layer for layer in layers if id(layer) in bits)
        for layer in layers:
            for variable in own_weights(layer) if id(layer) in bits else ():
                if variable.trainable and is_shared(variable.name, values(variable)):
                    found[id(variable)] = (variable, bits[id(layer)])
        return list(found.values())

    def _shared(self, variable: Any, bits: int) -> Clusters:
        array = share(values(variable), 1 << bits, start=self.start, seed=self.seed)
        codes = self.session.variable(f"codes/{self._paths[id(variable)]}", _codes(array))
        clusters = Clusters(variable, codes, 1 << bits)
        self.session.change_gradient(variable, clusters.summed)
        self.session.constrain(variable, clusters)
        variable.assign(array)
        if not self.goes_on:
            self._forget(variable)
        return clusters

    def _forget(self, variable: Any) -> None:
        gradients, averages = memory(self.model.optimizer, variable)
        for slot in gradients:
            slot.assign(np.zeros(slot.shape))
        for average in averages:
            average.assign(variable)

    def resumed(self) -> None:
        """Gives new codes to kernels that were assigned since the earlier fit, whose old codes no longer fit."""
        for each in self._clusters:
            array = values(each.variable)
            if not np.array_equal(keras.ops.convert_to_numpy(each(each.variable)), array):
                each.codes.assign(_codes(array))
                self._forget(each.variable)

    def shortfalls(self) -> list[str]:
        """Returns a fault that names the kernels with more values than codes."""
        apart = [self._paths[id(each.variable)] for each in self._clusters if _book(each).size > each.number]
        if not apart or not self.session.attached("constraint"):
            return super().shortfalls()
        return [
            *super().shortfalls(),
            f"Weights of {', '.join(apart[:3])} are no longer shared: something assigns them without the optimizer. "
            "Update with optimizer.apply, and let other callbacks leave weights alone.",
        ]

    @property
    def codebooks(self) -> dict[str, np.ndarray]:
        """`{variable path: the values of its clusters, sorted}`, during and after `fit`."""
        self.used()
        _ = self.model  # on JAX this brings the variables up to date
        return {self._paths[id(each.variable)]: _book(each) for each in self._clusters}

    def status(self) -> str:
        """Returns how many kernels are shared."""
        return "" if self.session is None else f"{len(self._clusters)} kernels shared"


def _codes(array: np.ndarray) -> np.ndarray:
    """Returns the number of the value of every weight, from 1 on; 0 for zeros."""
    wide = widen_floats(array)
    return np.where(wide == 0, 0, 1 + np.searchsorted(np.unique(wide[wide != 0]), wide)).astype(np.int32)


def _book(clusters: Clusters) -> np.ndarray:
    wide = widen_floats(values(clusters.variable))
    return np.unique(wide[wide != 0])


def optimizer_faults(optimizer: keras.Optimizer) -> list[str]:
    """Returns the reasons for which an optimizer would not train centroids, each with its remedy."""
    inner, name = inner_optimizer(optimizer), type(inner_optimizer(optimizer)).__name__
    faults = []
    if name not in ELEMENTWISE or not is_of_keras(type(inner)):  # torch has classes of its own
        faults.append(
            f"Expected one of {', '.join(ELEMENTWISE)}, which treat every weight alike. Received: {name}. Others "
            "scale or rotate whole kernels: clusters count as often as they have members, or come apart."
        )
    clipped = [each for each in ("clipnorm", "global_clipnorm") if getattr(inner, each) is not None]
    if clipped:
        faults.append(
            f"Expected gradients that are not clipped by a norm, in which a cluster counts as often as it has members. "
            f"Received: {', '.join(clipped)}. Take a smaller learning rate, or clipvalue."
        )
    return faults
