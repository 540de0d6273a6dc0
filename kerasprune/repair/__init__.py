"""Repairs a cut without training: `reconstruction` by least squares, and `synthesis` of examples for lack of data."""
