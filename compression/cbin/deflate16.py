"""A zlib encoder for 16-bit samples: DEFLATE (RFC 1951) whose matches are whole samples, many times faster than zlib.

zlib looks at bytes. Differences of 16-bit samples repeat as samples, so here matches have even lengths and even
distances, and literals come in pairs. Each block of 65536 samples gets its own Huffman codes, or is stored when they
would not help; what its literals and matches cost comes from the block before.
"""

from __future__ import annotations

import threading

import deflate as libdeflate
import numpy as np

from .huffman import (
    CODE_LENGTH_ORDER,
    DISTANCE_BASE,
    DISTANCE_EXTRA,
    LENGTH_BASE,
    LENGTH_EXTRA,
    canonical_codes,
    code_lengths,
    run_lengths,
)
from .jit import kernel, store64
from .matches16 import (
    LONGEST,
    MATCH,
    NO_MATCH,
    SEGMENT,
    WINDOW,
    find_nearest,
    find_nearest_two,
    set_prices,
    take_greedily,
    weigh,
    weigh_three,
    write_tokens,
)

BLOCK = 65536
"""Samples per DEFLATE block."""

FAST, DEFAULT, SMALL = 0, 1, 2
_HASH_BITS = (15, 16, 16)

# by length and distance in samples, that is, half of those in bytes
_LENGTH_SYMBOL = (np.searchsorted(LENGTH_BASE, 2 * np.arange(LONGEST + 1), side="right") - 1).clip(0).astype(np.uint8)
_DISTANCE_SYMBOL = (np.searchsorted(DISTANCE_BASE, 2 * np.arange(WINDOW + 1), side="right") - 1).astype(np.uint8)
_DISTANCE_SYMBOL[0] = NO_MATCH

_U = np.uint64


def compress16(samples: np.ndarray, effort: int = DEFAULT) -> np.ndarray:
    """One zlib stream (RFC 1950) of 16-bit samples.

    Parameters
    ----------
    samples : contiguous array of int16 or uint16
    effort : {FAST, DEFAULT, SMALL}
        FAST takes the first match it sees. SMALL weighs all choices with matches of two, three, and four or more
        samples. DEFAULT does so for the first block, and then only with those two of them that do better there.

    Returns
    -------
    array of uint8
        A copy of its own, that any zlib inflates to `samples.tobytes()`.

    Examples
    --------
    >>> import zlib
    >>> samples = np.arange(1000, dtype=np.int16) // 7
    >>> zlib.decompress(compress16(samples)) == samples.tobytes()
    True
    """
    flat = samples.reshape(-1)
    out, heads, nearest, cost, choice, tokens = _workspace(flat.size, effort)
    size = _encode(
        flat.view(np.uint16), effort, _HASH_BITS[effort], out, heads, nearest, cost, choice, tokens, _LENGTH_SYMBOL,
        _DISTANCE_SYMBOL, LENGTH_BASE, LENGTH_EXTRA, DISTANCE_BASE, DISTANCE_EXTRA, CODE_LENGTH_ORDER,
    )  # fmt: skip
    out[size : size + 4] = np.frombuffer(libdeflate.adler32(flat).to_bytes(4, "big"), np.uint8)
    return out[: size + 4].copy()


_local = threading.local()


def _workspace(n: int, effort: int) -> tuple[np.ndarray, ...]:
    """This thread's output buffer, hash tables and tables of one segment; kept for its next chunk."""
    spaces = _local.__dict__.setdefault("spaces", {})
    # a block is never larger than when it is stored, which costs 5 bytes per 32767 samples
    space = 2 * n + 8 * (n // 32767 + n // BLOCK + 4) + 64
    if "out" not in spaces or spaces["out"].size < space:
        spaces["out"] = np.empty(space, np.uint8)
    if effort not in spaces:
        spaces[effort] = (
            np.empty((3, 1 << _HASH_BITS[effort]), np.uint16),
            np.empty((3, SEGMENT), np.uint16),
            np.zeros(SEGMENT + LONGEST + 8, np.int32),
            np.empty(SEGMENT, np.uint8),
            np.empty(BLOCK + 8, np.uint32),
        )
    return spaces["out"], *spaces[effort]


@kernel
def _encode(
    u, effort, hash_bits, out, heads, nearest, cost, choice, tokens, length_symbol, distance_symbol, length_base,
    length_extra, distance_base, distance_extra, order,
):  # fmt: skip
    """Two bytes of zlib header and all blocks into `out`; returns how many bytes there are."""
    n = u.size
    literals = np.ones(286, np.int64)
    lengths = np.zeros(LONGEST + 1, np.int64)
    lengths[2:5] = 100
    distances = np.zeros(30, np.int64)
    for i in range(30):
        distances[i] = 1 << (i >> 1)
    prices = np.zeros(544, np.int32)
    short = following = 0
    heads[:] = 0
    out[0] = 0x78
    out[1] = 0x9C
    at = _U(2)
    bits = _U(0)
    n_bits = _U(0)
    first = 0
    while True:
        last = min(first + BLOCK, n)
        final = last >= n
        if effort == FAST:
            literals[:] = 0
            lengths[:] = 0
            distances[:] = 0
            n_tokens = take_greedily(
                u, first, last, hash_bits, heads[0], heads[1], tokens, literals, lengths, distances, distance_symbol
            )
        else:
            set_prices(literals, lengths, distances, length_symbol, length_extra, distance_extra, prices)
            literals[:] = 0
            lengths[:] = 0
            distances[:] = 0
            n_tokens = 0
            for begin in range(first, last, SEGMENT):
                end = min(begin + SEGMENT, last)
                if short == 0:
                    find_nearest(u, begin, end, hash_bits, 2, heads[0], nearest[0])
                    find_nearest_two(u, begin, end, hash_bits, 3, 4, heads[1], heads[2], nearest[1], nearest[2])
                    if effort == DEFAULT and end - first == BLOCK:
                        few = weigh(u, begin, end, 2, 3, nearest[0], nearest[1], cost, choice, prices, distance_symbol)
                        many = weigh(u, begin, end, 3, 4, nearest[1], nearest[2], cost, choice, prices, distance_symbol)
                        following = 2 if few < many else 3
                    weigh_three(
                        u, begin, end, nearest[0], nearest[1], nearest[2], cost, choice, prices, distance_symbol
                    )
                    found4 = nearest[2]
                else:
                    one, two = nearest[short - 2], nearest[short - 1]
                    find_nearest_two(
                        u, begin, end, hash_bits, short, short + 1, heads[short - 2], heads[short - 1], one, two
                    )
                    weigh(u, begin, end, short, short + 1, one, two, cost, choice, prices, distance_symbol)
                    found4 = two
                n_tokens = write_tokens(
                    u, begin, end, nearest[0], nearest[1], found4, choice, tokens, n_tokens, literals, lengths,
                    distances, distance_symbol,
                )  # fmt: skip
        at, bits, n_bits = _write_block(
            u, first, last, final, tokens, n_tokens, literals, lengths, distances, out, at, bits, n_bits, length_symbol,
            distance_symbol, length_base, length_extra, distance_base, distance_extra, order,
        )  # fmt: skip
        first = last
        short = following
        if final:
            break
    if n_bits > _U(0):
        out[at] = np.uint8(bits)
        at += _U(1)
    return np.int64(at)


@kernel
def _put(out, at, bits, n_bits, value, length):
    """Append `length` bits of `value`; fewer than 8 bits wait in `bits` before and after."""
    bits |= value << n_bits
    n_bits += length
    store64(out, at, bits)
    at += n_bits >> _U(3)
    bits >>= n_bits & _U(0xF8)
    return at, bits, n_bits & _U(7)


@kernel
def _write_block(
    u, first, last, final, tokens, n_tokens, literals, lengths, distances, out, at, bits, n_bits, length_symbol,
    distance_symbol, length_base, length_extra, distance_base, distance_extra, order,
):  # fmt: skip
    """Huffman codes and tokens of a block, or its samples when that is no longer; returns the state of the writer."""
    lit_len = np.zeros(286, np.int64)
    dist_len = np.zeros(30, np.int64)
    lit_code = np.zeros(286, np.int64)
    dist_code = np.zeros(30, np.int64)
    meta_freq = np.zeros(19, np.int64)
    meta_len = np.zeros(19, np.int64)
    meta_code = np.zeros(19, np.int64)
    both = np.zeros(320, np.int64)
    run_symbol = np.zeros(320, np.int64)
    run_extra = np.zeros(320, np.int64)
    literals[256:] = 0
    literals[256] = 1
    for length in range(2, LONGEST + 1):
        literals[257 + length_symbol[length]] += lengths[length]
    code_lengths(literals, 286, 15, lit_len)
    if code_lengths(distances, 30, 15, dist_len) == 0:
        dist_len[0] = 1
    canonical_codes(lit_len, 286, lit_code)
    canonical_codes(dist_len, 30, dist_code)
    n_lit = 286
    while n_lit > 257 and lit_len[n_lit - 1] == 0:
        n_lit -= 1
    n_dist = 30
    while n_dist > 1 and dist_len[n_dist - 1] == 0:
        n_dist -= 1
    both[:n_lit] = lit_len[:n_lit]
    both[n_lit : n_lit + n_dist] = dist_len[:n_dist]
    n_runs = run_lengths(both, n_lit + n_dist, run_symbol, run_extra, meta_freq)
    code_lengths(meta_freq, 19, 7, meta_len)
    canonical_codes(meta_len, 19, meta_code)
    n_meta = 19
    while n_meta > 4 and meta_len[order[n_meta - 1]] == 0:
        n_meta -= 1

    size = 17 + 3 * n_meta + 2 * meta_freq[16] + 3 * meta_freq[17] + 7 * meta_freq[18]
    for i in range(19):
        size += meta_freq[i] * meta_len[i]
    for i in range(286):
        size += literals[i] * (lit_len[i] + (length_extra[i - 257] if i >= 257 else 0))
    for i in range(30):
        size += distances[i] * (dist_len[i] + distance_extra[i])
    if size >= 16 * (last - first) and last > first:
        return _store(u, first, last, final, out, at, bits, n_bits)

    head = (_U(1) if final else _U(0)) | _U(4)
    head |= (_U(n_lit - 257) << _U(3)) | (_U(n_dist - 1) << _U(8)) | (_U(n_meta - 4) << _U(13))
    at, bits, n_bits = _put(out, at, bits, n_bits, head, _U(17))
    for i in range(n_meta):
        at, bits, n_bits = _put(out, at, bits, n_bits, _U(meta_len[order[i]]), _U(3))
    for i in range(n_runs):
        symbol = run_symbol[i]
        at, bits, n_bits = _put(out, at, bits, n_bits, _U(meta_code[symbol]), _U(meta_len[symbol]))
        if symbol >= 16:
            extra_bits = _U(2) if symbol == 16 else (_U(3) if symbol == 17 else _U(7))
            at, bits, n_bits = _put(out, at, bits, n_bits, _U(run_extra[i]), extra_bits)
    match_code = np.zeros(LONGEST + 1, np.uint64)
    match_len = np.zeros(LONGEST + 1, np.uint64)
    for length in range(2, LONGEST + 1):
        symbol = length_symbol[length]
        code_len = lit_len[257 + symbol]
        match_code[length] = _U(lit_code[257 + symbol]) | (_U(2 * length - length_base[symbol]) << _U(code_len))
        match_len[length] = _U(code_len + length_extra[symbol])
    at, bits, n_bits = _write_tokens(
        tokens, n_tokens, out, at, bits, n_bits, lit_code, lit_len, match_code, match_len, dist_code, dist_len,
        distance_symbol, distance_base, distance_extra,
    )  # fmt: skip
    return _put(out, at, bits, n_bits, _U(lit_code[256]), _U(lit_len[256]))


@kernel
def _write_tokens(
    tokens, n_tokens, out, at, bits, n_bits, lit_code, lit_len, match_code, match_len, dist_code, dist_len,
    distance_symbol, distance_base, distance_extra,
):  # fmt: skip
    """The tokens of a block: a pair of literals takes at most 30 bits, a match 20 + 28."""
    code = np.zeros(256, np.uint64)
    code_len = np.zeros(256, np.uint64)
    for i in range(256):
        code[i] = _U(lit_code[i])
        code_len[i] = _U(lit_len[i])
    symbol_code = np.zeros(31, np.uint64)
    symbol_len = np.zeros(31, np.uint64)
    symbol_total = np.zeros(31, np.uint64)
    base = np.zeros(31, np.uint64)
    for i in range(30):
        symbol_code[i] = _U(dist_code[i])
        symbol_len[i] = _U(dist_len[i])
        symbol_total[i] = _U(dist_len[i] + distance_extra[i])
        base[i] = _U(distance_base[i])
    for i in range(n_tokens):
        token = tokens[i]
        if token & MATCH:
            samples = (token >> np.uint32(16)) & np.uint32(0xFF)
            distance = token & np.uint32(0xFFFF)
            symbol = distance_symbol[distance]
            far = symbol_code[symbol] | ((_U(2) * _U(distance) - base[symbol]) << symbol_len[symbol])
            value = match_code[samples] | (far << match_len[samples])
            length = match_len[samples] + symbol_total[symbol]
        else:
            low = token & np.uint32(255)
            high = token >> np.uint32(8)
            value = code[low] | (code[high] << code_len[low])
            length = code_len[low] + code_len[high]
        bits |= value << n_bits
        n_bits += length
        store64(out, at, bits)
        at += n_bits >> _U(3)
        bits >>= n_bits & _U(0xF8)
        n_bits &= _U(7)
    return at, bits, n_bits


@kernel
def _store(u, first, last, final, out, at, bits, n_bits):
    """Samples as stored blocks; returns the state of the writer."""
    stored = first
    while stored < last:
        part = min(last - stored, 32767)
        ends = final and stored + part == last
        padding = (_U(8) - ((n_bits + _U(3)) & _U(7))) & _U(7)
        at, bits, n_bits = _put(out, at, bits, n_bits, _U(1) if ends else _U(0), _U(3) + padding)
        size = _U(2 * part)
        at, bits, n_bits = _put(out, at, bits, n_bits, size | ((size ^ _U(0xFFFF)) << _U(16)), _U(32))
        for i in range(stored, stored + part):
            at, bits, n_bits = _put(out, at, bits, n_bits, _U(u[i]), _U(16))
        stored += part
    return at, bits, n_bits
