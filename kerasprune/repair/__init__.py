"""What a cut lost, without training: reconstruction from data, and data from the model itself."""
