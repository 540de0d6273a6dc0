"""Changes to a training step that are undone after `fit`: the base of callbacks, sessions, masks and constraints."""
