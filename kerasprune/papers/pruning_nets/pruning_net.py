"""`PruningNet`: one network that makes the weights of every width of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune.checks import seed_faults, whole_number_faults
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.built_model import body_of
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph, values
from kerasprune.graph.trace import trace
from kerasprune.recipes.search.widths import FRACTIONS, Widths
from kerasprune.surgery.clone import clone
from kerasprune.surgery.custom_train_step import check_keras_step
from kerasprune.surgery.inlining.plain import plain
from kerasprune.surgery.rebuild import rebuild


@dataclass(frozen=True)
class Generator:
    """The net that makes one kernel: `relu(e·W₁ + b₁)·W₂ + b₂`, in the shape of the kernel.

    Args:
        kernel: The kernel, with the channels along its axes.
        groups: Indices of the groups that it reads or makes, whose widths are e.
        weights: W₁, b₁, W₂, b₂.
    """

    kernel: Slice
    groups: np.ndarray
    weights: tuple[Any, Any, Any, Any]

    def __call__(self, widths: Any) -> Any:
        """Returns the kernel, for the fractions kept of all groups."""
        first, first_bias, second, bias = self.weights
        encoding = ops.take(widths, self.groups)[None]
        flat = ops.matmul(ops.relu(ops.matmul(encoding, first) + first_bias), second) + bias
        return ops.reshape(flat, self.kernel.variable.shape)


class PruningNet(keras.Model):
    """A model whose kernels are generated from its widths by small networks, trained with random widths.

    For every kernel k that reads or makes channels of prunable groups, with e the fractions kept of these groups,

        k(e) = relu(e·W₁ + b₁)·W₂ + b₂,  cropped to the first channels of each group

    In each training step, the number of channels of every group is drawn at random; coupled channels, such as those of
    a residual stage, share one number. Shapes do not change, so the step is compiled once: cropped channels are
    multiplied by 0 where they are read. This is equivalent to cropping, since BatchNorm treats every channel separately
    (layers that compute statistics over channels are refused). All other weights, such as biases, γ and β, are shared
    by all widths.

    Compile and fit it like the model. W₂ starts as zeros and b₂ as the model's kernel, so that at full width it
    computes the same function as the model. Pass `kp.surgery.reinitialise(model)` to start from scratch, as the paper
    does, or a trained model, sorted by `kp.surgery.reorder`, to start from its weights with a small learning rate. Save
    it with `save_weights`; `slim` returns an ordinary model.

    Args:
        model: A functional or Sequential model, which is left untouched, or its graph; if its input side is free,
            `kp.trace(model, size=…)`.
        hidden: Hidden units of each network; W₂ is `hidden` times as large as the model. Defaults to 64.
        fractions: Fractions of a group's channels to choose from. Defaults to 0.10, 0.13, …, 1.00.
        seed: Random seed of the networks' weights and of the drawn widths. Defaults to 0.

    Raises:
        PruneError: An argument is out of range, no channel can be removed, a layer computes statistics over prunable
            channels, the input side is free and no size is given, or the model has a `train_step` of its own.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> net = kp.papers.pruning_nets.PruningNet(model, hidden=4)
        >>> net.compile("sgd", "mse")
        >>> _ = net.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)
        >>> net.slim([3]).layers[-2].units  # the fourth choice of one group: 4 of 8 channels
        4

    Reference:
        Liu et al., MetaPruning, ICCV 2019, arXiv 1903.10258, §3.1. Unlike there, e holds the widths of the groups that
        the kernel touches, and γ, β are shared instead of left out.
    """

    def __init__(
        self,
        model: keras.Model | ChannelGraph,
        *,
        hidden: int = 64,
        fractions: Sequence[float] = FRACTIONS,
        seed: int = 0,
    ) -> None:
        raise_faults(
            "Invalid arguments for PruningNet:", whole_number_faults(1, hidden=hidden) + seed_faults(seed=seed)
        )
        graph = _own_graph(model)
        widths = Widths(graph, fractions)
        _check(widths)
        super().__init__(name=f"{graph.model.name}_pruning_net")
        self.body = graph.model
        self._seeds = keras.random.SeedGenerator(seed)
        how = {"trainable": False, "autocast": False, "dtype": "float32", "name": "kept"}
        kept = self.add_weight(shape=widths.sizes.shape, initializer=keras.initializers.Constant(widths.sizes), **how)
        generators = _generators(widths, hidden, seed, self.add_weight)
        vars(self).update(_widths=widths, _kept=kept, _generators=generators, _cropped=_cropped(widths))  # untracked
        self.built = True

    @property
    def widths(self) -> Widths:
        """The widths that it may have; `widths.graph` is the graph of `body`."""
        return self._widths

    def set_widths(self, genes: Sequence[int]) -> None:
        """Sets the widths that `evaluate` and `predict` use; initially those of the whole model.

        Args:
            genes: For each group an index into its numbers of channels, `widths.counts`.
        """
        self._kept.assign(self.widths.kept(self.widths.checked(genes)))

    def slim(self, genes: Sequence[int]) -> keras.Model:
        """Returns the slim model of some widths, with the weights that are made for them.

        Its statistics of BatchNorm are those of many widths: recompute them with `kp.recalibrate`.

        Args:
            genes: For each group an index into its numbers of channels, `widths.counts`.
        """
        kept = ops.cast(self.widths.kept(self.widths.checked(genes)), "float32")
        for generator in self._generators:
            generator.kernel.variable.assign(generator(self._fractions(kept)))
        return rebuild(self.widths.graph, self.widths.plan(genes), absorb=False)

    def get_config(self) -> dict[str, Any]:
        """Always raises: a file would have to hold the model that it was made from."""
        raise PruneError(
            "Expected weights to save. Received: a PruningNet, which is made from a model. Call save_weights(path), "
            "ModelCheckpoint(…, save_weights_only=True), or save net.slim(genes), an ordinary model."
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Returns the outputs at random widths in training, or else at those that were set."""
        kept = self._drawn() if training else ops.convert_to_tensor(self._kept)
        made = {id(each.kernel.variable): each(self._fractions(kept)) for each in self._generators}
        given = [(each, made.get(id(each), each.value)) for each in self.body.variables]
        given = [(each, self._crop(each, value, kept)) for each, value in given]
        with keras.StatelessScope(state_mapping=given, collect_losses=True) as scope:
            outputs = self.body(inputs, training=training)
        if training:
            for each in self.body.non_trainable_variables:
                if id(each) not in made:
                    each.assign(scope.get_current_value(each))
        for loss in scope.losses:
            self.add_loss(loss * 1.0)  # as one of this model: JAX asks the layers inside for theirs, too
        return outputs

    def _fractions(self, kept: Any) -> Any:
        return kept / ops.convert_to_tensor(self.widths.sizes.astype("float32"))

    def _drawn(self) -> Any:
        """Returns numbers of channels, uniformly drawn from those of each group."""
        choices = np.array(self.widths.choices, "float32")
        table = np.zeros((choices.size, int(choices.max())), "float32")
        for row, counts in zip(table, self.widths.counts, strict=True):
            row[: counts.size] = counts
        uniform = keras.random.uniform(choices.shape, dtype="float32", seed=self._seeds)
        place = ops.minimum(ops.floor(ops.multiply(uniform, choices)), choices - 1)
        drawn = ops.equal(place[:, None], np.arange(table.shape[1], dtype="float32"))
        return ops.sum(ops.where(drawn, table, 0.0), axis=1)

    def _crop(self, variable: keras.Variable, value: Any, kept: Any) -> Any:
        """Returns the value of a variable with zeros, or other neutral values, where it reads cropped channels."""
        for shape, owner, rank, silent in self._cropped.get(id(variable), ()):
            read = ops.reshape(ops.less(rank, ops.take(kept, owner)), shape)
            value = ops.where(read, value, ops.cast(silent, value.dtype))
        return value


def _own_graph(model: keras.Model | ChannelGraph) -> ChannelGraph:
    """Returns the graph of a copy of a model."""
    given = model.model if isinstance(model, ChannelGraph) else model
    check_keras_step(given, "Give keras.Model(model.inputs, model.outputs), if Keras's step is to train the net.")
    body = body_of(plain(given))
    copy = clone(body, value=values)[0]
    return traced_alike(copy, model)


def traced_alike(model: keras.Model, like: keras.Model | ChannelGraph) -> ChannelGraph:
    """Returns the graph of a model, with the options of another graph if it is one."""
    if not isinstance(like, ChannelGraph):
        return trace(model)
    return trace(model, coupling=like.coupling, freeze=like.freeze, size=like.size, unknown="freeze")


def _check(widths: Widths) -> None:
    """Raises if cropping is not the same as not reading."""
    graph, (owner, _) = widths.graph, widths.ranks
    faults = []
    if any(None in kernel.positions for kernel in graph.kernels):
        faults.append(
            "Expected a size, by which multiply–adds are counted: the input side of the model is free. Received: "
            f"{graph.model.name!r} alone. Pass, for example, kp.trace(model, size=32) instead."
        )
    if graph.padded:
        faults.append(f"Expected coupling 'tied' or 'free'. Received: a graph with coupling={graph.coupling!r}.")
    for norm, _, ids in graph.norms:
        groups = [widths.names[place] for place in np.unique(owner[ids]) if place >= 0]
        if groups:
            faults.append(
                f"Expected BatchNormalization, which treats every channel by itself. Received: {norm.name!r} of "
                f"class {type(norm).__name__}. Keep its channels with freeze={groups}, of kp.trace or of a recipe."
            )
    raise_faults("Invalid arguments for PruningNet:", faults)


def _generators(widths: Widths, hidden: int, seed: int | None, add_weight: Any) -> list[Generator]:
    """Returns a net for each kernel that touches a group; the kernel itself is no longer trained."""
    owner, seeds = widths.ranks[0], np.random.default_rng(seed)

    def uniform(bound: float) -> keras.initializers.Initializer:  # the initialisation of PyTorch, as the authors'
        return keras.initializers.RandomUniform(-bound, bound, seed=int(seeds.integers(2**31 - 1)))

    found = []
    for kernel in widths.graph.kernels:
        ids = [line for line in kernel.ids if line is not None]
        groups = np.unique(owner[np.concatenate(ids)]) if ids else np.zeros(0, int)
        groups = groups[groups >= 0]
        if not groups.size:
            continue
        variable, start = kernel.variable, values(kernel.variable).ravel().astype("float32")
        how = {"trainable": variable.trainable, "dtype": "float32"}
        of_kernel = {**how, "regularizer": variable.regularizer}
        name = f"{kernel.owner.name}_{variable.name}"
        bound = 1 / sqrt(groups.size)
        weights = (
            add_weight(shape=(groups.size, hidden), initializer=uniform(bound), name=f"{name}_w1", **how),
            add_weight(shape=(hidden,), initializer=uniform(bound), name=f"{name}_b1", **how),
            add_weight(shape=(hidden, start.size), initializer="zeros", name=f"{name}_w2", **of_kernel),
            add_weight(
                shape=start.shape, initializer=keras.initializers.Constant(start), name=f"{name}_b2", **of_kernel
            ),
        )
        variable.trainable = False
        found.append(Generator(kernel, groups, weights))
    return found


def _cropped(widths: Widths) -> dict[int, list[tuple[list[int], np.ndarray, np.ndarray, float]]]:
    """Returns per variable the axes that read groups: shape, group and rank along each, and the neutral value."""
    owner, rank = widths.ranks
    found: dict[int, list] = {}
    for entry in widths.graph.slices:
        for axis in entry.reads:
            ids = entry.ids[axis]
            if ids is not None and (owner[ids] >= 0).any():
                shape = [-1 if each == axis else 1 for each in range(len(entry.ids))]
                place = np.maximum(owner[ids], 0)  # channels that are always kept have rank −1, below any number
                found.setdefault(id(entry.variable), []).append(
                    (shape, place, rank[ids].astype("float32"), entry.silent)
                )
    return found
