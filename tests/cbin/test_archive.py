"""Archives: bit-exact, opened by plain Zarr without this package, random access, and every kind of damage is an error
that names the file; nothing is lost or half written."""

import hashlib
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cbin
import numpy as np
import pytest
from cbin import archive
from cbin.spikeglx import read_meta
from cbin.synthetic import write_recording
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.slow

pytest.importorskip("numcodecs", reason="pip install numcodecs pcodec")
pytest.importorskip("pcodec", reason="pip install numcodecs pcodec")

CHANNELS = 17


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """1.1 s of 17 channels with a header, and the samples."""
    path = write_recording(tmp_path_factory.mktemp("raw") / "r_g0_t0.imec0.ap.bin", 1.1, n_channels=CHANNELS)
    return path, np.fromfile(path, np.int16).reshape(-1, CHANNELS)


@pytest.fixture(scope="module")
def packed(recording, tmp_path_factory):
    out = tmp_path_factory.mktemp("archive") / "r_g0_t0.imec0.ap.zarr.zip"
    archive.pack(recording[0], out)
    return out


def sha1(path):
    return hashlib.sha1(Path(path).read_bytes(), usedforsecurity=False).hexdigest()


def test_plain_zarr_reads_an_archive_without_this_package(packed, recording):
    """A process that may not import cbin opens the file with zarr and numcodecs alone."""
    pytest.importorskip("zarr", reason="pip install zarr")
    code = (
        "import sys, hashlib, zarr\n"
        "sys.modules['cbin'] = None\n"
        "group = zarr.open(zarr.storage.ZipStore(sys.argv[1], mode='r'), mode='r')\n"
        "traces = group['traces_seg0']\n"
        "print(traces.shape, traces.dtype, group.attrs['sampling_frequency'], group['channel_ids'][-1])\n"
        "print(group['properties/gain_to_uV'][0], group.attrs['cbin']['sha1'])\n"
        "print(hashlib.sha1(traces[:].tobytes()).hexdigest())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, packed], capture_output=True, text=True, check=True)
    expected = sha1(recording[0])
    assert done.stdout.split("\n")[:3] == [
        f"(33000, {CHANNELS}) int16 30000.0 SY0",
        f"2.34375 {expected}",
        expected,
    ]


def test_the_archive_keeps_what_the_header_says(packed, recording):
    meta = read_meta(recording[0])
    with archive.open(packed) as opened:
        assert (opened.sample_rate, opened.dtype, opened.shape) == (30000.0, np.int16, recording[1].shape)
        np.testing.assert_array_equal(opened.volts_per_bit, meta.volts_per_bit)
        assert (opened.meta_text, opened.sha1, opened.channel_names) == (meta.text, meta.sha1, meta.channel_names)
        expected = recording[1][5:9, 3] * meta.volts_per_bit[3]
        np.testing.assert_allclose(opened.volts[5:9, 3], expected, rtol=1e-6)


@given(
    st.integers(-40000, 40000) | st.none(),
    st.integers(-40000, 40000) | st.none(),
    st.sampled_from([None, 1, 3, 3001, -1, -5]),
    st.sampled_from([slice(None), slice(2, 9), slice(None, None, -2), 3, -1, [4, 1, 1]]),
)
def test_slices_are_those_of_numpy(packed, recording, start, stop, step, columns):
    with archive.open(packed) as opened:
        np.testing.assert_array_equal(opened[start:stop:step, columns], recording[1][start:stop:step, columns])


def test_one_reader_serves_many_threads_and_processes(packed, recording):
    with archive.open(packed, threads=2) as opened, ThreadPoolExecutor(8) as pool:
        starts = np.random.default_rng(0).integers(0, 32000, 200)
        pieces = pool.map(lambda start: opened[start : start + 300], starts)
        for start, samples in zip(starts, pieces, strict=True):
            np.testing.assert_array_equal(samples, recording[1][start : start + 300])
        again = pickle.loads(pickle.dumps(opened))
    np.testing.assert_array_equal(again[7000:8000], recording[1][7000:8000])
    with pytest.raises(ValueError, match="closed"):
        opened[0]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]),
    st.integers(1, 700),
    st.integers(1, 9),
    st.floats(0.001, 2),
    st.sampled_from(["noise", "ramp", "constant", "extremes"]),
    st.integers(0, 2**32 - 1),
)
def test_every_type_and_shape_comes_back_bit_for_bit(tmp_path_factory, dtype, rows, channels, seconds, kind, seed):
    rng, dtype = np.random.default_rng(seed), np.dtype(dtype)
    n = rows * channels
    samples = {
        "noise": np.frombuffer(rng.bytes(n * dtype.itemsize), dtype),  # floats: NaN with any payload, infinities
        "ramp": np.arange(n).astype(dtype),
        "constant": np.full(n, 3, dtype),
        "extremes": rng.choice(_extremes(dtype), n),
    }[kind]
    folder = tmp_path_factory.mktemp("types")
    raw = folder / "a.bin"
    samples.tofile(raw)
    report = archive.pack(raw, n_channels=channels, sample_rate=100, dtype=dtype.str, chunk_duration=seconds)
    archive.unpack(report.path, folder / "b.bin", verify=seed % 2 == 0)
    assert (folder / "b.bin").read_bytes() == raw.read_bytes()
    with archive.open(report.path) as opened:
        assert opened[:].tobytes() == raw.read_bytes()
        assert opened.volts_per_bit is None


def _extremes(dtype):
    info = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    return np.array([info.min, info.max, 0, -0.0 if dtype.kind == "f" else 1], dtype)


def test_a_cbin_becomes_the_same_archive_and_comes_back_as_the_raw_file(recording, tmp_path):
    for path in (recording[0], recording[0].with_suffix(".meta")):
        shutil.copy(path, tmp_path)
    raw = tmp_path / recording[0].name
    compressed = cbin.compress(raw).cbin_path
    from_raw, from_cbin = archive.pack(raw, tmp_path / "1.zarr.zip"), archive.pack(compressed, tmp_path / "2.zarr.zip")
    assert from_raw.sha1 == from_cbin.sha1 == sha1(raw)
    assert from_raw.agrees_with_header is True
    original, header = raw.read_bytes(), raw.with_suffix(".meta").read_bytes()
    raw.unlink()
    raw.with_suffix(".meta").unlink()
    archive.unpack(from_cbin.path, raw)
    assert (raw.read_bytes(), raw.with_suffix(".meta").read_bytes()) == (original, header)


def test_a_cbin_that_contradicts_its_hash_is_not_archived(recording, tmp_path):
    report = cbin.compress(recording[0], tmp_path / "a.cbin")
    text = report.ch_path.read_text()
    assert report.sha1_raw in text
    report.ch_path.write_text(text.replace(report.sha1_raw, "0" * 40))
    with pytest.raises(cbin.VerificationFailed, match="SHA-1"):
        archive.pack(report.cbin_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.cbin", "a.ch"]


def test_outputs_are_replaced_only_on_request(recording, packed, tmp_path):
    out = tmp_path / "a.zarr.zip"
    out.write_bytes(b"precious")
    with pytest.raises(cbin.OutputExists):
        archive.pack(recording[0], out)
    assert out.read_bytes() == b"precious"
    archive.pack(recording[0], out, overwrite=True)
    raw = tmp_path / "a.bin"
    raw.write_bytes(b"precious")
    with pytest.raises(cbin.OutputExists):
        archive.unpack(out, raw)
    archive.unpack(out, raw, overwrite=True)
    assert sha1(raw) == sha1(recording[0])


def test_sources_are_removed_only_after_the_archive_proved_right(recording, tmp_path):
    raw = Path(shutil.copy(recording[0], tmp_path))
    report = archive.pack(raw, remove_source=True, n_channels=CHANNELS, sample_rate=30000)
    assert report.source_removed and not raw.exists()
    restored = archive.unpack(report.path, remove_archive=True)
    assert not report.path.exists() and sha1(restored.path) == report.sha1
    compressed = cbin.compress(restored.path, n_channels=CHANNELS, sample_rate=30000, remove_raw=True).cbin_path
    again = archive.pack(compressed, remove_source=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [again.path.name]


def test_an_interrupted_removal_is_finished_only_for_the_same_samples(recording, tmp_path):
    raw = Path(shutil.copy(recording[0], tmp_path))
    options = {"n_channels": CHANNELS, "sample_rate": 30000, "remove_source": True}
    done = archive.pack(raw, n_channels=CHANNELS, sample_rate=30000)
    changed = bytearray(raw.read_bytes())
    changed[1000] ^= 1
    raw.write_bytes(changed)
    with pytest.raises(cbin.VerificationFailed):
        archive.pack(raw, **options)
    assert raw.read_bytes() == changed
    shutil.copy(recording[0], tmp_path)
    assert archive.pack(raw, **options).source_removed and not raw.exists()
    assert archive.check(done.path).sha1 == sha1(recording[0])


def test_progress_ends_at_the_raw_size(recording, packed, tmp_path):
    for act in (
        lambda progress: archive.pack(recording[0], tmp_path / "a.zarr.zip", progress=progress),
        lambda progress: archive.unpack(packed, tmp_path / "a.bin", progress=progress),
        lambda progress: archive.check(packed, progress=progress),
    ):
        calls = []
        act(lambda done, total, calls=calls: calls.append((done, total)))
        size = recording[0].stat().st_size
        assert calls[-1] == (size, size) and calls == sorted(calls)


def test_every_flipped_byte_is_noticed(packed, recording, tmp_path):
    """Damage anywhere gives an error, or the file still holds every sample (a byte of the zip that nobody needs)."""
    content = packed.read_bytes()
    bad = tmp_path / "bad.zarr.zip"
    for position in np.random.default_rng(1).integers(0, len(content), 150):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(position) % 8
        bad.write_bytes(damaged)
        try:
            with archive.open(bad) as opened:
                np.testing.assert_array_equal(opened[:], recording[1])
        except cbin.CbinError as error:
            assert "bad.zarr.zip" in str(error)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_archive_is_an_error(packed, tmp_path, share):
    content = packed.read_bytes()
    bad = tmp_path / "bad.zarr.zip"
    bad.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(cbin.TruncatedFile, match=r"bad\.zarr\.zip"):
        archive.open(bad)


def rewrite(source, target, **changes):
    """The same zip with members replaced, or left out where the new content is None."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            content = changes.get(info.filename, old.read(info))
            if content is not None:
                new.writestr(info.filename, content)


@pytest.mark.parametrize(
    ("member", "content", "error"),
    [
        ("traces_seg0/2.0", None, cbin.CorruptChunk),
        ("traces_seg0/2.0", b"", cbin.CorruptChunk),
        ("traces_seg0/2.0", b"nonsense" * 1000, cbin.CorruptChunk),
        ("traces_seg0/.zarray", b"{}", cbin.FormatError),
        ("traces_seg0/.zarray", b"[1", cbin.FormatError),
        ("traces_seg0/.zarray", None, cbin.CorruptChunk),
        (".zattrs", b'{"cbin": 3}', cbin.FormatError),
        (".zattrs", b'"x"', cbin.FormatError),
    ],
)
def test_a_zip_that_is_no_archive_is_an_error(packed, tmp_path, member, content, error):
    bad = tmp_path / "bad.zarr.zip"
    rewrite(packed, bad, **{member: content})
    with pytest.raises(error, match=r"bad\.zarr\.zip"), archive.open(bad) as opened:
        opened[:]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"id": "pcodec"', b'"id": "pickle"'),
        (b'"id": "pcodec"', b'"id": "blosc"'),
        (b"33000", b"33000000000000"),
        (b"33000", b"-33000"),
        (b'"<i2"', b'"|O"'),
        (b'"<i2"', b'"<i4"'),
        (b'"F"', b'"C"'),
        (b'"order"', b'"Order"'),
        (b" 3000", b" 2999"),
        (b" 3000", b" 300000000"),
    ],
)
def test_a_document_that_lies_is_an_error(packed, tmp_path, old, new):
    with zipfile.ZipFile(packed) as good:
        document = good.read("traces_seg0/.zarray")
    assert old in document
    bad = tmp_path / "bad.zarr.zip"
    rewrite(packed, bad, **{"traces_seg0/.zarray": document.replace(old, new)})
    with pytest.raises(cbin.CbinError, match=r"bad\.zarr\.zip"), archive.open(bad) as opened:
        opened[:]


def test_chunks_that_changed_places_are_found_by_the_check(packed, tmp_path):
    with zipfile.ZipFile(packed) as good:
        first, second = good.read("traces_seg0/0.0"), good.read("traces_seg0/1.0")
    bad = tmp_path / "bad.zarr.zip"
    rewrite(packed, bad, **{"traces_seg0/0.0": second, "traces_seg0/1.0": first})
    with pytest.raises(cbin.VerificationFailed):
        archive.check(bad)
    with pytest.raises(cbin.VerificationFailed):
        archive.unpack(bad, tmp_path / "out.bin")
    assert not list(tmp_path.glob("out*"))


def test_a_failure_leaves_nothing_behind(recording, tmp_path, monkeypatch):
    """A full disk in the middle: no output, no temporary file, the raw file untouched, and a message that says so."""
    raw = Path(shutil.copy(recording[0], tmp_path))
    os.link(recording[0].with_suffix(".meta"), raw.with_suffix(".meta"))

    def full(done, total):
        if done > total // 2:
            raise OSError(28, "No space left on device")

    with pytest.raises(cbin.DiskFull, match="ap.zarr.zip"):
        archive.pack(raw, progress=full)
    assert sorted(path.name for path in tmp_path.iterdir()) == [raw.name, raw.with_suffix(".meta").name]


def test_a_file_that_grows_meanwhile_is_not_archived(recording, tmp_path):
    raw = Path(shutil.copy(recording[0], tmp_path))

    def grow(done, total):
        with raw.open("ab") as file:
            file.write(bytes(2 * CHANNELS))

    with pytest.raises(cbin.RawChanged):
        archive.pack(raw, n_channels=CHANNELS, sample_rate=30000, progress=grow)
    assert [path.name for path in tmp_path.iterdir()] == [raw.name]


def test_a_kill_at_any_moment_leaves_no_half_archive(recording, tmp_path):
    """The process is killed while it writes; under the final name there is nothing, and the next run succeeds."""
    out = tmp_path / "a.zarr.zip"
    code = (
        "import os, sys\nfrom cbin import archive\n"
        "def progress(done, total):\n    if done > int(sys.argv[3]): os.kill(os.getpid(), 9)\n"
        "archive.pack(sys.argv[1], sys.argv[2], progress=progress)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, recording[0], out, "600000"], check=False)
    assert done.returncode == -9 and not out.exists()
    assert archive.pack(recording[0], out).sha1 == sha1(recording[0])
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("missing", ["numcodecs", "pcodec"])
def test_without_the_codecs_the_message_says_what_to_install(recording, tmp_path, missing):
    code = (
        f"import sys\nsys.modules[{missing!r}] = None\nimport cbin\n"
        "try:\n    cbin.archive.pack(sys.argv[1], sys.argv[2])\nexcept cbin.CbinError as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", code, recording[0], tmp_path / "a.zarr.zip"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "neurojoint[archive]" in done.stdout and not list(tmp_path.iterdir())


def test_impossible_requests_are_refused(recording, tmp_path):
    empty = tmp_path / "empty.bin"
    empty.touch()
    with pytest.raises(cbin.CbinError):
        archive.pack(empty, n_channels=3, sample_rate=1)
    with pytest.raises(cbin.CbinError, match="chunk duration"):
        archive.pack(recording[0], tmp_path / "a.zarr.zip", chunk_duration=0)
    with pytest.raises(cbin.MissingFile):
        archive.open(tmp_path / "none.zarr.zip")
    with pytest.raises(cbin.CbinError, match="channels"):
        archive.pack(recording[0], tmp_path / "a.zarr.zip", n_channels=1, sample_rate=30000)
