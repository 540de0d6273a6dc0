"""The numbers and words that every way of pruning shares: known without Keras, by which recipes are checked."""

BATCH = 128
"""Examples per batch."""

SAMPLES = 1000
"""Examples that a reconstruction or a recalibration reads."""

DELTA = 0.005
"""Half the width of the window around a fraction of multiply–adds or parameters that candidates are to have."""

JUDGED = 256
"""Examples that the error of the outputs is measured on."""

BEFORE_TRAINING = 0.1
"""The slack of a reconstruction that training follows."""

RATE, MOMENTUM = 0.01, 0.9
"""Of SGD, with which a slim model is fine-tuned; the rate falls by half a cosine."""

OTHER_RATE = 0.001
"""Of any other optimizer by name, likewise."""

ADAM_RATE = 1e-4
"""Of Adam, in place of a compiled optimizer that cannot be made anew."""

TEACHER_WEIGHT = 0.9
"""Share of the dense model in the loss of fine-tuning, if there are labels too."""

DELIVERED = ("best", "last")
"""Which model a fine-tuning hands over: the best of its epochs and of the steps before, or the last."""

SEED_OF_PRUNING, SEED_OF_FINETUNING = 1, 2
"""What is added to the seed of a run before each of these steps, so that no two draw the same numbers."""

READY = ("removed", "recalibrated", "reconstructed")
"""How slim models are made ready to be judged before they are trained: not at all, BatchNorm anew, least squares."""

COUPLINGS = ("tied", "free", "padded")
"""The residual width modes: added tensors share their channels, keep their width, or a branch may end narrower."""
