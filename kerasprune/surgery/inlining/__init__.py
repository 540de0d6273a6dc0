"""Subclassed models and composite layers written out as one plain functional model: `kp.functional`."""
