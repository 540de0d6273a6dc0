"""How a training step is changed, and changed back: the base of callbacks, sessions, masks, constraints, clocks."""
