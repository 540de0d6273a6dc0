"""Linear mode connectivity at small scale: the instability of a dense ResNet-8 on digits, of a ticket and its control.

Instability falls as k grows, and tickets that match the dense accuracy are the stable ones (Frankle et al., ICML 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from kerasprune.analysis.forked_trainings import Instability, instability_from
from kerasprune.data import load
from kerasprune.models import get
from kerasprune.papers.lottery.ablations import shuffled
from kerasprune.papers.lottery.tickets import Ticket, lottery
from kerasprune.recipes.reproductions.entry import AtMost, Note, Row, trains

STABLE = 2.0
"""Points of error: instability up to it is the paper's noise."""


@dataclass(frozen=True)
class LinearModeSetting:
    """The network and the schedule.

    Args:
        epochs: Epochs of the schedule.
        ks: Points k of the dense network, from the beginning on.
        rewind_epochs: k of the ticket, in epochs.
        keep: Fractions of its rounds.
        seeds: Repetitions.
        batch: Size of a batch.
        network: The network, as for `kp.models.get`.
    """

    epochs: int = 16
    ks: Sequence[str] = ("0ep", "1ep", "4ep", "8ep")
    rewind_epochs: int = 1
    keep: Sequence[float] = (0.64, 0.41, 0.26)
    seeds: Sequence[int] = (0, 1, 2)
    batch: int = 64
    network: Mapping[str, Any] = field(default_factory=lambda: {"name": "resnet_cifar", "depth": 8, "seed": 0})

    def fit(self, model: keras.Model, *, resolution: Any, epochs: int, seed: int, initial_epoch: int) -> float:
        """Trains by SGD at 0.1 that falls to 0 as a cosine; returns the accuracy on the test images."""
        data = load("digits", size=16, batch=self.batch, augment="crop", seed=seed % 2**16)
        rate = keras.optimizers.schedules.CosineDecay(0.1, self.epochs * len(data))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss, metrics=["accuracy"])
        model.optimizer.iterations.assign(initial_epoch * len(data))
        model.fit(data, epochs=epochs, initial_epoch=initial_epoch, shuffle=False, verbose=0)
        return float(model.evaluate(test_images(), verbose=0, return_dict=True)["accuracy"])

    def instability(
        self, model: keras.Model, ks: Sequence[str], mask: Mapping[str, np.ndarray] | None = None
    ) -> Instability:
        """Returns the instability from points k."""
        training = load("digits", size=16, batch=256)
        with_statistics = {"recalibrate": training, "points": 11, "seeds": self.seeds}
        return instability_from(model, self.fit, ks, self.epochs, test_images(), mask=mask, **with_statistics)


def test_images() -> Any:
    """Returns the test images of digits."""
    return load("digits", size=16, batch=256, split="test")


@trains
def linear_mode(setting: LinearModeSetting | None = None) -> list[Row]:
    """Returns instabilities in points of error, beside the paper's statements; not run in full so far.

    Reference:
        Frankle et al., Linear Mode Connectivity and the Lottery Ticket Hypothesis, ICML 2020, figures 2, 3 and 5.
    """
    setting = LinearModeSetting() if setting is None else setting
    model = get({**setting.network, "input_shape": (16, 16, 3)})
    dense = setting.instability(model, setting.ks)
    tickets = lottery(
        model,
        setting.fit,
        keep=setting.keep,
        epochs=setting.epochs - setting.rewind_epochs,
        rewind_epochs=setting.rewind_epochs,
    )
    rewound = f"{setting.rewind_epochs}ep"
    masks = {"ticket": tickets[-1].masks, "random masks": shuffled(tickets[-1].masks)}
    sparse = {name: setting.instability(model, [rewound], mask) for name, mask in masks.items()}
    return [*_of_dense(dense), *_of_sparse(sparse, tickets, rewound)]


def _of_dense(dense: Instability) -> list[Row]:
    table = dense.table()
    means = [100 * row["instability"] for row in table]
    notes = [Note(f"dense, from k={row['k']}", "falls as k grows", _cell(row)) for row in table]
    return [
        *notes,
        AtMost(f"dense, from k={table[-1]['k']}", STABLE, means[-1], " points"),
        AtMost(f"dense, k={table[-1]['k']} less k={table[0]['k']}", 0.0, means[-1] - means[0], " points"),
    ]


def _of_sparse(sparse: Mapping[str, Instability], tickets: Sequence[Ticket], k: str) -> list[Row]:
    found = {name: each.table()[0] for name, each in sparse.items()}
    ticket, random = (100 * row["instability"] for row in found.values())
    accuracies = f"{100 * tickets[0].accuracy:.1f} %", f"{100 * tickets[-1].accuracy:.1f} %"
    return [
        Note(f"accuracy of the ticket of {tickets[-1].kept:.0%}, dense beside it", *accuracies[::-1]),
        Note(f"ticket, from k={k}", "stable", _cell(found["ticket"])),
        Note(f"random masks, from k={k}", "not stable", _cell(found["random masks"])),
        AtMost(f"ticket, from k={k}", STABLE, ticket, " points"),
        AtMost(f"ticket less random masks, from k={k}", 0.0, ticket - random, " points"),
    ]


def _cell(row: Mapping[str, Any]) -> str:
    """Returns mean ± standard deviation in points, of the error and of the loss's barrier."""
    spread = [row[f"{name}_deviation"] or 0.0 for name in ("instability", "barrier")]
    return (
        f"{100 * row['instability']:.1f} ± {100 * spread[0]:.1f} points, barrier {row['barrier']:.2f} ± {spread[1]:.2f}"
    )
