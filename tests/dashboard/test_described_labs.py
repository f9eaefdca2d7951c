"""Labs whose tasks the program does not know, in the browser: every page follows the description of the task.

The short form, without a browser, is tests/behavior/test_described_tasks.py.
"""

from __future__ import annotations

import pytest

from tests.dashboard import described_labs
from tests.dashboard.browser import looks, shared, visiting

pytestmark = [pytest.mark.slow, pytest.mark.soak]

DAY = "2024-05-06"
FIGURES = {
    "auditory": {"task-tones-over-days", "task-tones-centre", "task-tones-curves"},
    "olfactory": {"task-odours-over-days", "task-odours-d-prime"},
    "foraging": {"task-ports-over-days"},
    "other": set(),
}
WORDS = {"auditory": "Frequency (Hz)", "olfactory": "odour", "foraging": "Choices over blocks", "other": "[[tasks]]"}


@pytest.fixture(scope="module")
def site(tmp_path_factory, chromium):
    folder = tmp_path_factory.mktemp("modules")
    folder.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in described_labs.environment(folder).items():
            patch.setenv(name, value)
        with shared("described", "tests.dashboard.described_labs") as result:
            yield result


@pytest.fixture
def open_page(site, chromium):
    with visiting(chromium, site) as opened:
        yield opened


def figures_of(seen) -> set[str]:
    return set(seen.page.eval_on_selector_all("[data-figure]", "all => all.map((one) => one.dataset.figure)"))


@pytest.mark.parametrize("lab", FIGURES)
def test_pages_follow_the_description(open_page, lab):
    mouse = open_page(f"/app/mouse/{lab}/m1")
    shown = figures_of(mouse)
    assert {name for name in shown if name.startswith("task-")} == FIGURES[lab]
    assert not {"heatmap", "fits", "psychometric"} & shown, "those are of the program's own task"
    session = open_page(f"/app/session/{lab}/m1/{DAY}/1")
    assert WORDS[lab].lower() in session.text().lower()
    if lab == "olfactory":
        assert "OB" in session.text("#session-light") and "PIR" in session.text("#session-light")
    day = open_page(f"/app/daily?date={DAY}&lab={lab}")
    words = day.text("#daily-content")
    assert "1 of 1" in words and "computing" not in words, words


def test_overview_health_and_looks(site, open_page):
    seen = open_page("/app/")
    assert {lab for lab in FIGURES if lab in seen.text()} == set(FIGURES)
    assert "does not load" in site.run("status"), "the broken module is reported, and costs nothing else"
    looks(open_page, "/app/mouse/auditory/m1", "described_mouse")
