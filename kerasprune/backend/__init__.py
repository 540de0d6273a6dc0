"""TensorFlow, JAX and torch, a file each: derivatives, precision, forward passes; several devices, crashes told."""

BACKENDS = ("jax", "tensorflow", "torch")
