"""The arguments of a member are what its signature says; a name alone imports nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.refusal import refusal

from kerasprune.recipes import lookup
from kerasprune.recipes.registry import families

TEXT = """\
name: tiny
why: A test.
model: {name: resnet_cifar}
data: {name: digits, size: 16}
prune:
  plan: {criterion: lamp, budget: global, keep: 0.5}
  callback: {name: greg1}
  optimizer: {name: sgd, learning_rate: 1e-3}
train: {epochs: 1, optimizer: {name: sgd, learning_rate: 1e-3}}
"""


def test_names_alone_are_checked_without_importing_what_they_name():
    heavy = "[each for each in ('keras', 'numpy', 'kerasprune.callbacks.greg1') if each in sys.modules]"
    code = f"import sys; from kerasprune.recipes import loader; loader.parse({TEXT!r}); print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("family", families)
def test_every_member_says_its_arguments(family):
    for name in families.member(family).built_in:
        names = lookup.arguments_of(family, name)
        others = [each for each, default in names.items() if not isinstance(default, bool)]
        assert not lookup.faults(family, name, dict.fromkeys(others), False)
        known = lookup.faults(family, name, {"no_such_argument": 1}, False)
        assert bool(known) == (lookup.ANYTHING not in names), name


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("prune.callback.strct=true", "callback 'greg1' has no argument 'strct'. Did you mean 'strict'?"),
        ("prune.plan.criterion={name: snip, traning: true}", "criterion 'snip' has no argument 'traning'"),
        ("prune.plan.criterion={name: snip, training: 1}", "Expected training of criterion 'snip' to be true or false"),
        ("prune.callback={name: greg2, keep: 0.5, weight_decay: text}", "Expected weight_decay of callback 'greg2'"),
        ("prune.callback={name: greg2, keep: 0.5, weight_decay: .nan}", "Received: weight_decay=nan"),
        ("prune.plan.budget={name: per_stage, keeep: [1]}", "budget 'per_stage' has no argument 'keeep'"),
    ],
)
def test_arguments_are_those_of_the_signature(setting, words):
    assert words in refusal(TEXT, setting)


def test_a_member_that_is_added_is_asked_itself():
    registry = families.member("criterion")
    registry.add("of_a_user")(lambda power, **more: None)
    try:
        assert [*lookup.arguments_of("criterion", "of_a_user")] == ["power", lookup.ANYTHING]
        assert not lookup.faults("criterion", "of_a_user", {}, False)
    finally:
        del registry._added["of_a_user"]


@pytest.mark.parametrize("value", ["text", float("nan"), float("inf"), True, [1.0]])
def test_numbers_are_finite_numbers_in_every_member(value):
    for family in families:
        for name in families.member(family).names():
            for key, default in lookup.arguments_of(family, name).items():
                if type(default) in (int, float):
                    assert key in " ".join(lookup.faults(family, name, {key: value}, False)), (family, name, key)
