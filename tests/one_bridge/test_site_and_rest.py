"""What a person enters on the site is seen at once by REST and the ONE client, and the other way round."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dashboard import links
from dashboard.queries import notebook
from dashboard.server import auth
from dashboard.server.app import create_app
from dashboard.site import Site
from pipeline import entry, settings
from pipeline.entry.actions import ACTIONS
from tests.entry import lab_of_mice
from tests.entry.lab_of_mice import BY, LAB
from tests.one_bridge.remote import client

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["postgresql"], indirect=True)]

NO_ENDPOINT = {"give_drug", "report_harm", "inject_virus", "start_pair", "end_pair", "check_plug", "record_litter",
               "make_growth_curve", "plan_training", "cancel_training"}  # fmt: skip
"""Actions on tables that Alyx's REST has no endpoint for."""


def today() -> str:
    """The day now: these tests may begin before midnight and end after it."""
    return str(datetime.datetime.now(datetime.UTC).date())


@pytest.fixture
def faces(serve, database, tmp_path) -> Iterator[Any]:
    """The server of REST, and the site, on one lab with the same accounts: one program, as `neurojoint serve` is."""
    lab_of_mice.build()
    by = BY | {"create_missing": True}
    for number in range(3):
        entry.write("action.Weighing", [
            {"lab": LAB, "subject": name, "weighing_time": f"2026-01-0{number + 1}T09:00",
             "weight": 20 + number / 2 + more}
            for more, name in enumerate(("m1", "m2", "b1"))
        ], **BY)  # fmt: skip
    entry.write("lab.LabMember", [{"user_name": "ada"}], **BY)
    entry.write("lab.Project", [{"project": "maze"}], **BY)
    entry.write("subject.Sequence", [{"sequence": "cre"}], **by)
    rule = {"line": "Ai32", "allele": "Cre", "rule_number": 1}
    entry.write("subject.ZygosityRule", [rule | {"zygosity": "Present"}], **by)
    entry.write("subject.ZygosityRule.Result", [rule | {"sequence": "cre", "rule_result": "Present"}], **by)
    entry.write("acquisition.Session", [{"lab": LAB, "subject": "m1", "session_date": "2026-01-03",
                                         "session_number": 1, "start_time": "2026-01-03T10:00"}], **BY)  # fmt: skip
    (tmp_path / "data").mkdir()
    served = serve(tmp_path / "data")
    with settings.override(home=tmp_path):
        yield served, Site(served.app.state.bridge.database, served.users, settings.settings())


def on_the_site(served, site: Site) -> Callable[..., Any]:
    """Sends an action as the forms of the pages do; returns its result."""
    web = create_app(site).server.test_client()
    web.set_cookie(auth.COOKIE, served.users.issue_token("ada", "login"), path=links.BASE)

    def enter(action: str, **values: str) -> Any:
        if any(wanted.name == "lab" for wanted in ACTIONS[action].inputs):
            values = {"lab": LAB} | values
        body = {"action": action, "values": values}
        told = web.post(links.DO, json=body)
        if "questions" in told.get_json():  # it is not likely: the person insists
            told = web.post(links.DO, json=body | {"confirmed": list(told.get_json()["questions"])})
        assert told.status_code == 200, told.get_data(as_text=True)
        return told.get_json()["result"]

    return enter


def test_every_action_of_the_pages_is_seen_by_rest_and_one_at_once(faces, tmp_path, monkeypatch):
    served, site = faces
    monkeypatch.setenv("HOME", str(tmp_path))
    one, rest = client(served, tmp_path), served.session("mia")
    done: set[str] = set()
    enter_ = on_the_site(served, site)

    def enter(action: str, **values: str) -> Any:
        done.add(action)
        return enter_(action, **values)

    def seen(endpoint: str, **filters: str) -> list[dict]:
        """The rows by plain REST; the client of ONE must see the same."""
        told = rest.get(f"{served.url}/{endpoint}", params=filters, timeout=30).json()["results"]
        assert list(one.alyx.rest(endpoint, "list", no_cache=True, **filters)) == told
        return told

    def animal(name: str) -> dict:
        return one.alyx.rest("subjects", "read", id=name, no_cache=True)

    enter("register_animal", subject="new", sex="F", birth_date="2025-11-01", line="Ai32", responsible_user="mia")
    assert (animal("new")["sex"], animal("new")["responsible_user"]) == ("F", "mia")
    enter("edit_animal", subject="new", ear_mark="L2")
    enter("assign", subject="new", responsible_user="bob")
    enter("move", subject="new", cage="C7")
    enter("set_project", subject="new", project="maze")
    told = animal("new")
    assert (told["ear_mark"], told["responsible_user"], told["cage"], told["projects"]) == ("L2", "bob", "C7", ["maze"])
    enter("note", subject="new", note_text="calm")
    assert [row["text"] for row in seen("notes", object_id=told["id"])] == ["calm"]

    enter("weigh", subject="m1", weight="21,4")
    assert seen("weighings", nickname="m1")[0]["weight"] == 21.4
    enter("start_restriction", subject="m1", restriction_water="Hydrogel")
    (row,) = seen("water-restriction", nickname="m1")
    assert (row["reference_weight"], row["end_time"]) == (21.4, None)
    assert [item["nickname"] for item in seen("subjects", water_restricted="True")] == ["m1"]
    day = today()
    enter("give_water", subject="m1", volume="0.7", time=f"{day}T00:00:01")
    enter("free_water", subject="m1", time=f"{day}T00:00:02")
    rows = seen("water-administrations", nickname="m1")
    assert [(item["water_administered"], item["adlib"], item["water_type"]) for item in rows] == [
        (None, True, "Hydrogel"), (0.7, False, "Hydrogel"),
    ]  # fmt: skip
    enter("task_water", subject="m1", session_date="2026-01-03", session_number="1", volume="0.55")
    (row,) = [item for item in seen("water-administrations", nickname="m1") if item["session"]]
    (eid,) = one.search(subject="m1", query_type="remote")
    assert (row["water_administered"], row["session"]) == (0.55, str(eid))
    enter("end_restriction", subject="m1", reason="done")
    assert seen("water-restriction", nickname="m1")[0]["end_time"] and not seen("subjects", water_restricted="True")

    enter("operate", subject="m2", procedures="Headplate implant", implant_weight="1.5", outcome="recovery")
    (row,) = seen("surgeries", subject="m2")
    assert (row["procedures"], row["implant_weight"]) == (["Headplate implant"], 1.5)
    enter("set_implant", subject="m2", implant_weight="1.8", date="2026-02-01")
    assert {item["implant_weight"] for item in seen("implants", subject="m2")} == {1.5, 1.8}
    enter("inject_virus", subject="m2", virus_name="AAV1", injection_volume="100")
    enter("give_drug", subject="m2", drug_name="carprofen", drug_dose="5", drug_unit="mg/kg")
    enter("report_harm", subject="m2", effect_text="wet fur", effect_severity="2")

    pair = enter("start_pair", father="m1", mothers="m2", line="Ai32")
    enter("check_plug", breeding_pair=pair)
    litter = enter("record_litter", breeding_pair=pair, n_born="2")
    pups = enter("wean", litter=litter, males="1", females="1", male_cage="C8")
    assert [animal(name)["litter"] for name in pups] == [litter, litter] and animal(pups[0])["cage"] == "C8"
    enter("end_pair", breeding_pair=pair)
    enter("genotype", subject=pups[0], sequence="cre", test_result="Present")
    enter("set_zygosity", subject=pups[1], allele="Cre", zygosity="Absent")
    assert seen("genotype-tests", subject=pups[0])[0]["test_result"] == "Present"
    assert "Cre" in json.dumps(animal(pups[0])["genotype"]) and "Cre" in json.dumps(animal(pups[1])["genotype"])

    number = enter("request_animals", request_count="2", line="Ai32", request_text="any")
    (row,) = seen("requests")
    assert (row["id"], row["status"], row["count"]) == (number, "open", 2)
    enter("answer_request", request_id=number, request_status="answered", animals=pups[0], request_answer="here")
    assert (seen("requests")[0]["status"], seen("requests")[0]["subjects"]) == ("answered", [pups[0]])

    enter("plan_training", subject="m1", planned_date="2031-01-01")
    enter("cancel_training", subject="m1", planned_date="2031-01-01", planned_number="1")
    before = today()
    enter("cull", subject="b1", cull_method="perfusion", cull_reason="end of experiment")
    assert not animal("b1")["alive"] and seen("culls", subject="b1")[0]["cull_method"] == "perfusion"
    assert before <= animal("b1")["death_date"] <= today()
    enter("make_growth_curve", growth_curve="ours", least_animals="2")
    assert done == set(ACTIONS)


def test_what_rest_writes_is_on_the_pages_at_once(faces):
    served, site = faces
    rest = served.session("ada")

    def post(endpoint: str, **body: Any) -> dict:
        told = rest.post(f"{served.url}/{endpoint}", json=body, timeout=30)
        assert told.status_code == 201, told.text
        return told.json()

    def line(name: str) -> set[tuple[str, str]]:
        return {(moment.kind, moment.text) for moment in site.read(notebook.timeline, LAB, name)}

    post("subjects", nickname="new", lab=LAB, sex="M", birth_date="2025-11-01", line="Ai32", responsible_user="mia")
    row = site.read(notebook.animal, LAB, "new")
    assert (row["sex"], row["line"], row["responsible_user"]) == ("M", "Ai32", "mia")
    assert "new" in site.read(notebook.colony, LAB)["animals"]
    post("weighings", subject="new", weight=23.5, date_time="2026-02-01T09:00:00")
    assert ("weight", "23.5 g") in line("new")
    post("water-restriction", subject="new", reference_weight=23.5, start_time="2026-02-01T10:00:00",
         water_type="Hydrogel")  # fmt: skip
    (due,) = site.read(notebook.morning_round, LAB)
    assert (due["subject"], due["expected"], due["water_type"]) == ("new", 23.5, "Hydrogel")
    post("water-administrations", subject="new", water_administered=0.4, date_time="2026-02-01T12:00:00")
    assert ("water", "0.4 mL Water") in line("new")
    post("surgeries", subject="new", procedures=["Headplate implant"], start_time="2026-02-02T12:00:00",
         implant_weight=1.2, outcome_type="recovery")  # fmt: skip
    assert {kind for kind, _ in line("new")} >= {"surgery", "implant"}
    post("notes", content_type="subject", object_id=row["subject_uuid"], text="calm")
    post("genotype-tests", subject="new", sequence="cre", date="2026-02-02", test_result="Present")
    assert {("note", "calm"), ("test", "cre: Present")} <= line("new")
    (genotype,) = site.read(notebook.animal, LAB, "new")["genotypes"]
    assert (genotype["allele"], genotype["zygosity"], genotype["genotype_origin"]) == ("Cre", "Present", "tests")
    post("requests", lab=LAB, count=3, description="any")
    assert [item["request_count"] for item in site.read(notebook.colony, LAB)["requests"]] == [3]
    changed = rest.patch(f"{served.url}/subjects/new", json={"cage": "C9"}, timeout=30)
    assert changed.status_code == 200 and site.read(notebook.animal, LAB, "new")["cage"] == "C9"
    post("culls", subject="new", date="2026-02-03", cull_method="perfusion", cull_reason="end of experiment")
    assert site.read(notebook.animal, LAB, "new")["death_date"] == datetime.date(2026, 2, 3)
    assert not site.read(notebook.morning_round, LAB)


def test_what_another_program_enters_is_in_lists_that_are_kept(faces, monkeypatch):
    """A list that was asked for a moment ago is kept for some seconds; an entry of a person ends that."""
    served, _ = faces
    rest = served.session("mia")
    listed = lambda: rest.get(f"{served.url}/weighings?nickname=m2", timeout=30).json()["results"]  # noqa: E731
    monkeypatch.setattr(served.app.state.bridge.answers, "kept", 3600.0)
    assert len(listed()) == len(listed()) == 3
    entry.write("action.Weighing", [{"lab": LAB, "subject": "m2", "weighing_time": "2026-02-01T09:00", "weight": 22}],
                **BY)  # fmt: skip
    until = time.monotonic() + 60
    while len(listed()) == 3 and time.monotonic() < until:
        time.sleep(0.05)
    assert listed()[0]["weight"] == 22
