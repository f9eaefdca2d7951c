"""One zlib stream inflated in pieces by several threads: the same bytes as zlib gives, and the same errors."""

from __future__ import annotations

import itertools
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cbin import blocks, inflate
from cbin.deflate16 import DEFAULT, FAST, SMALL, compress16
from hypothesis import example, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.slow

LEVELS = [*range(10)]
STRATEGIES = [zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED]
KINDS = ["noise", "differences", "silence", "text", "steps"]


POOL = ThreadPoolExecutor(4)


def together(tasks):
    return [future.result() for future in [POOL.submit(task) for task in tasks]]


def _bytes(kind: str, n_bytes: int, seed: int) -> bytes:
    random = np.random.default_rng(seed)
    if kind == "noise":
        return random.bytes(n_bytes)
    if kind == "silence":
        return bytes(n_bytes)
    if kind == "text":
        words = [random.bytes(random.integers(1, 300)) for _ in range(40)]
        return b"".join(words[i] for i in random.integers(0, 40, 1 + n_bytes))[:n_bytes]
    scale = np.repeat(random.choice([0.0, 0.4, 12.0, 3000.0], 1 + n_bytes // 2000), 1000)[: n_bytes // 2 + 1]
    scale = 12.0 if kind == "differences" else scale
    return np.round(scale * random.normal(size=n_bytes // 2 + 1)).astype(np.int16).tobytes()[:n_bytes]


def _inflate(stream: bytes, n_bytes: int, n_pieces: int | None) -> bytes | str:
    """The bytes, or the error; between them and what else is in memory stand marks that must stay."""
    memory = np.full(n_bytes + 64, 0xA5, np.uint8)
    out = memory[32 : 32 + n_bytes]
    data = np.frombuffer(stream, np.uint8)
    try:
        inflate.inflate_together(data, out, n_pieces, together) if n_pieces else inflate.inflate_into(data, out)
    except inflate.InflateError as error:
        return str(error)
    finally:
        assert (memory[:32] == 0xA5).all() and (memory[-32:] == 0xA5).all()
    return out.tobytes()


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(KINDS), n_bytes=st.integers(0, 600_000), level=st.sampled_from(LEVELS),
    strategy=st.sampled_from(STRATEGIES), memory=st.integers(1, 9), window=st.sampled_from([9, 12, 15]),
    n_pieces=st.integers(2, 6), seed=st.integers(0, 9),
)  # fmt: skip
@example(kind="differences", n_bytes=600_000, level=6, strategy=0, memory=8, window=15, n_pieces=4, seed=0)
def test_pieces_hold_what_zlib_wrote(kind, n_bytes, level, strategy, memory, window, n_pieces, seed):
    raw = _bytes(kind, n_bytes, seed)
    packer = zlib.compressobj(level, zlib.DEFLATED, window, memory, strategy)
    assert _inflate(packer.compress(raw) + packer.flush(), n_bytes, n_pieces) == raw


@pytest.mark.parametrize("effort", [FAST, DEFAULT, SMALL])
@pytest.mark.parametrize("kind", KINDS)
def test_pieces_hold_what_this_package_wrote(kind, effort):
    raw = _bytes(kind, 2_000_000, seed=1)
    assert _inflate(compress16(np.frombuffer(raw, np.int16), effort).tobytes(), len(raw), n_pieces=3) == raw


@pytest.mark.parametrize("n_pieces", [2, 3, 4])
@pytest.mark.parametrize("encoder", ["zlib", "cbin"])
def test_recordings_are_really_divided(encoder, n_pieces):
    """What the other tests see would be right, too, if all streams were left to one thread."""
    raw = _bytes("differences", 4_000_000, seed=2)
    packed = zlib.compress(raw) if encoder == "zlib" else compress16(np.frombuffer(raw, np.int16)).tobytes()
    stream, out = np.frombuffer(packed, np.uint8), np.empty(len(raw), np.uint8)
    assert inflate._inflate_pieces(inflate._library(), stream, out, n_pieces, together) and out.tobytes() == raw


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**32), kind=st.sampled_from(KINDS), n_pieces=st.integers(2, 5),
    damage=st.sampled_from(["bits", "bytes", "cut", "more", "shorter", "longer", "checksum"]),
)  # fmt: skip
def test_a_damaged_stream_ends_in_the_same_error_as_in_one_piece(seed, kind, n_pieces, damage):
    random = np.random.default_rng(seed)
    raw = _bytes(kind, 300_000, seed % 5)
    stream, n_bytes = bytearray(zlib.compress(raw)), len(raw)
    places = random.integers(0, len(stream), 3)
    if damage == "bits":
        for place in places:
            stream[place] ^= 1 << random.integers(8)
    elif damage == "bytes":
        stream[places[0] : places[0] + 20] = random.bytes(len(stream[places[0] : places[0] + 20]))
    elif damage == "cut":
        del stream[places[0] :]
    elif damage == "more":
        stream += random.bytes(1 + seed % 7)
    elif damage == "checksum":
        stream[-1 - seed % 4] ^= 1
    else:
        n_bytes += int(random.integers(1, 20)) * (1 if damage == "longer" else -1)
    result = _inflate(bytes(stream), n_bytes, n_pieces)
    assert result == _inflate(bytes(stream), n_bytes, None)
    assert isinstance(result, str) or result == raw


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=400), n_tokens=st.integers(0, 50), n_literals=st.integers(0, 50), at=st.integers(0, 64))
@example(data=b"\x05" + bytes(40), n_tokens=9, n_literals=9, at=0)
def test_noise_is_no_block_and_writes_nothing_beyond_its_room(data, n_tokens, n_literals, at):
    stream = np.frombuffer(data, np.uint8)
    tokens, literals = np.full(n_tokens + 8, 7, np.uint32), np.full(n_literals + 8, 7, np.uint8)
    parsed = blocks.parse(stream, at, 8 * stream.size, tokens[:n_tokens], literals[:n_literals])
    assert -1 <= parsed <= n_tokens and (tokens[n_tokens:] == 7).all() and (literals[n_literals:] == 7).all()
    assert blocks.find_block(stream, at, 8 * stream.size) >= -1


@settings(max_examples=300, deadline=None)
@given(
    parts=st.lists(st.tuples(st.integers(0, 20), st.one_of(st.just(0), st.integers(3, 258)), st.integers(1, 40))),
    at=st.integers(0, 20), room=st.integers(0, 2000),
)  # fmt: skip
def test_tokens_are_written_as_they_say_or_not_at_all_beyond_the_end(parts, at, room):
    tokens = np.array([n << 24 | length << 15 | distance - 1 for n, length, distance in parts], np.uint32)
    literals = np.arange(1, 1 + sum(n for n, _, _ in parts) + blocks.LITERALS_MARGIN, dtype=np.int64).astype(np.uint8)
    expected, own = bytearray(at), iter(literals.tolist())
    for n, length, distance in parts:
        expected += bytes(itertools.islice(own, n))
        if length and distance > len(expected):
            expected = None
            break
        for _ in range(length):
            expected.append(expected[-distance])
    memory = np.zeros(at + room + 16, np.uint8)
    end = blocks.resolve(tokens, literals, memory[: at + room], at)
    assert not memory[at + room :].any()
    if expected is None or len(expected) > at + room:
        assert end == -1
    else:
        assert end == len(expected) and memory[:end].tobytes() == bytes(expected)
