"""The testbed: `digits-500` at 16×16 and ResNet-8, small enough for many seeds and hard enough to tell masks apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasprune.callbacks import HoldMask
from kerasprune.criteria.mean_loss import MeanLoss
from kerasprune.files import replace_when_done
from kerasprune.files.arrays import read_arrays
from kerasprune.graph.graph import weight_paths
from kerasprune.graph.trace import trace
from kerasprune.models import get
from kerasprune.models.sets.digits import Examples, digit_arrays
from kerasprune.surgery.costs.cost import cost

Masks = Mapping[str, np.ndarray]
Rows = Sequence[Mapping[str, Any]]
"""Results of trainings: `method`, `variant`, `keep`, `seed`, `test` and others."""
SMALL = "ResNet-8, 500 images, 20 epochs; the paper has CIFAR-10 and ImageNet. Three seeds are few."
"""Why a difference may be another one here."""
SIZE, PER_CLASS = 16, 10


@dataclass(frozen=True)
class DigitsTestbed:
    """The schedule: SGD with momentum 0.9, a warm-up, then a cosine to 0.

    Args:
        epochs: Epochs of a training.
        rate: Highest learning rate.
        batch: Images per batch.
        folder: Folder of the trained dense weights, one file per seed; without one every call trains them.
    """

    epochs: int = 20
    rate: float = 0.05
    batch: int = 32
    folder: Path | None = None

    def network(self, seed: int) -> keras.Model:
        """Returns ResNet-8 at initialisation."""
        return get({"name": "resnet_cifar", "depth": 8, "classes": 10, "input_shape": (SIZE, SIZE, 1), "seed": seed})

    def trained(self, seed: int) -> keras.Model:
        """Returns the trained dense network."""
        model = self.network(seed)
        file = self.folder and self.folder / f"dense_{seed}.npz"
        if file and file.exists():
            model.set_weights([*read_arrays(file, "trained weights").values()])
            return model
        self.fit(model, seed)
        if file:
            with replace_when_done(file) as temporary:
                np.savez(temporary, **{f"{number:03}": weight for number, weight in enumerate(model.get_weights())})
        return model

    def fit(
        self,
        model: keras.Model,
        seed: int,
        masks: Masks | None = None,
        *,
        epochs: int | None = None,
        rate: float = 0.0,
        initial_epoch: int = 0,
        until: int | None = None,
    ) -> None:
        """Trains a network under masks.

        Args:
            model: The network; trained in place.
            seed: Seed of the order of the images.
            masks: Masks that are held. Defaults to none.
            epochs: Defaults to those of the testbed.
            rate: Defaults to that of the testbed.
            initial_epoch: The epoch of the schedule to begin at. Defaults to 0.
            until: The epoch to end at. Defaults to the last.
        """
        images, labels = examples("train")
        epochs, rate = epochs or self.epochs, rate or self.rate
        steps = epochs * (per_epoch := -(-len(images) // self.batch))
        warm_up = steps // 20
        cosine = keras.optimizers.schedules.CosineDecay(0.0, steps - warm_up, warmup_target=rate, warmup_steps=warm_up)
        keras.utils.set_random_seed(seed)
        model.compile(keras.optimizers.SGD(cosine, momentum=0.9), cross_entropy())
        model.optimizer.iterations.assign(initial_epoch * per_epoch)
        held = [HoldMask(masks)] if masks else []
        part = {"initial_epoch": initial_epoch, "epochs": epochs if until is None else until}
        model.fit(images, labels, batch_size=self.batch, verbose=0, callbacks=held, **part)


def by_seed(rows: Rows, keep: float, method: str, variant: str = "mask") -> dict[int, float]:
    """Returns the test accuracy of a method by seed."""
    wanted = (method, variant, keep)
    return {row["seed"]: row["test"] for row in rows if (row["method"], row["variant"], row["keep"]) == wanted}


def paired_differences(one: Mapping[int, float], other: Mapping[int, float]) -> list[float]:
    """Returns `one − other` for every seed that both have."""
    return [one[seed] - other[seed] for seed in one if seed in other]


def fractions(rows: Iterable[Mapping[str, Any]]) -> list[float]:
    """Returns the fractions kept by sparse networks, the largest first."""
    return sorted({row["keep"] for row in rows} - {1.0}, reverse=True)


def examples(split: str) -> Examples:
    """Returns images and labels of a split."""
    return digit_arrays("digits-500", SIZE)[split]


def scored_examples(seed: int) -> list[Examples]:
    """Returns one batch of ten training images of every class, drawn by a seed."""
    images, labels = examples("train")
    order = np.random.default_rng(seed).permutation(len(labels))
    drawn = np.concatenate([order[labels[order] == each][:PER_CLASS] for each in range(10)])
    return [(images[drawn], labels[drawn])]


def cross_entropy() -> keras.losses.Loss:
    """Returns the loss, of logits."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def accuracies(model: keras.Model) -> dict[str, float]:
    """Returns the accuracy in percent on the validation and the test images."""
    splits = {split: examples(split) for split in ("validation", "test")}
    answers = model.predict(np.concatenate([images for images, _ in splits.values()]), batch_size=1297, verbose=0)
    answers = np.split(answers.argmax(1), [len(splits["validation"][1])])
    return {
        split: round(100 * float(np.mean(found == labels)), 3)
        for found, (split, (_, labels)) in zip(answers, splits.items(), strict=True)
    }


def macs_left(model: keras.Model, masks: Masks) -> float:
    """Returns the fraction of the multiply–adds left by masks, `Σ macs_l · density_l / Σ macs_l`."""
    dense = cost(model).macs_by_name
    left = sum(dense[path.rpartition("/")[0]] * float(np.mean(mask)) for path, mask in masks.items())
    return left / sum(dense[path.rpartition("/")[0]] for path in masks)


def gradient_norm(model: keras.Model, masks: Masks, data: list[Examples]) -> float:
    """Returns the norm of the gradient by the weights that masks leave; the model is left as it was."""
    kernels, paths = [kernel.variable for kernel in trace(model).kernels], weight_paths(model)
    dense = model.get_weights()
    for kernel in kernels:
        kernel.assign(np.where(masks.get(paths[id(kernel)], True), kernel, 0))
    slopes = MeanLoss(model, kernels, data, cross_entropy(), training=True).gradient()
    model.set_weights(dense)
    return float(np.sqrt(sum((slopes[id(each)][masks.get(paths[id(each)], ...)] ** 2).sum() for each in kernels)))
