"""Callbacks for `model.fit`, one file per pruning method."""

from kerasprune.registry import callbacks, family, lazy

__getattr__, __dir__, __all__ = lazy(
    family(
        callbacks,
        "callbacks",
        {
            "Loop": "kerasprune.attaching.loop:Loop",
            "PruningCallback": "kerasprune.attaching.callback:PruningCallback",
            "custom_loop": "kerasprune.attaching.loop:custom_loop",
            "detach": "kerasprune.attaching.fit:detach",
            "member": "kerasprune.registry:callbacks.member",
        },
    )
)
