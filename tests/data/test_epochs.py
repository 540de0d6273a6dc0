"""Epochs: permutations that depend on (seed, epoch) and nothing else, however they are iterated."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasprune.data.epochs import epochs, passes, rest_of_epoch
from kerasprune.data.sources import Indexed, Streamed

COUNT, BATCH, STEPS = 70, 8, 8


def indexed() -> Indexed:
    return Indexed(np.arange(COUNT), lambda number: tf.cast(tf.fill((1, 1, 3), number), tf.uint8))


def streamed() -> Streamed:
    numbers = tf.data.Dataset.range(COUNT)
    records = numbers.map(lambda number: (tf.strings.as_string(number), number))
    return Streamed(
        COUNT, records, lambda text: tf.cast(tf.fill((1, 1, 3), tf.strings.to_number(text)), tf.uint8), window=30
    )


def frame(image: tf.Tensor, seed: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
    """The image's number, and a random number in place of an augmentation."""
    return tf.stack([tf.cast(image[0, 0, 0], tf.float32), tf.random.stateless_uniform((), seed)])


def made(images=indexed, seed=0, first_epoch=0) -> tf.data.Dataset:
    return epochs(images(), frame, batch=BATCH, seed=seed, first_epoch=first_epoch)


def read(dataset: tf.data.Dataset) -> np.ndarray:
    return np.concatenate([images.numpy() for images, _ in dataset])


both = pytest.mark.parametrize("images", [indexed, streamed])


@both
def test_an_epoch_shows_every_image_at_most_once_with_its_label(images):
    for shown, labels in (dataset := made(images)):
        np.testing.assert_array_equal(shown[:, 0], labels)
    numbers = read(dataset)[:, 0]
    assert len(numbers) == len(set(numbers)) == STEPS * BATCH
    assert list(numbers) != sorted(numbers)


@both
def test_epochs_differ_and_are_the_same_in_another_data_set_that_begins_later(images):
    dataset = made(images)
    first, second, third = (read(dataset) for _ in range(3))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(read(made(images, first_epoch=2)), third)
    later = made(images, first_epoch=1)
    np.testing.assert_array_equal(read(later), second)
    np.testing.assert_array_equal(read(later), third)
    assert not np.array_equal(read(made(images, seed=1)), first)


@both
def test_the_global_seed_does_not_matter(images):
    tf.random.set_seed(1)
    first = read(made(images))
    tf.random.set_seed(2)
    np.testing.assert_array_equal(read(made(images)), first)
    # Nor is it changed by making a data set.
    tf.random.set_seed(2)
    expected = tf.random.uniform((3,)).numpy()
    tf.random.set_seed(2)
    made(images)
    np.testing.assert_array_equal(tf.random.uniform((3,)), expected)


@both
def test_an_iteration_that_is_broken_off_does_not_count(images):
    expected = read(made(images))
    dataset = made(images)
    for _ in range(3):
        next(iter(dataset))
    np.testing.assert_array_equal(read(dataset), expected)


def test_two_iterations_side_by_side_count_once():
    dataset, reference = made(), made()
    left, right = iter(dataset), iter(dataset)
    for _ in range(STEPS):
        np.testing.assert_array_equal(next(left)[1], next(right)[1])
    read(reference)
    np.testing.assert_array_equal(read(dataset), read(reference))


def test_augmentation_changes_from_epoch_to_epoch_and_from_image_to_image():
    dataset = made()
    first, second = (dict(read(dataset)) for _ in range(2))
    shared = first.keys() & second.keys()
    assert len(shared) > 50
    assert all(first[number] != second[number] for number in shared)
    assert len(set(first.values())) == len(first)


@pytest.mark.matrix
@both
@pytest.mark.parametrize("first_step", [1, 5, STEPS - 1])
def test_the_rest_of_an_epoch_is_its_end(images, first_step):
    expected = read(made(images, first_epoch=3))[first_step * BATCH :]
    rest = rest_of_epoch(images(), frame, batch=BATCH, seed=0, epoch=3, first_step=first_step)
    assert len(rest) == STEPS - first_step
    for _ in range(2):
        np.testing.assert_array_equal(read(rest), expected)


@pytest.mark.matrix
@both
@pytest.mark.parametrize("execution", [1, 3])
def test_fit_is_given_one_epoch_after_another(images, execution):
    seen = []

    class Look(keras.layers.Layer):
        def call(self, inputs):
            tf.py_function(lambda value: seen.append(value.numpy()), [inputs], [])
            return inputs

    model = keras.Sequential([keras.Input((2,)), Look(), keras.layers.Dense(1)])
    model.compile("sgd", "mse", steps_per_execution=execution)
    dataset = made(images)
    model.fit(dataset, epochs=2, verbose=0, shuffle=False)
    model.fit(dataset, epochs=1, verbose=0, shuffle=False)
    reference = made(images)
    expected = np.concatenate([read(reference) for _ in range(3)])
    np.testing.assert_array_equal(np.concatenate(seen), expected)


def test_repeating_a_data_set_gives_one_epoch_after_another():
    reference = made()
    expected = np.concatenate([read(reference) for _ in range(3)])
    np.testing.assert_array_equal(read(made().repeat(3)), expected)


def test_every_image_is_about_equally_often_the_first():
    # Of 600 epochs of 6 images, each begins 100, with a standard deviation of 9.
    images = Indexed(np.arange(6), lambda number: number)
    seeds = tf.data.Dataset.range(600).map(lambda epoch: tf.random.fold_in(tf.constant([0, 0], tf.int64), epoch))
    first = list(seeds.flat_map(lambda seed: images.shuffled(seed).take(1)).as_numpy_iterator())
    assert np.bincount(first, minlength=6).min() > 65


@both
def test_passes_show_all_images_in_order_and_count_the_epochs(images):
    def numbered(image: tf.Tensor, seed: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        return tf.stack([tf.cast(image[0, 0, 0], tf.int64), epoch, seed[0]])

    dataset = passes(images(), numbered, batch=BATCH, first_epoch=4)
    assert len(dataset) == STEPS + 1
    next(iter(dataset))  # broken off, so that it does not count
    for epoch in (4, 5):
        np.testing.assert_array_equal(read(dataset), [[number, epoch, 0] for number in range(COUNT)])
