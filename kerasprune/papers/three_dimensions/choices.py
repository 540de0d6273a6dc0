"""The words that arguments of workflows may be, apart from what they name: a recipe is checked without Keras."""

CONSTRAINTS = ("macs", "volume")
"""What `three_dimensions` holds a network to: its multiply–adds, or the volume d·w²·r²."""
