"""One self-contained HTML page per run: tables and figures inlined, no external resource."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from kerasprune.files import write_text
from kerasprune.recipes.registry import section_figures
from kerasprune.recipes.reports import figures, tables
from kerasprune.recipes.reports.dependencies import dependencies
from kerasprune.recipes.reports.figures import STYLES
from kerasprune.recipes.reports.record import Record, read


def inlined(svg: str, name: str, caption: str, colours: Mapping[str, str]) -> str:
    """Returns an SVG document as an element of an HTML page, as wide as there is room.

    Black becomes the colour of the page's text; all references are within the page.

    Args:
        svg: The document.
        name: Prefix of its ids, unique on the page.
        caption: Description for screen readers.
        colours: `{colour in the document: CSS colour in its place}`.

    Example:
        >>> svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="3"><g id="a" fill="#000000"/></svg>'
        >>> inlined(svg, "first", "A dot.", {})
        '<svg viewBox="0 0 9 3" role="img" aria-label="A dot."><g id="first-a" fill="currentColor"/></svg>'
    """
    body = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    root, body = re.match(r"<svg([^>]*)>(.*)", body, re.DOTALL).groups()
    box = re.search(r'viewBox="([^"]*)"', root)
    shape = (
        box[1]
        if box
        else " ".join(["0 0", *(re.search(rf'\b{side}="([\d.]+)', root)[1] for side in ("width", "height"))])
    )
    kept = "".join(re.findall(r' font-(?:family|size)="[^"]*"', root))
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    body = re.sub(r'(?:xlink:)?href="#', f'href="#{name}-', body).replace("xlink:href=", "href=")
    for old, new in {"#000000": "currentColor", **colours}.items():
        body = body.replace(old, new)
    return f'<svg viewBox="{shape}"{kept} role="img" aria-label="{escape(caption)}">{body.strip()}'


Figure = tuple[str, Callable[[Record], str | None], str]
"""A heading, empty below another figure's; a function that returns SVG, or `None` for nothing to draw; a caption."""
FIGURES: tuple[Figure, ...] = (
    (
        "Searched sizes",
        figures.drops,
        "The drop over the cost of the models that were tried, with standard errors, and what is allowed.",
    ),
    ("Channels kept", figures.widths, "Channels of each group before and after."),
    (
        "Training",
        figures.curves,
        "Loss and accuracy over all stages; dotted lines mark where a stage begins. Validation losses leave out the "
        "teacher's part.",
    ),
    (
        "Norms under the penalty",
        figures.spread,
        "Standard deviation over mean of the L1 norms of channels: it grows as the penalty separates them.",
    ),
    ("", figures.filters, "L1 norm of each filter over the largest of its group, from start to end."),
    (
        "Scales while pruning",
        figures.scales,
        "BatchNorm scales of all layers together; an empty valley separates removed from kept channels.",
    ),
)

LAST: tuple[Figure, ...] = (
    (
        "Dependency graph",
        dependencies,
        "One bar per group of coupled channels, grey if it cannot be pruned; an arc per kernel, from the group that it "
        "reads to the group that it makes.",
    ),
    ("Exported files", figures.sizes, "Size and latency (one image, this machine) of each exported file."),
)


def write(folder: Path | str) -> Path:
    """Writes `report.html` from the files of a run folder, replacing an earlier one.

    Args:
        folder: The run folder.

    Returns:
        The path of the page.

    Raises:
        PruneError: The folder is not a run folder, or a file in it is damaged.
    """
    folder = Path(folder)
    return write_text(folder / "report.html", page(read(folder)))


def page(record: Record) -> str:
    """Returns the report of a run as HTML text.

    Args:
        record: The run.

    Returns:
        HTML that needs no network: figures are inlined.
    """
    drawn = [(title, draw(record), caption) for title, draw, caption in (*FIGURES, *_of_section(record), *LAST)]
    return render_page(
        record.title,
        record.recipe.get("why") or "",
        _tables(record),
        [(title, svg, caption) for title, svg, caption in drawn if svg is not None],
        notes=_notes(record),
        layers=tables.layers(record.summary),
        recipe=_recipe(record),
    )


def render_page(
    title: str,
    why: str,
    tables: Sequence[tuple[str, Sequence[str], Sequence[Sequence[str]]]],
    figures: Sequence[tuple[str, str, str]],
    **parts: Any,
) -> str:
    """Returns a page.

    Args:
        title: Its heading.
        why: The line below.
        tables: Headings, heads and rows.
        figures: Headings, SVG documents and captions.
        **parts: `notes`, `layers` and `recipe`, as `page.html` names them.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    text = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(text)
    shown = [
        (heading, Markup(inlined(svg, f"figure{number}", caption, STYLES)), caption)
        for number, (heading, svg, caption) in enumerate(figures)
    ]
    empty = {"notes": (), "layers": (), "recipe": ""}
    return template.render(title=title, why=why, tables=tables, figures=shown, **(empty | parts))


def _notes(record: Record) -> list[str]:
    notes = []
    if record.recipe.get("smoke"):
        notes.append("Smoke run: generated images and one epoch per stage. Its figures say nothing about accuracy.")
    if record.recipe.get("status") == "not run in full":
        notes.append("This recipe states a published schedule that was not run in full here.")
    return [*notes, *(f"Warning: {text}" for text in record.summary.get("warnings") or ())]


def _tables(record: Record) -> list[tuple[str, Sequence[str], Sequence[Sequence[str]]]]:
    """Returns the heading, the header and the rows of each table."""
    stepwise = ("on validation examples", "accuracy", "loss", "error of the outputs")
    sections = (
        ("Expected", ("", "expected", "here", ""), tables.expected(record.recipe, record.summary)),
        ("Step by step", stepwise, tables.steps(record.summary)),
        ("Exports", *tables.exports(record.summary)),
        ("Did it help?", ("", "gain in MACs that arrives", "operators not expected"), tables.gains(record.summary)),
        ("This run", (), tables.about(record.recipe, record.summary)),
    )
    first = ("Before and after", ("", "dense", "slim", "change"), tables.before_after(record.summary))
    return [first, *(section for section in sections if section[2])]


def _of_section(record: Record) -> tuple[Figure, ...]:
    """Returns the figures of the section by which the recipe prunes, if that has its own."""
    sections = (record.recipe or {}).get("prune") or {}
    return tuple(figure for name in section_figures if name in sections for figure in section_figures.member(name))


def _recipe(record: Record) -> str:
    import yaml

    return yaml.safe_dump(dict(record.recipe), sort_keys=False, allow_unicode=True) if record.recipe else ""
