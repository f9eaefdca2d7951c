"""Three labs whose tasks the program does not know: described in settings or a module, from files to what was true."""

from __future__ import annotations

import datetime
import json
import re
import sys

import numpy as np
import pandas as pd
import pytest
from plotly.utils import PlotlyJSONEncoder

import ingest
from dashboard.pages import _mouse_days, _mouse_tasks, _session_task
from dashboard.queries import daily, overview
from dashboard.queries import mouse as mice
from dashboard.queries import session as queries
from dashboard.site import Viewer
from pipeline import behavior, behavior_analysis, data, photostimulation, settings, task_analysis
from pipeline.analysis import curves
from pipeline.database import lab_modules
from pipeline.provenance import staleness
from pipeline.worker import drain
from tests.analysis.test_foraging import forager

pytestmark = [pytest.mark.slow, pytest.mark.one_database]

TONES = {
    "name": "tones",
    "title": "Frequency discrimination",
    "protocols": ["*tone2afc*"],
    "choices": [[1, "low"], [2, "high"]],
    "correct": "choice == target",
    "curve": "logistic",
    "stimulus": {
        "column": "toneFrequency", "axis": "frequency", "unit": "Hz", "scale": "log", "reference": 4000, "easy": 1.5,
    },
}  # fmt: skip
ODOURS = {
    "name": "odours",
    "protocols": ["olfactory_*"],
    "design": "go_no_go",
    "choices": [[1, "lick"]],
    "go": 'odour == "mint"',
    "stimulus": {"column": "odour", "axis": "odour"},
    "starts": ["odourOn_times"],
    "responds": "firstLick_times",
}
PORTS = """
from pipeline.paradigms import TaskDescription

TASKS = [
    TaskDescription(
        "ports", ("three_ports*",), "foraging", choices=((1, "left"), (2, "middle"), (3, "right")), correct="",
        rewarded="reward_volume > 0", blocks=("pLeft", "pMiddle", "pRight"),
    )
]
"""


def tones(random, n=900):
    level = random.choice(1000 * 2.0 ** np.arange(5), n)
    p_high = curves.evaluate(np.log2(level / 4000), 0.2, 0.5, 0.05, 0.05, "logistic")
    choice = np.where(random.random(n) < 0.04, 0, np.where(random.random(n) < p_high, 2, 1))
    target = np.where(level > 4000, 2, np.where(level < 4000, 1, random.integers(1, 3, n)))
    return {
        "choice": choice,
        "toneFrequency": level.astype(np.float32),
        "target": target,
        "laserOn": random.random(n) < 0.2,
    }


def odours(random, n=600):
    """In every fifth trial light makes a response late, and changes nothing else."""
    mint = random.random(n) < 0.5
    licked = random.normal(size=n) + 2.0 * mint > 0.7
    on = np.arange(n) * 5.0 + 1
    table = pd.DataFrame({"odour": np.where(mint, "mint", "rose"), "choice": licked.astype(int), "odourOn_times": on})
    table["firstLick_times"] = np.where(licked, on + 0.4 + 0.2 * (np.arange(n) % 5 == 0), np.nan)
    return table


def light(folder, n=600):
    onsets = np.arange(n)[::5] * 5.0 + 0.5
    np.save(folder / "_lab_opto.intervals.npy", np.column_stack([onsets, onsets + 1.0]))
    np.save(folder / "_lab_opto.site.npy", np.where(np.arange(len(onsets)) % 2, "OB", "PIR"))


def ports(n=1800):
    table = np.array([np.roll([0.7, 0.1, 0.1], k) for k in range(3)])
    choices, rewards = forager(3, [1.6], [-0.3], n, 8, table)
    odds = table[np.arange(n) // 60 % 3]
    columns = {name: odds[:, k] for k, name in enumerate(("pLeft", "pMiddle", "pRight"))}
    return {"choice": choices + 1, "rewardVolume": np.where(rewards, 3.0, 0.0)} | columns


def write(root, lab, protocol, columns):
    folder = root / lab / "Subjects" / "m1" / "2024-05-06" / "001"
    (folder / "alf").mkdir(parents=True)
    (folder / "raw_behavior_data").mkdir()
    (folder / "raw_behavior_data" / "_iblrig_taskSettings.raw.json").write_text(f'{{"PYBPOD_PROTOCOL": "{protocol}"}}')
    n = len(columns["choice"])
    starts = np.arange(n) * 5.0
    np.save(folder / "alf" / "_ibl_trials.intervals.npy", np.column_stack([starts, starts + 4]))
    if isinstance(columns, pd.DataFrame):
        columns.to_parquet(folder / "alf" / "_ibl_trials.table.pqt")
        return
    for name, values in columns.items():
        np.save(folder / "alf" / f"_lab_trials.{name}.npy", values)


@pytest.fixture
def labs(database, tmp_path, monkeypatch):
    (tmp_path / "portlab.py").write_text(PORTS)
    monkeypatch.syspath_prepend(tmp_path)
    root, random = tmp_path / "data", np.random.default_rng(11)
    write(root, "auditory", "auditory_tone2afc", tones(random))
    write(root, "olfactory", "olfactory_discrimination", odours(random))
    light(root / "olfactory" / "Subjects" / "m1" / "2024-05-06" / "001" / "alf")
    write(root, "foraging", "three_ports_v2", ports())
    with settings.override(tasks=(TONES, ODOURS), modules=("portlab",)):
        lab_modules.load()
        assert not lab_modules.failures()
        yield root
    sys.modules.pop("portlab", None)
    lab_modules.paradigms.register("portlab", [])


def test_three_tasks_that_the_program_does_not_know(labs):
    ingest.register(labs)
    assert not data.Quarantine & "resolved IS NULL", "the codes of described tasks are valid"
    drain([behavior.TrialSet, behavior_analysis.SessionPerformance, behavior_analysis.PsychometricFit,
           task_analysis.TaskPerformance, behavior_analysis.BehaviorHistory, behavior_analysis.SubjectTraining,
           photostimulation.StimulationSet, photostimulation.StimulationEffect])  # fmt: skip
    named = dict(zip(*behavior.TrialSet.to_arrays("lab", "paradigm"), strict=True))
    assert named == {"auditory": "tones", "olfactory": "odours", "foraging": "ports"}
    rows = {row["lab"]: row for row in task_analysis.TaskPerformance.to_dicts()}
    common = {row["lab"]: row for row in behavior_analysis.SessionPerformance.to_dicts()}
    days = {row["lab"]: row for row in behavior_analysis.DailySummary.to_dicts()}
    assert all(row["task_notes"] == ["no response times: the trials have none of stim_on_times, go_cue_trigger_times, "
                                     "go_cue_times"] for name, row in rows.items() if name != "olfactory")  # fmt: skip

    curve = (task_analysis.TaskPerformance.Curve & {"lab": "auditory"}).fetch1()
    for name, truth in (("centre", 0.2), ("width", 0.5)):
        assert abs(curve[f"curve_{name}"] - truth) < 4 * curve[f"curve_{name}_error"] < 0.6
    assert curve["curve_of"] == "high" and 3500 < curve["curve_centre_level"] < 6000
    trials = behavior.fetch_trials({"lab": "auditory"} | (behavior.TrialSet & {"lab": "auditory"}).fetch1("KEY"))
    judged = trials["choice"] > 0
    share = np.mean((trials["choice"] == trials["target"])[judged])
    assert common["auditory"]["performance"] == days["auditory"]["day_performance"] == pytest.approx(share)
    assert common["auditory"]["performance_easy"] > share and common["auditory"]["n_no_go"] == (~judged).sum()
    assert days["auditory"]["training_day"] == 1
    assert behavior.fetch_trials(trials_key("auditory"), "laserOn and toneFrequency >= 8000")["laserOn"].all()

    obtained = rows["olfactory"]
    assert (
        abs(obtained["measures"]["d_prime"] - 2.0) < 0.35 and abs(obtained["measures"]["criterion"] - (0.7 - 1.0)) < 0.2
    )
    assert obtained["median_response_time"] == pytest.approx(0.4)
    assert obtained["fraction_correct"] == common["olfactory"]["performance"] > 0.8
    levels = task_analysis.TaskPerformance.Level & {"lab": "olfactory"}
    assert set(levels.to_arrays("level_name")) == {"mint", "rose"}

    effects = {row["effect_site"]: row for row in photostimulation.StimulationEffect.Site.to_dicts()}
    assert {name: row["n_light"] for name, row in effects.items()} == {"all": 120, "OB": 60, "PIR": 60}
    for row in effects.values():
        assert (row["response_time_dark"], row["response_time_light"]) == pytest.approx((0.4, 0.6))
        assert row["response_time_effect_p"] < 1e-6 and row["performance_effect_p"] > 0.001

    measures = rows["foraging"]["measures"]
    assert abs(measures["history_reward"][0] - 1.6) < 4 * measures["history_reward_error"][0]
    assert abs(measures["history_no_reward"][0] + 0.3) < 4 * measures["history_no_reward_error"][0]
    assert measures["stay_after_reward"] > 0.6 > measures["stay_after_no_reward"]
    assert len(task_analysis.TaskPerformance.Block & {"lab": "foraging"}) == 30
    assert rows["foraging"]["fraction_correct"] is None and common["foraging"]["n_responses"] == 1800

    pages_show_them()
    pages_of_mice_and_days_follow_the_descriptions()


def pages_of_mice_and_days_follow_the_descriptions():
    """Figures have the axis of the task, shares are those of its correct trials, and nothing waits for a curve."""
    figures = {
        "auditory": {"task-tones-over-days", "task-tones-centre", "task-tones-curves"},
        "olfactory": {"task-odours-over-days", "task-odours-d-prime"},
        "foraging": {"task-ports-over-days"},
    }
    for lab, expected in figures.items():
        mouse = mice.mouse({"lab": lab, "subject": "m1"}, "ibl_pipeline_2021")
        assert not _mouse_tasks.has_own_task(mouse)
        page = json.dumps(_mouse_tasks.sections(mouse), cls=PlotlyJSONEncoder)
        assert set(re.findall(r"task-[a-z]+-[a-z-]+", page)) == expected
        days = json.dumps(_mouse_days.days(mouse, Viewer("mia", "member")), cls=PlotlyJSONEncoder)
        assert "Choices by contrast" not in days and "sychometric parameters" not in days
        if lab == "auditory":
            assert "Frequency (Hz)" in page and '"type": "log"' in page and "6 May 2024" in page
    summary = daily.summary(dict.fromkeys(figures, datetime.date(2024, 5, 6)))
    collected = {mouse.lab: mouse.today for mouse in summary.mice}
    assert {day.kind for day in collected.values()} == {"trained"}, [day.sessions for day in collected.values()]
    rows = {row["lab"]: row for row in behavior_analysis.SessionPerformance.to_dicts()}
    session = collected["olfactory"].sessions[0]
    assert not session.is_easy
    assert session.n_judged_correct / session.n_judged == pytest.approx(rows["olfactory"]["performance"], abs=0.002)
    assert collected["auditory"].sessions[0].is_easy and not collected["foraging"].sessions[0].n_judged
    shown = {row["lab"]: row for row in overview.mice("ibl_pipeline_2021", datetime.datetime(2024, 5, 6, 20))}
    assert shown["auditory"]["performance_easy"] == pytest.approx(rows["auditory"]["performance_easy"])
    assert shown["olfactory"]["performance_easy"] == pytest.approx(rows["olfactory"]["performance"])
    assert shown["foraging"]["performance_easy"] is None


def pages_show_them():
    """Each task on the page of its session: its measures, and figures with data on the axis of its description."""
    figures = {"auditory": {"task-curves", "task-levels"}, "olfactory": {"task-levels"}, "foraging": {"task-blocks"}}
    for lab, expected in figures.items():
        shown_session = queries.session(trials_key(lab), "ibl_pipeline_2021")
        page = json.dumps(_session_task.section(shown_session), cls=PlotlyJSONEncoder)
        assert {name for name in ("task-curves", "task-levels", "task-blocks") if name in page} == expected
        assert "Correct" in page or lab == "foraging"
    words = {"auditory": "Frequency (Hz)", "olfactory": "d\\u2032", "foraging": "Stays after reward"}
    for lab, word in words.items():
        shown_session = queries.session(trials_key(lab), "ibl_pipeline_2021")
        assert word in json.dumps(_session_task.section(shown_session), cls=PlotlyJSONEncoder)


@pytest.mark.soak
def test_one_and_nwb_have_every_column_of_each_lab(labs, tmp_path):
    pynwb = pytest.importorskip("pynwb")
    from exchange.nwb.export import Options, export
    from one_bridge import ONE

    ingest.register(labs)
    drain([behavior.TrialSet, photostimulation.StimulationSet])
    one, own = ONE(), {"auditory": "toneFrequency", "olfactory": "odour", "foraging": "pMiddle"}
    for lab, column in own.items():
        (eid,) = one.search(lab=lab)
        loaded = one.load_object(eid, "trials", collection="alf")
        kept = behavior.fetch_trials(trials_key(lab))[column]
        assert list(loaded[column]) == list(kept), column
    results = export([trials_key(lab) for lab in own], tmp_path / "nwb", Options(incomplete=True))
    assert [result.state for result in results] == ["written"] * 3, results
    for result, (lab, column) in zip(results, own.items(), strict=True):
        with pynwb.NWBHDF5IO(result.path, "r") as file:
            trials = file.read().trials.to_dataframe()
            kept = behavior.fetch_trials(trials_key(lab))[column]
            name = re.sub("([A-Z])", r"_\1", column).lower()  # as names are in NWB
            assert name in trials and list(trials[name]) == list(kept), (lab, list(trials))


def test_a_task_that_nobody_describes_says_what_to_add(database, tmp_path):
    write(tmp_path, "auditory", "auditory_gap_detection", tones(np.random.default_rng(0), 20) | {"choice": np.ones(20)})
    ingest.register(tmp_path)
    drain([behavior.TrialSet, behavior_analysis.SessionPerformance, task_analysis.TaskPerformance])
    assert (behavior.TrialSet.fetch1("n_trials"), len(task_analysis.TaskPerformance())) == (20, 0)
    mouse = mice.mouse({"lab": "auditory", "subject": "m1"}, "ibl_pipeline_2021")
    section = str(_mouse_tasks.sections(mouse))
    assert "of its 1 sessions there are trial counts only" in section and "[[tasks]]" in section
    page = str(_session_task.section(queries.session(trials_key("auditory"), "ibl_pipeline_2021")))
    assert "auditory_gap_detection" in page and "[[tasks]]" in page


def trials_key(lab):
    return (behavior.TrialSet & {"lab": lab}).fetch1("KEY")


def test_a_changed_description_makes_its_sessions_stale_and_no_others(labs):
    ingest.register(labs)
    drain([behavior.TrialSet])
    assert not staleness.find([behavior.TrialSet]).keys
    with settings.override(tasks=(TONES | {"curve": "erf"}, ODOURS), modules=("portlab",)):
        stale = staleness.find([behavior.TrialSet])
        assert [item["lab"] for item in stale.keys["behavior.TrialSet"]] == ["auditory"]
