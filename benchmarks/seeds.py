"""The page `docs/seeds.md`, what the papers describe and where it is here, from `docs/seeds.yml`.

python benchmarks/seeds.py            # writes it
python benchmarks/seeds.py --check    # exits with 1 if the page is not that of its YAML
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from summary import table

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "seeds.md"
SOURCE = yaml.safe_load(PAGE.with_suffix(".yml").read_text(encoding="utf-8"))
GITHUB = "https://github.com/kerasprune/kerasprune/blob/main"
LINKS = {
    "name": "`kp.{}`",
    "entry": "`kerasprune reproduce {}`",
    "recipe": "`kerasprune run {}`",
    "page": "[page]({})",
    "results": f"[figures]({GITHUB}/benchmarks/results/{{}})",
    "test": "`{}`",
    "measured": "rows of {}",
}
HEAD = """# What the papers describe, and where it is here

The library began from four papers and a talk. Here is every algorithm, equation, table and figure of theirs, in their
order. `docs/seeds.yml` is the source of this page. *Rows of* is the date and the commit of the last rows.
"""


def page() -> str:
    """Returns the text of the page."""
    items = [item for seed in SOURCE["seeds"] for item in seed["items"]]
    number = Counter(item["state"] for item in items)
    states = [[f"[{state}](#{_slug(state)})", str(number[state]), said] for state, said in SOURCE["states"].items()]
    parts = [HEAD, table(["State", "Number", "Meaning"], states)]
    for seed in SOURCE["seeds"]:
        where = f", [{seed['link'].removeprefix('https://')}]({seed['link']})" if seed["link"] else ""
        rows = [[item["at"], item["what"], item["state"], "; ".join(_see(item))] for item in seed["items"]]
        parts += [f"## {seed['title']}\n\n{seed['by']}{where}.\n", table(["Where", "What", "State", "See"], rows)]
    parts += ["## By state\n"]
    for state in SOURCE["states"]:
        named = [
            [seed["title"], item["at"], item["what"]]
            for seed in SOURCE["seeds"]
            for item in seed["items"]
            if item["state"] == state
        ]
        parts += [f"### {state}\n", table(["Paper", "Where", "What"], named)]
    return "\n".join(parts)


def _slug(heading: str) -> str:
    return heading.replace(",", "").replace(" ", "-")


def _see(item: Mapping[str, Any]) -> Iterator[str]:
    """Yields the links of an item, and why it is not built, not run or not told."""
    yield from (form.format(item[kind]) for kind, form in LINKS.items() if kind in item)
    yield from [item["why"]] if "why" in item else []


def main() -> int:
    """Writes the page, or compares it with its YAML."""
    if "--check" in sys.argv[1:]:
        return int(PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
