"""The table of argument names is what the signatures say.

python tests/recipes/test_arguments.py    # writes kerasprune/recipes/arguments.py anew
"""

from __future__ import annotations

from pathlib import Path

from kerasprune.recipes import lookup

HEADER = '''"""The names of all arguments of members that recipes name: so a recipe is checked without importing them.

Written by `python tests/recipes/test_arguments.py`.
"""

ANYTHING = "**"
"""Stands among the names where a member takes any argument."""

'''


def table() -> dict[str, dict[str, tuple[str, ...]]]:
    """Returns the names of the arguments by family and member, from the signatures."""
    return {
        family: {name: lookup.signature(registry.member(name)) for name in sorted(registry.built_in)}
        for family, registry in lookup.FAMILIES.items()
    }


def test_the_table_is_what_the_signatures_say():
    assert table() == lookup.ARGUMENTS, "run python tests/recipes/test_arguments.py"


def test_a_member_that_is_added_is_asked_itself():
    registry = lookup.FAMILIES["criterion"]
    registry.add("of_a_user")(lambda power, **more: None)
    try:
        assert lookup.argument_names("criterion", "of_a_user") == ("power", lookup.ANYTHING)
    finally:
        registry.remove("of_a_user")


if __name__ == "__main__":
    lines = ["ARGUMENTS: dict[str, dict[str, tuple[str, ...]]] = {"]
    for family, members in table().items():
        lines += [
            f'    "{family}": {{',
            *(f'        "{name}": {names!r},' for name, names in members.items()),
            "    },",
        ]
    path = Path(lookup.__file__).with_name("arguments.py")
    path.write_text(HEADER + "\n".join([*lines, "}", ""]), encoding="utf-8")
