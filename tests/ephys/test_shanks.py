"""Four shanks sorted together, and split into four probes, give the same units: shank, lateral position, depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dashboard.queries import insertion as queries
from pipeline import behavior, ephys, ephys_analysis
from tests.ephys import trees
from tests.ingest.tree import ingest, rows

pytestmark = [pytest.mark.slow, pytest.mark.one_database]

N = 384
SHANK = np.repeat([0, 1, 0, 1, 2, 3, 2, 3], 48)  # banks of 48, as the 2.0 with four shanks records its lowest sites
ELECTRODE = np.concatenate([np.arange(48) + 48 * half for half in (0, 0, 1, 1) * 2])
UNIT_CHANNELS = np.array([10, 60, 110, 170, 230, 250, 300, 380])


def write_header(session: Path, probe: str, channels: np.ndarray) -> None:
    """A recording of three samples; a split one says which channels it had before."""
    folder = session / "raw_ephys_data" / probe
    folder.mkdir(parents=True)
    path = folder / "run_g0_t0.imec0.ap.bin"
    np.zeros((3, len(channels) + 1), np.int16).tofile(path)
    entries = "".join(f"({c} {SHANK[c]} 0 0 {ELECTRODE[c]})" for c in range(N))
    places = "".join(f"({SHANK[c]}:{ELECTRODE[c] % 2}:{ELECTRODE[c] // 2}:1)" for c in range(N))
    n = len(channels)
    fields = {
        "typeThis": "imec", "nSavedChans": n + 1, "snsApLfSy": f"{n},0,1", "imSampRate": 30000, "imAiRangeMax": 0.5,
        "imMaxInt": 8192, "imDatPrb_type": 24, "imDatPrb_pn": "NP2010", "acqApLfSy": f"{n},0,1",
        "snsSaveChanSubset": f"0:{n}", "fileSizeBytes": 2 * 3 * (n + 1), "~imroTbl": f"(24,{N}){entries}",
        "~snsShankMap": f"(4,2,640){places}",
    }  # fmt: skip
    if n < N:
        fields["snsSaveChanSubset_orig"] = ",".join(map(str, [*channels.tolist(), N]))
    path.with_suffix(".meta").write_text("".join(f"{key}={value}\n" for key, value in fields.items()))


def sorting(channels: np.ndarray) -> dict:
    """Spikes of the units that lie on some channels of the whole probe; rows of channels are columns of the file."""
    own = [
        int(np.flatnonzero(channels == unit_channel)[0]) for unit_channel in UNIT_CHANNELS if unit_channel in channels
    ]
    files = trees.sorting(len(channels), n_units=len(own))
    axial = 15.0 * (ELECTRODE[channels[own]] // 2)
    files |= {
        "clusters.channels": np.array(own), "channels.rawInd": np.arange(len(channels)), "clusters.depths": axial,
        "spikes.depths": axial[files["spikes.clusters"]] + 0.0, "channels.localCoordinates": None,
        "clusters.peakToTrough": None, "clusters.amps": None,
    }  # fmt: skip
    return files


def units() -> list[tuple]:
    names = ("cluster_shank", "cluster_lateral", "cluster_depth")
    return sorted(rows(ephys.ClusterSet.Cluster, *names))


def test_together_and_split_give_the_same_units(database, tmp_path):
    session = tmp_path / trees.SESSION
    write_header(session, "probe00", np.arange(N))
    trees.write(tmp_path, sorting(np.arange(N)))
    other = tmp_path / "lab/Subjects/mouse/2024-05-02/001"
    for shank, letter in enumerate("abcd"):
        channels = np.flatnonzero(shank == SHANK)
        write_header(other, f"probe00{letter}", channels)
        trees.write(tmp_path, sorting(channels), f"alf/probe00{letter}", "lab/Subjects/mouse/2024-05-02/001")
    ingest(tmp_path)
    ephys.ClusterSet.populate()
    names = ("cluster_shank", "cluster_lateral", "cluster_depth")
    together = sorted(rows(ephys.ClusterSet.Cluster & {"session_date": "2024-05-01"}, *names))
    split = sorted(rows(ephys.ClusterSet.Cluster & {"session_date": "2024-05-02"}, *names))
    expected = sorted(
        (int(SHANK[c]), 27.0 + 32.0 * (ELECTRODE[c] % 2), 15.0 * (ELECTRODE[c] // 2)) for c in UNIT_CHANNELS
    )
    assert together == split == expected

    trees.trials(tmp_path)
    ingest(tmp_path)
    behavior.TrialSet.populate({"session_date": "2024-05-01"})
    ephys_analysis.DepthPeth.populate({"session_date": "2024-05-01", "event": "stim_on"})
    one = (ephys_analysis.DepthPeth & {"event": "stim_on"}).fetch1()
    of_shanks = (ephys_analysis.DepthPeth.Shank & {"event": "stim_on"}).to_dicts(order_by="shank")
    assert [part["shank"] for part in of_shanks] == [0, 1, 2, 3]
    total = sum(float(np.sum(part["shank_depth_peth"])) for part in of_shanks)
    assert total == pytest.approx(float(np.sum(one["depth_peth"])), rel=1e-4), "no spike twice, none lost"

    ephys_analysis.DriftMap.populate({"session_date": "2024-05-01"})
    parts = {row["shank"]: row for row in ephys_analysis.DriftMap.Shank.to_dicts()}
    whole = ephys_analysis.DriftMap.fetch1()
    assert sorted(parts) == [0, 1, 2, 3]
    seconds = [float(np.sum(part["shank_drift_rates"])) for part in parts.values()]
    assert sum(seconds) == pytest.approx(float(np.sum(whole["drift_rates"])), rel=1e-5), "no spike twice, none lost"

    key = (ephys.ProbeInsertion & {"probe_label": "probe00"}).keys()[0]
    shown_insertion = queries.insertion(key)
    assert queries.shanks(shown_insertion) == [0, 1, 2, 3]
    of_two = queries.of_shank(shown_insertion.units, "cluster_shank", 2)
    assert len(of_two["cluster_id"]) == int((SHANK[UNIT_CHANNELS] == 2).sum())
    pictures = queries.pictures(shown_insertion, "stim_on", 2)
    assert pictures.depth_peth_shank == 2
    np.testing.assert_array_equal(pictures.depth_peth["depths"], of_shanks[2]["shank_depth_peth_depths"])
    drawn = pictures.drift
    np.testing.assert_array_equal(drawn["rates"], parts[2]["shank_drift_rates"])
