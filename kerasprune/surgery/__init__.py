"""Carrying a plan out: rebuild, mask, absorb constants, reorder, reinitialise."""
