"""Recordings of Open Ephys, Intan, Blackrock and NWB: registered, placed on the probe, in session time, compressed."""

from __future__ import annotations

import lzma
import os
import shutil
import struct
import time
from pathlib import Path

import numpy as np
import pytest

import ingest
from ingest.files import channel_maps, inspect_session
from ingest.files.scan import SessionKey
from pipeline import acquisition, data, ephys
from pipeline.analysis.clocks import Clock
from pipeline.electrophysiology import raw_formats
from pipeline.errors import InvalidData
from pipeline.schemas.inputs import files
from tests.ephys import raw_files, trees
from tests.ingest import tree

RECORDINGS = Path(__file__).parent / "recordings"
NODE = "raw_ephys_data/probe00/Record Node 101"
STREAM = f"{NODE}/experiment1/recording1/continuous/File_Reader-100.example_data"
RATE = 20_000.0


def compute() -> None:
    """Compute the tables that depend on recordings."""
    ephys.SessionClock.populate()
    ephys.RecordingSignal.populate()


def write_intan(path: Path, seconds: float = 1.0, n_channels: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """An RHD file (version 2.0, "RHD2000 Application Note: data file formats") with 2 lines of digital input.

    Returns what it holds: microvolts (n, n_channels), and the two lines (n, 2).
    """
    text = lambda value: struct.pack("<I", 2 * len(value)) + value.encode("utf-16-le")  # noqa: E731
    header = struct.pack("<Ihhfhffffffhff", 0xC6912702, 2, 0, RATE, 1, 1, 0.1, 7500, 1, 0.1, 7500, 0, 1e3, 1e3)
    header += text("") * 3 + struct.pack("<hh", 0, 0) + text("") + struct.pack("<h", 2)
    for name, kind, n in (("Port A", 0, n_channels), ("Board", 4, 2)):
        header += text(name) + text("A") + struct.pack("<hhh", 1, n, n if kind == 0 else 0)
        for i in range(n):
            header += text(f"{name[-1]}-{i:03d}") * 2 + struct.pack("<10hff", i, i, kind, 1, i, 0, 0, 0, 0, 0, 1e5, 0.0)
    n_blocks = int(seconds * RATE) // 128
    chance = np.random.default_rng(0)
    codes = chance.integers(32_000, 33_500, (n_blocks * 128, n_channels)).astype("<u2")
    lines = (np.arange(len(codes))[:, None] // np.array([500, 2000]) % 2).astype("<u2")
    shifts = np.arange(2, dtype="<u2")
    blocks = []
    for k in range(n_blocks):
        part = slice(128 * k, 128 * (k + 1))
        word = (lines[part] << shifts).sum(axis=1).astype("<u2")
        count = np.arange(part.start, part.stop, dtype="<i4")
        blocks.append(count.tobytes() + codes[part].T.tobytes() + word.tobytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + b"".join(blocks))
    return (codes.astype(np.int64) - 32768) * 0.195, lines


def write_blackrock(path: Path, n: int = 30_000, n_channels: int = 3) -> np.ndarray:
    """An NSx file of version 2.3 with one packet; returns microvolts."""
    extended = b"".join(
        struct.pack("<2sH16sBBhhhh16sIIHIIH", b"CC", i + 1, f"chan{i + 1}".encode(), 1, i, -32764, 32764, -8191, 8191,
                    b"uV", 300, 4, 1, 7_500_000, 3, 1)
        for i in range(n_channels)
    )  # fmt: skip
    size = 8 + 2 + 4 + 16 + 256 + 4 + 4 + 16 + 4 + len(extended)
    basic = struct.pack("<8sBBI16s256sII8HI", b"NEURALCD", 2, 3, size, b"30 kS/s", b"", 1, 30_000,
                        2024, 5, 3, 1, 9, 0, 0, 0, n_channels)  # fmt: skip
    codes = np.random.default_rng(1).integers(-3000, 3000, (n, n_channels)).astype("<i2")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(basic + extended + struct.pack("<BII", 1, 0, n) + codes.tobytes())
    return codes * (8191 / 32764)


def write_nwb(path: Path, gain: float = 0.195e-6, start: float = 0.0) -> np.ndarray:
    """A raw ElectricalSeries as pynwb writes it; returns microvolts."""
    import datetime

    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.ecephys import ElectricalSeries

    nwb = NWBFile("a test", "raw", datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC))
    device = nwb.create_device("probe")
    groups = [nwb.create_electrode_group(f"shank{i}", "a shank", "VISp", device) for i in range(2)]
    for name in ("rel_x", "rel_y"):
        nwb.add_electrode_column(name, "um")
    for i in range(4):
        nwb.add_electrode(group=groups[i // 2], location="VISp", rel_x=8.0 + 32 * (i % 2), rel_y=20.0 * i)
    codes = np.random.default_rng(2).integers(-500, 500, (25_000, 4)).astype(np.int16)
    region = nwb.create_electrode_table_region([3, 2, 1, 0], "in another order")
    nwb.add_acquisition(
        ElectricalSeries("raw", codes, region, rate=25_000.0, starting_time=start, conversion=gain, description="raw")
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return codes * gain * 1e6


def header(folder: Path, name: str, stream: str, experiment: str = "experiment1/recording1") -> Path:
    """A recording of 10 samples under a real header of Open Ephys; returns its `continuous.dat`."""
    recording = folder / "Record Node 101" / experiment
    recording.mkdir(parents=True, exist_ok=True)
    unpack = lambda part: lzma.decompress((RECORDINGS / "headers" / f"{name}.{part}.xz").read_bytes())  # noqa: E731
    (recording / "structure.oebin").write_bytes(unpack("oebin"))
    (recording.parents[1] / "settings.xml").write_bytes(unpack("settings.xml"))
    n_channels = {"PXIe-6341": 4, "OneBox-ADC": 12}.get(stream.partition(".")[2], 385)
    path = recording / "continuous" / stream / "continuous.dat"
    path.parent.mkdir(parents=True)
    np.zeros((10, n_channels), np.int16).tofile(path)
    return path


@pytest.mark.slow
def test_open_ephys_is_registered_read_and_compressed(database, tmp_path):
    """A real recording: every file is registered, samples are those of the file, times those of the GUI."""
    root = tmp_path / "data"
    session = root / trees.SESSION
    shutil.copytree(RECORDINGS / "open_ephys" / "Record Node 101", session / NODE, copy_function=shutil.copyfile)
    tree.ingest(root)
    assert not data.Quarantine(), data.Quarantine().to_dicts()
    n_files = sum(path.is_file() for path in session.rglob("*"))
    assert len(data.Dataset()) == n_files
    row = (ephys.Recording & {"band": "ap"}).fetch1()
    assert (row["probe_label"], row["sampling_rate"], row["n_channels"], row["n_samples"]) == ("probe00", 4e4, 16, 4000)
    assert not ephys.ChannelMap()  # nothing says where these electrodes are
    raw = np.fromfile(session / STREAM / "continuous.dat", "<i2").reshape(-1, 16)
    key = {"dataset_id": row["dataset_id"]}
    compute()
    stream = (ephys.SessionClock.Stream & key).fetch1()
    assert stream["clock_source"] == "timestamps"
    clock = ephys.clock(key)
    told = np.load(session / STREAM / "timestamps.npy")
    np.testing.assert_allclose(clock.convert(np.arange(4000)), told - told[0], atol=1e-9)
    lines = (ephys.SessionClock.Line & key).to_dicts(order_by="line")
    numbers = np.load(
        session / NODE / "experiment1/recording1/events/Network_Events-108.example_data/TTL/sample_numbers.npy"
    )
    assert sum(len(line["line_samples"]) for line in lines) == len(numbers)
    assert lines[0]["line_samples"][0] == numbers[0] - 40_091
    insertion = ephys.ProbeInsertion().fetch1("KEY")
    times, volts = ephys.raw_snippet(insertion, 0.01, 0.02)
    np.testing.assert_allclose(volts, raw[400:800] * 0.05e-6, rtol=1e-6)
    np.testing.assert_allclose(times[[0, -1]], [0.01, 799 / 4e4])
    before = (ephys.RecordingSignal & key).fetch1("signal_rms")

    summary = ingest.compress(root, remove_raw=True)  # nothing says how large the file must be: it waits first
    assert summary.waiting and not summary.compressed
    before_now = time.time() - 3600
    os.utime(session / STREAM / "continuous.dat", (before_now, before_now))
    tree.ingest(root)
    summary = ingest.compress(root, remove_raw=True)
    assert (summary.compressed, summary.removed, summary.failures) == (1, 1, []), data.Quarantine().to_dicts()
    assert not (session / STREAM / "continuous.dat").exists() and (session / STREAM / "continuous.cbin").exists()
    assert (ephys.Recording & key).fetch1("n_samples") == 4000
    with files.open_recording(key) as recording:
        np.testing.assert_array_equal(recording[:], raw)
        np.testing.assert_allclose(recording.volts_per_bit, 0.05e-6, rtol=1e-6)
    compute()
    np.testing.assert_array_equal((ephys.RecordingSignal & key).fetch1("signal_rms"), before)


def test_open_ephys_as_neo_reads_it():
    rawio = pytest.importorskip("neo.rawio")
    path = RECORDINGS / "open_ephys" / "Record Node 101"
    reader = rawio.OpenEphysBinaryRawIO(str(path))
    reader.parse_header()
    theirs = reader.get_analogsignal_chunk(0, 0, 0, 4000, stream_index=0)
    file = path / "experiment1/recording1/continuous/File_Reader-100.example_data/continuous.dat"
    with raw_formats.open_raw(file, STREAM + "/continuous.dat") as recording:
        np.testing.assert_array_equal(recording[:], theirs)
        gains = reader.header["signal_channels"]["gain"] * 1e-6
        np.testing.assert_allclose(recording.volts_per_bit, gains)
    samples, times = raw_formats.own_times(file, STREAM + "/continuous.dat")
    assert times[0] == pytest.approx(reader.get_signal_t_start(0, 0, 0)) and samples[0] == 0


@pytest.mark.parametrize(
    ("name", "stream", "part_number", "band"),
    [("np2_multishank", "Neuropix-PXI-103.ProbeA", "NP2013", "ap"), ("onebox", "OneBox-111.ProbeA", "NP2014", "ap"),
     ("np_long", "Neuropix-PXI-100.ProbeA-AP", "NP1032", "ap"),
     ("np_long", "Neuropix-PXI-100.ProbeA-LFP", "NP1032", "lf")],
)  # fmt: skip
def test_open_ephys_electrodes_are_those_of_probeinterface(tmp_path, name, stream, part_number, band):
    """Real headers: each column of the file has the place that the settings give to its electrode."""
    import warnings

    import probeinterface

    path = header(tmp_path, name, stream)
    told = raw_formats.describe(path, f"raw_ephys_data/x/continuous/{stream}/continuous.dat")
    assert (told.band, told.probe, told.part_number, told.n_samples) == (band, "probe00", part_number, 10)
    assert len(told.neural) == 384 and told.volts_per_bit[-1] == 1
    channel_map = channel_maps.of_description(path, told)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = getattr(probeinterface, "read_openephys_neuropixels", None) or probeinterface.read_openephys
        probe = read(path.parents[4] / "settings.xml")
    mine = {(shank, axial) for shank, axial in zip(channel_map.shank, channel_map.axial, strict=True)}
    names = sorted(set(probe.shank_ids.tolist())) if probe.shank_ids is not None else [""]
    shanks = probe.shank_ids.tolist() if probe.shank_ids is not None else [""] * 384
    shank_numbers = [int(item) if item else 0 for item in shanks] if names != [""] else [0] * 384
    theirs = {(shank, y) for shank, y in zip(shank_numbers, probe.contact_positions[:, 1].tolist(), strict=True)}
    assert mine == theirs


def test_inputs_of_a_converter_are_no_probe(tmp_path):
    path = header(tmp_path, "np_long", "NI-DAQmx-104.PXIe-6341")
    told = raw_formats.describe(path, "raw_ephys_data/x/continuous/NI/continuous.dat")
    assert told.band == "nidq" and told.probe is None
    np.testing.assert_allclose(told.volts_per_bit, 10 / 32767, rtol=1e-4)


@pytest.mark.parametrize(
    "content",
    ['{"probes": [{}]}',
     '{"probes": [{"si_units": "um", "contact_positions": [[0, 0]], "device_channel_indices": [0]}]}'],
)  # fmt: skip
def test_a_probe_file_that_gives_no_places_is_named(tmp_path, content):
    """The places are then those of the recording itself, or none: somebody has to know."""
    folder = tmp_path / trees.SESSION / "raw_ephys_data/probe00"
    write_blackrock(folder / "datafile001.ns6")
    (folder / "datafile001.probe.json").write_text(content)
    key = SessionKey("lab", "mouse", "2024-05-01", 1)
    report = inspect_session.examine(tmp_path, key, trees.SESSION, {})
    (problem,) = report.problems
    assert problem.path.endswith("probe00/datafile001.probe.json") and "not used" in problem.detail
    assert len(report.recordings) == 1 and report.recordings[0].channel_map is None


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_intan_blackrock_and_nwb_are_read_as_they_were_written(database, tmp_path):
    pytest.importorskip("neo")
    root = tmp_path / "data"
    folder = root / trees.SESSION / "raw_ephys_data"
    volts, lines = write_intan(folder / "probe00" / "mouse_240501_120000.rhd")
    written = {"probe00": volts, "probe01": write_blackrock(folder / "probe01" / "datafile001.ns6"),
               "probe02": write_nwb(folder / "probe02" / "raw.nwb"),
               "probe03": raw_files.write_rhs(folder / "probe03" / "mouse_240501_120000.rhs"),
               "probe04": raw_files.write_plexon(folder / "probe04" / "a.plx")[0]}  # fmt: skip
    import probeinterface

    raw_files.write_nev(folder / "probe01" / "datafile001.nev", [(3000, 1, 2), (6000, 1, 0)], [(9000, "laser on")])
    probe = probeinterface.generate_linear_probe(4, 25.0)
    probe.set_device_channel_indices([3, 2, 1, 0])
    probeinterface.write_probeinterface(folder / "probe00" / "mouse_240501_120000.probe.json", probe)
    tree.ingest(root)
    assert not data.Quarantine(), data.Quarantine().to_dicts()
    for label, microvolts in written.items():
        row = (ephys.Recording & {"probe_label": label}).fetch1()
        assert (row["band"], row["n_samples"]) == ("ap", len(microvolts))
        insertion = (ephys.ProbeInsertion & {"probe_label": label}).fetch1("KEY")
        _, events = ephys.raw_snippet(insertion, 0.1, 0.2)
        first, last = (round(at * row["sampling_rate"]) for at in (0.1, 0.2))
        np.testing.assert_allclose(events * 1e6, microvolts[first:last], rtol=1e-5, atol=1e-4)
    maps = {row["probe_label"]: row for row in (ephys.ChannelMap * ephys.Recording.proj("probe_label")).to_dicts()}
    assert maps["probe00"]["map_axial"] == [75.0, 50.0, 25.0, 0.0] and "probe01" not in maps
    assert maps["probe02"]["map_axial"] == [60.0, 40.0, 20.0, 0.0] and maps["probe02"]["map_shank"] == [0, 0, 1, 1]
    compute()
    events = (ephys.SessionClock.Line * ephys.Recording.proj("probe_label") & {"probe_label": "probe00"}).to_dicts(
        order_by="line"
    )
    for line, truth in zip(events, lines.T.astype(int), strict=True):
        assert line["line_samples"].tolist() == (np.flatnonzero(np.diff(truth)) + 1).tolist()
    session = {name: events[0][name] for name in acquisition.Session.primary_key}
    assert ephys.sync_events(session, line="laser on")["times"].tolist() == [0.3]
    events = ephys.sync_events(session, line="digital input 1")
    assert events["times"].tolist() == [0.1, 0.2] and events["polarities"].tolist() == [1, -1]
    assert len(ephys.RecordingSignal()) == 5
    assert ingest.compress(root).recordings == 0  # none of these is plain multiplexed integers


@pytest.mark.parametrize("suffix", ["rhs", "plx", "rec"])
def test_other_systems_are_read_as_they_were_written(tmp_path, suffix):
    """Files of the published layouts: samples in V, also those of the last block and of pieces."""
    pytest.importorskip("neo")
    path = tmp_path / f"a.{suffix}"
    if suffix == "rhs":
        microvolts = raw_files.write_rhs(path)
    else:
        write = raw_files.write_plexon if suffix == "plx" else raw_files.write_spikegadgets
        microvolts, times = write(path)
    rel_path = f"raw_ephys_data/probe00/{path.name}"
    told = raw_formats.describe(path, rel_path)
    assert (told.band, told.n_samples, len(told.neural)) == ("ap", *microvolts.shape)
    with raw_formats.open_raw(path, rel_path) as recording:
        for part in (slice(None), slice(333, 1777), slice(500, 1000)):
            result = recording.volts[part][:, told.neural] * 1e6
            np.testing.assert_allclose(result, microvolts[part], rtol=1e-5, atol=1e-3)
    if suffix in ("plx", "rec"):
        clock = Clock(*raw_formats.own_times(path, rel_path))
        np.testing.assert_allclose(clock.convert(np.arange(len(times))), times, atol=1e-9)
        ((line, (samples, polarities)),) = raw_formats.own_changes(path, rel_path).items()
        expected = np.arange(10, 8000, 1000) if suffix == "plx" else np.arange(1000, 6000, 1000)
        assert line == (1 if suffix == "plx" else 0) and samples.tolist() == expected.tolist()
        assert polarities.tolist() == ([1] * 8 if suffix == "plx" else [1, -1, 1, -1, 1])


def test_events_beside_a_recording_of_blackrock_are_lines(tmp_path):
    """Inputs of the port by what its header calls it; words of a strobe, bytes and comments only rise."""
    pytest.importorskip("neo")
    path = tmp_path / "datafile001.ns6"
    write_blackrock(path)
    rel_path = f"raw_ephys_data/probe00/{path.name}"
    assert raw_formats.own_changes(path, rel_path) == {} == raw_formats.line_names(path, rel_path)
    port = [(1000, 1, 1), (2000, 1, 9), (3000, 1, 8), (4000, 1, 0)]
    raw_files.write_nev(
        path.with_suffix(".nev"), [*port, (2500, 129, 65)], [(3500, "laser on"), (5000, "laser on")], "sync box"
    )
    names = raw_formats.line_names(path, rel_path)
    result = {names[line]: one for line, one in raw_formats.own_changes(path, rel_path).items()}
    assert {name: (samples.tolist(), signs.tolist()) for name, (samples, signs) in result.items()} == {
        "sync box 0": ([1000, 3000], [1, -1]), "sync box 3": ([2000, 4000], [1, -1]),
        "serial input 65": ([2500], [1]), "laser on": ([3500, 5000], [1, 1]),
    }  # fmt: skip
    raw_files.write_nev(path.with_suffix(".nev"), [(100, 1, 24), (200, 1, 24), (300, 1, 9), (40_000, 1, 9)], [])
    result = raw_formats.own_changes(path, rel_path)
    assert raw_formats.line_names(path, rel_path) == {16: "digital input code 24", 17: "digital input code 9"}
    assert [samples.tolist() for samples, _ in result.values()] == [[100, 200], [300]], "what lies within the recording"


def test_lines_of_open_ephys_have_the_names_of_their_event_channels(tmp_path):
    """A real recording; and 24 inputs of a converter under a real header, of which no two have one number."""
    session = RECORDINGS / "open_ephys"
    path = session / "Record Node 101/experiment1/recording1/continuous/File_Reader-100.example_data/continuous.dat"
    names = raw_formats.line_names(path, STREAM + "/continuous.dat")
    assert set(names) == set(raw_formats.own_changes(path, STREAM + "/continuous.dat"))
    assert names[16] == "Network Events output 1" and len(names) > 2
    path = header(tmp_path, "np_long", "NI-DAQmx-104.PXIe-6341")
    np.save(path.with_name("sample_numbers.npy"), np.arange(500, 510))
    folder = path.parents[2] / "events" / "NI-DAQmx-104.PXIe-6341" / "TTL"
    folder.mkdir(parents=True)
    np.save(folder / "states.npy", np.array([3, -3, 24, -24], np.int16))
    np.save(folder / "sample_numbers.npy", np.array([501, 503, 504, 509]))
    rel_path = "raw_ephys_data/x/continuous/NI-DAQmx-104.PXIe-6341/continuous.dat"
    assert raw_formats.line_names(path, rel_path) == {
        2: "PXIe-6341Digital Input Line 3", 23: "PXIe-6341Digital Input Line 24",
    }  # fmt: skip
    changes = raw_formats.own_changes(path, rel_path)
    assert changes[23][0].tolist() == [4, 9] and changes[23][1].tolist() == [1, -1]


@pytest.mark.parametrize("kind", ["float32", "int16"])
def test_simulated_recordings_of_mearec(tmp_path, kind):
    """Files that MEArec generated: uV whatever the type, sites from the lowest one on, spikes of the right size."""
    h5py = pytest.importorskip("h5py")

    path = tmp_path / "a.h5"
    path.write_bytes(lzma.decompress((RECORDINGS / "mearec" / f"mearec_{kind}.h5.xz").read_bytes()))
    with h5py.File(path) as file:
        written, gain = file["recordings"][:], float(file["recordings"].attrs["gain_to_uV"])
        rate = float(file["info/recordings/fs"][()])
    assert str(written.dtype) == kind and (gain == 1) == (kind == "float32")
    told = raw_formats.describe(path, "raw_ephys_data/probe00/a.h5")
    assert (told.n_samples, told.sampling_rate, told.band) == (1600, rate, "ap")
    assert [place.axial for place in told.places or ()] == [0, 25, 50, 75]
    with raw_formats.open_raw(path, "raw_ephys_data/probe00/a.h5") as recording:
        np.testing.assert_allclose(recording.volts[:] * 1e6, written * gain, rtol=1e-5, atol=1e-3)
        assert 150 < np.ptp(recording.volts[:]) * 1e6 < 300, "templates of 120 uV down and 48 uV up, and noise of 8 uV"


@pytest.mark.parametrize("suffix", ["rhs", "rec"])
def test_samples_are_those_of_neo(tmp_path, suffix):
    rawio = pytest.importorskip("neo.rawio")
    path = tmp_path / f"a.{suffix}"
    (raw_files.write_rhs if suffix == "rhs" else raw_files.write_spikegadgets)(path)
    reader = (rawio.IntanRawIO if suffix == "rhs" else rawio.SpikeGadgetsRawIO)(str(path))
    reader.parse_header()
    theirs = reader.rescale_signal_raw_to_float(
        reader.get_analogsignal_chunk(0, 0, 10, 900, stream_index=0), "float64", 0
    )
    with raw_formats.open_raw(path, f"raw_ephys_data/a.{suffix}") as recording:
        np.testing.assert_allclose(recording.volts[10:900][:, : theirs.shape[1]] * 1e6, theirs, rtol=1e-5, atol=1e-3)


def test_a_recording_without_a_factor_is_refused(tmp_path):
    """Old files of SpikeGadgets do not say how many uV a bit is."""
    pytest.importorskip("neo")
    raw_files.write_spikegadgets(tmp_path / "a.rec", scaling=None)
    with pytest.raises(InvalidData, match="does not say how many uV"):
        raw_formats.describe(tmp_path / "a.rec", "raw_ephys_data/a.rec")


@pytest.mark.parametrize("damage", ["no_header", "half", "not_it"])
def test_what_cannot_be_read_says_why(tmp_path, damage):
    if damage == "no_header":
        path, rel_path = tmp_path / "continuous" / "A" / "continuous.dat", STREAM + "/continuous.dat"
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(64))
        expected = "structure.oebin"
    elif damage == "half":
        path, rel_path = header(tmp_path, "onebox", "OneBox-111.ProbeA"), STREAM + "/continuous.dat"
        path.write_bytes(bytes(771))
        expected = "no multiple"
    else:
        path, rel_path = tmp_path / "a.rhd", "raw_ephys_data/a.rhd"
        path.write_bytes(b"nothing of Intan" * 50)
        expected = "neo cannot read it"
    with pytest.raises(InvalidData, match=expected):
        raw_formats.describe(path, rel_path)


def test_a_format_of_the_maker_alone_says_what_to_do(tmp_path):
    path = tmp_path / "raw_ephys_data/a.pl2"
    path.parent.mkdir()
    path.write_bytes(b"PLEX" * 100)
    assert raw_formats.belongs_to_recording("raw_ephys_data/a.pl2")
    for read in (raw_formats.describe, raw_formats.open_raw):
        with pytest.raises(InvalidData, match="export it as PLX"):
            read(path, "raw_ephys_data/a.pl2")


def test_a_factor_that_was_applied_twice_is_noticed(tmp_path):
    """The GUI of Open Ephys 0.6 writes one factor as conversion and channel_conversion; others mean their product."""
    import h5py

    path = tmp_path / "a.nwb"
    microvolts = write_nwb(path, gain=1e-6)
    for by_channel, expected in ((1e-6, microvolts), (0.5, 0.5 * microvolts)):
        with h5py.File(path, "a") as file:
            series = file["acquisition/raw"]
            if "channel_conversion" in series:
                del series["channel_conversion"]
            series["channel_conversion"] = np.full(4, by_channel)
        with raw_formats.open_raw(path, "raw_ephys_data/a.nwb") as recording:
            np.testing.assert_allclose(recording.volts[:100] * 1e6, expected[:100], rtol=1e-5)
    with h5py.File(path, "a") as file:
        file["acquisition/raw/channel_conversion"][:] = 1e-4
    with pytest.raises(InvalidData, match="smaller than that of any converter"):
        raw_formats.describe(path, "raw_ephys_data/a.nwb")
