"""Extension of griffe: the section `Example:` of the house style is read as griffe's `Examples:`, as code."""

from __future__ import annotations

import re

import griffe


class Examples(griffe.Extension):
    """Renames the section in every docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **kwargs) -> None:
        """Renames the section of one object."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.MULTILINE)
