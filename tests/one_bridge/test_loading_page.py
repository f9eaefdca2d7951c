"""The calls of IBL's page "Loading data", in its order and its spelling, by the real client and by our class.

Names of mice, tags and files are those of the small lab; everything else is as printed.
"""

from __future__ import annotations

import numpy as np
import pytest
from one.api import ONE as ClientONE

import one_bridge
from one_bridge import client_config
from pipeline.schemas import data
from tests.one_bridge.remote import FIRST
from tests.one_bridge.serving import PASSWORD, Served
from tests.one_bridge.trees import dataset_id, locate

pytestmark = pytest.mark.slow

TAG = "2024_Q1_Lab_et_al"
TAGGED = ("alf/probe00/spikes.times.npy", "alf/probe00/spikes.clusters.npy", "alf/_ibl_trials.feedbackType.npy")


@pytest.fixture
def released(served: Served) -> Served:
    """The lab with channels in the brain, of which a part was tagged."""
    locate(FIRST, "probe00", ["VPM", "VPM", "PO", None])
    data.Tag.insert1({"tag": TAG, "tag_public": True})
    data.DatasetTag.insert({"dataset_id": str(dataset_id(FIRST, path)), "tag": TAG} for path in TAGGED)
    return served


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
@pytest.mark.parametrize("face", ["http", "class"])
def test_the_page_from_top_to_bottom(released, face, tmp_path):
    if face == "http":
        ClientONE.cache_clear()
        client_config.configure(released.url, "mia", released.token("mia"), tmp_path / "downloads")
        ClientONE(base_url=released.url, password=PASSWORD, silent=True)
        one = ClientONE(base_url=released.url, silent=True)
    else:
        one = one_bridge.ONE()

    sessions = one.search()
    assert len(sessions) == 3
    insertions = one.search_insertions()
    assert len(one.search_insertions(atlas_acronym="TH")) == 1 and len(insertions) == 2
    assert len(one.search_insertions(datasets="spikes.times.npy", project="alpha")) == 2

    for printed in ("spikes.times", "spikes"):
        assert len(one.search(dataset=printed)) == 1 if face == "http" else one.search(dataset=printed)
    assert FIRST.eid in list(one.search(datasets="spikes.times.npy"))
    sessions = one.search(task_protocol="training", details=True)
    assert len(sessions[0]) == len(sessions[1]) == 1

    (tag,) = one.alyx.rest("tags", "list", name=TAG)
    assert tag["public"] is True and len(one.alyx.rest("tags", "list", public=True)) == 1
    records = one.alyx.rest("insertions", "list", django=f"datasets__tags__name,{TAG}")
    assert [row["name"] for row in records] == ["probe00"]  # the tagged spikes are in the folder of this probe
    labs = one.alyx.rest("labs", "list", django=f"session__data_dataset_session_related__tags__name,{TAG}")
    assert [row["name"] for row in labs] == ["simlab"]
    assert len(one.alyx.rest("sessions", "list", lab="simlab", tag=TAG)) == 1

    eid = FIRST.eid
    pid, label = (part[0] for part in one.eid2pid(eid))
    assert one.pid2eid(pid) == (eid, label)
    assert "alf/probe00/spikes.times.npy" in one.list_datasets(eid, collection="alf*/*")
    assert "alf/probe00" in one.list_collections(eid)
    assert len(one.load_collection(eid, "alf/probe00", object="spikes", download_only=True)) == 2
    spikes = one.load_object(eid, "spikes", collection="alf/probe00")
    assert np.array_equal(spikes["times"], np.linspace(0, 5, 50))
    assert set(one.load_object(eid, "trials", collection="alf")) >= {"choice", "feedbackType"}
    times = one.load_dataset(eid, "spikes.times.npy", collection="alf/probe00")
    assert np.array_equal(times, spikes["times"])
    files, _ = one.load_datasets(eid, ["spikes.times.npy", "spikes.clusters.npy"], download_only=True)
    assert all(file.exists() for file in files)

    one.load_cache(tag=TAG)
    assert len(one.list_datasets(eid, query_type="local")) == len(TAGGED)
    assert one.search(query_type="local") == [eid]
