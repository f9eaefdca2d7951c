"""Registration finds clusterings, checks their files against each other, and chooses a default."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from ingest.simulate.ephys import damage
from pipeline import ephys
from pipeline.database.bulk import fetch_columns
from pipeline.electrophysiology import clusterings
from pipeline.errors import NeurojointError
from pipeline.schemas import data
from tests.ephys import trees
from tests.ingest.tree import ingest, rows

pytestmark = pytest.mark.slow

KEY = {"lab": "lab", "subject": "mouse", "session_date": "2024-05-01", "session_number": 1, "probe_label": "probe00"}


def found() -> list[tuple]:
    return rows(ephys.Clustering, "clustering", "sorter", "clustering_state", "default_clustering")


def test_sorters_revisions_and_probes_side_by_side(database, tmp_path):
    """Each version is a clustering; of the sorter with the lowest rank the last revision is the default."""
    base = trees.sorting()
    for collection in ("alf/probe00", "alf/probe00/pykilosort", "alf/probe01/unknown_sorter"):
        trees.write(tmp_path, base, collection)
    again = {
        name: trees.sorting(1)[name] for name in ("spikes.times", "spikes.clusters", "spikes.amps", "spikes.depths")
    }
    trees.write(tmp_path, again, "alf/probe00/pykilosort/#2024-06-01#")
    trees.write(tmp_path, {"channels.mlapdv": np.zeros((12, 3))}, "alf/probe00/pykilosort/#2024-07-01#")
    ingest(tmp_path)
    assert found() == [
        ("probe00", None, "online", False),
        ("probe00/pykilosort", "pykilosort", "online", False),
        ("probe00/pykilosort/#2024-06-01#", "pykilosort", "online", True),
        ("probe01/unknown_sorter", "unknown_sorter", "online", True),
    ]
    files = clusterings.find(KEY)["clustering_files"]
    assert files["spikes.times"][0] == "alf/probe00/pykilosort/#2024-06-01#/spikes.times.npy"
    assert files["clusters.depths"][0] == "alf/probe00/pykilosort/clusters.depths.npy", "the last version not after it"
    assert clusterings.find(KEY | {"clustering": "probe00"})["sorter"] is None
    assert len(ephys.ProbeInsertion()) == 2 and not len(data.Quarantine())


def test_a_person_chooses_the_default(database, tmp_path):
    trees.write(tmp_path, trees.sorting())
    trees.write(tmp_path, trees.sorting(), "alf/probe00/pykilosort")
    ingest(tmp_path)
    pid = ephys.ProbeInsertion.fetch1("pid")
    assert clusterings.choose(pid, "probe00") == "probe00"
    trees.write(tmp_path, trees.sorting(1), "alf/probe00/pykilosort/#2025-01-01#")
    ingest(tmp_path)
    assert clusterings.find(pid)["clustering"] == "probe00", "registration keeps to the choice"
    shutil.rmtree(tmp_path / trees.SESSION / "alf/probe00/pykilosort")
    ingest(tmp_path)
    assert dict(row[::2] for row in found()) == {
        "probe00": "online", "probe00/pykilosort": "missing", "probe00/pykilosort/#2025-01-01#": "missing",
    }  # fmt: skip
    trees.write(tmp_path, trees.sorting(1), "alf/probe00/pykilosort")
    ingest(tmp_path)
    assert clusterings.choose(pid, None) == "probe00/pykilosort"
    with pytest.raises(NeurojointError, match="no clustering nothing"):
        clusterings.find(pid, "nothing")
    with pytest.raises(NeurojointError, match="no insertion 0000"):
        clusterings.find("00000000-0000-4000-8000-000000000000")
    shutil.rmtree(tmp_path / trees.SESSION / "alf/probe00")
    trees.write(tmp_path, trees.sorting(), "alf/probe01")  # a tree without any file would count as not mounted
    ingest(tmp_path)
    with pytest.raises(NeurojointError, match="no clustering whose files are here"):
        clusterings.find(pid)
    ephys.Clustering.delete_quick()
    with pytest.raises(NeurojointError, match="no sorted spikes"):
        clusterings.find(pid)


@pytest.mark.parametrize("kind", damage.KINDS)
def test_damage_is_quarantined_and_costs_nothing_else(database, tmp_path, kind):
    session = tmp_path / trees.SESSION
    damage.write_valid(session)
    (expected,) = damage.KINDS[kind](session)
    ingest(tmp_path)
    assert rows(data.Quarantine, "quarantine_path", "reason", "quarantine_column") == [tuple(expected)]
    row = fetch_columns(ephys.Clustering, "clustering_state", "clustering_files").to_pylist()[0]
    name = ".".join(expected.path.rpartition("/")[2].split(".")[:2])
    assert row["clustering_state"] == ("refused" if name in ("spikes.times", "spikes.clusters") else "online")
    files = clusterings.parsed(row["clustering_files"])
    assert name not in files
    needed = {"spikes.times", "spikes.clusters", "spikes.amps", "spikes.depths", "clusters.channels", "clusters.depths"}
    assert needed - {name} <= files.keys()


def test_what_is_refused_is_refused_for_every_reader(database, tmp_path):
    """The default ALF object loses the column, too."""
    files = trees.sorting()
    files["spikes.times"] = files["spikes.times"][::-1]
    trees.write(tmp_path, files)
    ingest(tmp_path)
    accepted = (data.AlfObject & {"object_name": "spikes"}).fetch1("accepted_columns")
    assert ",times," not in accepted and ",clusters," in accepted
    with pytest.raises(NeurojointError, match="in quarantine"):
        ephys.spikes(KEY)


@pytest.mark.parametrize("heading", ["cluster_id", "Cluster_ID", " cluster id "])
def test_ids_with_gaps(database, tmp_path, heading):
    """Rows of clusters are units by their number where that fits, else by the cluster_id of the metrics."""
    ids = [3, 40, 41, 500, 1203]
    files = trees.sorting(ids=ids) | {
        "clusters.metrics": f"{heading},ks2_label\n" + "".join(f"{id_},good\n" for id_ in ids),
        "clusters.uuids": "uuids\n" + "".join(f"{i:08d}-0000-4000-8000-000000000000\n" for i in range(5)),
    }
    trees.write(tmp_path, files)
    trees.write(tmp_path, {name: files[name] for name in ("spikes.times", "spikes.clusters")}, "alf/probe01")
    trees.write(tmp_path, files | {"clusters.metrics": None}, "alf/probe02")
    ingest(tmp_path)
    assert [row[2] for row in found()] == ["online", "online", "refused"], "no metrics: which unit is which row?"
    ephys.ClusterSet.populate()
    got = rows(ephys.ClusterSet.Cluster & KEY, "cluster_id", "cluster_channel", "cluster_depth", "sorter_label")
    assert sorted(got) == [(one, i, 200.0 * (i + 1), "good") for i, one in enumerate(ids)]
    uuids = sorted(rows(ephys.ClusterSet.Cluster & KEY, "cluster_id", "cluster_uuid"))
    assert uuids[1] == (40, "00000001-0000-4000-8000-000000000000")
    bare = rows(ephys.ClusterSet.Cluster & {"probe_label": "probe01"}, "cluster_id", "cluster_depth", "cluster_amp")
    assert sorted(bare) == [(id_, None, None) for id_ in ids]
