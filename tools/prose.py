"""Prints what reads badly in docstrings, messages and pages; nothing fails.

python tools/prose.py
"""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Phrases that are not used, each with what is written instead.
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
SOURCES = sorted((ROOT / "kerasprune").rglob("*.py"))
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def found(text: str) -> list[str]:
    """Returns a line for every phrase in a text; breaks of lines count as blanks."""
    flat = re.sub(r"\s+", " ", text)
    return [f"{match[0]!r}: {instead}" for each, instead in PATTERNS.items() for match in each.finditer(flat)]


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """Yields the line and the text of every string of a file: docstrings, messages, the parts of f-strings."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def in_strings() -> Iterator[str]:
    """Yields the phrases in docstrings and messages."""
    for path in SOURCES:
        for line, text in strings(path):
            yield from (f"{path.relative_to(ROOT)}:{line}: {each}" for each in found(text))


def on_pages() -> Iterator[str]:
    """Yields the phrases on pages, outside of their blocks."""
    for page in PAGES:
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        yield from (f"{page.relative_to(ROOT)}: {each}" for each in found(text))


def joined_docstrings() -> Iterator[str]:
    """Yields the docstrings whose summary or sections do not stand apart."""
    joined = re.compile(r"\A.+[.:]\n\S|\S\n(?:Args|Returns|Yields|Raises|Example|Reference):\n")
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and joined.search(ast.get_docstring(node) or ""):
                yield f"{path.relative_to(ROOT)}: {node.name}: its parts do not stand apart"


def speeds_of_the_readme() -> Iterator[str]:
    """Yields the speeds measured that the README does not name."""
    with (ROOT / "benchmarks" / "results" / "latency.csv").open(newline="") as file:
        rows = {(row["network"], row["width"]): row for row in csv.DictReader(file) if row["precision"] == "float32"}
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    for name in {name for name, _ in rows}:
        fewer = int(rows[name, "1.0"]["macs"]) / int(rows[name, "table"]["macs"])
        times = f"{float(rows[name, 'table']['ratio']) * fewer:.1f} times"
        if name in text and times not in text:
            yield f"README.md: {name} is {times} as fast"


if __name__ == "__main__":
    for look in (in_strings, on_pages, joined_docstrings, speeds_of_the_readme):
        for fault in look():
            print(fault)
