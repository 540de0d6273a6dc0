"""Published figures that can be recomputed: one file per source."""
