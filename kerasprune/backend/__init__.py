"""Derivatives of functions of variables, and full precision, on TensorFlow, JAX and torch."""

BACKENDS = ("jax", "tensorflow", "torch")
