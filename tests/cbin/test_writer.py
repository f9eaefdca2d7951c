"""Recordings that are compressed while they run: readers see whole chunks, crashes lose only what was not yet one."""

import subprocess
import sys
import textwrap

import cbin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signals import neural, read_with_mtscomp

SAMPLES = neural(1000, 5)


@settings(max_examples=30, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 1000), max_size=12),
    order=st.sampled_from("FC"),
    spatial=st.booleans(),
    reopen=st.sets(st.integers(0, 12)),
)
def test_pieces_of_any_size_add_up(tmp_path_factory, cuts, order, spatial, reopen):
    path = tmp_path_factory.mktemp("w") / "x.cbin"
    edges = [0, *sorted(cuts), 1000]
    options = {"n_channels": 5, "sample_rate": 100, "order": order, "spatial_diff": spatial, "append": True}
    writer = cbin.Writer(path, **options)
    for i, (first, last) in enumerate(zip(edges, edges[1:], strict=False)):
        if i in reopen:
            writer.close()
            writer = cbin.Writer(path, **options)
        writer.write(SAMPLES[first:last])
        assert writer.n_samples == last
    writer.close()
    assert np.array_equal(read_with_mtscomp(path), SAMPLES)
    assert cbin.check(path).ok


def test_readers_see_what_is_finished_at_any_moment(tmp_path):
    path = tmp_path / "x.cbin"
    with cbin.Writer(path, 5, 100, publish_seconds=0) as writer:
        for first in range(0, 1000, 25):
            writer.write(SAMPLES[first : first + 25])
            with cbin.open(path) as opened:
                assert opened.header.in_progress and opened.n_samples == (first + 25) // 10 * 10
                assert np.array_equal(opened[:], SAMPLES[: opened.n_samples])
            if first % 200 == 0:
                assert np.array_equal(read_with_mtscomp(path), SAMPLES[: opened.n_samples])
    with cbin.open(path) as opened:
        assert not opened.header.in_progress and np.array_equal(opened[:], SAMPLES)


@pytest.mark.slow
def test_what_a_crash_left_behind_the_last_chunk_is_cut_off(tmp_path):
    path = tmp_path / "x.cbin"
    code = f"""
        import os, numpy as np, cbin
        writer = cbin.Writer({str(path)!r}, 5, 100, publish_seconds=1000)
        writer.write(np.ones((100, 5), np.int16))
        writer.flush()
        writer.write(np.ones((105, 5), np.int16))
        os._exit(9)
        """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, timeout=120)
    assert path.stat().st_size > cbin.read_header(tmp_path / "x.ch").offsets[-1]
    with cbin.open(path) as opened:
        assert opened.shape == (100, 5)
    header = cbin.append(path, np.full((30, 5), 7, np.int16))
    assert header.n_samples == 130 and not header.in_progress
    with cbin.open(path) as opened:
        assert np.array_equal(opened[:], np.repeat(np.array([1, 7], np.int16), [100, 30])[:, None].repeat(5, 1))


def test_appending_to_a_finished_file_voids_its_hashes(tmp_path):
    raw = tmp_path / "x.bin"
    raw.write_bytes(SAMPLES.tobytes())
    cbin.compress(raw, n_channels=5, sample_rate=100, layout="compat")
    header = cbin.append(tmp_path / "x.cbin", SAMPLES[:70])
    assert header.sha1_compressed is None and header.order == "F"
    assert np.array_equal(read_with_mtscomp(tmp_path / "x.cbin"), np.concatenate([SAMPLES, SAMPLES[:70]]))
    report = cbin.check(tmp_path / "x.cbin")
    assert report.ok and not report.sha1_known


def test_only_one_writer_and_only_what_fits(tmp_path):
    path = tmp_path / "x.cbin"
    with cbin.Writer(path, 5, 100) as writer:
        with pytest.raises(cbin.Busy):
            cbin.Writer(path, append=True)
        with pytest.raises(cbin.FormatError, match="do not fit"):
            writer.write(SAMPLES[:, :4])
        with pytest.raises(cbin.FormatError, match="do not fit"):
            writer.write(SAMPLES.astype(np.int32))
    with pytest.raises(cbin.OutputExists):
        cbin.Writer(path, 5, 100)
    with pytest.raises(ValueError, match="closed"):
        writer.write(SAMPLES)
    assert cbin.open(path).shape == (0, 5)
    assert cbin.open(path)[:].shape == (0, 5)


def test_floats_are_appended_without_differences(tmp_path):
    samples = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    cbin.append(tmp_path / "f.cbin", samples, n_channels=2, sample_rate=10, dtype="float32")
    assert read_with_mtscomp(tmp_path / "f.cbin").tobytes() == samples.tobytes()
