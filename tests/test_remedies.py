"""What messages tell the user to do is done: every remedy is followed once, and leads on."""

from __future__ import annotations

import warnings

import pytest
from support.remedies import CANNOT_BE_RUN, CASES
from support.remedies.places import Case, places

pytestmark = pytest.mark.experiments  # messages of all rooms


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


def test_every_message_with_a_remedy_has_a_case_or_is_named():
    run = {place for case in CASES for place in case.found}
    named = {place for file, words in CANNOT_BE_RUN for place in places() if place.file == file and words in place.text}
    assert not [place for place in places() if place not in run | named]
    assert len(named) == len(CANNOT_BE_RUN) <= len(places()) / 10
