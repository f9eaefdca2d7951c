"""How the site looks: fonts, sizes and colours of the component kit, and the plotly templates that go with them."""

from __future__ import annotations

from typing import Any

from dashboard.figures import style

MANTINE: dict[str, Any] = {
    "primaryColor": "cyan",
    "primaryShade": {"light": 9, "dark": 5},
    "fontFamily": "var(--nj-font)",
    "headings": {"fontFamily": "var(--nj-font)", "fontWeight": "600"},
    "defaultRadius": "sm",
    "fontSizes": {"xs": "0.75rem", "sm": "0.8125rem", "md": "0.875rem", "lg": "1rem", "xl": "1.125rem"},
    "cursorType": "pointer",
}
"""The theme of dash-mantine-components; colours of surfaces and text are the `--nj-*` variables of assets/site.css."""


def figure_templates() -> dict[str, Any]:
    """The plotly templates `light` and `dark`, with the page's own surface behind the plot.

    A figure is sent without its template; the browser puts the one of the present colour scheme in.
    """
    return {name: _on_the_page(style.template(name)) for name in ("light", "dark")}


def _on_the_page(template: dict[str, Any]) -> dict[str, Any]:
    layout = template["layout"]
    minor = {"gridcolor": layout["yaxis"]["gridcolor"]}  # of Mondays, as that of the other lines
    clear = {"paper_bgcolor": CLEAR, "plot_bgcolor": CLEAR, "xaxis": layout["xaxis"] | {"minor": minor}}
    return template | {"layout": layout | clear}


CLEAR = "rgba(0, 0, 0, 0)"
