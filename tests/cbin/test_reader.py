"""A recording indexes as its array does, is safe between threads and processes, and never lends out its memory."""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import cbin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signals import neural, write_raw

pytestmark = pytest.mark.slow

SAMPLES = neural(433, 6)


@pytest.fixture(scope="module", params=["F", "C", "raw"])
def recording(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    raw = write_raw(folder / "x.bin", SAMPLES)
    if request.param != "raw":
        cbin.compress(
            raw,
            n_channels=6,
            sample_rate=100,
            order=request.param,
            chunk_duration=0.5,
            spatial_diff=request.param == "C",
        )
        raw = folder / "x.cbin"
    with cbin.open(raw, n_channels=6, sample_rate=100, volts_per_bit=[2e-6] * 5 + [1], threads=3) as opened:
        yield opened


def axis(size):
    """Everything that may stand for one axis, and some that may not."""
    bound = st.none() | st.integers(-2 * size, 2 * size)
    step = st.none() | st.integers(-70, 70).filter(bool)
    return st.one_of(
        st.builds(slice, bound, bound, step),
        st.integers(-size - 2, size + 1),
        st.integers(0, size - 1).map(np.uint64),
        st.integers(-size, size - 1).map(np.int16),
        st.lists(st.integers(-size, size - 1), max_size=9),
        st.lists(st.integers(-size, size - 1), max_size=9).map(lambda x: np.array(x, int)),
        st.lists(st.booleans(), min_size=size, max_size=size).map(np.array),
    )


def numpy_says(rows, channels):
    if all(isinstance(part, list | np.ndarray) for part in (rows, channels)):
        return SAMPLES[np.asarray(rows, None if np.asarray(rows).size else int)][
            :, np.asarray(channels, None if np.asarray(channels).size else int)
        ]
    return SAMPLES[rows, :][..., channels] if not isinstance(rows, list) or rows else SAMPLES[:0][..., channels]


@settings(max_examples=300, deadline=None)
@given(rows=axis(433), channels=st.just(slice(None)) | axis(6), form=st.sampled_from(["two", "one", "dots"]))
def test_every_index_gives_what_numpy_gives(recording, rows, channels, form):
    key = {"two": (rows, channels), "one": rows, "dots": (..., rows, channels)}[form]
    channels = slice(None) if form == "one" else channels
    if isinstance(rows, list) and not rows:
        rows = np.zeros(0, int)
    if isinstance(channels, list) and not channels:
        channels = np.zeros(0, int)
    try:
        expected = numpy_says(rows, channels)
    except IndexError:
        with pytest.raises(IndexError):
            recording[key]
        return
    result = recording[key]
    assert result.dtype == np.int16
    assert np.shape(result) == np.shape(expected)
    assert np.array_equal(result, expected)
    if isinstance(result, np.ndarray):
        assert result.flags.writeable and result.flags.owndata or result.base.flags.owndata


@pytest.mark.parametrize(
    "key",
    [None, (None, 1), (0, 0, 0), (..., ...), 1.5, "a", slice(0.5, 3), True, slice(None, None, 0), 433, -434, (0, 6),
     (0, -7), [433], [0.5], np.ones(3, bool), np.zeros((2, 2), int), {1}],
)  # fmt: skip
def test_what_is_no_index_says_so(recording, key):
    with pytest.raises(IndexError):
        recording[key]


def test_it_looks_like_an_array(recording):
    assert recording.shape == (433, 6) and recording.ndim == 2 and recording.dtype == np.int16
    assert len(recording) == 433 and recording.size == 433 * 6 and recording.nbytes == SAMPLES.nbytes
    assert np.array_equal(np.asarray(recording), SAMPLES)
    assert np.asarray(recording, dtype=np.float32).dtype == np.float32
    assert np.array_equal(np.array(recording, copy=True), SAMPLES)
    with pytest.raises(ValueError, match="without a copy"):
        np.array(recording, copy=False)
    assert np.array_equal(np.stack(list(recording)), SAMPLES)
    starts, parts = zip(*recording.iter_chunks(), strict=True)
    assert np.array_equal(np.concatenate(parts), SAMPLES) and list(starts) == list(recording.chunk_bounds[:-1])
    assert [start for start, _ in recording.iter_chunks(1, 3)] == list(recording.chunk_bounds[1:-1][:2])
    assert recording.duration == pytest.approx(4.33) and "433 samples" in repr(recording)


def test_volts_are_samples_times_gain(recording):
    volts = recording.volts
    gains = np.array([2e-6] * 5 + [1], np.float32)
    assert volts.shape == (433, 6) and volts.dtype == np.float32
    for key in (slice(3, 90, 7), 5, (slice(None), 5), (4, 2), (slice(0, 9), [5, 0]), (..., slice(None, None, -1))):
        rows, channels = key if isinstance(key, tuple) else (key, slice(None))
        expected = SAMPLES[rows][..., channels].astype(np.float32) * gains[channels]
        assert np.array_equal(volts[key], expected)


def test_without_gains_volts_is_a_clear_error(tmp_path):
    write_raw(tmp_path / "x.bin", SAMPLES)
    with (
        cbin.open(tmp_path / "x.bin", n_channels=6, sample_rate=10) as opened,
        pytest.raises(cbin.CbinError, match="volts_per_bit"),
    ):
        opened.volts  # noqa: B018


def test_writing_into_what_was_read_changes_nothing(recording):
    """mtscomp hands out writable views of its cache."""
    for _ in range(3):
        for key in (slice(3, 6), 4, (slice(None), 2), slice(None), slice(50, 100)):
            result = recording[key]
            result[...] = 77
            assert np.array_equal(recording[key], SAMPLES[key])


def test_threads_may_share_it(recording):
    rng = np.random.default_rng(1)
    wanted = [sorted(pair) for pair in rng.integers(0, 434, (200, 2)).tolist()]
    with ThreadPoolExecutor(8) as pool:
        for (first, last), item in zip(wanted, pool.map(lambda p: recording[p[0] : p[1]], wanted), strict=True):
            assert np.array_equal(item, SAMPLES[first:last])


def test_it_can_be_sent_to_another_process(recording):
    copy = pickle.loads(pickle.dumps(recording))
    with copy:
        assert np.array_equal(copy[10:20], SAMPLES[10:20])
        assert np.array_equal(copy.volts[3], recording.volts[3])


def test_after_close_reading_is_an_error(tmp_path):
    raw = write_raw(tmp_path / "x.bin", SAMPLES)
    cbin.compress(raw, n_channels=6, sample_rate=100)
    for path in (raw, tmp_path / "x.cbin"):
        opened = cbin.open(path, n_channels=6, sample_rate=100)
        opened[:10]
        opened.close()
        opened.close()
        with pytest.raises(ValueError, match="closed"):
            opened[400:]


def test_the_other_form_is_found(tmp_path):
    """Callers that know the raw name read the compressed file, and the other way round."""
    raw = write_raw(tmp_path / "x.ap.bin", SAMPLES)
    cbin.compress(raw, n_channels=6, sample_rate=100, remove_raw=True)
    assert not raw.exists()
    with cbin.open(raw) as opened:
        assert np.array_equal(opened[:], SAMPLES)
    with pytest.raises(cbin.MissingFile, match="nor y.cbin"):
        cbin.open(tmp_path / "y.bin", n_channels=6, sample_rate=100)


def test_a_uuid_in_the_name_does_not_hide_the_header(tmp_path):
    raw = write_raw(tmp_path / "x.bin", SAMPLES)
    cbin.compress(raw, n_channels=6, sample_rate=100)
    moved = (tmp_path / "x.cbin").rename(tmp_path / "x.5f3b1a2c-1111-4222-8333-444455556666.cbin")
    with cbin.open(moved) as opened:
        assert np.array_equal(opened[:], SAMPLES)


def test_the_cache_stays_within_its_bytes(tmp_path):
    raw = write_raw(tmp_path / "x.bin", SAMPLES)
    cbin.compress(raw, n_channels=6, sample_rate=100, chunk_duration=0.1)
    with cbin.open(tmp_path / "x.cbin", cache_bytes=300) as opened:
        for first in range(0, 400, 3):
            assert np.array_equal(opened[first : first + 2], SAMPLES[first : first + 2])
            assert opened._cached == sum(data.nbytes for _, data in opened._cache.values()) <= 300


def test_many_readers_leave_no_files_or_threads_open(tmp_path):
    from pathlib import Path

    raw = write_raw(tmp_path / "x.bin", SAMPLES)
    cbin.compress(raw, n_channels=6, sample_rate=100, chunk_duration=0.1)
    files, threads = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    for _ in range(30):
        with cbin.open(tmp_path / "x.cbin", threads=4) as opened:
            opened[:]
        cbin.open(tmp_path / "x.cbin")[5]
    assert len(list(Path("/proc/self/fd").iterdir())) <= files + 1
    assert threading.active_count() <= threads


@pytest.mark.parametrize("order", ["F", "C"])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_threads_share_large_chunks(tmp_path, order, threads):
    """More, as many and fewer chunks than threads; many that ask at once and wait for none that waits; and again."""
    samples = neural(5 * 9000, 256)  # chunks of 4.6 MB
    (tmp_path / "x.bin").write_bytes(samples.tobytes())
    cbin.compress(tmp_path / "x.bin", n_channels=256, sample_rate=9000, chunk_duration=1.0, order=order)
    spans = [(0, 45_000), (9000, 18_000), (8000, 19_500), (100, 44_000), (12_000, 17_999), (27_001, 36_000)]
    with cbin.open(tmp_path / "x.cbin", threads=threads) as r, ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            r._cache.clear()
            for (first, last), item in zip(spans * 4, pool.map(lambda span: r[slice(*span)], spans * 4), strict=True):
                assert np.array_equal(item, samples[first:last]), (first, last)
