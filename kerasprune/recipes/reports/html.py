"""One self-contained HTML page per run: tables and figures inlined, no external resource."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from kerasprune.files import write_text
from kerasprune.recipes.registry import section_figures
from kerasprune.recipes.reports import figures, tables
from kerasprune.recipes.reports.record import Record, read
from kerasprune.tables import DENSE, PINNED, SLIM, Table, svg_element

# What each colour becomes: light and dark are set in `page.html`
_COLOURS = {DENSE: "var(--dense)", SLIM: "var(--slim)", PINNED: "var(--pinned)"}

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
        figures.network,
        "A colour for each group of coupled channels, grey where they cannot be pruned.",
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
    layers = tables.layers(record.summary)
    drawn = [(title, draw(record), caption) for title, draw, caption in (*FIGURES, *_of_section(record), *LAST)]
    return render_page(
        record.title,
        record.recipe.get("why") or "",
        _tables(record),
        [(title, svg, caption) for title, svg, caption in drawn if svg is not None],
        notes=_notes(record),
        layers=layers,
        recipe=_recipe(record),
    )


def render_page(
    title: str,
    why: str,
    tables: Sequence[Table],
    figures: Sequence[tuple[str, str, str]],
    **parts: Any,
) -> str:
    """Returns a page.

    Args:
        title: Its heading.
        why: The line below.
        tables: Its tables, whose titles are headings.
        figures: Headings, SVG documents and captions.
        **parts: `notes`, `layers` and `recipe`, as `page.html` names them.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    text = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(text)
    shown = [
        (heading, Markup(svg_element(svg, f"figure{number}", caption, _COLOURS)), caption)
        for number, (heading, svg, caption) in enumerate(figures)
    ]
    drawn = [(table.title, Markup(table.html())) for table in tables]
    empty = {"notes": (), "layers": None, "recipe": ""}
    return template.render(title=title, why=why, tables=drawn, figures=shown, **(empty | parts))


def _notes(record: Record) -> list[str]:
    notes = []
    if record.recipe.get("smoke"):
        notes.append("Smoke run: generated images and one epoch per stage. Its figures say nothing about accuracy.")
    if record.recipe.get("status") == "not run in full":
        notes.append("This recipe states a published schedule that was not run in full here.")
    return [*notes, *(f"Warning: {text}" for text in record.summary.get("warnings") or ())]


def _tables(record: Record) -> list[Table]:
    """Returns the tables that have rows; the first always."""
    given = record.recipe, record.summary
    first, summary = tables.before_after(record.summary), record.summary
    others = tables.expected(*given), tables.steps(summary), tables.exports(summary), tables.gains(summary)
    return [first, *(each for each in (*others, tables.about(*given), tables.groups(record.graph)) if each.rows)]


def _of_section(record: Record) -> tuple[Figure, ...]:
    """Returns the figures of the section by which the recipe prunes, if that has its own."""
    sections = (record.recipe or {}).get("prune") or {}
    return tuple(figure for name in section_figures if name in sections for figure in section_figures.member(name))


def _recipe(record: Record) -> str:
    import yaml

    return yaml.safe_dump(dict(record.recipe), sort_keys=False, allow_unicode=True) if record.recipe else ""
