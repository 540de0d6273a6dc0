"""Remedies of the room of KerasHub that are followed; those that need it installed are tried in tests/hub."""

from __future__ import annotations

import numpy as np

import kerasprune as kp
from kerasprune.hub.same_class import choose_in_order
from support.remedies.networks import X, dense
from support.remedies.places import Case

CASES = [
    Case(
        "hub/shrinking.py",
        "Take kp.prune for others",
        lambda: kp.hub.shrink(dense(), hidden=3),
        lambda: kp.prune(dense(), keep=0.5, data=X),
    ),
    Case(
        "hub/same_class.py",
        "Give another number of layers",
        lambda: choose_in_order(np.ones(3), "aab", "ba"),
        lambda: choose_in_order(np.ones(3), "aab", "a"),
    ),
]
CANNOT_BE_RUN = [
    ("hub/config_within.py", "Give a larger one"),  # needs KerasHub, as do those below
    ("hub/same_class.py", "layers are numbered"),
    ("hub/same_class.py", "Expected the same weights in every layer"),
    ("hub/class_plans.py", "Expected a config with which"),
    ("hub/same_cut.py", "Expected layers that can hold"),
    ("hub/shrinking.py", "whose config has widths"),
]
