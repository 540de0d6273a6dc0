"""The dependency graph as SVG: groups of channels, their widths, and the kernels between them."""

from __future__ import annotations

from html import escape
from typing import Any

from kerasprune.graph.graph import ChannelGraph
from kerasprune.recipes.reports.figures import DENSE, PINNED, SLIM
from kerasprune.recipes.reports.record import Record

WIDTH, ROW, MARGIN = 900, 22, 150


def describe_graph(graph: ChannelGraph) -> dict[str, Any]:
    """Returns groups and edges of a graph as plain data for `graph.json`."""
    groups = [
        {"name": g.name, "size": g.size, "prunable": g.prunable, "reason": g.reason, "layers": list(g.layers)}
        for g in graph.groups.values()
    ]
    return {"groups": groups, "edges": [list(edge) for edge in graph.edges]}


def dependencies(record: Record) -> str | None:
    """Draws one bar per group, as long as it is wide, and one arc per kernel between the groups it reads and makes.

    Args:
        record: The run.

    Returns:
        SVG text without outside resources, or `None` if the run has no graph.
    """
    groups = record.graph.get("groups") if record.graph else None
    if not groups:
        return None
    height = {group["name"]: MARGIN // 8 + ROW * row for row, group in enumerate(groups)}
    widest = max(group["size"] for group in groups)
    room = WIDTH - 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{ROW * (len(groups) + 1)}" '
        'font-family="sans-serif" font-size="10">'
    ]
    parts += [_arc(height[read], height[made], layer) for read, made, layer in record.graph["edges"] if read != made]
    parts += [_bar(group, height[group["name"]], room * group["size"] / widest) for group in groups]
    return "\n".join([*parts, "</svg>"])


def _arc(start: float, end: float, layer: str) -> str:
    reach = MARGIN - 10 - min(MARGIN - 30, abs(end - start) / 4)
    path = f"M{MARGIN} {start} C{reach} {start} {reach} {end} {MARGIN} {end}"
    return f'<path d="{path}" fill="none" stroke="{DENSE}"><title>{escape(layer)}</title></path>'


def _bar(group: dict[str, Any], y: float, length: float) -> str:
    colour = SLIM if group["prunable"] else PINNED
    note = group["reason"] or ", ".join(group["layers"])
    label = f"{group['name']} · {group['size']}"
    return (
        f'<g><title>{escape(note)}</title><rect x="{MARGIN}" y="{y - 6}" width="{max(length, 2):.1f}" height="12" '
        f'fill="{colour}"/><text x="{MARGIN + length + 6:.1f}" y="{y + 4}">{escape(label)}</text></g>'
    )
