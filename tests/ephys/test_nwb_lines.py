"""Events in NWB files that pynwb and its extensions wrote become changes of lines; clocks of files follow gaps."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.analysis.clocks import Clock
from pipeline.electrophysiology import raw_formats
from pipeline.electrophysiology.raw_formats import clock_knots, nwb_file

RATE, START = 25_000.0, 3.0
ON, OFF = np.array([3.1, 3.4, 3.7]), np.array([3.2, 3.5, 3.8])
BOTH = np.sort(np.concatenate([ON, OFF]))


def write(path: Path, *things, stamps: np.ndarray | None = None, events: Any = None) -> None:
    """A second of raw samples from second 3 on, and things in /acquisition."""
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.ecephys import ElectricalSeries

    nwb = NWBFile("a test", "raw", datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC))
    group = nwb.create_electrode_group("shank0", "a shank", "VISp", nwb.create_device("probe"))
    for _ in range(2):
        nwb.add_electrode(group=group, location="VISp")
    region = nwb.create_electrode_table_region([0, 1], "all")
    timing = {"rate": RATE, "starting_time": START} if stamps is None else {"timestamps": stamps}
    n = round(RATE) if stamps is None else len(stamps)
    codes = np.zeros((n, 2), np.int16)
    nwb.add_acquisition(ElectricalSeries(name="raw", data=codes, electrodes=region, conversion=1e-6, **timing))
    for thing in things:
        nwb.add_acquisition(thing)
    if events is not None:
        nwb.add_events_table(events)
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)


def samples(times: np.ndarray) -> list[int]:
    return np.round((times - START) * RATE).astype(int).tolist()


def test_series_of_the_core_are_lines(tmp_path):
    """Intervals, levels, states with a sign, and a port; codes of irregular events are no lines."""
    pynwb = pytest.importorskip("pynwb")
    from pynwb.misc import IntervalSeries

    signs = np.where(np.isin(BOTH, ON), 1, -1)
    regular = np.zeros(1000, np.uint8)
    regular[100:300], regular[200:400] = 1, regular[200:400] | 4
    series = lambda name, data, **timing: pynwb.TimeSeries(name=name, data=data, unit="n.a.", **timing)  # noqa: E731
    path = tmp_path / "raw.nwb"
    write(
        path,
        IntervalSeries(name="laser", data=signs.astype(np.int8), timestamps=BOTH),
        series("sync_level", (signs > 0).astype(np.uint8), timestamps=BOTH),
        series("TTL_states", 5 * signs, timestamps=BOTH),
        series("digital_port", regular, rate=1000.0, starting_time=START),
        series("digital_codes", np.array([24, 9, 24, 32, 9, 1]), timestamps=BOTH),
        series("running_speed", np.arange(6), timestamps=BOTH),
    )
    changes, names = nwb_file.own_changes(path)
    collected = {name: changes[number] for number, name in names.items()}
    assert list(collected) == ["TTL_states 5", "digital_port 0", "digital_port 2", "laser 1", "sync_level"]
    for name in ("TTL_states 5", "laser 1", "sync_level"):
        assert collected[name][0].tolist() == samples(BOTH) and collected[name][1].tolist() == signs.tolist()
    assert collected["digital_port 0"][0].tolist() == [2500, 5000] and collected["digital_port 0"][1].tolist() == [
        1,
        -1,
    ]
    assert collected["digital_port 2"][0].tolist() == [5000, 10_000]
    assert raw_formats.line_names(path, "raw_ephys_data/raw.nwb") == names


def test_events_of_ndx_events_are_lines(tmp_path):
    """As neuroconv writes the lines of a NIDQ: labels in pairs; other labels and events rise only."""
    pytest.importorskip("pynwb")
    import h5py

    path = tmp_path / "raw.nwb"
    write(path)
    text = h5py.string_dtype()
    with h5py.File(path, "a") as file:
        for name, kind, arrays in (
            ("EventsXD0", "LabeledEvents", {"timestamps": BOTH, "data": np.tile([1, 0], 3).astype("u1")}),
            ("Port", "TTLs", {"timestamps": ON, "data": np.array([0, 1, 0], "u1")}),
            ("licks", "Events", {"timestamps": OFF}),
            ("table", "EventsTable", {"timestamp": ON, "event_type": np.array(["cue", "tone", "cue"], text)}),
        ):
            group = file.create_group(f"acquisition/{name}")
            group.attrs["neurodata_type"] = kind
            for key, values in arrays.items():
                group[key] = values
        file["acquisition/EventsXD0/labels"] = np.array(["XD0 OFF", "XD0 ON"], text)
        file["acquisition/Port/labels"] = np.array(["camera", "reward"], text)
    changes, names = nwb_file.own_changes(path)
    assert list(names.values()) == ["EventsXD0 XD0", "Port camera", "Port reward", "licks", "table cue", "table tone"]
    assert changes[0][0].tolist() == samples(BOTH) and changes[0][1].tolist() == [1, -1] * 3
    assert changes[1][0].tolist() == samples(ON[[0, 2]]) and changes[2][0].tolist() == samples(ON[[1]])
    assert changes[3][1].tolist() == [1, 1, 1] and changes[4][0].tolist() == samples(ON[[0, 2]])


def test_tables_of_events_of_the_core_are_lines(tmp_path):
    """Events with a duration rise and fall; rows need not be in order of time."""
    pytest.importorskip("pynwb")
    event = pytest.importorskip("pynwb.event", reason="this version of pynwb has no tables of events")
    table = event.EventsTable(name="reward", description="a")
    for start, length in ((3.4, 0.1), (3.1, 0.1), (3.7, np.nan)):
        table.add_row(timestamp=start, duration=length)
    path = tmp_path / "raw.nwb"
    write(path, events=table)
    changes, names = nwb_file.own_changes(path)
    assert names == {0: "reward"} and changes[0][1].tolist() == [1, -1, 1, -1, 1]
    assert changes[0][0].tolist() == samples(np.array([3.1, 3.2, 3.4, 3.5, 3.7]))


def test_a_gap_between_samples_is_in_the_clock(tmp_path):
    """A pause of 0.3 s inside the ten seconds between two knots: every sample has the time that the file gives it."""
    pytest.importorskip("pynwb")
    stamps = START + np.arange(20_000) / RATE + np.where(np.arange(20_000) >= 7000, 0.3, 0.0)
    path = tmp_path / "raw.nwb"
    write(path, stamps=stamps)
    times_read = raw_formats.own_times(path, "raw_ephys_data/raw.nwb")
    assert times_read is not None
    np.testing.assert_allclose(Clock(*times_read).convert(np.arange(20_000)), stamps, atol=1e-9)
    counts = np.arange(500, 2500) + np.where(np.arange(2000) > 900, 77, 0)
    at = clock_knots.of_times(counts, 1.0)
    assert at is not None and at.tolist() == [0, 900, 901, 1999]
    assert clock_knots.of_times(counts[::-1], 1.0) is None
