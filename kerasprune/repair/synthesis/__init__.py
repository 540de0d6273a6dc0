"""Examples drawn from a model itself, for those who have no data."""
