"""The unmodified client enters and finds chronic probes, aligned channels, imaging, notices, ends of animals."""

from __future__ import annotations

import uuid

import pytest
import requests

from one_bridge import query
from pipeline.entry import renaming
from pipeline.schemas import action, subject
from tests.one_bridge.remote import FIRST, SECOND
from tests.one_bridge.serving import PASSWORD
from tests.one_bridge.trees import dataset_id

pytestmark = pytest.mark.slow

TRACK = {"x": -1200.0, "y": -2000.0, "z": -300.0, "depth": 4000.0, "theta": 15, "phi": 180}


def refused(call, words):
    with pytest.raises(requests.HTTPError, match=words) as error:
        call()
    assert error.value.response.status_code == 400


def test_chronic_insertions(one):
    rest = one.alyx.rest
    made = rest(
        "chronic-insertions", "create",
        data={"subject": "KS014", "serial": "19051010091", "model": "3A", "name": "probe00", "start_time": "2019-12-01",
              "json": {"a": 1}},
    )  # fmt: skip
    assert made["lab"] == "simlab" and made["probe_insertion"] == [] and uuid.UUID(made["id"])
    (first, _), _ = one.eid2pid(FIRST.eid)
    link = {"chronic_insertion": made["id"]}
    refused(lambda: rest("insertions", "partial_update", id=str(first), data=link), "serial numbers")
    changed = rest("insertions", "partial_update", id=str(first), data=link | {"serial": "19051010091"})
    assert changed["chronic_insertion"] == made["id"] and changed["model"] == "3A"
    for filters in (
        {"subject": "KS014"},
        {"serial": "19051010091"}, {"model": "3A"}, {"session": str(FIRST.eid)},
        {"probe": str(first)}, {"lab": "simlab"}, {"name": "probe00"},
        {"django": f"probe_insertion__session,{FIRST.eid}"},
    ):  # fmt: skip
        (result,) = rest("chronic-insertions", "list", **filters)
        assert result["probe_insertion"][0]["id"] == str(first), filters
        assert result["probe_insertion"][0]["session_info"]["subject"] == "KS014"
    assert rest("chronic-insertions", "list", session=str(SECOND.eid)) == []
    assert [row["id"] for row in rest("insertions", "list", chronic_insertion=made["id"])] == [str(first)]
    assert len(rest("insertions", "list", django="chronic_insertion__subject__nickname,KS014")) == 1
    rest("insertions", "partial_update", id=str(first), data={"chronic_insertion": None})
    assert rest("insertions", "list", chronic_insertion=made["id"]) == []


def test_channels_that_an_alignment_program_states(one):
    rest = one.alyx.rest
    (pid, _), _ = one.eid2pid(FIRST.eid)
    track = rest(
        "trajectories", "create",
        data=TRACK | {"probe_insertion": str(pid), "provenance": "Ephys aligned histology track", "roll": 0.0},
    )  # fmt: skip
    places = [
        {"x": -1000.0, "y": -2000.0, "z": -20.0 * i, "axial": 20.0 * i, "lateral": 43.0, "brain_region": region,
         "trajectory_estimate": track["id"]}
        for i, region in enumerate((733, 733, 0))
    ]  # fmt: skip
    made = rest("channels", "create", data=places[:1])
    assert made[0]["axial"] == 0 and made[0]["brain_region"] == 733 and made[0]["trajectory_estimate"] == track["id"]
    refused(lambda: rest("channels", "create", data=places), "record 1 of 3")
    rest("channels", "create", data=places[1:])
    records = rest("channels", "list", trajectory_estimate=track["id"])
    assert [(row["axial"], row["brain_region"]) for row in records] == [(0, 733), (20, 733), (40, None)]
    assert len(rest("channels", "list", django=f"trajectory_estimate,{track['id']},brain_region__acronym,VPM")) == 2
    changed = rest("channels", "partial_update", id=records[2]["id"], data={"brain_region": 549, "x": -990.0})
    assert changed["brain_region"] == 549 and changed["x"] == -990 and changed["url"].endswith(records[2]["id"])
    assert [str(one_pid) for one_pid in one.search_insertions(atlas_acronym="VPM")] == [str(pid)]
    assert [str(eid) for eid in one.search(atlas_acronym="TH")] == [str(FIRST.eid)]
    one.alyx.authenticate(username="max", password=PASSWORD, force=True)
    rest("channels", "delete", id=records[1]["id"])
    assert len(rest("channels", "list", trajectory_estimate=track["id"])) == 2
    with pytest.raises(requests.HTTPError):
        rest("channels", "read", id=records[1]["id"])
    assert rest("channels", "read", id=records[0]["id"]) == records[0]


def test_fields_of_view(one):
    rest = one.alyx.rest
    stack = rest("imaging-stack", "create", data={"name": "stack"})
    field = {"session": str(FIRST.eid), "imaging_type": "mesoscope", "name": "FOV_00", "stack": stack["id"]}
    made = rest("fields-of-view", "create", data=field)
    refused(lambda: rest("fields-of-view", "create", data=field | {"session": str(SECOND.eid)}), "one session")
    refused(lambda: rest("fields-of-view", "create", data=field), "exists")
    corners = {"x": [-1.0, 1, -1, 1], "y": [1.0, 1, -1, -1], "z": [-1.0, -1, -1, -1], "n_xyz": [512, 512, 1]}
    place = corners | {
        "field_of_view": made["id"],
        "provenance": "E",
        "default_provenance": True,
        "brain_region": [733],
    }
    estimate = rest("fov-location", "create", data=place)
    assert estimate["brain_region"] == [733] and estimate["coordinate_system"] == "IBL-Allen"
    refused(lambda: rest("fov-location", "create", data=place | {"provenance": "H", "x": [1.0, 2]}), "4 or 8")
    final = rest("fov-location", "create", data=place | {"provenance": "H", "brain_region": [382]})
    assert not rest("fov-location", "read", id=estimate["id"])["default_provenance"]
    records = rest("fields-of-view", "read", id=made["id"])
    assert [row["id"] for row in records["location"]] == [final["id"], estimate["id"]]
    slices = rest("imaging-stack", "read", id=stack["id"])["slices"]
    assert slices[0]["id"] == made["id"] and slices[0]["location"][0]["z"] == corners["z"]
    for filters in (
        {"atlas_acronym": "CA1"}, {"atlas_id": 382}, {"session": str(FIRST.eid)}, {"subject": "KS014"},
        {"lab": "simlab"}, {"imaging_type": "mesoscope"},
        {"stack": stack["id"]}, {"name": "FOV_00"}, {"provenance": "H"},
        {"date": "2020-01-01"}, {"experiment_number": 1}, {"project": "alpha"},
        {"django": "location__brain_region__acronym,CA1"}, {"django": "session__subject__nickname,KS014"},
    ):  # fmt: skip
        assert [row["id"] for row in rest("fields-of-view", "list", **filters)] == [made["id"]], filters
    for filters in ({"atlas_acronym": "VPM"}, {"provenance": "E"}, {"session": str(SECOND.eid)}):
        assert rest("fields-of-view", "list", **filters) == [], filters
    assert [str(eid) for eid in one.search(atlas_acronym="CA1")] == [str(FIRST.eid)]
    assert len(query.fields_of_view({"atlas_acronym": "CA1"})) == 1


def test_downloads_and_notices(one):
    rest = one.alyx.rest
    did = str(dataset_id(FIRST, "alf/probe00/spikes.times.npy"))
    for _ in range(2):
        one.alyx.post("/new-download", {"dataset": did, "projects": ["alpha"]})
    (result,) = rest("downloads", "list", dataset=did)
    assert result["count"] == 2 and result["user"] == "mia" and result["projects"] == ["alpha"]
    assert rest("downloads", "partial_update", id=result["id"], data={"json": {"a": 1}})["json"] == {"a": 1}
    notice = rest("data-notices", "create", data={"name": "clock", "importance": "MAJOR", "datasets": [did],
                                                  "affected_date_start": "2020-01-01"})  # fmt: skip
    assert notice["created_by"] == "mia" and notice["datasets"] == [did]
    for filters in ({"datasets": did}, {"importance": "MAJOR"}, {"django": "importance__gte,30"}, {"name": "clo"}):
        assert len(rest("data-notices", "list", **filters)) == 1, filters
    assert len(rest("datasets", "list", django="data_notices__name,clock")) == 1
    assert rest("data-notices", "list", importance="MINOR") == []
    assert "s3" in [row["name"] for row in rest("data-repository-type", "list")]
    (status,) = one.alyx.get("/sync-file-status")["results"]
    assert status["exists"] > 0


def test_regions_are_described_by_managers(one):
    with pytest.raises(requests.HTTPError) as error:
        one.alyx.rest("brain-regions", "partial_update", id=549, data={"description": "a relay"})
    assert error.value.response.status_code == 403
    one.alyx.authenticate(username="max", password=PASSWORD, force=True)
    assert one.alyx.rest("brain-regions", "partial_update", id=549, data={"description": "a relay"})["description"]
    (result,) = one.alyx.rest("brain-regions", "list", description="RELAY")
    assert result["acronym"] == "TH"
    assert one.alyx.rest("brain-regions", "read", id="VPM")["related_descriptions"][0]["description"] == "a relay"
    refused(lambda: one.alyx.rest("brain-regions", "partial_update", id=549, data={"acronym": "X"}), "acronym")
    one.alyx.rest("brain-regions", "partial_update", id=549, data={"acronym": "TH", "description": ""})
    read = one.alyx.rest("brain-regions", "read", id=549)
    assert read["description"] is None and read["acronym"] == "TH" and read["related_descriptions"] == []


def test_the_life_of_an_animal(one):
    """Surgeries with implants, one restriction at a time, its water, and its end."""
    rest = one.alyx.rest
    surgery = rest("surgeries", "create", data={"subject": "KS014", "start_time": "2020-01-01T10:00:00",
                                                "implant_weight": 1.5, "json": {"a": 1}})  # fmt: skip
    assert surgery["implant_weight"] == 1.5 and surgery["json"] == {"a": 1}
    assert subject.Implant().fetch1("implant_weight") == 1.5
    assert rest("surgeries", "partial_update", id=surgery["id"], data={"implant_weight": 2.5})["implant_weight"] == 2.5
    assert rest("implants", "list", subject="KS014")[0]["implant_weight"] == 2.5
    assert (
        rest("surgeries", "partial_update", id=surgery["id"], data={"implant_weight": None})["implant_weight"] is None
    )
    one.alyx.authenticate(username="max", password=PASSWORD, force=True)
    drink = rest("water-type", "create", data={"name": "Hydrogel 7%"})["name"]
    restriction = {"subject": "KS014", "start_time": "2020-01-02T10:00:00", "water_type": drink}
    made = rest("water-restriction", "create", data=restriction)
    assert made["water_type"] == drink
    refused(
        lambda: rest("water-restriction", "create", data=restriction | {"start_time": "2020-01-03"}), "end that one"
    )
    rest("water-restriction", "partial_update", id=made["id"], data={"end_time": "2020-01-03T10:00:00"})
    rest("water-restriction", "create", data=restriction | {"start_time": "2020-01-04"})

    rest("culls", "create", data={"subject": "KS014", "date": "2020-02-02", "cull_reason": "health"})
    assert rest("subjects", "read", id="KS014")["death_date"] == "2020-02-02"
    assert len(rest("subjects", "list", django="cull__cull_reason,health")) == 1
    asked = rest("requests", "create", data={"lab": "simlab", "count": 3, "description": "males"})
    assert asked["status"] == "open" and asked["user"] == "max" and rest("requests", "list", status="open") == [asked]
    assert not (action.WaterRestriction & "restriction_end > '2020-02-04'")


def test_records_keep_their_ids(one):
    """A time that is corrected and an animal that is renamed do not change by what uuid a record is known."""
    rest = one.alyx.rest
    weighing = rest("weighings", "create", data={"subject": "KS014", "date_time": "2020-01-01T10:00:00", "weight": 20})
    water = {"subject": "KS014", "date_time": "2020-01-01T11:00:00", "water_administered": 1, "session": str(FIRST.eid)}
    water = rest("water-administrations", "create", data=water)
    surgery = {
        "subject": "KS014",
        "start_time": "2020-01-01",
        "implant_weight": 1.0,
        "procedures": ["Headplate implant"],
    }
    surgery = rest("surgeries", "create", data=surgery)
    changes = {"date_time": "2020-01-02T10:00:00", "weight": 21.5}
    changed = rest("weighings", "partial_update", id=weighing["id"], data=changes)
    assert changed["id"] == weighing["id"] and changed["url"] == weighing["url"] and changed["weight"] == 21.5
    assert changed["date_time"].startswith("2020-01-02") and len(action.Weighing()) == 1
    moved = rest("water-administrations", "partial_update", id=water["id"], data={"date_time": "2020-01-01T12:00:00"})
    assert moved == water | {"date_time": "2020-01-01T12:00:00"}
    moved = rest("surgeries", "partial_update", id=surgery["id"], data={"start_time": "2019-12-31T10:00:00"})
    assert (
        moved["procedures"] == surgery["procedures"] and moved["implant_weight"] == 1 and moved["id"] == surgery["id"]
    )
    refused(
        lambda: rest("weighings", "partial_update", id=weighing["id"], data={"date_time": "yesterday"}), "date_time"
    )
    (pid, _), _ = one.eid2pid(FIRST.eid)
    track = rest("trajectories", "create", data=TRACK | {"probe_insertion": str(pid), "provenance": "Planned"})
    renaming.rename_subject("simlab", "KS014", "KS14").apply("mia")
    for name, record in (("weighings", changed), ("surgeries", moved), ("trajectories", track)):
        records = rest(name, "read", id=record["id"])
        assert records["id"] == record["id"] and records["url"] == record["url"], name
    assert rest("weighings", "partial_update", id=weighing["id"], data={"date_time": "2020-01-03"})["subject"] == "KS14"
    assert [row["id"] for row in rest("weighings", "list")] == [weighing["id"]]
    rest("weighings", "delete", id=weighing["id"])  # her own entry
    assert rest("weighings", "list") == []
