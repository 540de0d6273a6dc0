"""Distillation: a slim model learns from the dense one; label smoothing."""
