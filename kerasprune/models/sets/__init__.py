"""Data sets by name: the built-in digits and glyphs, `tfds:` names, users' functions; augmentation of images."""
