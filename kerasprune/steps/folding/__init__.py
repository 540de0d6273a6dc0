"""Model Folding (`kp.fold`): similar channels are merged, instead of keeping some and removing the others."""
