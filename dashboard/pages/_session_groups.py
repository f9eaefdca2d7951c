"""What the page of a session shows of groups of trials: those with light and without, and those of comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import html

from dashboard.components import shell
from dashboard.queries.session import Session
from dashboard.site import Component

_HEADS = ("Trials", "Correct", "p", "With a response", "p", "Response time (s)", "p")


def light(session: Session) -> Component:
    """How the animal did with light and without; None where no light was given."""
    if session.light is None:
        return None
    if session.light:
        rows = [
            [
                "any site" if row["effect_site"] == "all" else row["effect_site"],
                *_compared(
                    (None, row["n_light"]),
                    (row["performance_dark"], row["performance_light"], row["performance_effect_p"]),
                    (row["response_rate_dark"], row["response_rate_light"], row["response_rate_p"]),
                    (row["response_time_dark"], row["response_time_light"], row["response_time_effect_p"]),
                ),
            ]
            for row in session.light
        ]
        shown: list[Component] = [shell.table(["Light at", *_HEADS], rows, numbers=range(1, 8))]
        shown += [
            html.P(words, className="nj-hint") for words in {row["effect_missing"] for row in session.light} if words
        ]
    else:
        shown = [shell.sentence("Trials with and without light are not compared yet.",
                                "That appears once a worker has done it.")]  # fmt: skip
    hint = "without light → with light; p: Fisher's exact test, rank-sum test for times"
    return shell.section("Light", shell.card(*shown), hint=hint, id="session-light")


def comparisons(session: Session) -> Component:
    """How the animal did in the two groups of each comparison; None where there is none of these trials."""
    made = [row for row in session.comparisons if row["n_first"] or row["n_second"]]
    if not made:
        return None
    rows = [
        [
            html.Span(row["comparison_name"], title=f"{row['comparison_first']} → {row['comparison_second']}"),
            *_compared(
                (row["n_first"], row["n_second"]),
                (row["first_performance"], row["second_performance"], row["performance_p"]),
                (row["first_response_rate"], row["second_response_rate"], row["responses_p"]),
                (row["first_response_time"], row["second_response_time"], row["response_time_p"]),
            ),
        ]
        for row in made
    ]
    table = shell.table(["Comparison", *_HEADS], rows, numbers=range(1, 8))
    return shell.section("Comparisons", shell.card(table), hint="first group → second group", id="session-comparisons")


def _compared(
    counts: tuple[int | None, int], correct: Sequence[Any], responses: Sequence[Any], times: Sequence[Any]
) -> list[str]:
    """The cells of a row: each pair of values, and its p-value."""
    first, second = counts
    cells = [shell.number(second) if first is None else f"{shell.number(first)} → {shell.number(second)}"]
    for (before, after, p), show in ((correct, shell.percent), (responses, shell.percent), (times, _seconds)):
        cells += [f"{show(before)} → {show(after)}" if before is not None or after is not None else shell.DASH,
                  shell.DASH if p is None else f"{p:.2g}"]  # fmt: skip
    return cells


def _seconds(value: float | None) -> str:
    return shell.number(value, 3)
