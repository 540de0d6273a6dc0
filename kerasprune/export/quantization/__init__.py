"""Models prepared for int8: trained with its rounding, ranges evened out across layers, biases corrected."""
