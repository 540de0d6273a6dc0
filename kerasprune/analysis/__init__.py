"""Looks at trained networks."""
