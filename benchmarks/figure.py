"""The figure of the README: a residual block before and after a plan, every channel with its id.

    python benchmarks/figure.py     # writes docs/images/residual_block.svg

The block is traced, planned and rebuilt, and the widths drawn are those of the models; colours stand for groups of
coupled channels, numbers for channel ids.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

import kerasprune as kp
from kerasprune.graph.graph import ChannelGraph

IMAGE = Path(__file__).resolve().parent.parent / "docs" / "images" / "residual_block.svg"
ROWS = ("stem", "inner", "outer", "sum")
KINDS = {"stem": "Conv2D", "inner": "Conv2D", "outer": "Conv2D", "sum": "Add"}
GROUPS = {"stem": "stem", "inner": "inner", "outer": "stem", "sum": "stem"}
COLOURS = {"stem": "#2f7fd1", "inner": "#c8741a"}
PLAN = {"stem": [0, 2, 3, 6], "inner": [1, 2, 4]}
SIDE, STEP, ROW = 22, 26, 62
STYLE = """
  text { font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif; font-size: 13px; fill: #767e87 }
  .title { font-size: 15px; font-weight: 600 }
  .name { font-weight: 600 }
  .id { font-size: 12px; fill: #ffffff; text-anchor: middle; font-weight: 600 }
  .removed { text-anchor: middle; font-size: 12px }
  .wire { fill: none; stroke: #8b949e; stroke-width: 1.6 }
  .head { fill: #8b949e }
"""


def block() -> keras.Model:
    """Returns a stem and one residual block, eight channels in the trunk and six inside."""
    inputs = keras.Input((16, 16, 3), name="images")
    stem = keras.layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    x = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="inner")(stem)
    x = keras.layers.Conv2D(8, 3, padding="same", name="outer")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Add(name="sum")([stem, x]))
    return keras.Model(inputs, keras.layers.Dense(4, name="logits")(x))


def text(x: float, y: float, words: str, kind: str = "", colour: str = "") -> str:
    """Returns a line of text."""
    return f'<text x="{x}" y="{y}" class="{kind}"' + (f' style="fill:{colour}"' if colour else "") + f">{words}</text>"


def channels(x: float, y: float, size: int, kept: list[int], colour: str, removed: bool) -> list[str]:
    """Returns one square for every channel: those kept in the colour of their group, removed ones as outlines."""
    parts, shown = [], range(size) if removed else kept
    for position, channel in enumerate(shown):
        left, solid = x + position * STEP, channel in kept
        fill = f'fill="{colour}"' if solid else f'fill="none" stroke="{colour}" stroke-dasharray="3 2"'
        parts.append(f'<rect x="{left}" y="{y}" width="{SIDE}" height="{SIDE}" rx="4" {fill}/>')
        middle, line = left + SIDE / 2, y + SIDE / 2 + 4.5
        parts.append(text(middle, line, str(channel), "id" if solid else "removed", "" if solid else colour))
    return parts


def arrow(x: float, top: float, bottom: float) -> list[str]:
    """Returns an arrow downwards."""
    tip = f"{x - 4},{bottom - 7} {x + 4},{bottom - 7} {x},{bottom}"
    return [f'<path class="wire" d="M{x} {top}V{bottom - 6}"/>', f'<polygon class="head" points="{tip}"/>']


def skip(x: float, top: float, bottom: float, far: float) -> list[str]:
    """Returns the arrow of the shortcut, around the two convolutions."""
    tip = f"{x + 7},{bottom - 4} {x + 7},{bottom + 4} {x},{bottom}"
    path = f"M{x} {top}H{far - 10}q10 0 10 10V{bottom - 10}q0 10 -10 10H{x + 6}"
    return [f'<path class="wire" d="{path}"/>', f'<polygon class="head" points="{tip}"/>']


def drawing(x: float, graph: ChannelGraph, widths: dict[str, int], title: str, removed: bool) -> list[str]:
    """Returns one of the two columns."""
    parts = [text(x, 22, title, "title")]
    edge, far = x + (8 if removed else max(widths.values())) * STEP + 2, x + 8 * STEP + 26
    for index, name in enumerate(ROWS):
        y, group, label = 62 + index * ROW, GROUPS[name], f"{KINDS[name]}, {widths[name]} channels"
        parts.append(f'<text x="{x + 24 * (index > 0)}" y="{y - 12}"><tspan class="name">{name}</tspan> {label}</text>')
        parts += channels(x, y, graph.groups[group].size, PLAN[group], COLOURS[group], removed)
        parts += arrow(x + SIDE / 2, y - ROW + SIDE + 3, y - 3) if index else []
    parts += skip(edge, 62 + SIDE / 2, 62 + 3 * ROW + SIDE / 2, far)
    return parts


def main() -> None:
    """Draws the figure."""
    model = block()
    graph, plan = kp.trace(model), kp.Plan(PLAN)
    slim = kp.rebuild(model, plan)
    before, after = kp.cost(model), kp.cost(model, plan)
    assert kp.cost(slim).macs == after.macs
    widths = [{name: each.get_layer(name).output.shape[-1] for name in ROWS} for each in (model, slim)]
    y = 62 + 4 * ROW
    parts = drawing(20, graph, widths[0], f"dense: {before.macs:,} multiply–adds", removed=True)
    parts += drawing(440, graph, widths[1], f"slim: {after.macs:,} multiply–adds", removed=False)
    middle = 62 + 1.5 * ROW + SIDE / 2
    parts.append(f'<path class="wire" d="M300 {middle}H406"/>')
    parts.append(f'<polygon class="head" points="404,{middle - 5} 404,{middle + 5} 414,{middle}"/>')
    parts.append(text(318, middle - 10, "kp.rebuild", "name"))
    parts.append(text(20, y, "Same colour, same number: one coupled channel, kept or removed in all layers at once."))
    body = "\n  ".join(parts)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 680 {y + 16}" width="680" role="img" '
        f'aria-label="A residual block, its channels coloured by group, before and after kp.rebuild">\n'
        f"  <style>{STYLE}  </style>\n  {body}\n</svg>\n"
    )
    IMAGE.parent.mkdir(exist_ok=True)
    IMAGE.write_text(svg, encoding="utf-8")
    print(IMAGE)


if __name__ == "__main__":
    main()
