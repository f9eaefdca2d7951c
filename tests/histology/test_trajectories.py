"""Tracks of probes come from trajectories.csv: by provenance, corrected by a later file, refused by file and row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.simulate import write_lab
from pipeline.analysis import coordinates
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import data, ephys, histology
from tests.histology import trees
from tests.ingest import tree

pytestmark = pytest.mark.one_database

HEADER = "lab,subject,session_date,session_number,probe,provenance,x,y,z,depth,theta,phi,roll,coordinate_system\n"
ROW = "lab,m1,2024-05-01,1,probe00,{},-2243,-2000,-350,4000,15,180,0,\n"


def tell(root, text, **options):
    """Ingest with a trajectories.csv."""
    path = root / "trajectories.csv"
    path.write_text(HEADER + text)
    return tree.ingest(root, metadata=[path], **options)


def tracks(*names: str) -> list[tuple]:
    return tree.rows(histology.Trajectory, *names)


def test_tracks_of_one_probe_by_provenance_in_our_words_and_those_of_alyx(database, tmp_path):
    trees.probe(trees.session(tmp_path))
    summary = tell(tmp_path, ROW.format("planned") + ROW.format("Ephys aligned histology track"))
    assert (summary.metadata_rows, summary.quarantined) == (2, 0)
    result = tracks("provenance", "coordinate_system", "entry_ml", "entry_ap", "entry_dv", "insertion_depth")
    assert result == [(name, "IBL-Allen", -2243, -2000, -350, 4000) for name in ("ephys_aligned", "planned")]
    assert tracks("theta", "phi", "roll") == [(15, 180, 0)] * 2
    best = (histology.Trajectory * histology.Provenance.proj("provenance_rank")).to_dicts(
        order_by="provenance_rank DESC", limit=1
    )
    assert best[0]["provenance"] == "ephys_aligned"


def test_a_corrected_track_is_an_update_that_leaves_a_change(database, tmp_path):
    trees.probe(trees.session(tmp_path))
    tell(tmp_path, ROW.format("histology"))
    assert tell(tmp_path, ROW.format("histology")).metadata_rows == 0
    assert tell(tmp_path, ROW.format("histology").replace("4000", "3900.5")).metadata_rows == 1
    assert tracks("insertion_depth") == [(3900.5,)]
    assert "4000.0 -> 3900.5" in (data.Change & {"change_action": "replaced"}).fetch1("change_detail")


REFUSED = {
    ROW.format("guessed"): ("provenance", "none of planned"),
    ROW.format("planned").replace("4000", "4.0"): ("insertion_depth", "mm or m"),
    ROW.format("planned").replace("-2000", "-200000"): ("entry_ap", "not between"),
    ROW.format("planned").replace(",15,", ",,"): ("theta", "empty"),
    ROW.format("planned").replace("2024-05-01", "2024-13-01"): ("session_date", "not a day of the calendar"),
    ROW.format("planned").replace("05-01,1", "05-02,1"): (
        "session_number",
        "no session '1' of lab/m1/2024-05-02",
    ),
    ROW.format("planned").replace("probe00", "probe07"): (
        "probe_label",
        "no insertion 'probe07' of lab/m1/2024-05-01/1",
    ),
    ROW.format("planned").replace("0,\n", "0,Paxinos\n"): ("coordinate_system", "there are IBL-Allen, Needles-Allen"),
}


def test_a_row_that_cannot_be_used_is_named_and_the_rest_counts(database, tmp_path):
    """All refusals in one file: each names the file, the row and why; the one good row is written."""
    trees.probe(trees.session(tmp_path))
    summary = tell(tmp_path, "".join(REFUSED) + ROW.format("histology"))
    assert tracks("provenance") == [("histology",)]
    assert summary.reasons == {"bad_metadata": len(REFUSED)}
    rows = fetch_columns(data.Quarantine).to_pylist()
    assert {item["quarantine_path"] for item in rows} == {"trajectories.csv"}
    details = {item["quarantine_column"]: item["detail"] for item in rows}
    for number, (column, why) in enumerate(REFUSED.values(), start=2):
        assert f"row {number}: " in details[column] and why in details[column]
    summary = tell(tmp_path, ROW.format("histology"))
    assert (summary.quarantined, summary.resolved) == (0, len(REFUSED)), "corrected: the entries are resolved"


def test_a_dry_run_reads_tracks_of_files_that_are_not_registered_yet(database, tmp_path):
    trees.probe(trees.session(tmp_path))
    summary = tell(tmp_path, ROW.format("planned"), dry_run=True)
    assert (summary.metadata_rows, summary.quarantined) == (1, 0)
    assert not histology.Trajectory() and not ephys.ProbeInsertion()


@pytest.mark.slow
def test_the_tracks_of_the_simulated_lab_lead_to_its_channels(database, tmp_path):
    """The best track, followed from its entry by the places on the probe, gives the coordinates in the files."""
    write_lab(tmp_path, n_mice=1, n_sessions=18, wheel=False, ephys=1, n_units=4)
    (tmp_path / "truth.json").unlink()
    assert tree.ingest(tmp_path, metadata=[tmp_path]).quarantined == 0
    histology.ChannelLocation.populate()
    assert len(histology.Trajectory()) == 3 * len(ephys.ProbeInsertion()) == 6
    for track in (histology.Trajectory & {"provenance": "ephys_aligned"}).to_dicts():
        key = {name: track[name] for name in ephys.ProbeInsertion.primary_key}
        table = fetch_columns(histology.ChannelLocation.Channel & key, order_by="channel").to_pandas()
        entry = [track["entry_ml"], track["entry_ap"], track["entry_dv"]]
        depths = track["insertion_depth"] - table["channel_axial"].to_numpy()
        expected = coordinates.along_track(entry, track["theta"], track["phi"], depths)
        assert np.abs(table[["channel_ml", "channel_ap", "channel_dv"]].to_numpy() - expected).max() < 0.06


@given(st.floats(-2e4, 2e4), st.floats(-2e4, 2e4), st.floats(-2e4, 2e4))
def test_ccf_and_bregma_are_inverse_and_mirror_what_they_say(ml, ap, dv):
    """Right stays right; front and up are where the numbers of the CCF fall."""
    there = coordinates.bregma_to_ccf((ml, ap, dv))
    assert np.allclose(coordinates.ccf_to_bregma(there), (ml, ap, dv), atol=1e-6)
    assert np.allclose(there - coordinates.BREGMA_CCF, (ml, -ap, -dv), atol=1e-6)
