"""Where is computed: on which device, by how many threads, how convolutions are trained, how devices share a batch."""

from __future__ import annotations

import os
import platform
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import keras
from threadpoolctl import ThreadpoolController

from kerasprune._keras import undivided_remainders
from kerasprune.errors import warn

_SMALL = 2**34  # multiplications, a second of one core


def device() -> str:
    """Returns the device on which Keras computes, as its backend calls it, such as `"gpu:0"`."""
    return str(keras.ops.zeros(()).device).rpartition("device:")[2].lower()


def trains_by_onednn() -> bool:
    """Returns whether oneDNN trains convolutions here: on TensorFlow, on an x86 processor, without a GPU.

    Its gradient of a strided 1×1 kernel may end the process.
    """
    if keras.backend.backend() != "tensorflow" or platform.machine() not in ("x86_64", "AMD64"):
        return False
    import tensorflow as tf

    switched_off = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() in ("0", "false")
    return not switched_off and not tf.config.get_visible_devices("GPU")


def replicas() -> int:
    """Returns how many devices share a batch in `fit`, `evaluate` and `predict`.

    Under `keras.distribution`, on JAX, which refuses a batch that is no multiple of them. 1 otherwise: a strategy of
    TensorFlow divides any batch.
    """
    distribution = keras.distribution.distribution()
    if keras.backend.backend() != "jax" or distribution is None:
        return 1
    mesh = distribution.device_mesh
    return int(mesh.shape[mesh.axis_names.index(distribution.batch_dim_name)])


def multiple_of_replicas(batch: int) -> int:
    """Returns the smallest multiple of the replicas that is not below a number of examples."""
    return -(-batch // replicas()) * replicas()


def warn_of_one_device(model: keras.Model) -> None:
    """Warns if a strategy of TensorFlow holds a model on several devices, outside of whose scope copies have one."""
    first = next(iter(model.variables), None)
    if keras.backend.backend() != "tensorflow" or first is None:
        return
    import tensorflow as tf

    if isinstance(first.value, tf.distribute.DistributedValues) and not tf.distribute.has_strategy():
        number = first.value.distribute_strategy.num_replicas_in_sync
        warn(
            f"{model.name!r} was made under a strategy of {number} devices, and the slim model is made outside of its "
            "scope: it is held, and fine-tuned, on one device. Call this within strategy.scope() for all."
        )


def with_remainders() -> AbstractContextManager[None]:
    """Returns a context in which batches of any size can be fitted, evaluated and predicted.

    What the replicas cannot share, such as the last batch of an epoch, is computed whole by each: as on one device,
    neither lost, nor padded, which metrics without weights would count and a BatchNorm average. Several processes read
    examples of their own, as Keras divides them.
    """
    if replicas() == 1:
        return nullcontext()
    import jax

    return undivided_remainders(replicas()) if jax.process_count() == 1 else nullcontext()


def one_thread_if_small(multiplications: int) -> AbstractContextManager:
    """Returns a block within which a small problem is solved by one thread.

    OpenBLAS's threads wait for each other by spinning: many small products cost several times their processor time,
    and three times more than that beside another process.

    Args:
        multiplications: Of the largest product of the problem.

    Example:
        >>> with one_thread_if_small(1000):
        ...     pass
    """
    return nullcontext() if multiplications > _SMALL else _pools().limit(limits=1, user_api="blas")


@cache
def _pools() -> ThreadpoolController:
    return ThreadpoolController()
