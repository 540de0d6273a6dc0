"""Keywords of `fit` and of other libraries are answered with what replaces them."""

from __future__ import annotations

import inspect
import re

import keras
import pytest

import kerasprune as kp
from kerasprune.steps.keywords import REMEDIES

TAKEN = inspect.signature(kp.prune).parameters


def test_every_keyword_of_fit_is_taken_or_answered():
    assert {"self", *TAKEN, *REMEDIES} >= set(inspect.signature(keras.Model.fit).parameters)


@pytest.mark.parametrize("name", REMEDIES)
def test_the_answer_names_the_keyword_and_arguments_that_exist(name):
    assert name not in TAKEN and TAKEN.keys() >= set(re.findall(r"(\w+)=", REMEDIES[name]))
    with pytest.raises(kp.PruneError, match=re.escape(f"Received: the keyword {name}. {REMEDIES[name]}")):
        kp.prune(None, **{name: 0.5})


def test_all_unknown_keywords_are_named_with_the_nearest():
    with pytest.raises(kp.PruneError, match="Received: the keyword epoch. Did you mean 'epochs'?") as raised:
        kp.prune(None, epoch=3, batch_size=32)
    assert len(raised.value.faults) == 2
