"""The words that arguments of the steps may be: a recipe is checked by them without Keras."""

READY = ("removed", "recalibrated", "reconstructed")
"""How slim models are made ready to be judged before they are trained: not at all, BatchNorm anew, least squares."""
