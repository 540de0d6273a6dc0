"""TensorFlow, JAX and torch, a file each: derivatives and full precision; several devices, crashes explained."""

BACKENDS = ("jax", "tensorflow", "torch")
