"""Plain English in docstrings, messages and pages: phrases that are not used, each with what is written instead."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PHRASES = {
    r"\b(?:Returns|Says|Takes|Counts) what\b": "Returns the …, with a noun",
    r"\bwhat (?:stays|goes|is kept|is asked|is made of)\b": "the channels kept, the target, the result of",
    r"\bwhere (?:there (?:is|are|was|were)|nothing|none)\b": "if there is, if nothing, …",
    r"(?:`None`|nothing|none|empty) where\b": "`None` if",
    r"\b(?:that|which) (?:is|are) no (?!longer|better|smaller|more)": "is not a",
    r"\b(?:goes|go) first\b": "is pruned first",
    r"\bby chance\b": "at random",
    r"\bputs? out\b": "outputs",
    r"\b(?:is|are) said so\b|\bsays so\b": "is reported, warns",
    r"\bgoes on\b|\bgo on\b": "continues",
    r"\bmakes of\b": "returns for",
    r"\bin earnest\b": "in practice",
    r"\bstands? for nothing\b": "is ignored",
    r"\bdealt out\b": "permuted, distributed",
    r"\bhow small what\b": "the relative norm of",
    r"\bcome along\b": "built-in",
    r"\banew\b": "again, fresh",
    r"\bas in use\b": "in inference mode",
    r"\b[Ww]hile training\b": "during training, in training mode",
    r"\b[Ww]hat (?:[\w`.]+ ){1,4}(?:has|have) \w+": "a noun: the loss, the result, the state left by",
    r"\b(?:stands?|stood) behind\b": "follows",
    r"\b(?:is|are) warned of\b": "warns about",
    r"\bSays whether\b": "Returns whether",
    r"\b(?:hangs?|hung) on\b": "depends on",
    r"\b[Tt]ruth values?\b": "booleans",
    r"\b[Ww]hole numbers?\b": "integers",
    r"\bat the least\b": "at least",
    r"\bExpected [^.]* beside\b": "with, for",
    r"\bfor ever\b": "forever",
    r"\b(?:how|which) far [\w ]* part\b": "the distance between",
    r"\bstays? whole\b|\b(?:channels|macs|params|parameters) stay\b(?! separate)": "is kept, are kept",
}
PATTERNS = {re.compile(pattern): instead for pattern, instead in PHRASES.items()}
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def found(text: str) -> list[str]:
    """Returns a line for every phrase in a text; breaks of lines count as blanks."""
    flat = re.sub(r"\s+", " ", text)
    return [f"{match[0]!r}: {instead}" for each, instead in PATTERNS.items() for match in each.finditer(flat)]


def strings(path: Path):
    """Yields the line and the text of every string of a file: docstrings, messages, the parts of f-strings."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_a_phrase_is_found_across_lines():
    assert found("Returns\n    what is kept") == [
        "'Returns what': Returns the …, with a noun",
        "'what is kept': the channels kept, the target, the result of",
    ]
    assert not found("Returns the channels kept; `None` if there is none.")


@pytest.mark.quick
def test_docstrings_and_messages_are_plain():
    faults = [
        f"{path.relative_to(ROOT)}:{line}: {fault}"
        for path in sorted((ROOT / "kerasprune").rglob("*.py"))
        for line, text in strings(path)
        for fault in found(text)
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.quick
def test_pages_are_plain():
    faults = [
        f"{page.relative_to(ROOT)}: {fault}"
        for page in PAGES
        for fault in found(FENCE.sub("", page.read_text(encoding="utf-8")))
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.quick
def test_summaries_and_sections_of_docstrings_stand_apart():
    joined = re.compile(r"\A.+[.:]\n\S|\S\n(?:Args|Returns|Yields|Raises|Example|Reference):\n")
    faults = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in sorted((ROOT / "kerasprune").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and joined.search(ast.get_docstring(node) or "")
    ]
    assert not faults, "\n".join(faults)
