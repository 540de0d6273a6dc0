"""A slim model taught by the dense one: `kp.distil`, and labels that are softened."""
