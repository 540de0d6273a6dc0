"""The remedies that are followed, and those that a test in one process cannot follow; see `test_remedies.py`."""

from support.remedies import core, criteria, data, exports, hub, papers, recipes, searches, steps, surgery, training

ROOMS = core, criteria, data, surgery, training, steps, searches, exports, hub, recipes, papers
CASES = [case for rooms in ROOMS for case in rooms.CASES]
CANNOT_BE_RUN = [place for rooms in ROOMS for place in rooms.CANNOT_BE_RUN]
