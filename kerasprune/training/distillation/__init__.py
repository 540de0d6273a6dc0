"""The dense model as a teacher of the slim one: `kp.distil` with its temperature and weight; label smoothing."""
