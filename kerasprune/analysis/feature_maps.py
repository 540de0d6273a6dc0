"""Mean feature maps of the last convolution."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune.data.signature import inputs_of
from kerasprune.errors import PruneError
from kerasprune.graph.graph import check_finite_weights
from kerasprune.graph.rule import channel_axis
from kerasprune.graph.trace import trace
from kerasprune.repair.reconstruction.program import Program, ProgramRun

_CONVOLUTION_RANK = 4  # of a kernel: height, width, two axes of channels


def mean_feature_maps(model: keras.Model, images: Any) -> np.ndarray:
    """Returns the mean absolute value of the last convolution's output over its channels.

        A[y, x] = 1/C · Σ_c |F[y, x, c]|

    Args:
        model: A model of images; it is left untouched.
        images: `(images, height, width, channels)`, as the model takes them.

    Returns:
        `(images, height, width)` of the last convolution.

    Raises:
        PruneError: The model has no convolution over two axes, the images do not fit, or a number is not finite.

    Example:
        >>> import keras, kerasprune as kp
        >>> kp.analysis.mean_feature_maps(kp.models.resnet_cifar(8), keras.ops.zeros((2, 32, 32, 3))).shape
        (2, 8, 8)

    Reference:
        Wang et al., Accelerate CNNs from Three Dimensions: A Comprehensive Pruning Framework, ICML 2021, Fig. 5.
    """
    check_finite_weights(model)
    kernels = trace(model, unknown="freeze").kernels
    convolutions = [kernel.owner for kernel in kernels if len(kernel.variable.shape) == _CONVOLUTION_RANK]
    if not convolutions:
        raise PruneError(f"Expected a model with a convolution over two axes. Received: {model.name!r}, without one.")
    last, program = convolutions[-1], Program(model)
    made = [step.outputs[0] for step in program.steps if step.operation is last]
    ((found,),) = ProgramRun(program, [inputs_of(model).checked(images)]).batches(made[-1])
    return ops.convert_to_numpy(ops.mean(ops.abs(ops.cast(found, "float32")), axis=channel_axis(last)))
