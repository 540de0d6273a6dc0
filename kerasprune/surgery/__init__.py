"""Applies a plan to a model: rebuild, mask, verify, absorb constants, reorder, resize, reinitialise."""
