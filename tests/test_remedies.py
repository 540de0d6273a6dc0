"""What messages tell the user to do is done: every remedy is followed once, and leads on."""

from __future__ import annotations

import warnings
from collections import Counter

import pytest
from support.remedies import CANNOT_BE_RUN, CASES
from support.remedies.places import Case, places

pytestmark = pytest.mark.experiments  # messages of all rooms

NOT_YET_RUN: dict[str, int] = {
    "analysis/full_batch.py": 1,
    "analysis/judged_weights.py": 2,
    "analysis/path_of_halves.py": 1,
    "callbacks/_bn_penalty.py": 3,
    "callbacks/_growing.py": 2,
    "callbacks/_iterative.py": 3,
    "callbacks/freeze_kept.py": 1,
    "callbacks/gradual_magnitude.py": 1,
    "callbacks/greg1.py": 1,
    "callbacks/norm_history.py": 1,
    "callbacks/resume.py": 1,
    "callbacks/trained_quantization.py": 3,
    "planning/budgets/measured.py": 1,
    "planning/budgets/sensitivity.py": 1,
    "planning/make_plan.py": 3,
    "planning/targets/time.py": 2,
    "repair/reconstruction/reconstruct.py": 1,
    "repair/synthesis/arguments.py": 1,
    "repair/synthesis/drawing.py": 2,
    "repair/synthesis/saved_batches.py": 1,
    "repair/synthesis/scale_of_pixels.py": 1,
    "repair/synthesis/stored_moments.py": 1,
    "steps/chance_level.py": 2,
    "steps/drawn_examples.py": 2,
    "steps/finetune.py": 1,
    "steps/folding/fold.py": 1,
    "steps/keywords.py": 2,
    "steps/objective.py": 1,
    "steps/prune.py": 2,
    "steps/removal.py": 1,
    "steps/repair.py": 1,
    "steps/side_by_side.py": 1,
    "training/bn_scales.py": 1,
    "training/callback.py": 2,
    "training/diagnosis.py": 5,
    "training/distillation/block_features.py": 1,
    "training/distillation/student.py": 3,
    "training/granularity.py": 1,
    "training/loop.py": 2,
    "training/masks.py": 1,
    "training/regularizers/growth.py": 1,
    "training/schedules.py": 2,
    "training/session.py": 1,
    "training/shrinkage.py": 8,
    "training/sparsity/ranking.py": 1,
    "training/trainings.py": 1,
}
"""How many remedies of a file no case follows yet: a number here only falls."""


def _plainly(text: str) -> str:
    return " ".join(text.split())


def _messages(call) -> list[str]:
    """Returns the warnings of a call, and the text of what it raises."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call()
            raised = []
        except Exception as error:  # noqa: BLE001, a foreign error is no message, and shows below
            raised = [f"{error}" if type(error).__name__ == "PruneError" else repr(error)]
    return [_plainly(text) for text in (*(str(each.message) for each in caught), *raised)]


def _cases() -> list:
    """Returns the cases; the first quick one of each room is in the default tier."""
    first = {each.file.split("/")[0]: each for each in reversed(CASES) if not each.thorough}.values()
    marks = [() if each in first else pytest.mark.thorough for each in CASES]
    return [pytest.param(each, id=str(each), marks=mark) for each, mark in zip(CASES, marks, strict=True)]


@pytest.mark.parametrize("case", _cases())
def test_a_remedy_that_is_followed_leads_on(case: Case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (place,) = case.found
    said = _messages(case.fails)
    assert any(place.is_in(text) for text in said), said
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        case.follows()
    assert not [each for each in caught if place.is_in(_plainly(str(each.message)))]


def test_every_message_with_a_remedy_has_a_case_or_is_counted():
    run = {place for case in CASES for place in case.found}
    named = {place for file, words in CANNOT_BE_RUN for place in places() if place.file == file and words in place.text}
    assert Counter(place.file for place in places() if place not in run | named) == NOT_YET_RUN
    assert len(named) == len(CANNOT_BE_RUN) <= len(places()) / 10
