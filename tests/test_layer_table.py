"""The page of layers and operations says what the package does with those of this Keras.

python tests/test_layer_table.py    # writes the tables anew
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import keras
import pytest
from keras import ops

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from support import layer_table

PAGE = Path(__file__).parents[1] / "docs" / "layers.md"
MARKED = re.compile(r"(?<=<!-- layers -->\n).*?(?=<!-- /layers -->)", re.S)


@pytest.mark.thorough
def test_the_page_has_the_tables_of_this_keras():
    written = MARKED.search(PAGE.read_text(encoding="utf-8"))[0]
    if keras.backend.backend() != "tensorflow" or f"Keras {keras.__version__}," not in written:
        pytest.skip("the page was written with another Keras")
    assert written == f"\n{layer_table.page_tables()}\n\n", "run python tests/test_layer_table.py"


def test_every_layer_without_a_rule_has_a_reason():
    assert set(layer_table.without_rule()) <= layer_table.REFUSED.keys()


def test_operations_are_found_through_the_functions_that_call_them():
    names = {name: layer_table.how(function)[0] for name, function in layer_table.operations().items()}
    assert names["relu"] == names["abs"] == names["cast"] == "rule"  # at once, by another name, through a call
    assert names["rsqrt"] == names["image.resize"] == "tried"
    assert names["eye"] == names["shape"] == "constant"


@pytest.mark.parametrize(
    "function, found",
    [(ops.rsqrt, "followed"), (ops.logaddexp, "followed"), (ops.sort, "kept whole"), (ops.moveaxis, "needs arguments")],
)
def test_operations_are_tried(function, found):
    assert layer_table.tried(function) == found


if __name__ == "__main__":
    text = MARKED.sub(lambda _: f"\n{layer_table.page_tables()}\n\n", PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(text, encoding="utf-8")
