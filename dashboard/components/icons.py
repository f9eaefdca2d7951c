"""The few icons of the site, drawn on a grid of 24 by 24; they take the colour of the text around them."""

from __future__ import annotations

from urllib.parse import quote

from dash import html

PATHS: dict[str, str] = {
    "table": "M4 5h16v14H4zM4 10h16M4 14.5h16M10 10v9",
    "mouse": "M5 15c0-4 3-7 7-7 5 0 8 3 8 6 0 2-1.5 3-4 3H8M16 8a2.5 2.5 0 1 0-3-2.5M5 15c-2 0-2 3 0 3 3 0 3 2 1 2",
    "chart": "M4 4v16h16M7 15l4-5 3 3 5-7",
    "calendar": "M4 6h16v14H4zM4 10h16M8 3v4M16 3v4M8 14h3",
    "group": "M4 20V10M10 20V4M16 20v-7M21 20H3",
    "pulse": "M3 12h4l3-7 4 14 3-7h4",
    "probe": "M12 2v13M12 22v-3M9 15h6l-3 7zM9 6h6",
    "brain": "M12 5c-2-2-6-1-6 2-3 1-3 5-1 6-1 3 1 6 4 5 1 2 3 1 3-1zM12 5c2-2 6-1 6 2 3 1 3 5 1 6 1 3-1 6-4 5",
    "search": "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM20 20l-4.8-4.8",
    "sun": "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1 1M18 18l1 1M5 19l1-1M18 6l1-1",
    "moon": "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z",
    "user": "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4 20c1-4 4-6 8-6s7 2 8 6",
    "download": "M12 4v11M7.5 11l4.5 4.5 4.5-4.5M5 20h14",
    "link": "M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
    "left": "M15 5l-7 7 7 7",
    "right": "M9 5l7 7-7 7",
    "alert": "M12 4L2.5 20h19zM12 10v4.5M12 17v.5",
    "check": "M5 12.5l4.5 4.5L19 7",
    "eye": "M2 12c2-4.5 6-7 10-7s8 2.5 10 7c-2 4.5-6 7-10 7s-8-2.5-10-7zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
}  # fmt: skip
"""Name -> path; strokes only."""


def icon(name: str, size: int = 16) -> html.Span:
    """An icon; it says nothing to screen readers, the text beside it does."""
    shape = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="black" stroke-width="1.75" '
        f'stroke-linecap="round" stroke-linejoin="round"><path d="{PATHS[name]}"/></svg>'
    )
    image = f'url("data:image/svg+xml,{quote(shape, safe="")}")'
    return html.Span(
        className="nj-icon",
        style={"width": size, "height": size, "maskImage": image, "WebkitMaskImage": image},
        **{"aria-hidden": "true"},
    )
