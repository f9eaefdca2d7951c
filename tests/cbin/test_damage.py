"""Damaged files give an error that names file and chunk, never wrong samples and never memory they have no right to."""

import json
import struct
import tracemalloc
import zlib

import cbin
import numpy as np
import pytest
from cbin.format import header_from_dict
from cbin.inflate import InflateError, _library, inflate_into
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from signals import neural, write_raw

SAMPLES = neural(433, 6)


@pytest.fixture
def pair(tmp_path):
    """A compressed file of nine chunks and its header as a dictionary."""
    raw = write_raw(tmp_path / "x.bin", SAMPLES)
    cbin.compress(raw, n_channels=6, sample_rate=100, chunk_duration=0.5, layout="compat", remove_raw=True)
    return tmp_path / "x.cbin", json.loads((tmp_path / "x.ch").read_text())


def rewrite(cbin_path, header):
    cbin_path.with_suffix(".ch").write_text(json.dumps(header))
    return cbin_path


WRONG = {
    "n_channels": [0, -1, 7, 10**30, 2.0, "6", None, True, [6]],
    "sample_rate": [0, -1.0, "fast", None, 1e300, [1], True],
    "dtype": ["int8", "complex64", "bool", "object", "i2,i2", "(2,)i2", "S7", "x" * 10_000, 5, None, "float32"],
    "chunk_order": ["A", "", None, 0],
    "do_time_diff": [2, "yes", None, [], 0.5],
    "do_spatial_diff": ["no", 3],
    "algorithm": ["lzma", None, 7],
    "version": ["2.0", 9],
    "sha1_compressed": ["zz", 5, "0" * 39],
    "sha1_uncompressed": ["0" * 41, []],
    "shape": [5, "x", [-1, 2], [1.5]],
    "chunk_bounds": [[], None, 5, [0], [1, 433], [0, 433], "0", [0, 10**40], [0.0, 433.0]],
    "chunk_offsets": [[], None, [0], {"0": 1}, [0, 10**18]],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_every_field_of_the_header_may_be_wrong(pair, key, value):
    path, header = pair
    rewrite(path, header | {key: value})
    with pytest.raises(cbin.CbinError, match=r"x\.(ch|cbin)") as caught, cbin.open(path) as opened:
        opened[:]
    assert len(str(caught.value)) < 600
    assert not cbin.check(path).ok


def test_a_missing_file_is_named(tmp_path):
    """The one that was asked for, not the header that it would have had."""
    for call in (cbin.open, lambda missing: cbin.decompress(missing, tmp_path / "y")):
        with pytest.raises(cbin.MissingFile, match=r"z\.cbin: there is no such file"):
            call(tmp_path / "z.cbin")
    assert "z.cbin: there is no such file" in str(cbin.check(tmp_path / "z.cbin").errors[0])


def test_a_bad_chunk_is_all_that_is_said_of_it(pair):
    """Not also that the hash is another, whose advice speaks of files in which every chunk can be read."""
    path, header = pair
    data = bytearray(path.read_bytes())
    data[header["chunk_offsets"][4] + 20] ^= 0xFF
    path.write_bytes(data)
    assert ["chunk 4" in str(error) for error in cbin.check(path).errors] == [True]


@pytest.mark.parametrize("key", ["dtype", "n_channels", "sample_rate", "chunk_bounds", "chunk_offsets"])
def test_a_missing_key_is_named(pair, key):
    path, header = pair
    del header[key]
    with pytest.raises(cbin.FormatError, match=f"no '{key}'"):
        cbin.open(rewrite(path, header))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "\xff", "[" * 100_000, '{"n_channels": NaN}', "9" * 5000, "{}"]
)
def test_a_header_that_is_no_json_object_is_a_format_error(pair, text):
    path, _ = pair
    path.with_suffix(".ch").write_text(text, encoding="latin-1")
    with pytest.raises(cbin.FormatError, match=r"x\.ch"):
        cbin.open(path)


def test_a_missing_header_is_named(pair):
    path, _ = pair
    path.with_suffix(".ch").unlink()
    with pytest.raises(cbin.MissingFile, match=r"x\.ch: the header is not there"):
        cbin.open(path)
    assert not cbin.check(path).ok


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_offsets_that_lie_never_give_wrong_samples(pair, data):
    path, header = pair
    offsets = list(header["chunk_offsets"])
    at = data.draw(st.integers(0, len(offsets) - 1))
    offsets[at] += data.draw(st.integers(-300, 300).filter(bool))
    rewrite(path, header | {"chunk_offsets": offsets})
    with pytest.raises(cbin.CbinError), cbin.open(path) as opened:
        opened[:]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_bounds_that_lie_never_give_wrong_samples(pair, data):
    path, header = pair
    bounds = list(header["chunk_bounds"])
    at = data.draw(st.integers(0, len(bounds) - 1))
    bounds[at] += data.draw(st.integers(-49, 49).filter(bool))
    rewrite(path, header | {"chunk_bounds": bounds})
    with pytest.raises(cbin.CbinError), cbin.open(path) as opened:
        opened[:]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_is_found_in_its_chunk_and_the_others_can_be_read(pair, data):
    path, header = pair
    good = path.read_bytes()
    at, bit = data.draw(st.integers(0, len(good) - 1)), data.draw(st.integers(0, 7))
    path.write_bytes(good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :])
    hit = int(np.searchsorted(header["chunk_offsets"], at, side="right")) - 1
    report = cbin.check(path, threads=2)
    with cbin.open(path) as opened:
        for chunk, (first, last) in enumerate(zip(header["chunk_bounds"], header["chunk_bounds"][1:], strict=False)):
            if chunk == hit:
                try:
                    # some bits of a deflate stream (level, window, lengths of unused codes) change no sample; the
                    # file's hash sees them
                    assert np.array_equal(opened[first:last], SAMPLES[first:last])
                except cbin.CorruptChunk as error:
                    assert (error.chunk, error.file) == (hit, str(path))
            else:
                assert np.array_equal(opened[first:last], SAMPLES[first:last])
    path.write_bytes(good)
    assert not report.ok
    assert "SHA-1" in str(report.errors[0]) or report.errors[0].chunk == hit


@pytest.mark.parametrize("lost", [1, 100, 2000])
def test_a_truncated_file_names_the_first_lost_chunk(pair, lost):
    path, header = pair
    kept = path.stat().st_size - lost
    with path.open("r+b") as file:
        file.truncate(kept)
    chunk = int(np.searchsorted(header["chunk_offsets"], kept, side="right")) - 1
    with pytest.raises(cbin.TruncatedFile, match=f"chunk {chunk}:"):
        cbin.open(path)
    report = cbin.check(path)
    assert [type(error) for error in report.errors] == [cbin.TruncatedFile]
    with pytest.raises(cbin.TruncatedFile):
        cbin.decompress(path)
    assert not path.with_suffix(".bin").exists() and not list(path.parent.glob("*.part"))


def test_bytes_behind_the_last_chunk_are_an_error(pair):
    path, _ = pair
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(cbin.SizeMismatch):
        cbin.open(path)


def bomb(n_bytes):
    deflater = zlib.compressobj(9)
    return b"".join([*(deflater.compress(bytes(1 << 20)) for _ in range(n_bytes >> 20)), deflater.flush()])


def test_a_bomb_takes_no_more_memory_than_its_chunk(tmp_path, pair):
    """64 MB of zeros in 64 kB that claim to be 433 samples."""
    _, header = pair
    stream = bomb(64 << 20)
    path = tmp_path / "bomb.cbin"
    path.write_bytes(stream)
    rewrite(path, header | {"chunk_bounds": [0, 433], "chunk_offsets": [0, len(stream)]})
    tracemalloc.start()
    try:
        with pytest.raises(cbin.CorruptChunk, match=r"bomb\.cbin, chunk 0: .* more"), cbin.open(path) as opened:
            opened[:]
        assert not cbin.check(path).ok
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_sizes_that_no_stream_can_have_are_refused_before_memory_is_taken(pair):
    path, header = pair
    rewrite(path, header | {"chunk_bounds": [0, 10**11], "chunk_offsets": [0, path.stat().st_size]})
    with pytest.raises(cbin.FormatError, match="bytes"):
        cbin.open(path)
    with pytest.raises(cbin.FormatError, match="cannot inflate"):
        header_from_dict(header | {"chunk_bounds": [0, 50_000_000], "chunk_offsets": [0, path.stat().st_size]})


@pytest.mark.parametrize("direct", [True, False])
def test_inflating_checks_size_checksum_and_what_follows(monkeypatch, direct):
    """Both ways to libdeflate: its C functions, and the wheel's own where these are not exported."""
    if direct and _library() is None:
        pytest.skip("the wheel does not export libdeflate")
    if not direct:
        monkeypatch.setattr("cbin.inflate._library", lambda: None)
    data = bytes(range(256)) * 40
    stream = zlib.compress(data)
    out = np.zeros(len(data) + 64, np.uint8)

    def inflate(stream, size):
        inflate_into(np.frombuffer(stream, np.uint8), out[:size])

    inflate(stream, len(data))
    assert out[: len(data)].tobytes() == data and not out[len(data) :].any()
    for bad, size in [
        (stream, len(data) - 1), (stream, len(data) + 1), (stream[:-1], len(data)), (b"", len(data)),
        (stream[:-4] + struct.pack(">I", 1), len(data)), (b"\x00" * 20, len(data)), (zlib.compress(b""), len(data)),
    ]:  # fmt: skip
        with pytest.raises(InflateError):
            inflate(bad, size)
    assert not out[len(data) + 1 :].any()


def test_decompressing_a_pair_that_does_not_belong_together_leaves_nothing(tmp_path, pair):
    path, header = pair
    rewrite(path, header | {"sha1_uncompressed": "0" * 40})
    with pytest.raises(cbin.VerificationFailed, match="SHA-1"):
        cbin.decompress(path, keep=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.cbin", "x.ch"]
    assert [type(error) for error in cbin.check(path).errors] == [cbin.SizeMismatch]
