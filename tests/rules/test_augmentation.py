"""Every layer of Keras that changes images at random has a rule."""

from __future__ import annotations

from keras import layers

from kerasprune.graph.rule import table


def test_every_augmentation_of_keras_has_a_rule():
    base = layers.RandomFlip.__mro__[1]
    assert base.__name__ == "BaseImagePreprocessingLayer"
    kinds = {kind for kind in vars(layers).values() if isinstance(kind, type) and issubclass(kind, base)}
    boxes = {"MaxNumBoundingBoxes"}  # of boxes, not of images
    assert len(kinds) > 20
    assert not {kind.__name__ for kind in kinds - table.load().keys()} - boxes
