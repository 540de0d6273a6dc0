"""Default numbers and names that all ways of pruning share, available without Keras."""

BATCH = 128
"""Examples per batch."""

SAMPLES = 1000
"""Examples that a reconstruction or a recalibration reads."""

DELTA = 0.005
"""Half the width of the window around the fraction of multiply–adds or parameters of candidates."""

JUDGED = 256
"""Examples for measuring the error of the outputs."""

BEFORE_TRAINING = 0.1
"""The slack of a reconstruction before training."""

RATE, MOMENTUM = 0.01, 0.9
"""Of SGD, with which a slim model is fine-tuned; the rate falls by half a cosine."""

OTHER_RATE = 0.001
"""Of any other optimizer by name, likewise."""

ADAM_RATE = 1e-4
"""Of Adam, in place of a compiled optimizer that cannot be copied."""

TEACHER_WEIGHT = 0.9
"""Share of the dense model in the loss of fine-tuning with labels."""

DELIVERED = ("best", "last")
"""Which model fine-tuning returns: the best of its epochs and of the steps before, or the last."""

SEED_OF_PRUNING, SEED_OF_FINETUNING = 1, 2
"""Offsets to the seed of a run for each of these steps, so that no two draw the same numbers."""

READY = ("removed", "recalibrated", "reconstructed")
"""Preparation of slim models before they are judged untrained: none, recalibrated BatchNorm, least squares."""

COUPLINGS = ("tied", "free", "padded")
"""The residual width modes: added tensors share their channels, keep their width, or a branch may end narrower."""

AUTO = "auto"
"""As `round_to`: multiples that kernels of processors and cards are fast with, where a cost is asked."""

COSTS = ("macs", "params", "time", "bytes", "memory")
"""What may be small."""

OF_MICROCONTROLLERS = "tflite-int8-io"
"""The format of files whose inputs and outputs are integers, too."""

OF_MEMORY = "int8"
"""Precision of a file whose RAM is a target: microcontrollers compute in integers."""
