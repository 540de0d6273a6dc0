"""Remedies of messages: where they stand in the package, and calls that fail and follow them."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import kerasprune as kp

ROOT = Path(kp.__file__).parent
_VERBS = (
    "Add Allow Apply Ask Build Call Change Check Choose Compile Convert Copy Declare Delete Divide Draw Drop Export "
    "Fit Fold Free Freeze Give Install Keep Leave Let Load Lower Make Measure Merge Move Name Pad Pass Prune Put Raise "
    "Read Rebuild Register Remove Rename Replace Save Scale Set Shuffle Split Start Take Teach Train Try Unpack Update "
    "Use Write"
)
_REMEDY = re.compile(rf"(?:^|[.;:(—?] |\b(?:or|and|so) )(?:{_VERBS.replace(' ', '|')})(?: (?![A-Z]\w+ [A-Z])|$)")
_SLOT = "\0"


@dataclass(frozen=True)
class Place:
    """A text of the package that tells the user what to do.

    Args:
        file: The file in the package.
        text: The text; what is filled in is a NUL.
    """

    file: str
    text: str

    def is_in(self, message: str) -> bool:
        """Returns whether a message holds the text, with anything filled in."""
        return re.search(".*?".join(map(re.escape, self.text.split(_SLOT))), message, re.DOTALL) is not None


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "".join(_text(each) if isinstance(each, ast.Constant) else _SLOT for each in node.values)


def _texts(tree: ast.Module) -> list[str]:
    """Returns the texts of a file other than docstrings, parts of others and the help of commands."""
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(each) for each in ast.walk(node)} - {id(node)}
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
        elif (
            isinstance(node, ast.Call)
            and re.search(r"(Option|Argument|Typer)$", ast.unparse(node.func))
            or isinstance(node, ast.keyword)
            and node.arg == "help"
        ):
            skipped |= {id(each) for each in ast.walk(node)}
    found = [node for node in ast.walk(tree) if isinstance(node, (ast.JoinedStr, ast.Constant))]
    return [_text(node) for node in found if id(node) not in skipped]


@cache
def places() -> list[Place]:
    """Returns every text of the package that begins a sentence, or what follows "or", with a verb of a remedy."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        for text in _texts(ast.parse(path.read_text(encoding="utf-8"))):
            if _REMEDY.search(text) and (" " in text.strip() or text.endswith(" ")):
                found[Place(path.relative_to(ROOT).as_posix(), text)] = None
    return [*found]


@dataclass(frozen=True)
class Case:
    """A remedy that is followed.

    Args:
        file: The file whose message it is.
        words: Some of its words, found in no other message of that file.
        fails: The call that gets the message, as a `PruneError` or as a warning.
        follows: The call that does what the message says; it returns without the message.
        thorough: Whether it takes a second or more. Defaults to `False`.
    """

    file: str
    words: str
    fails: Callable[[], Any]
    follows: Callable[[], Any]
    thorough: bool = False

    def __str__(self) -> str:
        return f"{self.file.removesuffix('.py')}: {self.words}"

    @property
    def found(self) -> list[Place]:
        """The places with these words, or with these alone: one."""
        here = {each.text.replace(_SLOT, "…"): each for each in places() if each.file == self.file}
        return [here[self.words]] if self.words in here else [here[text] for text in here if self.words in text]
