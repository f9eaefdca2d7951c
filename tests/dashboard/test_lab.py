"""Groups of mice: who is in them, what their days are, and what a person can choose on the page."""

from __future__ import annotations

import numpy as np
import pytest

from dashboard.queries import lab as queries
from tests.dashboard import lab as simulated
from tests.dashboard import rows
from tests.dashboard.browser import looks


@pytest.fixture
def mice() -> queries.Mice:
    """Four mice; the second has not reached anything, the third skipped the first status."""
    return queries.Mice(
        columns={
            "lab": np.array(["x", "x", "y", "y"], object), "subject": np.array(["a", "b", "a", "c"], object),
            "sex": np.array(["F", "M", "F", ""], object), "project": np.array(["p", "p, q", "q", ""], object),
            "cage": np.array(["1", "2", "3", "4"], object), "responsible_user": np.array(["u", "u", "v", "v"], object),
        },
        n_training_days=np.array([3, 2, 4, 0]),
        days={
            "mouse": np.array([0, 0, 0, 1, 1, 2, 2, 2, 2]), "training_day": np.array([1, 2, 3, 1, 2, 1, 2, 3, 4]),
        } | {name: np.array([1, 2, 3, 4, np.nan, 6, 7, 8, 9.0]) for name in queries.MEASURES},
        reached={"rules": {"low": np.array([2, np.nan, 4, np.nan]), "high": np.array([np.nan, np.nan, 4, np.nan])}},
        fits={"rules": {name: np.array([1.0, np.nan, 3, np.nan]) for name in queries.PARAMETERS}},
        statuses={"rules": ("low", "high")},
    )  # fmt: skip


def test_groups_are_ordered_by_size_and_those_without_a_value_have_a_name(mice):
    chosen = queries.choose(mice, "sex", {})
    assert chosen.names == ("F", queries.NONE, "M")
    assert chosen.labels().tolist() == ["F", "M", "F", queries.NONE]


def test_small_groups_are_put_together(mice):
    chosen = queries.choose(mice, "cage", {}, most=3)
    assert chosen.names == ("1", "2", queries.OTHERS)
    assert chosen.labels().tolist() == ["1", "2", queries.OTHERS, queries.OTHERS]


def test_filters_of_one_column_add_up_and_those_of_several_take_away(mice):
    assert queries.choose(mice, "", {"sex": {"F", "M"}}).rows.tolist() == [0, 1, 2]
    assert queries.choose(mice, "", {"sex": {"F", "M"}, "project": {"q"}}).rows.tolist() == [1, 2]
    none = queries.choose(mice, "sex", {"sex": {"X"}})
    assert not none.rows.size and none.names == () and none.labels().size == 0


def test_days_and_last_means_are_those_of_the_chosen_mice(mice):
    chosen = queries.choose(mice, "lab", {"lab": {"x"}})
    days = queries.day_rows(mice, chosen, "day_trials")
    assert days["subject"].tolist() == ["a", "a", "a", "b", "b"] and set(days["group"]) == {"x"}
    rows = queries.mouse_rows(mice, chosen, "rules", last=2)
    assert rows["day_trials"].tolist() == [2.5, 4.0], "days without the measure do not count"
    assert rows["window_bias"][0] == 1 and np.isnan(rows["window_bias"][1])


def test_mice_without_the_status_count_for_as_long_as_they_were_trained(mice):
    rows = queries.status_rows(mice, queries.choose(mice, "", {}), "rules", "low")
    assert rows["days"].tolist() == [2, 2, 4, 0] and rows["reached"].tolist() == [True, False, True, False]


def test_what_names_people_or_single_mice_is_no_grouping_for_the_public(mice):
    assert {"lab", "sex", "project", "responsible_user"} <= mice.groupings().keys()
    assert "responsible_user" not in mice.groupings(public=True) and "subject" not in mice.groupings()


def test_what_the_tables_hold_becomes_columns(database):
    from pipeline.schemas import lab

    lab.Lab.insert1({"lab": "here"})
    rows.mice("new", "seen")
    rows.compute(rows.session("seen", n_trials=300), n_easy=100, n_correct=90, days={"trained_1b": 7}, window_bias=-3.5)
    listed_mice = queries.mice()
    assert listed_mice.columns["subject"].tolist() == ["seen"] and listed_mice.columns["alive"].tolist() == ["yes"]
    assert listed_mice.n_training_days.tolist() == [1] and listed_mice.days["day_trials"].tolist() == [1]
    assert next(iter(listed_mice.statuses)) == queries.USUAL
    reached = listed_mice.reached[queries.USUAL]
    assert reached["trained_1a"].tolist() == reached["trained_1b"].tolist() == [7], "the first one was skipped"
    assert np.isnan(reached["ready4recording"]).all()
    assert listed_mice.fits[queries.USUAL]["window_bias"].tolist() == [-3.5]
    assert np.isnan(listed_mice.fits["ibllib_4"]["window_bias"]).all()


@pytest.fixture
def shown(visit):
    """The words of the page after something was chosen."""

    def choose(seen, label: str, option: str, words: str) -> None:
        seen.page.get_by_role("textbox", name=label, exact=True).click()
        seen.page.get_by_role("option", name=option, exact=True).click()
        seen.page.wait_for_selector(f"{words}")

    return choose


def test_a_choice_changes_figures_and_address_and_the_address_makes_the_page(visit, shown):
    seen = visit("/app/lab")
    shown(seen, "Group by", "Sex", "#lab-words:has-text('by sex')")
    shown(seen, "Learning curve of", "Trials a day", "[data-figure=learning] .ytitle:has-text('Trials a day')")
    shown(seen, "Days to", "trained 1b", "[data-figure=survival] .ytitle:has-text('trained 1b')")
    assert "by=sex" in seen.page.url and "measure=day_trials" in seen.page.url and "status=trained_1b" in seen.page.url
    again = visit(seen.page.url.removeprefix(seen.url))
    assert "by sex" in again.text("#lab-words")
    assert "Trials a day" in again.page.locator("[data-figure=learning] .ytitle").text_content()
    again.page.get_by_role("switch", name="Each mouse").uncheck(force=True)
    again.page.wait_for_url("**each=0**")


def test_filters_leave_mice_out_and_mice_are_linked(visit):
    seen = visit("/app/lab?only=sex:F")
    n_mice, of = [int(word) for word in seen.text("#lab-words").split() if word.isdigit()][:2]
    assert 0 < n_mice < of
    link = seen.page.locator("#lab-mice a").first
    link.click()
    seen.page.wait_for_url(f"**/app/mouse/{simulated.LAB}/*")


@pytest.mark.parametrize(
    ("search", "words"),
    [
        (
            "?by=colour&measure=happiness&criteria=none&status=genius&only=sex:X|nonsense",
            [
                "'colour' is no property to group by",
                "'happiness' is no measure",
                "'genius' is no",
                "No mouse has 'sex:X'",
            ],
        ),
        ("?by=all&each=0&only=%00%ff", ["mice with"]),
    ],
    ids=["unknown", "malformed"],
)
def test_what_does_not_exist_is_said_and_the_rest_is_shown(answer, search, words):
    told = answer(f"/app/lab{search}")
    assert all(sentence in told.text for sentence in words) and "learning" in told.figures


def test_the_public_sees_pseudonyms_and_no_people(visit):
    seen = visit("/app/lab?by=responsible_user", viewer=None)
    assert "is no property to group by" in seen.text()
    assert "mouse-" in seen.text("#lab-mice") and simulated.LONG not in seen.page.content()


def test_it_looks_well(visit):
    looks(visit, "/app/lab", "lab")
