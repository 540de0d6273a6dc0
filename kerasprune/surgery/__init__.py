"""Applies a plan to a model: rebuild, mask, absorb constants, reorder, resize, reinitialise."""
