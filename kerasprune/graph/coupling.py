"""The names of the couplings, apart from the graph, so that a recipe is checked without Keras."""

COUPLINGS = ("tied", "free", "padded")
"""The residual width modes: added tensors share their channels, keep their width, or a branch may end narrower."""
