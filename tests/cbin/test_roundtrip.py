"""Bit-exactness both ways with mtscomp 1.0.2: all types, shapes, chunk lengths, orders and options."""

import tempfile
import zlib
from pathlib import Path

import cbin
import numpy as np
import pytest
from cbin.codec import Transform, forward, inverse, inverse_pieces
from cbin.deflate16 import BLOCK, DEFAULT, FAST, SMALL, compress16
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from signals import FLOATS, INTEGERS, neural, read_with_mtscomp, same_bytes, write_raw, write_with_mtscomp

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def recordings(dtypes=INTEGERS + FLOATS):
    """Arrays (1-60, 1-9) of any of the types, full range."""
    return st.sampled_from(dtypes).flatmap(
        lambda name: hnp.arrays(np.dtype(name), st.tuples(st.integers(1, 60), st.integers(1, 9)))
    )


@pytest.mark.slow
@settings(quick, max_examples=120)
@given(
    samples=recordings(),
    order=st.sampled_from([None, "F", "C"]),
    spatial=st.sampled_from([None, False, True]),
    time_diff=st.booleans(),
    chunk=st.sampled_from([0.01, 0.05, 0.1, 1.0]),
    effort=st.sampled_from(["fast", "default", "small"]),
    layout=st.sampled_from(["auto", "compat", "access"]),
    verify=st.booleans(),
)
def test_what_we_write_mtscomp_reads_bit_for_bit(samples, order, spatial, time_diff, chunk, effort, layout, verify):
    spatial = None if samples.dtype.kind == "f" else spatial
    with tempfile.TemporaryDirectory() as folder:
        raw = write_raw(Path(folder, "x.bin"), samples)
        report = cbin.compress(
            raw, n_channels=samples.shape[1], sample_rate=100, dtype=samples.dtype, order=order, spatial_diff=spatial,
            time_diff=time_diff, chunk_duration=chunk, effort=effort, layout=layout, threads=1, verify=verify,
        )  # fmt: skip
        assert same_bytes(read_with_mtscomp(report.cbin_path), samples)
        with cbin.open(report.cbin_path) as reader:
            assert same_bytes(reader[:], samples)
        assert cbin.check(report.cbin_path, threads=1).ok
        back = cbin.decompress(report.cbin_path, Path(folder, "back.bin"), threads=1)
        assert back.raw_path.read_bytes() == raw.read_bytes()


@pytest.mark.slow
def test_what_was_recorded_goes_both_ways(real_data, tmp_path):
    """Wheels, trials, cameras and spikes of real mice, as they are and as 16-bit steps, by us and by mtscomp."""
    paths = [path for path in sorted(real_data.rglob("*.npy")) if path.stat().st_size > 4000]
    tried = set()
    for path in paths:
        array = np.load(path).ravel()
        if array.dtype.kind not in "iuf":
            continue
        scale = np.ptp(array[np.isfinite(array)]) or 1
        steps = np.nan_to_num(array.astype(np.float64) / scale * 30000).astype(np.int16)
        for flat in (array, steps):
            samples = np.ascontiguousarray(flat[: flat.size // 4 * 4].reshape(-1, 4))
            raw = write_raw(tmp_path / "x.bin", samples)
            shape = {"n_channels": 4, "sample_rate": 100, "dtype": samples.dtype, "threads": 1, "overwrite": True}
            for layout in ("compat", "access"):
                report = cbin.compress(raw, tmp_path / "ours.cbin", layout=layout, chunk_duration=1.0, **shape)
                assert same_bytes(read_with_mtscomp(report.cbin_path), samples), (path, layout)
                with cbin.open(report.cbin_path) as reader:
                    assert same_bytes(reader[:], samples), (path, layout)
            tried.add(samples.dtype.name)
            if not np.isfinite(samples).all():  # mtscomp fails on a NaN in the first sample of a chunk
                continue
            theirs = write_with_mtscomp(raw, tmp_path / "theirs.cbin", samples)
            with cbin.open(theirs) as reader:
                assert same_bytes(reader[:], read_with_mtscomp(theirs)), path
                assert samples.dtype.kind == "f" or same_bytes(reader[:], samples), path
    assert {"int16", "float64"} <= tried


@pytest.mark.slow
@settings(quick, max_examples=120)
@given(
    samples=recordings(),
    order=st.sampled_from("FC"),
    spatial=st.booleans(),
    time_diff=st.booleans(),
    chunk=st.sampled_from([0.01, 0.05, 0.1, 1.0]),
    rows=st.tuples(st.integers(0, 60), st.integers(0, 60)),
)
def test_what_mtscomp_writes_we_read_as_it_does(samples, order, spatial, time_diff, chunk, rows):
    if samples.dtype.kind == "f":  # mtscomp fails on a NaN in the first sample
        samples = np.nan_to_num(samples, nan=1.0, posinf=2.0, neginf=-2.0).clip(-1e3, 1e3).astype(samples.dtype)
    with tempfile.TemporaryDirectory() as folder:
        raw = write_raw(Path(folder, "x.bin"), samples)
        out = write_with_mtscomp(
            raw, Path(folder, "x.cbin"), samples, chunk_duration=chunk, chunk_order=order, do_spatial_diff=spatial,
            do_time_diff=time_diff,
        )  # fmt: skip
        expected = read_with_mtscomp(out)
        if samples.dtype.kind in "iu":
            assert same_bytes(expected, samples)
        with cbin.open(out, threads=2) as reader:
            assert same_bytes(reader[min(rows) : max(rows)], expected[min(rows) : max(rows)])
            assert same_bytes(reader[:], expected)
        if samples.dtype.kind in "iu":
            assert cbin.check(out, threads=1).ok


@pytest.mark.parametrize("order", ["F", "C"])
def test_big_endian_files_of_mtscomp_are_read(tmp_path, order):
    samples = neural(130).astype(">i2")
    raw = write_raw(tmp_path / "x.bin", samples)
    out = write_with_mtscomp(raw, tmp_path / "x.cbin", samples, do_time_diff=False, chunk_order=order)
    with cbin.open(out) as reader:
        assert same_bytes(reader[:], samples)
        assert np.array_equal(reader[3:5], samples[3:5])
    report = cbin.compress(raw, tmp_path / "y.cbin", n_channels=7, sample_rate=100, dtype=">i2")
    assert np.array_equal(read_with_mtscomp(report.cbin_path), samples)


def test_floats_with_nan_and_infinity_are_lossless_and_mtscomp_agrees(tmp_path):
    samples = np.random.default_rng(0).normal(size=(250, 3)).astype(np.float32)
    samples[7, 1], samples[8, 0], samples[9, 2] = np.nan, np.inf, -0.0
    raw = write_raw(tmp_path / "x.bin", samples)
    report = cbin.compress(raw, n_channels=3, sample_rate=100, dtype="float32")
    assert not report.time_diff
    assert same_bytes(read_with_mtscomp(report.cbin_path), samples)
    with pytest.raises(cbin.FormatError, match="do not give the samples back"):
        cbin.compress(raw, tmp_path / "y.cbin", n_channels=3, sample_rate=100, dtype="float32", spatial_diff=True)


def test_chopped_files_and_three_dimensional_arrays_are_read(tmp_path):
    import mtscomp

    samples = neural(600).reshape(100, 6, 7)
    np.save(tmp_path / "x.npy", samples)
    out = write_with_mtscomp(tmp_path / "x.npy", tmp_path / "x.cbin", samples)
    with cbin.open(out) as reader:
        assert reader.header.shape == (100, 6, 7)
        assert np.array_equal(reader[:], samples.reshape(600, 7))
    long = mtscomp.Reader(quiet=True, n_threads=1)
    long.open(str(out))
    long.chop(2, tmp_path / "short.cbin")
    long.close()
    with cbin.open(tmp_path / "short.cbin") as reader:
        assert reader.header.extra["chopped"] is True
        assert np.array_equal(reader[:], samples.reshape(600, 7)[:200])
    assert cbin.check(tmp_path / "short.cbin").ok


def test_the_header_is_what_mtscomp_writes(tmp_path):
    """Same keys and values, but for the bytes of the streams and the name of the encoder."""
    samples = neural(250)
    raw = write_raw(tmp_path / "x.bin", samples)
    write_with_mtscomp(raw, tmp_path / "m.cbin", samples)
    cbin.compress(raw, tmp_path / "o.cbin", n_channels=7, sample_rate=100, layout="compat")
    theirs, ours = (cbin.read_header(tmp_path / name).to_dict() for name in ("m.ch", "o.ch"))
    assert ours.pop("encoder").startswith("cbin")
    for key in ("chunk_offsets", "sha1_compressed"):
        ours.pop(key), theirs.pop(key)
    assert ours == theirs


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("layout", ["compat", "access", "auto"])
def test_neural_signals_of_many_blocks_survive_every_effort(tmp_path, layout, seed):
    samples = neural(30_000, 12, seed)
    raw = write_raw(tmp_path / "x.bin", samples)
    sizes = {}
    for effort in ("fast", "default", "small"):
        report = cbin.compress(
            raw, n_channels=12, sample_rate=30_000, layout=layout, effort=effort, overwrite=True, threads=3, md5=True
        )
        assert np.array_equal(read_with_mtscomp(report.cbin_path), samples)
        sizes[effort] = report.compressed_bytes
    assert sizes["small"] <= sizes["default"] * 1.01 < sizes["fast"] * 1.02
    whole = len(zlib.compress(forward(samples, Transform(report.order, True, report.spatial_diff)), 6))
    assert sizes["default"] < whole


@settings(quick, max_examples=150)
@given(
    pieces=st.lists(
        st.tuples(
            st.sampled_from(["noise", "wide", "zeros", "constant", "period", "ramp"]), st.integers(1, 40_000),
            st.integers(0, 99),
        ),
        min_size=0, max_size=5,
    ),
    effort=st.sampled_from([FAST, DEFAULT, SMALL]),
)  # fmt: skip
def test_any_zlib_inflates_what_the_encoder_writes(pieces, effort):
    """Runs, periods longer and shorter than the window, incompressible parts, block boundaries anywhere."""

    def piece(kind, n, seed):
        rng = np.random.default_rng(seed)
        return {
            "noise": lambda: rng.integers(-6, 6, n), "wide": lambda: rng.integers(-32768, 32768, n),
            "zeros": lambda: np.zeros(n), "constant": lambda: np.full(n, seed * 300 - 9000),
            "period": lambda: np.resize(rng.integers(-500, 500, 1 + 331 * seed), n), "ramp": lambda: np.arange(n) // 3,
        }[kind]().astype(np.int16)  # fmt: skip

    samples = np.concatenate([np.zeros(0, np.int16), *(piece(*p) for p in pieces)])
    stream = compress16(samples, effort)
    assert zlib.decompress(stream) == samples.tobytes()
    assert len(stream) <= samples.nbytes + 5 * (samples.size // 32767 + samples.size // BLOCK + 2) + 16


@pytest.mark.slow
@settings(quick, max_examples=100)
@given(
    samples=recordings(INTEGERS),
    transform=st.builds(Transform, st.sampled_from("FC"), st.booleans(), st.booleans()),
    cut=st.tuples(st.integers(0, 60), st.integers(0, 60)),
)
def test_any_part_of_a_chunk_is_undone_alone(samples, transform, cut):
    first, last = sorted(min(c, len(samples)) for c in cut)
    stored = forward(samples, transform).view(np.uint8)
    restored = inverse(stored, *samples.shape, samples.dtype, transform, first, last)
    assert same_bytes(restored, samples[first:last])
    pieces = [
        piece.copy() for piece in inverse_pieces(stored, *samples.shape, samples.dtype, transform, rows=1 + first)
    ]
    assert same_bytes(np.concatenate(pieces), samples)
