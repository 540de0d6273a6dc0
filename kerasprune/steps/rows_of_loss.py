"""Arrays whose rows belong together by the loss, such as triplets, as whole batches in their order."""

from __future__ import annotations

from typing import Any

import keras

from kerasprune.criteria.batch_loss import batch_loss, batches_for_loss, output_loss
from kerasprune.criteria.row_order import order_matters
from kerasprune.data.arrays_or_batches import rows_of
from kerasprune.data.batches import Batch
from kerasprune.data.examples import Examples
from kerasprune.data.held_out import whole_batches
from kerasprune.data.stored_rows import StoredRows
from kerasprune.errors import PruneError
from kerasprune.surgery.comparison import outputs_of


def in_order_of_loss(examples: Examples, model: keras.Model, loss: Any) -> Examples:
    """Returns arrays as whole batches if their loss depends on the order of rows; other examples as they are.

    Args:
        examples: The examples.
        model: The model that takes them.
        loss: Its loss, or `None`.

    Raises:
        PruneError: The loss cannot be computed of a batch, but of fewer rows.
    """
    stored = isinstance(examples.data, StoredRows)
    if not (examples.arrays or stored) or examples.fixed or loss is None or not examples.labelled:
        return examples
    size = min(examples.batch, examples.count()[0])
    batch = next(batches_for_loss([examples.data[0] if stored else rows_of(examples.data, slice(size))], model, loss))
    # A model takes texts as tensors, and then numbers as tensors, too.
    batch = batch._replace(inputs=keras.tree.map_structure(keras.ops.convert_to_tensor, batch.inputs))
    most = _computable(model, loss, batch)
    if 0 < most < size:
        raise PruneError(
            f"Expected a batch that the loss can be computed of. Received: batch={size}; it raises an error, but not "
            f"of {most} rows. Give batch= as in fit: a multiple of the rows that belong together."
        )
    return whole_batches(examples, size) if most and order_matters(batch_loss(model, loss), batch) else examples


def _computable(model: keras.Model, loss: Any, batch: Batch) -> int:
    """Returns the largest number of the first rows of a batch of which a loss raises no error; 0 without any."""
    of_outputs = output_loss(model, loss)
    outputs = list(map(keras.ops.convert_to_tensor, outputs_of(model, batch.inputs)))

    def computes(count: int) -> bool:
        try:
            of_outputs(*rows_of((outputs, batch.labels, batch.weights), slice(count)))
        except Exception:  # noqa: BLE001, a loss may be anyone's
            return False
        return True

    return next(filter(computes, range(batch.size, 0, -1)), 0)
