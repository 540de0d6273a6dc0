"""Quantization-aware training: a model trained with the rounding of its int8 file."""
