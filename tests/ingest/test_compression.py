"""Protects compression: no sample is lost or changed, a dataset keeps its identity, any history ends as a fresh run."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cbin
import numpy as np
import pytest
from cbin.synthetic import write_recording
from hypothesis import given
from hypothesis import strategies as st

from ingest import compress
from ingest.files import recordings
from pipeline.alf import identity
from pipeline.errors import AmbiguousError, InvalidData, NeurojointError
from pipeline.schemas import acquisition, data, ephys
from pipeline.schemas.inputs import files, local_copies
from pipeline.settings import settings
from tests.ingest.tree import ingest, rows, write

pytestmark = pytest.mark.slow

SESSION = "mylab/Subjects/m1/2020-01-01/001"
KEY = {"lab": "mylab", "subject": "m1", "session_date": datetime.date(2020, 1, 1), "session_number": 1}
NAME = "_spikeglx_ephysData_g0_t0.imec0.ap"
REL = f"raw_ephys_data/probe00/{NAME}"
HISTORY = {
    "SessionScan": {"scanned"},
    "Compression": {"compression_seconds", "compression_speed", "compressed_at", "raw_removed", "raw_hash"},
}
"""What the files do not tell: when and how fast something was done."""


def record(root: Path, session: str = SESSION, probe: int = 0, band: str = "ap", **options) -> Path:
    """Write a session with a short recording; the raw file."""
    folder = write(root, session) / f"raw_ephys_data/probe{probe:02d}"
    folder.mkdir(parents=True, exist_ok=True)
    options = {"seconds": 0.3, "n_channels": 9, "seed": probe, **options}
    return write_recording(folder / f"_spikeglx_ephysData_g0_t0.imec{probe}.{band}.bin", **options)


def samples(path: Path, n_channels: int = 9) -> np.ndarray:
    return np.fromfile(path, np.int16).reshape(-1, n_channels)


def content() -> dict[str, list[tuple]]:
    """What files and headers tell, as it is in the tables."""
    tables = [
        data.AlfObject, data.SessionScan, ephys.ProbeModel, ephys.Probe, ephys.ProbeInsertion,
        ephys.Recording, ephys.Compression,
    ]  # fmt: skip
    recorded = {
        table.__name__: rows(table, *(n for n in table.heading.names if n not in HISTORY.get(table.__name__, ())))
        for table in tables
    }
    names = [name for name in data.FileRecord.heading.names if name != "verified"]
    online = data.FileRecord & {"file_state": "online"}
    recorded["FileRecord"] = rows(online, *names)
    names = [name for name in data.Dataset.heading.names if name != "registered"]
    recorded["Dataset"] = rows(data.Dataset & online.proj(), *names)
    return recorded


def forget() -> None:
    """Empty the tables of files."""
    for table in (
        ephys.Compression, ephys.ChannelMap, ephys.Recording, ephys.ProbeInsertion, ephys.Probe, data.Quarantine,
        data.AlfObject, data.SessionScan, data.FileRecord, data.Dataset, acquisition.SessionTask,
        acquisition.Session,
    ):  # fmt: skip
        table.delete_quick()


def assert_as_a_fresh_run(root: Path) -> None:
    lived = content()
    forget()
    ingest(root, repository="r")
    fresh = content()
    for name in lived:
        assert lived[name] == fresh[name], name


def changes(action: str) -> list[tuple[str, str, str]]:
    return rows(data.Change & {"change_action": action}, "change_path", "old_hash", "new_hash")


def test_a_recording_is_the_same_dataset_with_the_same_samples_before_and_after(database, tmp_path):
    raw = record(tmp_path)
    expected = samples(raw)
    ingest(tmp_path, repository="r")
    before = (data.Dataset & {"rel_path": f"{REL}.bin"}).fetch1()
    with files.open_recording(KEY, "ap", "probe00") as recording:
        assert recording.path == raw and np.array_equal(recording[:], expected)
        volts = recording.volts[:100]

    summary = compress(tmp_path)
    assert (summary.recordings, summary.compressed, summary.failures) == (1, 1, [])
    after = (data.Dataset & {"rel_path": f"{REL}.cbin"}).fetch1()
    assert not data.Dataset & {"rel_path": f"{REL}.bin"}
    kept = ("dataset_id", "registered", "alf_object", "alf_attribute", "collection", "default_dataset")
    assert {name: before[name] for name in kept} == {name: after[name] for name in kept}
    assert before["dataset_id"] == identity.dataset_id(SESSION, f"{REL}.cbin")
    assert data.Dataset & {"rel_path": f"{REL}.ch"}
    assert after["extension"] == "ap.cbin" and after["file_size"] == raw.with_suffix(".cbin").stat().st_size
    for probe in ("probe00", None):
        with files.open_recording(KEY, "ap", probe) as recording:
            assert recording.path.suffix == ".cbin" and np.array_equal(recording[:], expected)
            assert np.array_equal(recording.volts[:100], volts)
    for form in ("bin", "cbin"):
        assert local_copies.path_of(KEY, f"{REL}.{form}") == raw.with_suffix(".cbin")
    row = ephys.Compression.fetch1()
    assert (row["raw_hash"], row["compressed_hash"]) == (before["dataset_hash"], after["dataset_hash"])
    assert row["compression_ratio"] == raw.stat().st_size / after["file_size"] > 1
    assert row["compression_speed"] > 0 and row["compressed_at"] and row["compression_encoder"].startswith("cbin ")
    assert row["raw_repository"] == "r" and row["raw_removed"] is None
    path = f"{SESSION}/{REL}.cbin"
    assert changes("compressed") == [(path, before["dataset_hash"], after["dataset_hash"])]
    assert not changes("replaced") and not changes("deleted") and not data.Quarantine()


def test_probes_and_recordings_come_from_the_headers(database, tmp_path):
    record(tmp_path)
    record(tmp_path, probe=1, kind="np2")
    record(tmp_path, probe=1, band="lf", sample_rate=2500)
    ingest(tmp_path)
    recorded = rows(ephys.Recording, "probe_label", "band", "sampling_rate", "n_channels", "n_samples", "duration")
    assert recorded == [
        ("probe00", "ap", 30000.0, 9, 9000, 0.3), ("probe01", "ap", 30000.0, 9, 9000, 0.3),
        ("probe01", "lf", 2500.0, 9, 750, 0.3),
    ]  # fmt: skip
    assert rows(ephys.Probe, "probe_serial", "probe_model") == [("18005119451", "NP1")]
    assert len(ephys.ProbeInsertion()) == 2
    gain = (ephys.Recording & {"probe_label": "probe00"}).fetch1("volts_per_bit")
    assert gain == pytest.approx(2.34375e-6)
    with pytest.raises(AmbiguousError, match="several recordings of .* fit: .*probe00.*probe01.*name the probe"):
        files.open_recording(KEY, "ap")
    with pytest.raises(InvalidData, match="no nidq recording"):
        files.open_recording(KEY, "nidq")
    one = (ephys.Recording & {"band": "lf"}).fetch1()
    assert files.open_recording(one).sample_rate == 2500


def test_an_insertion_that_is_there_keeps_what_was_said_of_it(database, tmp_path):
    write(tmp_path, SESSION)
    ingest(tmp_path)
    pid = "11111111-1111-4111-8111-111111111111"
    ephys.ProbeInsertion.insert1(KEY | {"probe_label": "probe00", "pid": pid, "insertion_qc": "PASS"})
    record(tmp_path)
    ingest(tmp_path)
    row = ephys.ProbeInsertion.fetch1()
    assert (row["pid"], row["insertion_qc"], row["probe_serial"]) == (pid, "PASS", "18005119451")


def test_a_second_run_does_nothing(database, tmp_path, monkeypatch):
    record(tmp_path)
    ingest(tmp_path)
    compress(tmp_path)
    before, n_changes = content(), len(data.Change())
    monkeypatch.setattr(recordings, "md5_and_sha1", lambda path: pytest.fail(f"{path} was read again"))
    assert compress(tmp_path).recordings == 0
    summary = ingest(tmp_path)
    assert (summary.sessions_changed, summary.files_compressed) == (0, 0)
    np.save(tmp_path / SESSION / "alf" / "licks.times.npy", np.arange(3.0))
    assert ingest(tmp_path).files_new == 1  # the session is examined, the recording is known
    assert len(data.Change()) == n_changes + 1
    assert content()["Compression"] == before["Compression"] and content()["Recording"] == before["Recording"]


@pytest.mark.parametrize("remove_raw", [False, True])
def test_the_tables_are_those_of_a_fresh_run_over_the_final_files(database, tmp_path, remove_raw):
    for day in (1, 2):
        record(tmp_path, f"mylab/Subjects/m1/2020-01-0{day}/001")
        record(tmp_path, f"mylab/Subjects/m1/2020-01-0{day}/001", probe=1)
    ingest(tmp_path, repository="r")
    summary = compress(tmp_path / "mylab/Subjects/m1/2020-01-01", remove_raw=remove_raw)
    assert (summary.compressed, summary.removed) == (2, 2 * remove_raw)
    assert len(list(tmp_path.rglob("*.ap.bin"))) == 4 - 2 * remove_raw
    assert_as_a_fresh_run(tmp_path)


def test_a_raw_file_goes_only_on_request_and_only_after_it_was_found_equal(database, tmp_path):
    raw = record(tmp_path)
    expected = samples(raw)
    ingest(tmp_path, repository="r")
    compress(tmp_path)
    assert raw.exists()
    summary = compress(tmp_path, remove_raw=True)
    assert (summary.compressed, summary.removed, summary.failures) == (0, 1, [])
    assert not raw.exists()
    with files.open_recording(KEY) as recording:
        assert np.array_equal(recording[:], expected)
    row = ephys.Compression.fetch1()
    assert row["raw_removed"] is not None and row["raw_repository"] == "" and row["raw_hash"]
    assert changes("removed") == [(f"{SESSION}/{REL}.bin", row["raw_hash"], row["compressed_hash"])]
    assert (ingest(tmp_path).sessions_changed, compress(tmp_path, remove_raw=True).recordings) == (0, 0)


@pytest.mark.parametrize("form", ["bin", "cbin"])
@pytest.mark.parametrize("same_times", [True, False])
def test_a_raw_file_stays_when_either_form_is_not_what_it_was(database, tmp_path, form, same_times):
    """Also where size and time tell nothing: the comparison reads both from the disk."""
    raw = record(tmp_path)
    ingest(tmp_path, repository="r")
    compress(tmp_path)
    path = raw.with_suffix(f".{form}")
    stat = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    if same_times:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    summary = compress(tmp_path, remove_raw=True)
    assert raw.exists() and raw.with_suffix(".cbin").exists() and summary.removed == 0 and len(summary.failures) == 1
    if not same_times and form == "bin":
        assert rows(data.Quarantine, "quarantine_path", "reason") == [(f"{SESSION}/{REL}.bin", "forms_differ")]
        shutil.move(path, tmp_path / "away.bin")
        ingest(tmp_path)
        assert (data.Quarantine & "resolved IS NOT NULL") and not data.Quarantine & "resolved IS NULL"


def test_bad_recordings_are_refused_with_their_reason_and_the_others_go_on(database, tmp_path):
    good = record(tmp_path)
    bad = {}
    for number, reason in enumerate(["truncated", "truncated", "bad_header", "bad_header", "empty_file"]):
        session = f"mylab/Subjects/m2/2020-01-0{number + 1}/001"
        bad[f"{session}/{REL}.bin"] = (reason, record(tmp_path, session))
    paths = [path for _, path in bad.values()]
    os.truncate(paths[0], paths[0].stat().st_size - 7)
    os.truncate(paths[1], paths[1].stat().st_size - 18)
    paths[2].with_suffix(".meta").unlink()
    paths[3].with_suffix(".meta").write_text("nSavedChans=many\n")
    os.truncate(paths[4], 0)
    ingest(tmp_path)
    recorded = rows(data.Quarantine, "quarantine_path", "reason")
    assert dict(recorded) == {path: reason for path, (reason, _) in bad.items()}
    summary = compress(tmp_path)
    assert (summary.recordings, summary.compressed, summary.failures) == (1, 1, [])
    assert good.with_suffix(".cbin").exists() and len(list(tmp_path.rglob("*.cbin"))) == 1
    record(tmp_path, "mylab/Subjects/m2/2020-01-03/001")  # its .meta is there again
    assert ingest(tmp_path).resolved == 1 and compress(tmp_path).compressed == 1


def test_a_recording_that_goes_bad_after_registration_is_refused_and_the_others_go_on(database, tmp_path):
    first, second = record(tmp_path), record(tmp_path, probe=1)
    ingest(tmp_path)
    os.truncate(first, first.stat().st_size - 7)
    summary = compress(tmp_path)
    assert summary.compressed == 1 and second.with_suffix(".cbin").exists()
    assert rows(data.Quarantine, "reason") == [("truncated",)]


def test_a_damaged_compressed_file_does_not_hide_its_raw_file(database, tmp_path):
    raw = record(tmp_path)
    expected = samples(raw)
    ingest(tmp_path, repository="r")
    compress(tmp_path)
    packed = raw.with_suffix(".cbin")
    os.truncate(packed, packed.stat().st_size - 1)
    ingest(tmp_path)
    assert rows(data.Quarantine, "reason") == [("truncated",)]
    with files.open_recording(KEY) as recording:
        assert recording.path == raw and np.array_equal(recording[:], expected)
    summary = compress(tmp_path, remove_raw=True)
    assert raw.exists() and summary.removed == 0 and "already there" in summary.failures[0][1]
    packed.unlink()
    ingest(tmp_path)
    assert compress(tmp_path).compressed == 1 and not data.Quarantine & "resolved IS NULL"
    assert_as_a_fresh_run(tmp_path)


def test_what_other_programs_compressed_is_found_and_compared(database, tmp_path):
    """`cbin compress`, mtscomp, or this program killed before it wrote its rows."""
    raw = record(tmp_path)
    ingest(tmp_path, repository="r")
    old = (data.Dataset & {"rel_path": f"{REL}.bin"}).fetch1("dataset_hash")
    cbin.compress(raw)
    summary = ingest(tmp_path)
    assert (summary.files_compressed, summary.files_replaced, summary.files_new) == (1, 0, 1)
    assert changes("compressed")[0][1] == old == ephys.Compression.fetch1("raw_hash")
    assert ephys.Compression.fetch1("compression_seconds") is None
    assert_as_a_fresh_run(tmp_path)
    raw.unlink()
    ingest(tmp_path)
    assert len(changes("removed")) == 1
    assert_as_a_fresh_run(tmp_path)
    cbin.decompress(raw.with_suffix(".cbin"))
    for suffix in (".cbin", ".ch"):
        raw.with_suffix(suffix).unlink()
    ingest(tmp_path)
    assert_as_a_fresh_run(tmp_path)
    assert (data.Dataset & {"rel_path": f"{REL}.bin"}).fetch1("dataset_hash") == old and not ephys.Compression()


def test_a_compressed_file_without_hashes_is_compared_sample_by_sample(database, tmp_path):
    raw = record(tmp_path)
    cbin.compress(raw)
    index = raw.with_suffix(".ch")
    index.write_text(json.dumps(json.loads(index.read_text()) | {"sha1_compressed": None, "sha1_uncompressed": None}))
    content = raw.read_bytes()
    raw.write_bytes(content[:-1] + b"\7")
    ingest(tmp_path, repository="r")
    assert rows(data.Quarantine, "reason") == [("forms_differ",)]
    raw.write_bytes(content)
    ingest(tmp_path)
    assert not data.Quarantine & "resolved IS NULL"
    assert ephys.Compression.fetch1("raw_repository") == "r" and compress(tmp_path, remove_raw=True).removed == 1


def test_auxiliary_channels_are_a_recording_without_a_probe(database, tmp_path):
    folder = write(tmp_path, SESSION) / "raw_ephys_data"
    folder.mkdir()
    raw = folder / "_spikeglx_ephysData_g0_t0.nidq.bin"
    expected = np.arange(2000, dtype=np.int16).reshape(-1, 2)
    expected.tofile(raw)
    fields = {
        "typeThis": "nidq", "nSavedChans": 2, "niSampRate": 2500, "niAiRangeMax": 5, "snsMnMaXaDw": "0,0,1,1",
        "acqMnMaXaDw": "0,0,1,1", "fileSizeBytes": 4000, "snsSaveChanSubset": "all",
    }  # fmt: skip
    raw.with_suffix(".meta").write_text("".join(f"{key}={value}\n" for key, value in fields.items()))
    ingest(tmp_path)
    assert compress(tmp_path, remove_raw=True).removed == 1 and not raw.exists()
    assert np.array_equal(files.open_recording(KEY, "nidq")[:], expected)
    assert rows(ephys.Recording, "probe_label", "band", "sampling_rate") == [(None, "nidq", 2500.0)]
    assert not ephys.ProbeInsertion()


def test_odd_text_in_headers_does_not_stop_the_others(database, tmp_path):
    raw = record(tmp_path)
    meta = raw.with_suffix(".meta")
    meta.write_text(meta.read_text().replace("imDatPrb_sn=18005119451", "imDatPrb_sn=1\0" + 300 * "x"))
    cbin.compress(raw)
    index = raw.with_suffix(".ch")
    index.write_text(json.dumps(json.loads(index.read_text()) | {"encoder": "\0" + 300 * "é"}))
    record(tmp_path, probe=1)
    assert ingest(tmp_path).quarantined == 0
    assert len(ephys.Recording()) == 2 and len(ephys.Probe()) == 2


def test_what_a_compression_under_way_writes_is_no_data(database, tmp_path):
    raw = record(tmp_path)
    for name in (f"{NAME}.cbin.part", f"{NAME}.cbin.journal", f"{NAME}.ch.part", f"{NAME}.ch"):
        (raw.parent / name).write_bytes(b"unfinished")
    ingest(tmp_path)
    paths = {path for (path,) in rows(data.Dataset & {"collection": "raw_ephys_data/probe00"}, "rel_path")}
    assert paths == {f"{REL}.bin", f"{REL}.meta"} and not data.Quarantine()
    assert compress(tmp_path).compressed == 1


def test_a_full_disk_is_reported_and_leaves_nothing_behind(database, tmp_path, monkeypatch):
    """The writes fail as they do on a full disk, after some chunks."""
    raw = record(tmp_path, seconds=1)
    other = record(tmp_path, probe=1)
    ingest(tmp_path)
    written = {"bytes": 0}
    real = os.pwrite

    def pwrite(fd, content, offset):
        if Path(f"/proc/self/fd/{fd}").readlink().name.endswith("imec0.ap.cbin.part"):
            written["bytes"] += len(content)
            if written["bytes"] > 20_000:
                raise OSError(28, "No space left on device")
        return real(fd, content, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    summary = compress(tmp_path, remove_raw=True)
    assert summary.compressed == summary.removed == 1 and "no room left" in summary.failures[0][1]
    assert sorted(path.suffix for path in raw.parent.iterdir()) == [".bin", ".meta"] and not other.exists()
    monkeypatch.undo()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))
    summary = compress(tmp_path)
    assert "are free" in summary.failures[0][1] and not raw.with_suffix(".cbin").exists()
    monkeypatch.undo()
    assert compress(tmp_path).compressed == 1


def test_a_recording_under_way_is_left_alone(database, tmp_path):
    raw = record(tmp_path)
    meta = raw.with_suffix(".meta")
    lines = [line for line in meta.read_text().splitlines() if not line.startswith(("fileSize", "fileSHA1"))]
    meta.write_text("\n".join(lines))
    ingest(tmp_path)
    summary = compress(tmp_path)
    assert (summary.compressed, summary.waiting) == (0, [f"{SESSION}/{REL}.bin"])
    os.utime(raw, ns=(0, 1_600_000_000_000_000_000))  # SpikeGLX had crashed: nothing will complete the header
    assert compress(tmp_path).compressed == 1


def test_a_copy_in_another_repository_keeps_its_own_form(database, tmp_path):
    record(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    ingest(tmp_path / "a")
    ingest(tmp_path / "b")
    compress(tmp_path / "a")
    (tmp_path / "b" / SESSION / "alf" / "_ibl_trials.choice.npy").touch()
    ingest(tmp_path / "b")
    (tmp_path / "a" / SESSION / "alf" / "_ibl_trials.choice.npy").touch()
    ingest(tmp_path / "a")
    assert not changes("replaced")
    with files.open_recording(KEY) as recording:
        assert recording.path.suffix == ".cbin"
    shutil.rmtree(tmp_path / "a")
    with files.open_recording(KEY) as recording:
        assert recording.path.suffix == ".bin" and recording.shape == (9000, 9)


def test_a_folder_that_is_not_registered_says_so(database, tmp_path):
    record(tmp_path)
    with pytest.raises(NeurojointError, match="neurojoint ingest"):
        compress(tmp_path)


def test_one_loads_the_same_samples_before_and_after(database, tmp_path):
    from one_bridge import ONE

    raw = record(tmp_path)
    expected = samples(raw)
    ingest(tmp_path)
    eid = acquisition.Session.fetch1("eid")
    for form in ("bin", "cbin"):
        one = ONE()
        path = one.load_dataset(eid, f"{NAME}.{form}", collection="raw_ephys_data/probe00", download_only=True)
        with cbin.open(path) as recording:
            assert np.array_equal(recording[:], expected)
        compress(tmp_path)


def test_the_command_compresses_what_it_registers(database, server, tmp_path):
    from click.testing import CliRunner

    from neurojoint.cli import main

    raw = record(tmp_path)
    run = CliRunner().invoke
    told = run(main, ["ingest", str(tmp_path), "--no-compress", "--processes", "1"])
    assert told.exit_code == 0 and not raw.with_suffix(".cbin").exists(), told.output
    told = run(main, ["compress", str(tmp_path), "--dry-run"])
    assert "1 raw recording" in told.output and not raw.with_suffix(".cbin").exists(), told.output
    told = run(main, ["ingest", str(tmp_path), "--processes", "1"])
    assert told.exit_code == 0 and "times smaller" in told.output and raw.with_suffix(".cbin").exists(), told.output
    told = run(main, ["compress", str(tmp_path), "--remove-raw"])
    assert told.exit_code == 0 and not raw.exists(), told.output


@pytest.mark.parametrize("count", [25, pytest.param(100, marks=pytest.mark.soak)])
def test_killed_at_any_moment_no_recording_is_lost_or_wrong(database, server, tmp_path, count):
    """Kills during registration, compression, replacement and removal; at length 200 of them over both databases."""
    script = Path(__file__).with_name("killing_compression.py")
    chosen = json.dumps({name: str(value) for name, value in server.items()} | {"prefix": settings().prefix})
    command = [sys.executable, str(script), str(tmp_path / "r"), chosen, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["problems"] == [] and told["killed"] == count and told["finished"] > count / 10, told
    assert not (data.Quarantine & "resolved IS NULL")
    for row in data.FileRecord & {"file_state": "online"}:
        assert (tmp_path / "r" / row["file_path"]).stat().st_size == row["record_size"]
    assert_as_a_fresh_run(tmp_path / "r")


@given(st.text(max_size=200), st.floats(1e-3, 1e6), st.sampled_from(["F", "C"]), st.booleans(), st.booleans())
def test_whatever_a_header_says_fits_into_the_tables(text, seconds, order, time_diff, spatial_diff):
    """One odd header must not stop the batch of sessions in which it lies."""
    assert len(recordings.layout_text(order, seconds, time_diff, spatial_diff)) <= 128
    assert len(recordings.probe_label(f"raw_ephys_data/probe{text}", "imec0")) <= 32
    assert len(recordings.probe_label("raw_ephys_data", text)) <= 32
