"""The table of argument names is what the signatures say.

python tests/recipes/test_arguments.py    # writes kerasprune/recipes/arguments.py anew
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kerasprune.recipes import lookup

HEADER = '''"""The names of all arguments of members that recipes name: so a recipe is checked without importing them.

Written by `python tests/recipes/test_arguments.py`.
"""

ANYTHING = "**"
"""Stands among the names where a member takes any argument."""

'''


def table(of) -> dict[str, dict[str, tuple[str, ...]]]:
    """Returns what `of` says of every member by family and name, nothing left out that says something."""
    found = {
        family: {name: of(registry.member(name)) for name in sorted(registry.built_in)}
        for family, registry in lookup.FAMILIES.items()
    }
    return found if of is lookup.signature else {family: _not_empty(members) for family, members in found.items()}


def _not_empty(members):
    return {name: names for name, names in members.items() if names}


def test_the_tables_are_what_the_signatures_say():
    assert table(lookup.signature) == lookup.ARGUMENTS, "run python tests/recipes/test_arguments.py"
    assert table(lookup.booleans) == lookup.TRUTHS, "run python tests/recipes/test_arguments.py"


def test_a_member_that_is_added_is_asked_itself():
    registry = lookup.FAMILIES["criterion"]
    registry.add("of_a_user")(lambda power, **more: None)
    try:
        assert lookup.argument_names("criterion", "of_a_user") == ("power", lookup.ANYTHING)
    finally:
        registry.remove("of_a_user")


def written(name: str, of) -> list[str]:
    """Returns the lines of a table."""
    lines = [f"{name}: dict[str, dict[str, tuple[str, ...]]] = {{"]
    for family, members in table(of).items():
        lines += [f'    "{family}": {{', *(f'        "{key}": {names!r},' for key, names in members.items()), "    },"]
    return [*lines, "}"]


if __name__ == "__main__":
    path = Path(lookup.__file__).with_name("arguments.py")
    truths = ['"""Those arguments that are true or false."""', ""]
    lines = [*written("ARGUMENTS", lookup.signature), "", *written("TRUTHS", lookup.booleans), *truths]
    path.write_text(HEADER + "\n".join(lines), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", str(path)], check=False)
