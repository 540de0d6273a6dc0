"""The colours of figures, and the style of the page that each becomes there: light and dark are set in `page.html`."""

DENSE, SLIM, PINNED, CHOSEN = "#b8c4d6", "#1f5fa8", "#9aa5b1", "#c0392b"

STYLES = {DENSE: "var(--dense)", SLIM: "var(--slim)", PINNED: "var(--pinned)"}
