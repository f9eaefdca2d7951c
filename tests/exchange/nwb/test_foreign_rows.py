"""Files that other programs wrote, registered: the rows of the tables are those that the files mean.

The files in the folder `files` were written by neuroconv and SpikeInterface, see `files/make.py`.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pynwb")

from hdmf.common import VectorData  # noqa: E402
from pynwb import NWBHDF5IO, NWBFile, TimeSeries  # noqa: E402
from pynwb.behavior import SpatialSeries  # noqa: E402
from pynwb.event import EventsTable, TimestampVectorData  # noqa: E402
from pynwb.file import Subject  # noqa: E402

from exchange.nwb import checking  # noqa: E402
from exchange.nwb.intake import ingest  # noqa: E402
from pipeline.schemas import acquisition, behavior, data, ephys, subject  # noqa: E402
from tests.exchange.nwb import sessions  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.one_database]

FILES = Path(__file__).parent / "files"
START = datetime.datetime(2024, 5, 1, 9, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))


def written_with_pynwb(path: Path) -> Path:
    """Two probes, trials, a wheel, licks, a series and an animal with an age, as a careful lab would write them."""
    nwbfile = NWBFile(
        "a task", "a file", START, lab="Some Lab", institution="Somewhere",
        subject=Subject(subject_id="m 1", sex="F", species="Mus musculus", age="P90D", strain="C57BL/6J"),
    )  # fmt: skip
    nwbfile.add_trial_column("response_side", "+1 left, -1 right, 0 none")
    for row in range(20):
        nwbfile.add_trial(start_time=3.0 * row + 1, stop_time=3.0 * row + 3, response_side=[1, -1, 0][row % 3])
    groups = []
    for number in range(2):
        device = nwbfile.create_device(f"device {number}")
        groups.append(nwbfile.create_electrode_group(f"probe0{number}", "a shank", "VISp", device))
    for row in range(8):
        nwbfile.add_electrode(location="VISp", group=groups[row // 4], rel_x=0.0, rel_y=20.0 * (row % 4))
    chance = np.random.default_rng(0)
    for row in range(5):
        times = np.sort(chance.uniform(0, 60, 40 + row))
        nwbfile.add_unit(spike_times=times, electrodes=[row if row < 3 else row + 1], electrode_group=groups[row // 3])
    when = np.cumsum(chance.uniform(0.01, 0.02, 3000))
    turned = np.cumsum(chance.choice([-1, 1, 1], 3000)) * 2 * np.pi / 4096
    module = nwbfile.create_processing_module("behavior", "behaviour")
    module.add(SpatialSeries(name="wheel_position", data=turned, timestamps=when, unit="radians"))
    nwbfile.add_acquisition(TimeSeries(name="running speed", data=chance.random(600), rate=10.0, unit="cm/s"))
    licks = TimestampVectorData(name="timestamp", description="s", data=np.sort(chance.uniform(0, 60, 30)))
    kinds = VectorData(name="spout", description="which", data=["left", "right"] * 15)
    nwbfile.add_events_table(EventsTable(name="licks", description="tongue", columns=[licks, kinds]))
    with NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)
    return path


def spike_times(path: Path) -> list[np.ndarray]:
    """Spikes of each unit, as pynwb reads them."""
    with NWBHDF5IO(path, "r") as io:
        units = io.read().units
        return [np.asarray(units["spike_times"][row]) for row in range(len(units))]


def units_of(root: Path, result: Any, label: str) -> list[np.ndarray]:
    """Spikes of each unit, from the files that were registered."""
    alf = root / result.session / "alf" / label
    times, clusters = (np.load(alf / f"spikes.{name}.npy") for name in ("times", "clusters"))
    return [times[clusters == unit] for unit in range(clusters.max() + 1)]


def test_files_of_other_programs_become_rows(database: Any, tmp_path: Path) -> None:
    paths = {
        "pynwb": written_with_pynwb(tmp_path / "pynwb.nwb"),
        "neuroconv": FILES / "neuroconv_sorting.nwb",
        "spikeinterface": FILES / "spikeinterface_analyzer.nwb",
    }
    for path in paths.values():
        assert checking.check(path).problem == "", path.name
    root = tmp_path / "data"
    by_name = dict(zip(paths, ingest(paths.values(), root), strict=True))
    assert {name: one.state for name, one in by_name.items()} == dict.fromkeys(paths, "written"), by_name
    sessions.populate()
    assert len(acquisition.Session()) == 3
    (refused,) = data.Quarantine().to_dicts()  # states volts, and holds microvolts: it is not converted by guess
    assert refused["subject"] == "spikeinterface"
    assert (refused["quarantine_path"].rpartition("/")[2], refused["reason"]) == (
        "clusters.waveforms.npy",
        "value_range",
    )

    animal = {"lab": "some_lab", "subject": "m_1"}
    row = (subject.Subject & animal).fetch1()
    assert (row["sex"], row["species"], row["strain"]) == ("F", "Mus musculus", "C57BL/6J")
    assert row["birth_date"] == datetime.date(2024, 2, 1)
    assert (acquisition.Session & animal).fetch1("start_time") == datetime.datetime(2024, 5, 1, 7, 30)
    assert (behavior.TrialSet & animal).fetch1("n_trials") == 20
    trials = (behavior.TrialSet.Trial & animal).to_arrays("intervals_0", order_by="trial_id")
    assert trials.tolist() == [3.0 * row + 1 for row in range(20)]
    assert (behavior.WheelMoveSet & animal).fetch1("wheel_end") > 40
    assert (behavior.Lick & animal).fetch1("n_licks") == 30
    counts = dict(zip(*(ephys.ClusterSet & animal).to_arrays("probe_label", "n_clusters"), strict=True))
    assert counts == {"probe00": 3, "probe01": 2}
    written = spike_times(paths["pynwb"])
    for label, part in (("probe00", written[:3]), ("probe01", written[3:])):
        for ours, theirs in zip(units_of(root, by_name["pynwb"], label), part, strict=True):
            assert np.array_equal(ours, theirs)

    for name, n_units in (("neuroconv", 5), ("spikeinterface", 4)):
        _, _, mouse, _, _ = by_name[name].session.split("/")
        (label,) = (ephys.ProbeInsertion & {"subject": mouse}).to_arrays("probe_label")
        assert (ephys.ClusterSet & {"subject": mouse}).fetch1("n_clusters") == n_units
        theirs = spike_times(paths[name])
        rates = (ephys.ClusterSet.Cluster & {"subject": mouse}).to_arrays("cluster_n_spikes", order_by="cluster_id")
        assert rates.tolist() == [len(their) for their in theirs]
        for ours, those in zip(units_of(root, by_name[name], label), theirs, strict=True):
            assert np.array_equal(ours, np.sort(those))
