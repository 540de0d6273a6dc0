"""The remedies that are followed, and those that a test in one process cannot follow; see `test_remedies.py`."""

from support.remedies import core, exports, papers, recipes, training

ROOMS = core, training, exports, recipes, papers
CASES = [case for rooms in ROOMS for case in rooms.CASES]
CANNOT_BE_RUN = [place for rooms in ROOMS for place in rooms.CANNOT_BE_RUN]
