"""Every column of trials is kept; named conditions and periods choose among trials by them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import ingest
from pipeline import behavior, selection
from pipeline.analysis.trial_conditions import InvalidCondition
from pipeline.errors import ConflictError, UserError
from pipeline.worker import drain

pytestmark = pytest.mark.slow

N = 6


@pytest.fixture
def key(database, tmp_path):
    """A session of a task that nobody has heard of: single files, and a table with words and times."""
    alf = tmp_path / "lab" / "Subjects" / "m1" / "2024-05-06" / "001" / "alf"
    alf.mkdir(parents=True)
    np.save(alf / "_ibl_trials.choice.npy", np.array([1, -1, 1, -1, 1, -1], np.int8))
    np.save(alf / "_lab_trials.toneFrequency.npy", np.array([1000, 2000, 4000, 8000, 16000, np.nan], np.float32))
    np.save(alf / "_lab_trials.laserOn.npy", np.array([True, False] * 3))
    np.save(alf / "_lab_trials.port.npy", np.array(["left", "right"] * 3))
    np.save(alf / "_lab_trials.spout_xy.npy", np.arange(12.0).reshape(6, 2))
    pd.DataFrame(
        {
            "intervals_0": np.arange(N) * 2.0,
            "intervals_1": np.arange(N) * 2.0 + 1.5,
            "odour": ["mint", "rose", None, "mint", "rose", "musk"],
            "n_licks": np.arange(N),
        }
    ).to_parquet(alf / "_ibl_trials.table.pqt")
    ingest.register(tmp_path)
    assert drain([behavior.TrialSet]) == {"behavior.TrialSet": 1}
    return behavior.TrialSet.fetch1("KEY")


def test_every_column_of_the_files_is_kept_with_its_type(key):
    trials = behavior.fetch_trials(key)
    assert trials["toneFrequency"].dtype == np.float32 and trials["toneFrequency"][3] == 8000
    assert trials["laserOn"].dtype == bool
    assert trials["spout_xy"].shape == (6, 2)
    assert trials["n_licks"].tolist() == list(range(N))
    assert trials["odour"].tolist() == ["mint", "rose", None, "mint", "rose", "musk"]
    assert "odour" not in behavior.fetch_trials(key, other_columns=False)


def test_conditions_choose_among_all_columns(key):
    assert selection.TrialCondition.define("high", "toneFrequency > 3000 and choice == 1") == 1
    assert selection.TrialCondition.define("high", "toneFrequency > 3000 and choice == 1") == 1, "nothing has changed"
    assert behavior.fetch_trials(key, "high")["toneFrequency"].tolist() == [4000, 16000]
    assert selection.TrialCondition.define("high", 'toneFrequency > 3000 and odour == "mint"') == 2
    assert behavior.fetch_trials(key, "high")["toneFrequency"].tolist() == [8000]
    assert behavior.fetch_trials(key, "high@1")["choice"].tolist() == [1, 1]
    assert behavior.fetch_trials(key, "not laserOn and n_licks >= 3")["n_licks"].tolist() == [3, 5]
    with pytest.raises(InvalidCondition, match="did you mean toneFrequency"):
        selection.TrialCondition.define("wrong", "tonefrequency > 1")
    for mixed in (
        "toneFrequency > 'high'",
        "odour > 3",
        "port > 3",
        "choice == 'left'",
        "'a' + 1 > 2",
        'odour in ["mint", 1]',
    ):
        with pytest.raises(InvalidCondition, match="text"):
            selection.TrialCondition.define("wrong", mixed)
    with pytest.raises(UserError, match="has 6011 characters: one with a name may have 4000"):
        selection.TrialCondition.define("wrong", " or ".join(["choice == 1"] * 401))
    with pytest.raises(UserError, match="there are: high"):
        behavior.fetch_trials(key, "low")


def test_a_period_runs_from_one_event_of_each_trial_to_another(key):
    selection.Period.define("early", "intervals_0", "intervals_1", (0.1, -1.0), "the first part")
    bounds = selection.Period.intervals("early", behavior.fetch_trials(key))
    np.testing.assert_allclose(bounds[1], [2.1, 2.5])
    selection.Period.define("nothing", "intervals_1", "intervals_0")
    assert np.isnan(selection.Period.intervals("nothing", behavior.fetch_trials(key))).all(), "it would end before"
    with pytest.raises(ConflictError):
        selection.Period.define("early", "intervals_0", "intervals_1")
    with pytest.raises(UserError, match="no column goTone"):
        selection.Period.define("tone", "goTone", "intervals_1")
