"""Changes of a training step that are taken back: sessions, masks, constraints, and the base of callbacks."""
