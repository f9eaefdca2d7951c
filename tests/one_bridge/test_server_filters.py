"""Protects the filters of lists: queries as ONE's documentation, ibllib and iblscripts print them, negation and nulls
as Django means them, and any `django=` expression against a plain evaluation of the same rows."""

from __future__ import annotations

import datetime
import json
import operator
import re
import zoneinfo

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipeline.database.bulk import insert_many
from pipeline.schemas import acquisition, action, data, ephys, histology, lab
from tests.one_bridge.trees import File, Session, build, dataset_id, keys, locate

pytestmark = pytest.mark.slow

DAY = "2020-01-02"
SESSIONS = [
    Session(
        date="2020-01-01",
        protocol="trainingChoiceWorld",
        projects=("alpha", "beta"),
        files=[
            File("alf/_ibl_trials.choice.npy", np.ones(3)),
            File("alf/#2024-01-01#/_ibl_trials.choice.npy", np.ones(2)),
        ],
    ),
    Session(
        date="2020-01-02",
        protocol="_iblrig_ephysChoiceWorld",
        projects=("alpha",),
        probes=("probe00",),
        files=[
            File("alf/probe00/spikes.times.npy", np.ones(3), qc="FAIL"),
            File("raw_video_data/_iblrig_leftCamera.raw.mp4", b"x"),
        ],
    ),
    Session(date="2020-01-03", number=2, probes=("probe00", "probe01")),
    Session(lab="other_lab", subject="ZM_1", date="2020-01-02", files=[File("alf/spikes.times.npy", np.ones(1))]),
    Session(lab="other_lab", subject="ZM_1", date="2021-06-30", number=3, protocol="Histology"),
]
FIRST, SECOND, THIRD, FOURTH, FIFTH = SESSIONS


@pytest.fixture
def lists(serve, tmp_path):
    """A lab with sessions of several QC, JSON and times; `lists(endpoint, **filters)` gives names."""
    build(tmp_path / "data", SESSIONS)
    lab.Lab.update1({"lab": "other_lab", "time_zone": "America/New_York"})
    insert_many(lab.LabMember, {"user_name": ["mia", "max"]})
    for session, more in (
        (FIRST, {"session_qc": "CRITICAL", "start_time": datetime.datetime(2020, 1, 1, 15, 30)}),
        (
            SECOND,
            {"session_qc": "PASS", "extended_qc": {"behavior": 1, "_wheel": 0.25}, "session_json": {"a": {"b": "x"}}},
        ),
        (
            FOURTH,
            {"session_qc": "FAIL", "start_time": datetime.datetime(2020, 1, 3, 3, 0), "session_json": {"a": None}},
        ),
    ):
        acquisition.Session.update1({name: value[0] for name, value in keys([session]).items()} | more)
    insert_many(acquisition.SessionUser, keys([FIRST, SECOND, FOURTH]) | {"user_name": ["mia", "max", "mia"]})
    insert_many(acquisition.SessionProcedure, keys([FIFTH]) | {"procedure_type": ["Histology"]})
    data.Tag.insert1({"tag": "rel1"})
    data.DatasetTag.insert1({"dataset_id": str(dataset_id(SECOND, "alf/probe00/spikes.times.npy")), "tag": "rel1"})
    insertion = {name: value[0] for name, value in keys([SECOND]).items()} | {"probe_label": "probe00"}
    ephys.ProbeInsertion.update1(insertion | {"insertion_json": {"extended_qc": {"alignment_count": 2}, "qc": "PASS"}})
    track = {"entry_ml": 1.0, "entry_ap": 2.0, "entry_dv": 3.0, "insertion_depth": 4.0, "theta": 5.0, "phi": 6.0}
    system = {"coordinate_system": "IBL-Allen"}
    for provenance in ("planned", "ephys_aligned"):
        histology.Trajectory.insert1(insertion | track | system | {"provenance": provenance})
    locate(SECOND, "probe00", ["VPM", "PO", None])
    action.Weighing.insert1({"lab": "other_lab", "subject": "ZM_1", "weight": 20.0,
                             "weighing_time": datetime.datetime(2020, 1, 3, 3, 0)})  # fmt: skip
    served = serve(tmp_path / "data")
    http = served.session()
    notes = {"user": "mia", "content_type": "session", "object_id": str(SECOND.eid), "text": "x"}
    assert http.post(f"{served.url}/notes", json=notes, timeout=30).status_code == 201
    names = {"sessions": lambda r: f"{r['subject']} {r['start_time'][:10]}", "labs": lambda r: r["name"],
             "insertions": lambda r: f"{r['session_info']['start_time'][:10]} {r['name']}",
             "datasets": lambda r: r["name"], "subjects": lambda r: r["nickname"], "tags": lambda r: r["name"],
             "trajectories": lambda r: r["provenance"], "channels": lambda r: r["axial"]}  # fmt: skip

    def found(endpoint: str, **filters: str) -> list:
        answer = http.get(f"{served.url}/{endpoint}", params=filters, timeout=60)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["count"] == len(body["results"])
        return sorted(map(names.get(endpoint, json.dumps), body["results"]))

    found.http, found.url = http, served.url
    return found


PID = "insertion of the second session"
KS = ["KS014 2020-01-01", "KS014 2020-01-02", "KS014 2020-01-03"]
ZM = ["ZM_1 2020-01-02", "ZM_1 2021-06-30"]
PRINTED = (
    ("sessions", f"start_time__date__gte,{DAY}", [*KS[1:], *ZM]),
    ("insertions", f"session__start_time__date__lte,{DAY}", ["2020-01-02 probe00"]),
    (
        "datasets",
        "session__start_time__date__gte,2020-01-02",
        ["_iblrig_leftCamera.raw.mp4", "spikes.times.npy", "spikes.times.npy"],
    ),
    ("sessions", "qc__lt,50", [*KS[1:], *ZM]),
    (
        "insertions",
        "session__qc__lt,50,~json__qc,CRITICAL",
        ["2020-01-02 probe00", "2020-01-03 probe00", "2020-01-03 probe01"],
    ),
    ("insertions", "session__extended_qc__behavior,1", ["2020-01-02 probe00"]),
    (
        "trajectories",
        "probe_insertion__json__extended_qc__alignment_count__gt,0",
        ["Ephys aligned histology track", "Planned"],
    ),
    ("labs", "session__data_dataset_session_related__tags__name,rel1", ["simlab"]),
    ("sessions", "subject__actions_sessions__procedures__name,Histology", ZM),
    ("subjects", "actions_sessions__task_protocol__icontains,world", ["KS014"]),
    ("datasets", "revision__name,2024-01-01", ["_ibl_trials.choice.npy"]),
    ("channels", f"trajectory_estimate__probe_insertion,{PID}", [0.0, 20.0, 40.0]),
)
"""Of ONE's documentation, ibllib and iblscripts."""

OF_THEIR_KIND = (
    ("sessions", "qc,FAIL", ["ZM_1 2020-01-02"]),
    ("sessions", "qc,40", ["ZM_1 2020-01-02"]),
    ("sessions", "qc__in,['PASS','FAIL']", [KS[1], ZM[0]]),
    ("sessions", "qc__gte,FAIL", [KS[0], ZM[0]]),
    ("sessions", "qc__range,[10,40]", [KS[1], ZM[0]]),
    ("sessions", "~qc__gte,40", [KS[1], KS[2], ZM[1]]),
    ("sessions", "start_time__year,2021", [ZM[1]]),
    ("sessions", "start_time__month,1", [*KS, ZM[0]]),
    ("sessions", "start_time__gt,2020-01-01T15:00:00", [*KS, *ZM]),
    ("sessions", "start_time__gt,2020-01-01T15:30:00", [*KS[1:], *ZM]),
    ("sessions", "start_time__hour,22", [ZM[0]]),
    ("sessions", "start_time__week_day,5", [KS[1], ZM[0]]),
    ("sessions", "json__isnull,True", [KS[0], KS[2], ZM[1]]),
    ("sessions", "~json__isnull,True", [KS[1], ZM[0]]),
    ("sessions", "json__has_key,a", [KS[1], ZM[0]]),
    ("sessions", "json__has_keys,['a','c']", []),
    ("sessions", "json__has_any_keys,['a','c']", [KS[1], ZM[0]]),
    ("sessions", "~json__has_key,a", [KS[0], KS[2], ZM[1]]),
    ("sessions", "json__contains,{'a': {'b': 'x'}}", [KS[1]]),
    ("sessions", "json__a__contains,{'b': 'x'}", [KS[1]]),
    ("sessions", "json__contained_by,{'a': None, 'z': 1}", [ZM[0]]),
    ("sessions", "json__a,None", [ZM[0]]),
    ("sessions", "json__a__b__isnull,True", [KS[0], KS[2], *ZM]),
    ("sessions", "json__a__b__regex,^x$", [KS[1]]),
    ("sessions", "extended_qc___wheel__lt,0.5", [KS[1]]),
    ("sessions", "~extended_qc__behavior,1", [KS[0], KS[2], *ZM]),
    ("sessions", "users__username,mia", [KS[0], ZM[0]]),
    ("sessions", "~users__username,mia", [*KS[1:], ZM[1]]),
    ("sessions", "users__isnull,True", [KS[2], ZM[1]]),
    ("sessions", "projects__name,beta", [KS[0]]),
    ("sessions", "probe_insertion__isnull,True", [KS[0], *ZM]),
    ("sessions", "probe_insertion__name,probe01", [KS[2]]),
    ("sessions", "data_dataset_session_related__qc__gte,40", [KS[1]]),
    ("sessions", "location__isnull,True", [*KS, *ZM]),
    ("sessions", "notes__text,x", [KS[1]]),
    ("sessions", "lab__name,other_lab", ZM),
    ("sessions", "number__gt,1", [KS[2], ZM[1]]),
    ("sessions", "number__icontains,3", [ZM[1]]),
    ("sessions", "subject__nickname__istartswith,zm", ZM),
    ("tags", "datasets__session__subject__nickname,KS014", ["rel1"]),
    ("tags", "datasets__name,none.none.npy", []),
    ("datasets", "data_format__name,mp4", ["_iblrig_leftCamera.raw.mp4"]),
    ("datasets", "tags__name,rel1", ["spikes.times.npy"]),
    ("datasets", "revision__isnull,False", ["_ibl_trials.choice.npy"]),
    ("datasets", "version__isnull,False", []),
    ("datasets", "experiment_number,1,name__startswith,_ibl_", ["_ibl_trials.choice.npy"] * 2),
    ("channels", "trajectory_estimate__provenance,70", [0.0, 20.0, 40.0]),
    ("channels", "trajectory_estimate__provenance,10", []),
    ("channels", "brain_region__acronym,VPM", [0.0]),
    ("trajectories", "provenance__gte,50", ["Ephys aligned histology track"]),
    ("insertions", "session__projects__name,alpha", ["2020-01-02 probe00"]),
    ("sessions", "tasks__isnull,True", [*KS, *ZM]),
    ("sessions", "tasks__status__in,[40,45]", []),
    ("sessions", "qc__regex,^(((((.*)*)*)*)*)*x$", []),
    ("data-repository", "lab__name,simlab,file_records__exists,False", []),
    ("subjects", "request__isnull,True", ["KS014", "ZM_1"]),
    ("subjects", "alive,True", ["KS014", "ZM_1"]),
    ("subjects", "weighings__weight__lt,25", ["ZM_1"]),
    ("subjects", "weighings__date_time__date,2020-01-02", ["ZM_1"]),
    ("subjects", "actions_sessions__procedures__name,Histology,lab__name,simlab", []),
    ("labs", "subject__nickname,ZM_1", ["other_lab"]),
)


@pytest.mark.slow
def test_queries_as_they_are_printed(lists):
    (pid,) = [
        result["id"]
        for result in lists.http.get(f"{lists.url}/insertions?session={SECOND.eid}", timeout=30).json()["results"]
    ]
    wrong = []
    for endpoint, text, expected in PRINTED + OF_THEIR_KIND:
        answer = lists.http.get(f"{lists.url}/{endpoint}", params={"django": text.replace(PID, pid)}, timeout=60)
        if answer.status_code != 200:
            wrong.append((endpoint, text, answer.text))
        elif (obtained := lists(endpoint, django=text.replace(PID, pid))) != sorted(expected):
            wrong.append((endpoint, text, obtained))
    assert not wrong
    assert len(lists("notes", django=f"object_id,{SECOND.eid},text,x")) == 1
    assert lists("sessions", date_range="2020-01-02,2020-01-03") == [*KS[1:], ZM[0]]


def test_what_is_not_offered_is_said(lists):
    for endpoint, text, said in (
        ("sessions", "number__near,1", "Offered are exact"), ("sessions", "start_time__date__near,1", "lookup"),
        ("sessions", "colour,red", "Known are"), ("sessions", "qc__lt,good", "CRITICAL"),
        ("sessions", "number__range,[1]", "two values"), ("sessions", "subject__colour,1", "no field 'colour'"),
        ("sessions", "start_time__gt,yesterday", "YYYY-MM-DD"), ("sessions", "number__gt,x", "integer"),
        ("sessions", "task_protocol__regex,(", "regular expression"),
        ("sessions", "qc__regex,^(?=P)", "cannot be used here"),
    ):  # fmt: skip
        answer = lists.http.get(f"{lists.url}/{endpoint}", params={"django": text}, timeout=30)
        assert answer.status_code == 400 and said in answer.text, (text, answer.text)


def test_unknown_filters_are_passed_over_with_a_notice(lists):
    answer = lists.http.get(f"{lists.url}/sessions?colour=red&subject=ZM_1", timeout=30)
    assert answer.json()["count"] == 2 and "colour" in answer.headers["Alyx-API-Notice"]
    strict = lists.http.get(f"{lists.url}/sessions?colour=red&strict=true", timeout=30)
    assert strict.status_code == 400 and "Known are" in strict.text
    assert "Alyx-API-Notice" not in lists.http.get(f"{lists.url}/sessions?subject=ZM_1", timeout=30).headers


COMPARE = {
    "exact": operator.eq, "gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le,
    "in": lambda a, b: a in b, "range": lambda a, b: b[0] <= a <= b[1],
    "iexact": lambda a, b: a.lower() == b.lower(), "contains": lambda a, b: b in a,
    "icontains": lambda a, b: b.lower() in a.lower(), "startswith": lambda a, b: a.startswith(b),
    "istartswith": lambda a, b: a.lower().startswith(b.lower()), "endswith": lambda a, b: a.endswith(b),
    "iendswith": lambda a, b: a.lower().endswith(b.lower()), "regex": lambda a, b: re.search(b, a) is not None,
}  # fmt: skip
TEXTS = ["KS014", "ks", "ZM", "_", "%", "world", "training", "probe0", "spikes", "1"]
NUMBERS = [0, 1, 2, 3, 10, 30, 40, 50]
DAYS = ["2020-01-01", "2020-01-02", "2020-01-03", "2021-06-30", "2019-12-31"]
KINDS = {
    "text": (TEXTS, [item for item in COMPARE if item not in ("gt", "gte", "lt", "lte", "range")]),
    "number": (NUMBERS, ["exact", "gt", "gte", "lt", "lte", "in", "range"]),
    "day": (DAYS, ["exact", "gt", "gte", "lt", "lte", "in", "range"]),
}
FIELDS = {
    ("sessions", "task_protocol"): ("text", lambda r: [r["task_protocol"]]),
    ("sessions", "subject__nickname"): ("text", lambda r: [r["subject"]]),
    ("sessions", "lab__name"): ("text", lambda r: [r["lab"]]),
    ("sessions", "users__username"): ("text", lambda r: r["users"]),
    ("sessions", "projects__name"): ("text", lambda r: r["projects"]),
    ("sessions", "number"): ("number", lambda r: [r["number"]]),
    ("sessions", "qc"): ("number", lambda r: [QC[r["qc"]]]),
    ("sessions", "start_time__date"): ("day", lambda r: [r["start_time"][:10]]),
    ("sessions", "start_time__day"): ("number", lambda r: [int(r["start_time"][8:10])]),
    ("sessions", "start_time__hour"): ("number", lambda r: [int(r["start_time"][11:13])]),
    ("sessions", "probe_insertion__name"): ("text", lambda r: [probe["name"] for probe in r["probe_insertion"]]),
    ("sessions", "data_dataset_session_related__name"): ("text", lambda r: [o["name"] for o in r[DATASETS]]),
    ("sessions", "data_dataset_session_related__qc"): ("number", lambda r: [QC[o["qc"]] for o in r[DATASETS]]),
    ("sessions", "extended_qc__behavior"): ("number", lambda r: [(r["extended_qc"] or {}).get("behavior")]),
}  # fmt: skip
DATASETS = "data_dataset_session_related"
QC = {"NOT_SET": 0, "PASS": 10, "WARNING": 30, "FAIL": 40, "CRITICAL": 50}


@st.composite
def expressions(draw):
    """Up to three conditions: negated or not, field, lookup, value."""
    collected = []
    for _ in range(draw(st.integers(1, 3))):
        (_, path), (kind, _) = draw(st.sampled_from(list(FIELDS.items())))
        choices, lookups = KINDS[kind]
        lookup = draw(st.sampled_from(lookups))
        n = {"in": draw(st.integers(1, 3)), "range": 2}.get(lookup)
        value = sorted(draw(st.sampled_from(choices)) for _ in range(n)) if n else draw(st.sampled_from(choices))
        collected.append((draw(st.booleans()), path, lookup, value))
    return collected


@pytest.mark.slow
def test_any_expression_is_answered_as_a_plain_evaluation_says(lists):
    """The reference looks at the records of the server in Python, and knows nothing of tables."""
    listed = lists.http.get(f"{lists.url}/sessions", timeout=60).json()["results"]
    records = [lists.http.get(f"{lists.url}/sessions/{item['id']}", timeout=60).json() for item in listed]

    @settings(max_examples=60, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(expression=expressions())
    def check(expression):
        text = ",".join(
            f"{'~' if negated else ''}{path}__{lookup},{value}" for negated, path, lookup, value in expression
        )
        expected = sorted(record["id"] for record in records if all(fits(record, *item) for item in expression))
        answer = lists.http.get(f"{lists.url}/sessions", params={"django": text}, timeout=60)
        assert answer.status_code == 200, (text, answer.text)
        assert sorted(result["id"] for result in answer.json()["results"]) == expected, text

    def fits(record, negated, path, lookup, value) -> bool:
        values = [item for item in FIELDS["sessions", path][1](record) if item is not None]
        return negated != any(COMPARE[lookup](item, value) for item in values)

    check()


def test_zones_are_those_of_the_labs(lists):
    """A weighing at 3 h UTC is one of the day before in New York."""
    for text, n in (("date_time__date,2020-01-02", 1), ("date_time__date,2020-01-03", 0), ("date_time__hour,22", 1),
                    ("date_time__gte,2020-01-02T22:00:00", 1), ("date_time__gt,2020-01-02T22:00:00", 0)):  # fmt: skip
        assert len(lists("weighings", django=text)) == n, text
    assert zoneinfo.ZoneInfo("America/New_York")


def test_plain_filters_of_alyx_that_look_through_a_relation(served):
    http = served.session()
    for endpoint, filters, count in (
        ("tasks", {"lab": "simlab"}, 0),
        ("files", {"globus_is_personal": "False"}, 7),
        ("files", {"data_repository": "local"}, 7),
        ("datasets", {"md5": "0" * 32}, 1),
        ("surgeries", {"procedure": "implant"}, 0),
    ):
        answer = http.get(f"{served.url}/{endpoint}", params=filters | {"strict": "true"}, timeout=30)
        assert answer.status_code == 200 and answer.json()["count"] == count, (endpoint, filters, answer.text)
