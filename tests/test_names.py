"""Public names: stubs for editors and type checkers say what the lazy tables say.

python tests/test_names.py    # writes the stubs anew
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from support import stubs

import kerasprune
from kerasprune.errors import PruneError
from kerasprune.registry import block_criteria, budgets, criteria, granularities, scopes, thresholds


@pytest.mark.parametrize("package", stubs.lazy_packages())
def test_the_stub_of_a_package_has_its_public_names(package):
    assert stubs.stub_path(package).read_text(encoding="utf-8") == stubs.stub(package), "run python tests/test_names.py"


@pytest.mark.parametrize("package", stubs.lazy_packages())
def test_every_public_name_can_be_imported(package):
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert dir(module) == sorted(module.__all__)
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        _ = module.nothing_of_that_name


def test_the_modules_that_the_changelog_sends_to_exist():
    changelog = (Path(kerasprune.__file__).parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in changelog.partition("## 0.1.0")[0].splitlines() if line.startswith("| `")]
    found = [module for row in rows for module in re.findall(r"`([\w.]+)`", row[2])]
    assert len(found) > 50
    assert not [module for module in found if importlib.util.find_spec(module) is None]


@pytest.mark.parametrize("family", [criteria, block_criteria, budgets, granularities, scopes, thresholds])
@pytest.mark.parametrize("stranger", [None, 3, object(), list, {"name": None}])
def test_what_is_no_member_of_a_family_is_refused(family, stranger):
    with pytest.raises(PruneError, match="Received: "):
        family.get(stranger)


if __name__ == "__main__":
    stubs.write()
