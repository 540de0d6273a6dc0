"""The registry of callbacks."""

from __future__ import annotations

from kerasprune.registry import Registry

callbacks = Registry(
    "callback",
    {
        "freeze_kept": "kerasprune.callbacks.freeze_kept:FreezeKept",
        "gradual_magnitude": "kerasprune.callbacks.gradual_magnitude:GradualMagnitude",
        "greg1": "kerasprune.callbacks.greg1:GReg1",
        "greg2": "kerasprune.callbacks.greg2:GReg2",
        "group_lasso": "kerasprune.callbacks.group_lasso:GroupLasso",
        "hold_mask": "kerasprune.callbacks.hold_mask:HoldMask",
        "increg": "kerasprune.callbacks.increg:IncReg",
        "iterative_magnitude": "kerasprune.callbacks.iterative_magnitude:IterativeMagnitude",
        "learning_rate_rewinding": "kerasprune.callbacks.learning_rate_rewinding:LearningRateRewinding",
        "network_slimming": "kerasprune.callbacks.network_slimming:NetworkSlimming",
        "norm_history": "kerasprune.callbacks.norm_history:NormHistory",
        "polarization": "kerasprune.callbacks.polarization:Polarization",
        "resume": "kerasprune.callbacks.resume:Resume",
        "soft_filter_pruning": "kerasprune.callbacks.soft_filter_pruning:SoftFilterPruning",
        "sparsity": "kerasprune.callbacks.sparsity:Sparsity",
        "trained_quantization": "kerasprune.callbacks.trained_quantization:TrainedQuantization",
    },
    table="callbacks",
)
