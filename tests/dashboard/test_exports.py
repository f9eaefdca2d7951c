"""Every figure can be saved as PNG, as SVG and as the data that it draws."""

from __future__ import annotations

import csv
import struct
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dashboard import links
from tests.dashboard import lab

pytestmark = pytest.mark.slow

LONG = links.mouse(lab.LAB, lab.LONG)


@pytest.fixture
def save(visit):
    """Saves a figure of a mouse's page: `save(name, form) -> file`."""
    seen = visit(LONG)

    def press(name: str, form: str) -> Path:
        with seen.page.expect_download() as waiting:
            seen.page.click(f'[data-figure="{name}"] [data-export="{form}"]')
        assert waiting.value.suggested_filename == f"Mouse_{name}.{form}"
        return waiting.value.path()

    press.page = seen.page
    return press


def test_pictures_hold_the_figure_on_white(save):
    for name in ("performance", "heatmap", "psychometric"):
        png = save(name, "png").read_bytes()
        assert png.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", png[16:24])
        shown = save.page.evaluate(
            "(name) => { const {width, height} = document.querySelector(`[data-figure=${name}] .js-plotly-plot`)"
            "._fullLayout; return [width, height] }",
            name,
        )
        assert width >= 1200 and height == 2 * shown[1]
        svg = save(name, "svg").read_text()
        assert ElementTree.fromstring(svg).tag.endswith("svg") and "Signed contrast" in svg or "easy trials" in svg  # noqa: S314 - ours
        assert "rgb(255, 255, 255)" in svg and "chosen day" not in svg


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a saved table; before them stand the titles of the axes."""
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# ")
    return list(csv.DictReader(line for line in lines if not line.startswith("# ")))


def test_every_figure_gives_its_data(save):
    saved = {}
    for name in save.page.eval_on_selector_all("[data-figure]", "all => all.map((one) => one.dataset.figure)"):
        saved[name] = rows_of(save(name, "csv"))
        drawn = save.page.evaluate(
            """(name) => document.querySelector(`[data-figure=${name}] .js-plotly-plot`)._fullData
                 .filter((one) => one.visible === true && !one.z).map((one) => [one.name, Array.from(one.x || []).map(
                   (x, i) => [x, one.y[i]]).filter(([x, y]) => x !== null || y !== null).length])""",
            name,
        )
        for trace in {trace for trace, _ in drawn}:
            n = sum(count for one, count in drawn if one == trace)
            assert sum(row["trace"] == trace for row in saved[name]) == n, (name, trace)
    weights = [float(row["y"]) for row in saved["water"] if row["trace"] == "weight" and row["y"]]
    assert len(weights) > 10 and all(10 < weight < 40 for weight in weights)  # g
    cells = [float(row["z"]) for row in saved["heatmap"]]
    assert len(cells) > 50 and 0 <= min(cells) < max(cells) <= 1  # fractions of choices
