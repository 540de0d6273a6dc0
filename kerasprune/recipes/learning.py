"""The sections of a recipe that train: learning rates, optimizers, a fit."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, field_validator

from kerasprune.checks import is_number
from kerasprune.defaults import DELIVERED
from kerasprune.recipes.node import (
    Callback,
    Fraction,
    Node,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Share,
    Truth,
)


class Constant(Node):
    """A constant learning rate."""

    name: Literal["constant"] = "constant"
    value: PositiveFloat


class Cosine(Node):
    """Half a cosine from `start` to `end` over all epochs, after a linear warm-up.

    Args:
        start: The first learning rate, after the warm-up; half a cosine follows.
        end: The last one. Defaults to 0.0.
        warmup_epochs: Epochs of the warm-up. Defaults to 0.0.
    """

    name: Literal["cosine"]
    start: PositiveFloat
    end: NonNegativeFloat = 0.0
    warmup_epochs: NonNegativeFloat = 0.0


class MultiStep(Node):
    """Piecewise constant: `{first epoch: learning rate}`, from epoch 0 on; a linear warm-up from 0 multiplies it.

    An epoch may be a part of one, which is rounded to steps.
    """

    name: Literal["multi_step"]
    values: dict[Any, PositiveFloat]
    warmup_epochs: NonNegativeFloat = 0.0

    @field_validator("values")
    @classmethod
    def _ascending(cls, values: dict[Any, float]) -> dict[float, float]:
        if not all(map(is_number, values)) or next(iter(values), None) != 0 or list(values) != sorted(values):
            raise ValueError("Expected ascending epochs that begin with 0, e.g. {0: 0.01, 60: 0.001}")
        return values


class LinearRate(Node):
    """A straight line from `start` to `end` over all epochs."""

    name: Literal["linear"]
    start: PositiveFloat
    end: NonNegativeFloat = 0.0


class Exponential(Node):
    """`start`, multiplied by `factor` after every `every` epochs; a linear warm-up from 0 multiplies it.

    Args:
        start: The first learning rate, without the warm-up.
        factor: What multiplies it.
        every: Epochs between two multiplications. Defaults to 1.0: after each epoch.
        warmup_epochs: Epochs of the warm-up. Defaults to 0.0.
    """

    name: Literal["exponential"]
    start: PositiveFloat
    factor: Fraction
    every: PositiveFloat = 1.0
    warmup_epochs: NonNegativeFloat = 0.0


def _from_number(value: Any) -> Any:
    if isinstance(value, dict | BaseModel):
        return value
    return {"name": "constant", "value": value}


LearningRate = Annotated[
    Annotated[Constant | Cosine | MultiStep | LinearRate | Exponential, Field(discriminator="name")],
    BeforeValidator(_from_number),
]


class Sgd(Node):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"]
    learning_rate: LearningRate
    momentum: Share = 0.9
    nesterov: Truth = False


class Adam(Node):
    """Adam."""

    name: Literal["adam"]
    learning_rate: LearningRate


class AdamW(Node):
    """Adam with decoupled weight decay, which is not the L2 of a loss and does not pass through momentum."""

    name: Literal["adamw"]
    learning_rate: LearningRate
    weight_decay: NonNegativeFloat = 0.004


class RmsProp(Node):
    """RMSprop: gradients are divided by the root of their mean square, of which a step forgets a tenth.

    Args:
        learning_rate: The learning rate.
        momentum: Defaults to 0.0.
        epsilon: Added to the mean square. Defaults to 1e-7.
    """

    name: Literal["rmsprop"]
    learning_rate: LearningRate
    momentum: Share = 0.0
    epsilon: PositiveFloat = 1e-7


class Other(Node):
    """Another optimizer of Keras, with its own defaults except for the learning rate."""

    name: Literal["adadelta", "adafactor", "adagrad", "adamax", "ftrl", "lion", "nadam"]
    learning_rate: LearningRate


class Compiled(Node):
    """A new optimizer like the one that the checkpoint is compiled with; without one, SGD with momentum 0.9.

    Args:
        learning_rate: Defaults to half a cosine from a tenth of the compiled rate, for SGD from 0.01.
    """

    name: Literal["compiled"]
    learning_rate: LearningRate | None = None


Optimizer = Annotated[Sgd | Adam | AdamW | RmsProp | Other | Compiled, Field(discriminator="name")]


Decayed = Literal["kernels", "weights"]


class Distil(Node):
    """Distillation from the dense model, see `kp.distil`.

    Args:
        temperature: T, the temperature of the soft targets. Defaults to 4.0.
        weight: Share of the teacher in the loss. Defaults to 0.9; to 1.0 if the data have no labels.
        features: Weight of the distance at the ends of blocks. Defaults to 0.0.
    """

    temperature: PositiveFloat = 4.0
    weight: Share | None = None
    features: NonNegativeFloat = 0.0


class Aware(Node):
    """Training with the rounding of the int8 file, which gets the ranges found, see `kp.quantization_aware`.

    Args:
        delay: Training steps in which BatchNorm uses statistics of the batch; about an epoch. Defaults to 200.
    """

    delay: Annotated[int, Field(ge=0, strict=True)] = 200


class Regularised(Node):
    """Regularisation of the loss.

    `l2` is the papers' weight decay: the loss gains `½ · l2 · Σ w²` over the trainable kernels, or with
    `l2_on: weights` over all trainable variables, biases and BatchNorm too. With `label_smoothing: ε` the class of
    a label has the probability `1 − ε + ε / K`, and each other of K classes `ε / K`.
    """

    l2: NonNegativeFloat = 0.0
    l2_on: Decayed = "kernels"
    label_smoothing: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.0


class Training(Regularised):
    """How a model is trained.

    Args:
        epochs: Epochs of training.
        optimizer: The optimizer, by name.
        batch: Examples per batch. Defaults to `None`: the data section's.
    """

    epochs: PositiveInt
    optimizer: Optimizer
    batch: PositiveInt | None = None

    def one_epoch(self) -> Self:
        """Returns this training with one epoch, in the batches of the data section: that of a smoke run."""
        return self.model_copy(update={"epochs": 1, "batch": None})


class Fit(Training):
    """A training stage."""

    callbacks: tuple[Callback, ...] = ()


class Finetune(Fit):
    """Training of the slim model.

    Args:
        distil: The dense model as teacher; `{}` for its defaults. Defaults to `None`.
        quantization_aware: Rounding as in the int8 file; `{}` for its defaults. Defaults to `None`.
        deliver: The slim model of the run: the best on validation examples of all steps after the cut and all epochs,
            by the first metric, else by the loss, or without labels by the outputs; or the last. Defaults to `best`.
    """

    distil: Distil | None = None
    quantization_aware: Aware | None = None
    deliver: Literal[DELIVERED] = "best"  # type: ignore[valid-type]
