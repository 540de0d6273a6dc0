# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.export.quantization.aware import quantization_aware as quantization_aware
from kerasprune.export.quantization.bias_correction import correct_biases as correct_biases
from kerasprune.export.quantization.equalisation import equalise as equalise
