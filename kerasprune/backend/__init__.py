"""Derivatives of functions of variables on TensorFlow, JAX and torch."""
