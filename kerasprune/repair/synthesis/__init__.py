"""Examples drawn from the model itself, by the statistics of its BatchNorm layers, for those who have no data."""
