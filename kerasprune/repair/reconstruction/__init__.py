"""Kernels of a slim model solved by least squares for the dense model's outputs, and recalibrated BatchNorm."""
