"""A simulated lab is a valid ALF tree, the same for the same seed, whose tables and files agree with its truth."""

import hashlib
import json
import uuid
from datetime import date

import numpy as np
import pandas as pd
import pytest
from one.alf.path import ALFPath
from one.alf.spec import is_valid

from ingest.simulate import Psychometric, signed_contrast, write_lab, write_many
from ingest.simulate.files import ALF_NAMES, REVISION
from ingest.simulate.streams import PHOTOMETRY_FORMS
from pipeline.analysis.criteria import RULE_SETS
from pipeline.analysis.records import session_record
from pipeline.analysis.training import evaluate
from pipeline.errors import NeurojointError


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Four mice (fast, slow, never, side_biased) with 20 sessions each, and the truth about them."""
    root = tmp_path_factory.mktemp("lab")
    calls = []
    truth = write_lab(root, n_mice=4, n_sessions=20, seed=3, progress=lambda done, total: calls.append((done, total)))
    return root, json.loads(truth.read_text()), calls


def _read_trials(session):
    """Trials of a session, read the plain way: the revision's file before the others, the table where there is one."""
    alf, trials = session / "alf", {}
    if (alf / "_ibl_trials.table.pqt").exists():
        table = pd.read_parquet(alf / "_ibl_trials.table.pqt")
        trials = {column: table[ALF_NAMES.get(column, column)].to_numpy() for column in _columns_of(table)}
    for column, attribute in ALF_NAMES.items():
        places = (alf / REVISION, "_ibl_"), (alf, "_ibl_"), (alf, "")
        collected = [folder / f"{prefix}trials.{attribute}.npy" for folder, prefix in places]
        path = next((path for path in collected if path.exists()), None)
        if path:
            trials[column] = np.load(path)
    return trials


def _columns_of(table):
    columns = {attribute: column for column, attribute in ALF_NAMES.items()}
    return [columns.get(name, name) for name in table.columns]


def _sessions(lab):
    root, truth, _ = lab
    return [(root / s["path"], s) for s in truth["sessions"]]


def _digest(root):
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return {p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.mark.slow
def test_same_arguments_same_bytes(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_lab(tmp_path / name, n_mice=2, n_sessions=8, seed=seed)
    a, b, c = (_digest(tmp_path / name) for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.slow
def test_behaviour_does_not_depend_on_what_is_written(tmp_path):
    """Without wheels, and with trials in another form, the mice do the same."""
    truths: list[list[dict]] = []
    written = {"form", "n_moves", "photometry", "pupil_diameter", "passive_periods"}
    for name, options in (("a", {}), ("b", {"wheel": False, "form": "table"})):
        truth = json.loads(write_lab(tmp_path / name, n_mice=1, n_sessions=18, **options).read_text())
        truths.append([{k: v for k, v in s.items() if k not in written} for s in truth["sessions"]])
    assert truths[0] == truths[1]
    assert truths[0][-1]["stage"] == "ephys"
    assert not list((tmp_path / "b").rglob("*wheel*"))


@pytest.mark.slow
def test_every_file_of_a_session_has_a_valid_alf_name_and_path(lab):
    root, truth, _ = lab
    files = [p for p in (root / "simlab").rglob("*") if p.is_file()]
    assert len(files) > 1000
    assert all(is_valid(p.name) and ALFPath(p).is_valid_alf() for p in files)
    assert {ALFPath(p).session_path().relative_to(root).as_posix() for p in files} == {
        s["path"] for s in truth["sessions"]
    }


def test_truth_and_tables_lie_outside_session_folders(lab):
    root, _, _ = lab
    outside = {p.name for p in root.iterdir()} - {"simlab"}
    tables = {"subjects.csv", "weighings.csv", "water.csv", "restrictions.csv", "sessions.json"}
    assert outside == tables | {"truth.json", "truth"}


def test_each_form_of_trials_occurs_and_reads_back_as_the_truth_says(lab):
    forms = set()
    for path, session in _sessions(lab):
        trials = _read_trials(path)
        forms.add(session["form"])
        assert len(trials["choice"]) == session["n_trials"]
        assert np.sum(trials["feedback_type"] == 1) == session["n_correct"]
        assert trials["reward_volume"].sum() / 1000 == pytest.approx(session["water"], abs=1e-4)
        assert {str(p) for p in np.unique(trials["probability_left"])} <= set(session["blocks"])
        assert trials["choice"].dtype == np.int64
        assert trials["included"].dtype == bool
    assert forms == {"npy", "table", "plain", "revision"}


def test_revision_differs_from_the_first_extraction(lab):
    """A reader that ignores revisions gets other choices and stimulus times, of the same length."""
    path = next(path for path, session in _sessions(lab) if session["form"] == "revision")
    for attribute in ("choice", "stimOn_times", "feedbackType", "rewardVolume"):
        old, new = (np.load(path / "alf" / f / f"_ibl_trials.{attribute}.npy") for f in ("", REVISION))
        assert old.shape == new.shape
        assert not np.array_equal(old, new, equal_nan=True)


@pytest.mark.slow
def test_generating_parameters_are_recovered_by_counting(lab):
    """Pooled over sessions, right choices differ from their generating probability as a sum of coin tosses does."""
    z = []
    for path, session in _sessions(lab):
        trials = _read_trials(path)
        signed, responded = signed_contrast(trials), trials["choice"] != 0
        for block, curve in session["blocks"].items():
            where = responded & (trials["probability_left"] == float(block))
            p = np.array([Psychometric(**curve).p_right(c) for c in signed[where]])
            if where.sum() > 50:
                z.append((np.sum(trials["choice"][where] == -1) - p.sum()) / np.sqrt((p * (1 - p)).sum()))
    assert len(z) > 80
    assert abs(np.mean(z)) < 4 / np.sqrt(len(z))
    assert 0.75 < np.std(z) < 1.25


def test_kinds_of_mice_are_what_they_are_called(lab):
    """The fast mouse goes through all stages, the others train on; the side-biased one answers right far too often."""
    _, truth, _ = lab
    stages = {mouse["kind"]: mouse["first_date_of_stage"] for mouse in truth["mice"].values()}
    assert list(stages["fast"]) == ["training", "biased", "biased_ephys_rig", "ephys"]
    assert list(stages["fast"].values()) == sorted(stages["fast"].values())
    for kind in ("slow", "never", "side_biased"):
        assert list(stages[kind]) == ["training"]
    last = {}
    for path, session in _sessions(lab):
        last[truth["mice"][session["subject"]]["kind"]] = _read_trials(path), session
    trials, session = last["side_biased"]
    assert np.mean(trials["choice"] == -1) > 0.6
    trials, session = last["never"]
    assert session["n_correct"] / session["n_trials"] < 0.6
    _, session = last["fast"]
    assert session["n_trials"] > 200
    assert session["n_correct"] / session["n_trials"] > 0.8
    assert "ephys" in session["rig"]
    assert session["delay"] >= 900


def test_learned_mice_master_what_moves_them_on(lab):
    """Before biased sessions: three with > 400 trials, > 0.9 correct at easy contrasts, 0 % among the contrasts."""
    fast = [(p, s) for p, s in _sessions(lab) if s["subject"].startswith("fast")]
    first_biased = next(i for i, (_, s) in enumerate(fast) if s["stage"] == "biased")
    for path, session in fast[first_biased - 3 : first_biased]:
        trials = _read_trials(path)
        signed = signed_contrast(trials)
        assert session["n_trials"] > 400
        assert (signed == 0).any()
        assert np.mean(trials["feedback_type"][np.abs(signed) >= 50] == 1) > 0.9
        assert abs(session["blocks"]["0.5"]["bias"]) < 10
        assert session["blocks"]["0.5"]["threshold"] < 20


@pytest.mark.slow
def test_the_published_rules_find_the_fast_mouse_trained(lab):
    """trained_1a, trained_1b before the first biased session, then ready4ephysrig; the other kinds stay in training."""
    _, truth, _ = lab
    courses = {}
    for subject, mouse in truth["mice"].items():
        own = [(path, s) for path, s in _sessions(lab) if s["subject"] == subject]
        history = [
            session_record(
                _read_trials(path),
                date.fromisoformat(s["date"]),
                s["number"],
                s["task_protocol"],
                on_ephys_rig="ephys" in s["rig"],
                start_delay=float(s["delay"]),
            )
            for path, s in own
        ]
        courses[mouse["kind"]] = evaluate(history, RULE_SETS["ibl_pipeline_2021"])
    reached = {m.status: m.session_date.isoformat() for m in courses.pop("fast").milestones}
    assert list(reached)[:4] == ["in_training", "trained_1a", "trained_1b", "ready4ephysrig"]
    first_biased = truth["mice"]["fast_001"]["first_date_of_stage"]["biased"]
    assert reached["trained_1b"] < first_biased <= reached["ready4ephysrig"]
    assert {course.status for course in courses.values()} == {"in_training"}


def test_priors_shift_choices_towards_the_likelier_side(lab):
    """In blocks with more stimuli on the left the generating bias is larger: fewer right choices."""
    blocks = [session["blocks"] for _, session in _sessions(lab) if session["stage"] != "training"]
    assert len(blocks) >= 5
    assert all(b["0.8"]["bias"] - b["0.2"]["bias"] == pytest.approx(14) for b in blocks)


def test_sessions_are_on_weekdays_and_some_days_have_two(lab):
    _, truth, calls = lab
    assert all(date.fromisoformat(s["date"]).weekday() < 5 for s in truth["sessions"])
    assert {s["number"] for s in truth["sessions"]} == {1, 2}
    by_mouse = pd.DataFrame(truth["sessions"]).groupby("subject")["start_time"]
    assert by_mouse.apply(lambda times: times.is_monotonic_increasing and times.is_unique).all()
    assert by_mouse.size().eq(20).all()
    assert calls == [(i + 1, 80) for i in range(80)]


def test_tables_agree_with_each_other_and_with_the_sessions(lab):
    root, truth, _ = lab
    read = {name: pd.read_csv(root / f"{name}.csv") for name in ("subjects", "weighings", "water", "restrictions")}
    subjects = set(truth["mice"])
    assert all(set(table["subject"]) == subjects and set(table["lab"]) == {"simlab"} for table in read.values())
    water = read["water"]
    assert not water.duplicated(["subject", "administration_time"]).any()
    assert not read["weighings"].duplicated(["subject", "weighing_time"]).any()
    in_session = water.dropna(subset=["session_number"])
    keys = zip(
        in_session["subject"], in_session["administration_time"].str[:10], in_session["session_number"], strict=True
    )
    given = dict(zip(keys, in_session["volume"], strict=True))
    assert given == {(s["subject"], s["date"], s["number"]): s["water"] for s in truth["sessions"]}
    days = water[water["adlib"] == 0].groupby([water["subject"], water["administration_time"].str[:10]])["volume"].sum()
    assert days.min() > 0.6
    assert water.loc[water["volume"].isna(), "adlib"].eq(1).all()
    assert set(pd.to_datetime(water.loc[water["adlib"] == 1, "administration_time"]).dt.day_of_week) == {5, 6}


def test_weights_fall_under_restriction_as_the_mouse_s_parameters_say(lab):
    root, truth, _ = lab
    weighings = pd.read_csv(root / "weighings.csv", parse_dates=["weighing_time"])
    restrictions = pd.read_csv(root / "restrictions.csv", parse_dates=["start_time"]).set_index("subject")
    for subject, rows in weighings.groupby("subject"):
        mouse = truth["mice"][subject]
        before = rows["weighing_time"] <= restrictions.loc[subject, "start_time"]
        assert rows["weight"][before].mean() == pytest.approx(mouse["reference_weight"], abs=0.3)
        fridays = rows["weight"][rows["weighing_time"].dt.day_of_week == 4].iloc[2:]
        assert fridays.mean() / mouse["reference_weight"] == pytest.approx(mouse["weight_held"], abs=0.03)


def test_sessions_json_knows_seven_of_ten_with_valid_identifiers(lab):
    root, truth, _ = lab
    known = json.loads((root / "sessions.json").read_text())
    eids = {s["path"]: s["eid"] for s in truth["sessions"] if s["eid"]}
    assert {path: entry["eid"] for path, entry in known.items()} == eids
    assert len(eids) == 56
    assert len(set(eids.values())) == 56
    assert all(uuid.UUID(eid).version == 4 for eid in eids.values())
    assert all(set(e) == {"eid", "start_time", "task_protocol", "users", "projects"} for e in known.values())


def test_settings_have_the_keys_of_their_iblrig_version(lab):
    seen = set()
    for path, session in _sessions(lab):
        (file,) = path.glob("raw_*/_iblrig_taskSettings.raw.json")
        settings = json.loads(file.read_text())
        version = 7 if file.parent.name == "raw_behavior_data" else 8
        seen.add(version)
        start = settings["SESSION_DATETIME" if version == 7 else "SESSION_START_TIME"]
        assert start + "Z" == session["start_time"]
        assert settings["PYBPOD_BOARD" if version == 7 else "RIG_NAME"] == session["rig"]
        assert settings["SUBJECT_NAME"] == session["subject"]
        assert int(settings["SESSION_NUMBER"]) == session["number"]
        assert settings["PYBPOD_PROTOCOL"] == session["protocol"]
        assert settings["SESSION_START_DELAY_SEC"] == session["delay"]
        assert (path / "_ibl_experiment.description.yaml").exists() == (version == 8)
    assert seen == {7, 8}


def test_wheel_truth_is_beside_the_data(lab):
    root, truth, _ = lab
    for session in truth["sessions"][:25]:
        name = f"{session['subject']}_{session['date']}_{session['number']:03d}.npz"
        with np.load(root / "truth" / name) as moves:
            assert len(moves["onsets"]) == len(moves["offsets"]) == len(moves["amplitudes"]) == session["n_moves"]
        alf = root / session["path"] / "alf"
        position, times = np.load(alf / "_ibl_wheel.position.npy"), np.load(alf / "_ibl_wheel.timestamps.npy")
        assert len(position) == len(times)
        (path,) = alf.glob("*licks.times.*")
        licks = pd.read_csv(path)["times"] if path.suffix == ".csv" else np.load(path).ravel()
        assert len(licks) == session["n_licks"]
        assert np.all(np.diff(licks) >= 0)
        assert licks[0] >= 0
    cameras = list((root / "simlab").rglob("*leftCamera.times.*"))
    assert len(cameras) == 16
    assert np.all(np.diff(np.load(next(path for path in cameras if path.suffix == ".npy")).ravel()) > 0)
    forms = {session["photometry"]: root / session["path"] for session in truth["sessions"] if "photometry" in session}
    assert set(forms) == set(PHOTOMETRY_FORMS[:3])
    for folder in forms.values():
        table = pd.read_parquet(folder / "alf/photometry/photometry.signal.pqt")
        assert {"GCaMP", "Isosbestic"} <= set(table["name"])


@pytest.mark.slow
def test_a_mouse_that_never_learns_leaves_after_forty_sessions(tmp_path):
    write_lab(tmp_path, n_mice=3, n_sessions=40, wheel=False, form="table")
    subjects = pd.read_csv(tmp_path / "subjects.csv").set_index("subject")
    restrictions = pd.read_csv(tmp_path / "restrictions.csv").set_index("subject")
    assert subjects["death_date"].notna().tolist() == [False, False, True]
    assert restrictions["end_time"].notna().tolist() == [False, False, True]


def test_bad_arguments_are_refused_with_a_remedy(tmp_path):
    for options in ({"form": "csv"}, {"n_mice": 0}, {"n_sessions": -1}):
        with pytest.raises(NeurojointError):
            write_lab(tmp_path / "x", **options)
    write_lab(tmp_path / "y", n_mice=1, n_sessions=1)
    with pytest.raises(NeurojointError, match="exists already"):
        write_lab(tmp_path / "y", n_mice=1, n_sessions=1)


@pytest.mark.slow
def test_many_tiny_sessions_are_valid_and_do_not_depend_on_the_workers(tmp_path):
    for name, workers in (("one", 1), ("two", 2)):
        write_many(tmp_path / name, n_sessions=90, files_per_session=23, workers=workers)
    one, two = (_digest(tmp_path / name) for name in ("one", "two"))
    assert one == two
    assert len(one) == 90 * 23
    assert all(ALFPath(tmp_path / "one" / path).is_valid_alf() for path in one)
    sessions = {path.split("/alf/")[0] for path in one}
    assert len(sessions) == 90
    assert len({one[f"{s}/alf/_ibl_trials.intervals.npy"] for s in sessions}) == 90
    for session in sorted(sessions)[:5]:
        arrays = [np.load(p) for p in (tmp_path / "one" / session / "alf").glob("_ibl_trials.*.npy")]
        assert {len(array) for array in arrays} == {12}
        start, end = np.load(tmp_path / "one" / session / "alf/_ibl_trials.intervals.npy").T
        assert np.all(start[1:] > end[:-1])
