"""Behaviours for `model.fit`: one file per method."""

from kerasprune.registry import callbacks, family, lazy

__getattr__, __dir__, __all__ = lazy(
    family(
        callbacks,
        "callbacks",
        {
            "Loop": "kerasprune.training.loop:Loop",
            "PruningCallback": "kerasprune.training.callback:PruningCallback",
            "custom_loop": "kerasprune.training.loop:custom_loop",
            "detach": "kerasprune.training.fit:detach",
            "member": "kerasprune.registry:callbacks.member",
        },
    )
)
