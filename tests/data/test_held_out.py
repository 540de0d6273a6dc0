"""A tenth of the data that is set aside: disjoint from the rest, nothing lost, or nothing at all."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasprune.data.examples import Examples
from kerasprune.data.held_out import held_out
from kerasprune.steps.finetune import to_train_on


def numbers(examples: Examples) -> list[int]:
    """Returns the numbers that the inputs of examples are."""
    return sorted(int(n) for batch in examples.batches() for n in np.ravel(batch[0]))


class Rows(keras.utils.PyDataset):
    """Batches of four numbers."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    @property
    def num_batches(self) -> int:
        return self.count

    def __getitem__(self, index: int):
        x = np.arange(4.0) + 4 * index
        return x, x


class Shuffled(Rows):
    """Batches in another order in every epoch."""

    def on_epoch_end(self) -> None:
        pass


@pytest.mark.parametrize(
    ("data", "tenth"),
    [
        ((np.arange(57.0), np.arange(57.0)), 5),
        ((np.arange(7.0), np.arange(7.0)), 1),
        (tf.data.Dataset.range(92).map(lambda n: (n, n)).batch(4), 8),  # two of 23 batches
        (tf.data.Dataset.range(12).map(lambda n: (n, n)).batch(4), 4),
        (Rows(21), 8),
    ],
)
def test_parts_are_disjoint_and_nothing_is_lost(data, tenth):
    whole = Examples(data, 16)
    kept, held = held_out(whole, seed=3)
    assert len(numbers(held)) == tenth and sorted(numbers(kept) + numbers(held)) == numbers(whole)
    assert numbers(held) == numbers(held_out(whole, seed=3)[1])
    assert kept.steps() == sum(1 for _ in kept.batches())


def test_rows_of_files_are_divided_as_arrays_are(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(57.0))
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    for ours, theirs in zip(*(held_out(Examples((x, x), 16), 3) for x in (stored, np.arange(57.0))), strict=True):
        assert numbers(ours) == numbers(theirs) and ours.count() == theirs.count()
        assert ours.batches()[0][0].tolist() == sorted(ours.batches()[0][0])
    trained = to_train_on(held_out(Examples((stored, stored), 16), 3)[0], seed=0)
    orders = []
    for _ in range(2):
        orders.append([int(n) for batch in (trained.data[i] for i in range(trained.steps())) for n in batch[0]])
        trained.data.on_epoch_end()
    assert trained.steps() == 3 and all(len({*order}) == 48 for order in orders)
    assert orders[0] != orders[1] and not {*orders[0]} & {*numbers(held_out(Examples((stored, stored), 16), 3)[1])}


def test_inputs_by_name_weights_and_texts_stay_together():
    inputs = {"a": np.arange(20.0), "b": np.array([f"word {n}" for n in range(20)])}
    kept, held = held_out(Examples((inputs, np.arange(20), np.arange(20.0) / 20)))
    for part, count in ((kept, 18), (held, 2)):
        (found, labels, weights) = part.data
        words = [text.decode() for text in found["b"].numpy()]
        assert len(labels) == count and words == [f"word {n}" for n in labels]
        np.testing.assert_array_equal(found["a"], labels)
        np.testing.assert_allclose(weights, labels / 20)


def test_what_comes_in_another_order_or_at_once_is_not_divided():
    shuffled = tf.data.Dataset.range(64).map(lambda n: (n, n)).shuffle(64).batch(4)
    for data in (shuffled, Shuffled(10), Rows(1), (np.ones(1), np.ones(1))):
        assert held_out(Examples(data)) is None


def test_a_list_of_inputs_without_labels():
    x = np.arange(40.0)
    examples = Examples([x, x + 40], inputs=2)
    kept, tenth = (part.inputs for part in held_out(examples))
    assert sorted([*kept[0], *tenth[0]]) == [*x] and sorted([*kept[1], *tenth[1]]) == [*x + 40]
    assert len(examples.validation_arguments()["validation_data"]) == 1  # to Keras two would be inputs and labels
