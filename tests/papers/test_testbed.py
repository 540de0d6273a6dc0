"""The testbed: its images, what masks cost there, and that it runs on JAX without TensorFlow or the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec

import numpy as np
import pytest

import kerasprune as kp
from kerasprune.models.sets.digits import digit_arrays
from kerasprune.papers.lottery_tickets import missing_the_mark, state_of_pruning
from kerasprune.papers.lottery_tickets.testbed import DigitsTestbed, macs_left, scored_examples

WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "tensorflow_datasets", "pydantic", "typer", "yaml"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from kerasprune.papers.lottery_tickets import missing_the_mark, state_of_pruning
from kerasprune.papers.lottery_tickets.testbed import DigitsTestbed
for module, method, variant in ((missing_the_mark, "grasp", "reinitialised"), (state_of_pruning, "layer gradient", "")):
    print(module.measured(DigitsTestbed(epochs=1), method, variant, 0.05, 0)["test"])
"""


def test_the_arrays_are_those_of_load():
    for split in ("validation", "test"):
        images, labels = digit_arrays("digits-500", 16)[split]
        (expected, classes), *_ = kp.data.load("digits-500", size=16, batch=1000, split=split, channels=1)
        np.testing.assert_allclose(images, expected, atol=1e-5)
        np.testing.assert_array_equal(labels, classes)


def test_ten_images_of_every_class_are_scored():
    ((images, labels),) = scored_examples(3)
    assert images.shape == (100, 16, 16, 1) and Counter(labels.tolist()) == dict.fromkeys(range(10), 10)
    assert not np.array_equal(images, scored_examples(4)[0][0])


def test_multiply_adds_that_masks_leave_are_counted_position_by_position():
    model = DigitsTestbed().network(0)
    masks = kp.prune_at_init(model, "random", keep=0.3)
    layers = {layer.name: layer for layer in model.layers}
    left = dense = 0
    for path, mask in masks.items():
        positions = np.prod(layers[path.split("/")[0]].output.shape[1:-1], dtype=int)
        left, dense = left + positions * mask.sum(), dense + positions * mask.size
    np.testing.assert_allclose(macs_left(model, masks), left / dense)


def test_every_cell_is_trained_once_and_seeds_are_complete():
    for module, of_a_fraction in ((missing_the_mark, 1 + 6 * 4), (state_of_pruning, 5)):
        found = list(module.cells([0.1, 0.05], [4, 2]))
        assert len({tuple(cell.values()) for cell in found}) == len(found) == 2 * (1 + 2 * of_a_fraction)
        assert [cell["seed"] for cell in found] == sorted((cell["seed"] for cell in found), reverse=True)


def row(method: str, variant: str, keep: float, seed: int, test: float, macs: float = 0.0) -> dict:
    return {"method": method, "variant": variant, "keep": keep, "seed": seed, "test": test, "macs": macs}


def test_methods_are_compared_seed_by_seed():
    tests = {"random": 80, "grasp": 84, "abs_grasp": 86, missing_the_mark.AFTER: 90}  # SNIP, SynFlow, magnitude: 85
    rows = []
    for seed, offset in enumerate((-8, 0, 8)):  # far larger than the differences, and the same in a pair
        for method in ("random", *missing_the_mark.CRITERIA):
            for variant in missing_the_mark.VARIANTS:
                drop = {"mask": 0, "shuffled": -0.2, "reinitialised": 0.1, "inverted": 20}[variant]
                rows.append(row(method, variant, 0.05, seed, tests.get(method, 85) + offset - drop - 0.01 * seed))
    found = {verdict.what: verdict for verdict in missing_the_mark.verdicts(rows)}
    differs = {what for what, verdict in found.items() if verdict.cells[-1] != "agrees"}
    after = f"5%: {missing_the_mark.AFTER}, shuffled less as it is"
    assert differs == {
        after,
        *(f"5%: {each}, reinitialised less as it is" for each in ("snip", "synflow", "magnitude at init", "grasp")),
        "5%: grasp, inverted less as it is",
    }
    np.testing.assert_allclose(found[after].ours, 0.2)
    assert len(found) == 4 + 4 + 4 * 3 + 2 + 1


def test_accuracy_at_a_speedup_lies_on_the_line_between_two_networks():
    method = "global magnitude"
    rows = [row(method, state_of_pruning.VARIANT, k, 0, t, m) for k, t, m in ((0.1, 90, 0.4), (0.02, 70, 0.1))]
    rows += [row(method, state_of_pruning.VARIANT, 0.1, 1, 60, 0.4)]
    assert state_of_pruning.at_speedup(rows, method, 5) == {0: pytest.approx(80)}  # 0.2, half way from 0.4 to 0.1
    assert state_of_pruning.at_speedup(rows, method, 20) == {}


@pytest.mark.thorough
def test_a_dense_network_is_trained_once_for_each_folder(tmp_path):
    testbed = DigitsTestbed(epochs=1, folder=tmp_path)
    first, second = (testbed.trained(0).get_weights() for _ in range(2))
    assert [file.name for file in tmp_path.iterdir()] == ["dense_0.npz"]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.thorough
@pytest.mark.skipif(find_spec("jax") is None, reason="needs JAX, pip install '.[jax]'")
def test_it_runs_on_jax_without_tensorflow_and_the_command_line():
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 2
