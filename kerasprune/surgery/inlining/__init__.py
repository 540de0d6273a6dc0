"""Composite layers and subclassed models written out as one functional model: `kp.functional`."""
