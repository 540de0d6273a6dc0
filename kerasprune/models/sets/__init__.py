"""Data sets built in, or read by name: digits, glyphs, `tfds:` names, users' functions."""
