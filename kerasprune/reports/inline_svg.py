"""A figure as a part of the page: it takes the page's colours, light or dark, and its ids are its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape


def inlined(svg: str, name: str, caption: str, colours: Mapping[str, str]) -> str:
    """Returns an SVG document as an element of an HTML page, as wide as there is room.

    Black becomes the colour of the page's text. Nothing of what is left names another place than the page.

    Args:
        svg: The document.
        name: What its ids begin with; no two figures of a page have the same.
        caption: What it shows, for those who do not see it.
        colours: `{colour in the document: CSS colour in its place}`.

    Example:
        >>> svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="3"><g id="a" fill="#000000"/></svg>'
        >>> inlined(svg, "first", "A dot.", {})
        '<svg viewBox="0 0 9 3" role="img" aria-label="A dot."><g id="first-a" fill="currentColor"/></svg>'
    """
    body = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    root, body = re.match(r"<svg([^>]*)>(.*)", body, re.DOTALL).groups()
    box = re.search(r'viewBox="([^"]*)"', root)
    shape = box[1] if box else " ".join(["0 0", *(_length(root, side) for side in ("width", "height"))])
    kept = "".join(re.findall(r' font-(?:family|size)="[^"]*"', root))
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    body = re.sub(r'(?:xlink:)?href="#', f'href="#{name}-', body).replace("xlink:href=", "href=")
    for old, new in {"#000000": "currentColor", **colours}.items():
        body = body.replace(old, new)
    return f'<svg viewBox="{shape}"{kept} role="img" aria-label="{escape(caption)}">{body.strip()}'


def _length(root: str, side: str) -> str:
    return re.search(rf'\b{side}="([\d.]+)', root)[1]
