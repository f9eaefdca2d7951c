"""The unmodified client asks where probes are in the brain, and for files over many sessions."""

from __future__ import annotations

import pandas as pd
import pytest
import requests
from one.alf.exceptions import ALFMultipleCollectionsFound, ALFObjectNotFound

from one_bridge import ONE
from pipeline import atlas
from tests.one_bridge.remote import FIRST
from tests.one_bridge.serving import PASSWORD
from tests.one_bridge.trees import locate, over_sessions

pytestmark = pytest.mark.slow


def test_places_in_the_brain(one, database):
    """Insertions by region, tracks and channels, as brainbox asks for them."""
    locate(FIRST, "probe00", ["VPM", "VPM", "PO", None])
    pids, names = one.eid2pid(FIRST.eid)
    pid = str(dict(zip(names, pids, strict=True))["probe00"])
    for terms in (
        {"atlas_acronym": "TH"},
        {"atlas_acronym": ["CA1", "PO"]},
        {"atlas_id": 549},
        {"atlas_name": "thalamus"},
    ):
        assert [str(item) for item in one.search_insertions(**terms)] == [pid], terms
    assert one.search_insertions(atlas_acronym="CA1") == []
    assert [str(eid) for eid in one.search(atlas_acronym="TH")] == [str(FIRST.eid)]
    assert len(one.alyx.rest("insertions", "list", django="channels__brain_region__acronym__icontains,vp")) == 1
    with pytest.raises(requests.HTTPError, match="did you mean") as error:
        one.search_insertions(atlas_acronym="TTH")
    assert error.value.response.status_code == 400
    track = {"probe_insertion": pid, "x": -1200.0, "y": -2000.0, "z": -300.0, "depth": 4000.0, "theta": 15, "phi": 180}
    planned = one.alyx.rest("trajectories", "create", data=track | {"provenance": "Planned", "roll": 0.0})
    assert planned["provenance"] == "Planned" and planned["probe_name"] == "probe00"
    assert planned["session"]["subject"] == "KS014" and planned["coordinate_system"] == "IBL-Allen"
    aligned = one.alyx.rest("trajectories", "create", data=track | {"provenance": 70, "json": {"2020": [1, 2]}})
    with pytest.raises(requests.HTTPError, match="exists"):
        one.alyx.rest("trajectories", "create", data=track | {"provenance": 70})
    label = "Ephys aligned histology track"
    (result,) = one.alyx.rest("trajectories", "list", probe_insertion=pid, provenance=label)
    assert result["id"] == aligned["id"] and result["json"] == {"2020": [1, 2]}
    changed = one.alyx.rest("trajectories", "partial_update", id=result["id"], data={"theta": 20.5})
    assert changed["theta"] == 20.5 and changed["x"] == -1200
    channels = one.alyx.rest("channels", "list", trajectory_estimate=result["id"])
    assert [row["brain_region"] for row in channels] == [*atlas.region_ids(["VPM"], False) * 2, 1020, None]
    assert [row["axial"] for row in channels] == [0, 20, 40, 60] and channels[0]["trajectory_estimate"] == result["id"]
    assert one.alyx.rest("channels", "list", trajectory_estimate=planned["id"]) == []
    assert len(one.alyx.rest("channels", "list", probe_insertion=pid, atlas_acronym="VPM")) == 2
    one.alyx.authenticate(username="max", password=PASSWORD, force=True)
    one.alyx.rest("trajectories", "delete", id=result["id"])
    assert len(one.alyx.rest("channels", "list", trajectory_estimate=planned["id"])) == 4


def test_regions_of_the_brain(one):
    thalamus = one.alyx.rest("brain-regions", "read", id="TH")
    assert thalamus["id"] == 549 and thalamus["name"] == "Thalamus" and len(thalamus["descendants"]) == 74
    assert one.alyx.rest("brain-regions", "read", id=549) == thalamus
    assert [row["acronym"] for row in one.alyx.rest("brain-regions", "list", ancestors="CA1")] == [
        "root", "grey", "CH", "CTX", "CTXpl", "HPF", "HIP", "CA", "CA1"]  # fmt: skip
    assert len(one.alyx.rest("brain-regions", "list", descendants=549)) == 74
    assert len(one.alyx.rest("brain-regions", "list", parent=549)) == 2
    assert [row["id"] for row in one.alyx.rest("brain-regions", "list", acronym="vpm")] == [733]
    with pytest.raises(ValueError):
        one.alyx.rest("brain-regions", "create", data={"acronym": "X"})


def test_aggregates_are_those_of_the_class(one, served, tmp_path):
    """`list_aggregates` and `load_aggregate` of the client and of our class give one answer."""
    over_sessions(served.root)
    ours = ONE()
    name = "_ibl_subjectTraining.table.pqt"
    for arguments in (
        ("subjects",), ("Subjects", "KS014"), ("subjects", "lab/ZM"), ("tags", "r.1"), ("tags",), ("projects",),
        ("subjects", None, "*Training*"), ("subjects", "KS014", name, "2022-01-01"), ("subjects", None, "*.npy"),
        ("subjects", "KS014", {"object": "subjectTraining"}, "2021*"),
    ):  # fmt: skip
        list_aggregates, expected = ours.list_aggregates(*arguments), one.list_aggregates(*arguments)
        assert list_aggregates["rel_path"].tolist() == expected["rel_path"].tolist(), arguments
        shared = [column for column in expected if column in list_aggregates]
        assert {"file_size", "hash", "exists", "qc", "relation", "identifier"} <= set(shared) or expected.empty
        if len(expected):
            pd.testing.assert_frame_equal(list_aggregates[shared], expected[shared])
    for revision, day in ((None, 12), ("2021-01-01", 0), ("2022-01-01", 12)):
        theirs = one.load_aggregate("subjects", "KS014", name, revision)
        assert (
            theirs["day"].tolist() == ours.load_aggregate("subjects", "KS014", name, revision)["day"].tolist() == [day]
        )
    for which in (one, ours):
        with pytest.raises(ALFMultipleCollectionsFound):
            which.load_aggregate("subjects", "simlab")
        with pytest.raises(ALFObjectNotFound):
            which.load_aggregate("subjects", "KS099")
    (record,) = one.alyx.rest("datasets", "list", django="session__isnull,True", name=name, revision="2022-01-01")
    assert one.alyx.rest("datasets", "read", id=record["id"]) == record
    assert record["session"] is None and record["file_records"][0]["exists"]
    assert len(one.alyx.rest("datasets", "list", django="session__isnull,False")) == 8
    assert one.alyx.rest("aggregates", "list", relation="tags")[0]["qc"] == "NOT_SET"
