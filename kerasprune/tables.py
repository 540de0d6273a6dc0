"""Tables, each made once and shown as text, on a page and in a notebook, and results that show themselves there."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, NamedTuple, TypeVar
from zlib import crc32

VERDICTS = ("met", "missed")
"""Cells that a page shows in colour."""

# Of a part of a page that is not ours: everything is below one class, colours suit light and dark grounds alike.
_STYLE = (
    ".kerasprune .scroll{overflow-x:auto}"
    ".kerasprune table{border-collapse:collapse;margin:.5em 0;color:inherit;font-variant-numeric:tabular-nums}"
    ".kerasprune tr,.kerasprune tr:nth-child(even),.kerasprune tr:hover{background:none}"
    ".kerasprune th,.kerasprune td{padding:.15em .6em;text-align:right;vertical-align:top;max-width:24em;"
    "border:0;border-bottom:1px solid rgba(128,128,128,.35)}"
    ".kerasprune td{white-space:nowrap}.kerasprune th{vertical-align:bottom}"
    ".kerasprune td:first-child,.kerasprune td.word{white-space:normal;overflow-wrap:anywhere;min-width:7em}"
    ".kerasprune th:first-child,.kerasprune td:first-child,.kerasprune .word{text-align:left;padding-left:0}"
    ".kerasprune .word{padding-left:.6em}"
    ".kerasprune .met{color:#2e9c4f}.kerasprune .missed{color:#d9534f}"
    ".kerasprune p{margin:.3em 0;white-space:pre-line;overflow-wrap:anywhere}"
    ".kerasprune svg{display:block;width:100%;min-width:26em;height:auto;fill:currentColor}"
    "@media(max-width:34em){.kerasprune table{font-size:.8em}.kerasprune th,.kerasprune td{padding:.15em .3em}"
    ".kerasprune td:first-child,.kerasprune td.word{min-width:5em}.kerasprune svg{min-width:0}}"
)
_BAR = "background:linear-gradient(90deg,rgba(61,127,204,.35) {0:.1f}%,transparent {0:.1f}%)"


@dataclass(frozen=True)
class Table:
    """Rows of text.

    Args:
        header: A text for each column; empty for rows of a name and its words.
        rows: The rows.
        title: What they are. Defaults to `""`.
        left: Columns of words, which begin at the left; the others are numbers. Defaults to the first.
        bars: `{column: a fraction for each row}`: bars behind the cells on a page. Defaults to none.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    left: Collection[int] = (0,)
    bars: Mapping[int, Sequence[float]] = field(default_factory=dict)

    def __str__(self) -> str:
        """Returns the table as lines of text.

        Example:
            >>> print(Table(("group", "kept"), [("conv", "8"), ("dense", "16")]))
            group  kept
            conv      8
            dense    16
        """
        rows = [self.header, *self.rows] if self.header else list(self.rows)
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = (
            "  ".join(
                cell.ljust(width) if column in self.left or not self.header else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        )
        return "\n".join(line.rstrip() for line in lines)

    def html(self) -> str:
        """Returns the table as an element of a page; all texts are escaped.

        Example:
            >>> "<td>&lt;b&gt;</td>" in Table(("name",), [("<b>",)]).html()
            True
        """
        head = "".join(f"<th{self._kind(column)}>{escape(cell)}</th>" for column, cell in enumerate(self.header))
        body = "\n".join(
            f"<tr>{''.join(self._cell(cell, column, place) for column, cell in enumerate(row))}</tr>"
            for place, row in enumerate(self.rows)
        )
        head = head and f"<thead><tr>{head}</tr></thead>\n"
        kind = "numbers" if self.header else "words"
        return f'<div class="scroll"><table class="{kind}">\n{head}<tbody>\n{body}\n</tbody></table></div>'

    def _kind(self, column: int, cell: str = "") -> str:
        kind = cell if cell in VERDICTS else "word" if column and (column in self.left or not self.header) else ""
        return kind and f' class="{kind}"'

    def _cell(self, cell: str, column: int, row: int) -> str:
        bar = self.bars.get(column)
        style = "" if bar is None else f' style="{_BAR.format(100 * min(max(bar[row], 0.0), 1.0))}"'
        return f"<td{self._kind(column, cell)}{style}>{escape(cell)}</td>"


class Graphic(NamedTuple):
    """A picture.

    Args:
        svg: The document, as text.
        caption: What it shows.
    """

    svg: str
    caption: str


Part = str | Table | Graphic
Result = TypeVar("Result")


class Shown:
    """A result that a notebook shows as tables and pictures, and an interactive prompt as its text."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # IPython looks for it beside the `__repr__` that a dataclass has, not among what is inherited.
        cls._repr_pretty_ = Shown._repr_pretty_

    def _shown(self) -> Iterable[Part]:
        """Returns the parts that are shown, in order."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return html_of(self._shown())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))


def shown_as_its_report(result: type[Result]) -> type[Result]:
    """Decorates a named tuple, which cannot inherit: it is shown as its `report` is."""
    result._repr_html_ = lambda self: self.report._repr_html_()
    result._repr_pretty_ = lambda self, printer, cycle: printer.text(str(self.report))
    return result


def html_of(parts: Iterable[Part]) -> str:
    """Returns tables, pictures and lines of text as a part of any page; it fetches nothing and has no script.

    Args:
        parts: What is shown, in order; empty texts and tables without rows are left out.
    """
    return f'<div class="kerasprune"><style>{_STYLE}</style>\n{"".join(map(_element, parts))}</div>'


def _element(part: Part) -> str:
    if isinstance(part, Graphic):
        shown = svg_element(part.svg, f"kp{crc32(part.svg.encode()):08x}", part.caption, _MIDDLE)
        return f'<div class="scroll">{shown}</div>\n'
    if isinstance(part, Table):
        title = part.title and f"<p><b>{escape(part.title)}</b></p>\n"
        return f"{title}{part.html()}\n" if part.rows else ""
    return part and f"<p>{escape(part)}</p>\n"


DENSE, SLIM, PINNED = "#b8c4d6", "#1f5fa8", "#9aa5b1"
"""Colours of drawings."""
_MIDDLE = {DENSE: "#9fb0c8", SLIM: "#3d7fcc", PINNED: "#8a949f"}  # seen on light and on dark ground


def svg_element(svg: str, name: str, caption: str, colours: Mapping[str, str]) -> str:
    """Returns an SVG document as an element of a page, as wide as there is room.

    Black becomes the colour of the page's text; all references are within the page.

    Args:
        svg: The document.
        name: Prefix of its ids, unique on the page.
        caption: Description for screen readers.
        colours: `{colour in the document: CSS colour in its place}`.

    Example:
        >>> svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="3"><g id="a" fill="#000000"/></svg>'
        >>> print(svg_element(svg, "first", "A dot.", {}).replace("><", ">\\n<"))
        <svg viewBox="0 0 9 3" style="max-width:9px" role="img" aria-label="A dot.">
        <g id="first-a" fill="currentColor"/>
        </svg>
    """
    body = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    root, body = re.match(r"<svg([^>]*)>(.*)", body, re.DOTALL).groups()
    box = re.search(r'viewBox="([^"]*)"', root)
    sides = (re.search(rf'\b{side}="([\d.]+)', root) for side in ("width", "height"))
    shape = box[1] if box else " ".join(["0 0", *(side[1] for side in sides)])
    kept = "".join(re.findall(r' font-(?:family|size)="[^"]*"', root))
    own = re.search(r'\bwidth="([\d.]+(?:pt|px)?)"', root)
    kept += f' style="max-width:{own[1] if own[1][-1] in "tx" else own[1] + "px"}"' if own else ""

    def adapted(tag: re.Match[str]) -> str:
        found = re.sub(r'\bid="', f'id="{name}-', tag[0])
        found = re.sub(r"url\(#", f"url(#{name}-", found)
        found = re.sub(r'(?:xlink:)?href="#', f'href="#{name}-', found).replace("xlink:href=", "href=")
        for old, new in {"#000000": "currentColor", **colours}.items():
            found = found.replace(old, new)
        return found

    body = re.sub(r"<[^>]*>", adapted, body)  # the text between them is the user's
    return f'<svg viewBox="{shape}"{kept} role="img" aria-label="{escape(caption)}">{body.strip()}'


WIDTH = 9
"""Of drawings by `svg`, in inches."""


def svg(draw: Callable[[Any], None], *, height: float) -> str:
    """Returns a figure as SVG text; the same drawing gives the same bytes.

    Args:
        draw: Draws on an empty figure.
        height: In inches.
    """
    import matplotlib
    from matplotlib.figure import Figure

    style = {
        "svg.hashsalt": "kerasprune",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.size": 8,
        "figure.facecolor": "none",  # that of the page
        "axes.facecolor": "none",
    }
    with matplotlib.rc_context(style):
        # A figure without pyplot: no global state, no window system.
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
