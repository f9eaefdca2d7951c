"""What is wrong in mtscomp 1.0.2 and must not be here; one test per defect, in the order of our notes."""

import gc
import os
import subprocess
import sys
import textwrap
import weakref

import cbin
import numpy as np
import pytest
from signals import neural, read_with_mtscomp, write_raw, write_with_mtscomp

SAMPLES = neural(3000, 8)


@pytest.fixture
def raw(tmp_path):
    return write_raw(tmp_path / "x.bin", SAMPLES)


@pytest.fixture
def compressed(raw):
    cbin.compress(raw, n_channels=8, sample_rate=1000, layout="compat")
    return raw.with_suffix(".cbin")


def run(code, *flags):
    return subprocess.run(
        [sys.executable, *flags, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, timeout=120
    )


def test_effort_has_an_effect(raw, tmp_path):
    """comp_level is ignored."""
    write_raw(raw, neural(60_000, 8))
    sizes = [
        cbin.compress(
            raw, tmp_path / f"{e}.cbin", n_channels=8, sample_rate=1000, effort=e, layout="compat", chunk_duration=30
        ).compressed_bytes
        for e in ("fast", "default", "small")
    ]
    assert sizes[0] > sizes[1] > sizes[2]


def test_odd_indices_never_give_an_empty_array(compressed):
    """NumPy integers, `...` and three indices give an empty array; NumPy integers with a channel an error."""
    with cbin.open(compressed) as r:
        assert np.array_equal(r[np.int64(5)], SAMPLES[5]) and r[np.int64(10), 2] == SAMPLES[10, 2]
        assert np.array_equal(r[...], SAMPLES)
        for key in (None, (1, 2, 3)):
            with pytest.raises(IndexError):
                r[key]


def test_negative_steps_work(compressed):
    """They give an empty array."""
    with cbin.open(compressed) as r:
        assert np.array_equal(r[::-1], SAMPLES[::-1]) and np.array_equal(r[10:5:-1], SAMPLES[10:5:-1])


def test_it_behaves_as_an_array(compressed):
    """Negative indices wrap modulo, no len, `__array__`, lists, masks, context manager or pickling."""
    with cbin.open(compressed) as r:
        with pytest.raises(IndexError):
            r[-3001]
        assert len(r) == 3000 and np.asarray(r).shape == SAMPLES.shape
        assert np.array_equal(r[np.uint64(3) : np.uint64(9)], SAMPLES[3:9])
        assert np.array_equal(r[[5, 2900, 7]], SAMPLES[[5, 2900, 7]])
        assert np.array_equal(r[SAMPLES[:, 0] > 9], SAMPLES[SAMPLES[:, 0] > 9])
        with pytest.raises(IndexError):
            r[1.0:5.0]


def test_an_aligned_read_touches_one_chunk(compressed, monkeypatch):
    """A slice that ends with a chunk decodes the next one too."""
    with cbin.open(compressed) as r:
        touched = []
        inflate = r._inflate
        monkeypatch.setattr(r, "_inflate", lambda chunk, **options: touched.append(chunk) or inflate(chunk, **options))
        r[1000:2000]
        assert touched == [1]


def test_slices_are_copies(compressed):
    """A slice is a writable view of the cache, and holds a whole chunk."""
    with cbin.open(compressed) as r:
        for _ in range(3):
            part = r[3:6]
            part[:] = 0
            assert part.base is None or part.base.nbytes <= part.nbytes
        assert np.array_equal(r[3:6], SAMPLES[3:6])


def test_a_reader_goes_when_its_last_reference_goes(compressed):
    """The cache of a bound method is a reference cycle: memory and descriptor stay until the next collection."""
    gc.collect()
    gc.disable()
    try:
        r = cbin.open(compressed)
        r[3:6]
        gone, fd = weakref.ref(r), r._fd
        del r
        assert gone() is None
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
    finally:
        gc.enable()


def test_the_file_can_be_read_after_decompression(compressed, tmp_path):
    """The reader that decompress returns is closed by its check."""
    with cbin.open(compressed) as r:
        cbin.decompress(compressed, tmp_path / "y.bin")
        assert np.array_equal(r[:5], SAMPLES[:5])


@pytest.mark.slow
def test_checks_work_without_assertions(compressed):
    """The checks are `assert`, so `python -O` turns them off."""
    data = bytearray(compressed.read_bytes())
    data[5000] ^= 255
    compressed.write_bytes(data)
    done = run(
        f"import cbin; print(cbin.check({str(compressed)!r}).ok); cbin.decompress({str(compressed)!r}, 'z.bin')", "-O"
    )
    assert done.stdout.strip() == "False" and "CorruptChunk" in done.stderr


def test_floats_are_lossless(tmp_path):
    """Differences of floats do not sum to the samples; one NaN spoils the rest of its channel."""
    samples = np.random.default_rng(0).standard_normal((500, 4)).astype(np.float32)
    samples[3, 1] = np.nan
    raw = write_raw(tmp_path / "f.bin", samples)
    lossy = read_with_mtscomp(write_with_mtscomp(raw, tmp_path / "m.cbin", samples))
    assert lossy.tobytes() != samples.tobytes()
    cbin.compress(raw, n_channels=4, sample_rate=100, dtype="float32")
    assert read_with_mtscomp(tmp_path / "f.cbin").tobytes() == samples.tobytes()


@pytest.mark.parametrize("dtype", ["bool", "complex64", "S2", "datetime64[s]"])
def test_types_that_cannot_be_stored_are_refused_before_anything_is_written(raw, tmp_path, dtype):
    with pytest.raises(cbin.FormatError, match="cannot be stored"):
        cbin.compress(raw, n_channels=8, sample_rate=1000, dtype=dtype)
    assert [path.name for path in tmp_path.iterdir()] == ["x.bin"]


def test_empty_truncated_and_corrupt_files_have_errors_of_their_own(compressed, tmp_path):
    """A bare AssertionError for the first two, a hidden cause for the third, and a partial output."""
    (tmp_path / "empty.bin").touch()
    with pytest.raises(cbin.SizeMismatch, match="empty"):
        cbin.compress(tmp_path / "empty.bin", n_channels=8, sample_rate=1000)
    good = compressed.read_bytes()
    compressed.write_bytes(good[:-1])
    with pytest.raises(cbin.TruncatedFile, match="chunk 2"):
        cbin.open(compressed)
    compressed.write_bytes(good[:-3000] + b"x" + good[-2999:])
    with pytest.raises(cbin.CorruptChunk) as caught:
        cbin.decompress(compressed, tmp_path / "y.bin")
    assert caught.value.__cause__ is not None and not (tmp_path / "y.bin").exists()


def test_input_is_opened_read_only_and_options_are_checked(raw, tmp_path, monkeypatch):
    """The raw file is opened for writing; zero threads divide by zero; a tiny chunk duration is an error of range()."""
    opened = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda p, flags, *a, **k: opened.append((str(p), flags)) or real(p, flags, *a, **k))
    report = cbin.compress(raw, n_channels=8, sample_rate=1000, threads=0, chunk_duration=1e-9)
    assert all(flags & (os.O_WRONLY | os.O_RDWR) == 0 for path, flags in opened if path == str(raw))
    assert len(cbin.read_header(report.ch_path).bounds) == 3001
    with pytest.raises(cbin.FormatError, match="not positive"):
        cbin.compress(raw, tmp_path / "y.cbin", n_channels=8, sample_rate=1000, chunk_duration=0)


def test_a_channel_count_that_does_not_fit_is_refused(raw):
    """Any count that divides the size is accepted in silence."""
    with pytest.raises(cbin.SizeMismatch, match="7 channels of int16"):
        cbin.compress(raw, n_channels=7, sample_rate=1000)


def test_a_wrong_channel_count_that_fits_is_told(tmp_path):
    from cbin.synthetic import write_recording

    raw = write_recording(tmp_path / "x.bin", 0.5, n_channels=48, meta=False)
    options = {"sample_rate": 30_000, "overwrite": True}
    assert cbin.compress(raw, n_channels=48, **options).warnings == []
    for wrong in (36, 50, 1):
        assert "look like 48 channels" in cbin.compress(raw, n_channels=wrong, **options).warnings[0]


def test_nothing_is_overwritten_unless_asked(raw, compressed):
    """Outputs are overwritten in silence, and written under their final name."""
    before = compressed.read_bytes()
    for function in (lambda: cbin.compress(raw, n_channels=8, sample_rate=1000), lambda: cbin.decompress(compressed)):
        with pytest.raises(cbin.OutputExists):
            function()
    assert compressed.read_bytes() == before
    cbin.compress(raw, n_channels=8, sample_rate=1000, overwrite=True)
    cbin.decompress(compressed, overwrite=True)


@pytest.mark.slow
def test_importing_and_compressing_need_no_progress_bar(raw):
    """setup.py requires nothing, so numpy and tqdm may be missing; the progress bar cannot be silenced."""
    done = run(f"""
        import sys
        sys.modules["tqdm"] = None
        import cbin
        cbin.compress({str(raw)!r}, n_channels=8, sample_rate=1000)
        """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_shape_of_a_chopped_file_is_that_of_its_samples(compressed, tmp_path):
    """mtschop keeps the old shape; readers of it must go by the chunks."""
    import mtscomp

    long = mtscomp.Reader(quiet=True, n_threads=1)
    long.open(str(compressed))
    long.chop(1, tmp_path / "short.cbin")
    long.close()
    with cbin.open(tmp_path / "short.cbin") as r:
        assert r.shape == (1000, 8)


@pytest.mark.slow
def test_the_cpu_is_busy_while_the_file_is_written(raw, tmp_path, monkeypatch):
    """The pool idles while the main thread writes and hashes: here chunks are encoded while others are written."""
    import threading

    from cbin import compressor, disk

    encoding, overlapped = threading.Event(), []
    real_encode, real_write = compressor.encode, disk.write_at

    def encode(*args):
        encoding.set()
        return real_encode(*args)

    def write(fd, data, offset):
        if len(data) > 200:
            encoding.clear()
            overlapped.append(encoding.wait(0.2))
        return real_write(fd, data, offset)

    monkeypatch.setattr(compressor, "encode", encode)
    monkeypatch.setattr(disk, "write_at", write)
    cbin.compress(raw, n_channels=8, sample_rate=1000, chunk_duration=0.05, layout="access", threads=2)
    assert any(overlapped)
