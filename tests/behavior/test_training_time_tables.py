"""The forecast of a lab comes from its tables, and its page says it."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from dashboard.pages import mouse as page
from dashboard.queries import mouse as queries
from pipeline import worker
from pipeline.database.bulk import insert_many
from pipeline.queries import training_time
from pipeline.schemas import action, behavior_analysis, lab, subject

pytestmark = pytest.mark.slow

DAYS = 8


def fill(n: int = 26) -> None:
    """Mice whose days until trained follow from how fast they improve, as rows that workers would have made."""
    names = [f"m{number:02d}" for number in range(n)]
    insert_many(lab.Lab, {"lab": ["l"], "lab_light_cycle": "inverted"})
    born = datetime.date(2024, 1, 1)
    insert_many(
        subject.Subject,
        {"lab": "l", "subject": names, "subject_uuid": [f"{k:08d}-0000-4000-8000-000000000000" for k in range(n)],
         "sex": ["M", "F"] * (n // 2), "birth_date": [born] * n},
    )  # fmt: skip
    insert_many(
        action.WaterAdministration,
        {"lab": "l", "subject": names[:3], "administration_time": [datetime.datetime(2024, 5, 2)] * 3,
         "water_volume": 1.0, "water_type": "Water 2% Citric Acid"},
    )  # fmt: skip
    table = behavior_analysis
    for number, name in enumerate(names):
        key = {"lab": "l", "subject": name}
        dates = [datetime.date(2024, 5, 1) + datetime.timedelta(days=day) for day in range(DAYS)]
        trained = None if number == n - 1 else 30 - number
        table.BehaviorHistory.insert1(
            key | {"history_fingerprint": f"{number:032d}", "n_training_days": DAYS}, allow_direct_insert=True
        )
        summary = {
            "session_date": dates, "training_day": list(range(1, DAYS + 1)), "day_sessions": 1, "training_week": 0,
            "day_trials": [100 + 10 * number] * DAYS,
            "day_performance_easy": [0.4 + 0.01 * number * day / DAYS for day in range(DAYS)],
        }  # fmt: skip
        table.DailySummary.insert([key | dict(zip(summary, row, strict=True)) for row in zip(*(
            value if isinstance(value, list) else [value] * DAYS for value in summary.values()), strict=True)],
            allow_direct_insert=True)  # fmt: skip
        status = {} if trained is None else {"trained_1a": trained}
        table.SubjectTraining.insert1(
            key | {"criteria": "ibl_pipeline_2021", "criteria_version": 1, "training_fingerprint": f"{number:032d}",
                   "training_status": "in_training", "n_training_sessions": DAYS, "days_to_status": status,
                   "first_dates": dict.fromkeys(status, "2024-06-01"), "missing_for_next": []},
            allow_direct_insert=True,
        )  # fmt: skip


def test_a_mouse_of_five_days_is_told_its_quartile(database):
    fill()
    from_rows = training_time.from_tables({"lab": "l"})
    assert len(from_rows.training_time) == 25 and from_rows.training_time.max() == 29
    assert {"perf_delta1", "trials_init", "sex", "weekend_water"} <= set(from_rows.features)
    assert "light" not in from_rows.features, "all mice have the light of the lab: it tells nothing"
    assert from_rows.features["weekend_water"].sum() == 3
    worker.drain([behavior_analysis.TrainingTimeForecast])
    row = behavior_analysis.TrainingTimeForecast.fetch1()
    assert row["forecast_mice"] == 25 and row["forecast_f1"] > row["forecast_chance"]
    told = {item["subject"]: item for item in behavior_analysis.TrainingTimeForecast.Mouse().to_dicts()}
    assert told["m25"]["true_quartile"] is None and told["m00"]["true_quartile"] == 4
    assert np.argmax([told["m25"][f"quartile_{k}"] for k in range(1, 5)]) == 0, "it improved fastest"
    shown = queries._forecast({"lab": "l", "subject": "m25"})
    words = page._forecast(type("Found", (), {"forecast": shown})())
    assert "fastest quarter" in words and "25 trained mice" in words and "guess" in words
    assert behavior_analysis.TrainingTimeForecast().current_fingerprints()["fingerprint"][0].as_py() == row["forecast_fingerprint"]  # noqa: E501  # fmt: skip


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_of_water_only_what_a_forecast_uses_makes_it_stale(database):
    def fingerprint() -> str:
        return behavior_analysis.TrainingTimeForecast().current_fingerprints()["fingerprint"][0].as_py()

    def give(name: str, kind: str, day: int) -> None:
        row = {"administration_time": [datetime.datetime(2024, 5, day)], "water_volume": 1.0, "water_type": kind}
        insert_many(action.WaterAdministration, {"lab": "l", "subject": [name]} | row)

    def weigh(day: int) -> None:
        amounts = dict.fromkeys(("water_reward", "water_supplement"), 1.0)
        said = dict.fromkeys(("restricted", "weighed", "day_adlib", "underweight", "critical"), False)
        weights = {"day_weight": 20.0 + day, "day_reference_weight": 25.0}
        row = {"lab": "l", "subject": "m04", "session_date": datetime.date(2024, 5, day)}
        action.WaterStatus.insert1(row | amounts | said | weights, allow_direct_insert=True)

    fill()
    before = fingerprint()
    action.WaterHistory.insert1(
        {"lab": "l", "subject": "m04", "water_fingerprint": "0" * 32, "n_restriction_days": 0}, allow_direct_insert=True
    )
    give("m04", "Water", 3)
    give("m00", "Water 2% Citric Acid", 9)
    weigh(2)
    assert fingerprint() == before, "plain water, more citric acid and weights of later days are not used"
    weigh(1)
    weighed = fingerprint()
    assert weighed != before, "the weight of the first day of training is"
    give("m04", "Water 2% Citric Acid", 4)
    assert fingerprint() != weighed, "so is the first citric acid"
