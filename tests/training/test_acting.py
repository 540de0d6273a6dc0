"""No callback is silent where it does not act: the table of callbacks, optimizers and loops, and what is said.

python tests/training/test_acting.py [lines.jsonl]    # tries all cells, for minutes, and writes the table anew
"""

from __future__ import annotations

import itertools
import json
import re
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
from support import acting_table
from support.acting_table import CELLS, LOOPS, OPTIMIZERS, ROWS, cell, compiled, composed, read, samples, table
from support.processes import run_python

import kerasprune as kp
from kerasprune.surgery.custom_train_step import asks_for_losses, asks_for_updates

PAGE = Path(__file__).parents[2] / "docs" / "callbacks-and-loops.md"
MARKED = re.compile(r"(?<=<!-- acting -->\n).*?(?=<!-- /acting -->)", re.S)
ON_TENSORFLOW = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the table is TensorFlow's")
REPLICAS = """
import tensorflow as tf
cpus = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2)
"""


def _written() -> dict[tuple[str, str, str], str]:
    return read(MARKED.search(PAGE.read_text(encoding="utf-8"))[0])


def test_the_table_is_whole_and_nothing_is_silent():
    cells = _written()
    assert set(cells) == set(CELLS)
    assert set(cells.values()) == {"acts", "warns", "refuses"}
    apart = {cells[row, optimizer, "fit"] for row in ROWS for optimizer in OPTIMIZERS if "decoupled" in row}
    assert apart == {"acts"}


# Every callback, every optimizer and every loop of one process at least once.
DIAGONAL = [
    ("GradualMagnitude", "Adam", "own step without losses"),
    ("FreezeKept", "AdamW", "own step"),
    ("HoldMask", "SGD", "assign_sub"),
    ("IterativeMagnitude", "Lion", "EMA"),
    ("LearningRateRewinding", "AdamW", "mixed precision"),
    ("SoftFilterPruning", "momentum", "EMA"),
    ("ShrinkRounds", "SGD", "assign_sub"),
    ("TrainedQuantization", "AdamW", "EMA"),
    ("GReg1", "momentum", "own step without losses"),
    ("GReg1, decoupled", "Adam", "fit"),
    ("GReg2", "Adam", "own step"),
    ("GReg2, decoupled", "AdamW", "mixed precision"),
    ("IncReg", "momentum", "accumulation"),
    ("IncReg, decoupled", "Lion", "accumulation"),
    ("GroupLasso", "Lion", "own step without losses"),
    ("NetworkSlimming", "SGD", "assign_sub"),
    ("NetworkSlimming, decoupled", "Adam", "fit"),
    ("Polarization", "SGD", "own step"),
    ("Polarization, decoupled", "Lion", "own step without losses"),
]


@pytest.mark.matrix
@ON_TENSORFLOW
@pytest.mark.parametrize("where", DIAGONAL, ids=" - ".join)
def test_a_cell(where):
    assert cell(*where) == composed(_written(), *where)


@ON_TENSORFLOW
@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_all_cells(row):
    loops = [loop for loop in LOOPS if loop != "MirroredStrategy"]
    found = {(row, *rest): cell(row, *rest) for rest in itertools.product(OPTIMIZERS, loops)}
    written = _written()
    assert found == {where: composed(written, *where) for where in found}
    code = f"{REPLICAS}\nfrom support.acting_table import OPTIMIZERS, cell\n"
    code += f"print([cell({row!r}, name, 'MirroredStrategy') for name in OPTIMIZERS])"
    replicas = eval(run_python(code).splitlines()[-1])
    assert replicas == [composed(written, row, name, "MirroredStrategy") for name in OPTIMIZERS]


class Hidden(keras.Model):
    """A train step that asks for the losses through a function beside it."""

    def train_step(self, data):
        return _whole(self, data)


def _whole(model, data):
    return model.compute_loss(*data)


def test_what_a_step_asks_for_is_read_from_its_code():
    def read_of(cls):
        inputs = keras.Input((2,))
        model = cls(inputs, keras.layers.Dense(1)(inputs))
        return asks_for_losses(model), asks_for_updates(model)

    assert read_of(keras.Model) == (True, True)
    assert read_of(acting_table.WithLosses) == (True, True)
    assert read_of(acting_table.WithoutLosses) == (False, True)
    assert read_of(acting_table.AssignSub) == (True, False)
    assert read_of(Hidden) == (True, False)


@ON_TENSORFLOW
def test_what_can_be_known_is_said_when_the_fit_begins():
    """Before the first step, with the remedy."""
    for optimizer, loop, remedy in (
        ("Adam", "fit", "decoupled=True"),
        ("SGD", "own step without losses", "self.compute_loss"),
        ("SGD", "assign_sub", "optimizer.apply"),
    ):
        model = compiled(optimizer, loop)
        callback = kp.callbacks.GReg1(keep=0.5, decoupled=loop == "assign_sub")
        callback.set_model(model)
        callback.set_params({"steps": 4, "epochs": 1})
        with pytest.warns(UserWarning, match=f"GReg1 may not act: .*{re.escape(remedy)}"):
            callback.on_train_begin()
        kp.callbacks.detach(model)


@ON_TENSORFLOW
def test_weights_that_do_not_shrink_are_found_out():
    """The penalty is in the loss, and its gradient is thrown away."""

    class Thrown(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x, y, self(x, training=True)) - tf.add_n(self.losses)
                loss += tf.stop_gradient(tf.add_n(self.losses))
            variables = self.trainable_variables
            self.optimizer.apply([0.0 * g for g in tape.gradient(loss, [v.value for v in variables])], variables)
            return {"loss": loss}

    model = acting_table.network(Thrown)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    callback = kp.callbacks.GReg1(keep=0.5, schedule={"step": 1.0, "ceiling": 1.0, "every": 1, "settle": 40})
    with pytest.raises(kp.PruneError, match="pushed weights have not shrunk"):
        model.fit(*samples(80), 8, 4, verbose=0, callbacks=[callback])


@ON_TENSORFLOW
def test_rebuild_warns_of_what_is_not_small_and_compiles_alike():
    model = compiled("momentum", "fit")
    callback = kp.callbacks.GReg1(keep=0.5, granularity="channel").compressed(4)
    model.fit(*samples(80), 8, 1, verbose=0, callbacks=[callback])
    with pytest.warns(UserWarning, match=r"have not: their norm is 0\.\d+ of that of the kept ones"):
        slim = kp.rebuild(model, callback.plan, compile="same")
    assert slim.optimizer is not model.optimizer
    assert slim.optimizer.get_config() == model.optimizer.get_config() and slim.loss == "mse"
    slim.fit(*samples(8), verbose=0)
    gone = np.delete(np.arange(acting_table.WIDTH), callback.plan.keep["first"])
    kernel = model.get_layer("last").kernel
    kernel.assign(np.where(np.isin(np.arange(acting_table.WIDTH), gone)[:, None], 0.0, kernel.numpy()))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        kp.rebuild(model, callback.plan)
        kp.rebuild(model, kp.plan(model, keep=0.5))  # one-shot removal of what is not small does not warn
    with pytest.raises(kp.PruneError, match="is not compiled"):
        kp.rebuild(acting_table.network(), kp.Plan({"first": [0]}), compile="same")
    with pytest.raises(kp.PruneError, match="compile='sane'"):
        kp.rebuild(model, callback.plan, compile="sane")


if __name__ == "__main__":
    # Cells that were tried before stand in a file of lines, so that a run that is broken off can go on.
    exec(REPLICAS)
    lines = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    cells = {}
    if lines is not None and lines.exists():
        cells = {tuple(line[:3]): line[3] for line in map(json.loads, lines.read_text("utf-8").splitlines())}
    for where in CELLS:
        if where not in cells:
            cells[where] = cell(*where)
            print(*where, cells[where], sep=" | ", flush=True)
            if lines is not None:
                with lines.open("a", encoding="utf-8") as file:
                    print(json.dumps([*where, cells[where]]), file=file)
    text = MARKED.sub(lambda _: f"\n{table(cells)}\n\n", PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(text, encoding="utf-8")
