"""A zlib encoder for 16-bit samples: DEFLATE (RFC 1951) whose matches are whole samples, many times faster than zlib.

zlib looks at bytes. Differences of 16-bit samples repeat as samples, so this encoder hashes two, three and four
samples, keeps one candidate per hash, and takes the longest; matches so have even lengths and even distances, and
literals come in pairs. Each block of 65536 samples gets its own Huffman codes, or is stored when they would not help.
"""

from __future__ import annotations

import threading

import deflate as libdeflate
import numpy as np

from .huffman import CODE_LENGTH_ORDER, canonical_codes, code_lengths, run_lengths
from .jit import kernel

BLOCK = 65536
"""Samples per DEFLATE block."""

WINDOW = 16383
"""Farthest match, in samples: DEFLATE's window is 32768 bytes."""

_LENGTH_BASE = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163]
_LENGTH_BASE = np.array([*_LENGTH_BASE, 195, 227, 258], np.int64)
_LENGTH_EXTRA = np.array([0] * 8 + [n for n in range(1, 6) for _ in range(4)] + [0], np.int64)
_DISTANCE_EXTRA = np.array([0, 0, *[n for n in range(14) for _ in range(2)]], np.int64)
_DISTANCE_BASE = np.concatenate([[1], 1 + np.cumsum(1 << _DISTANCE_EXTRA)[:-1]]).astype(np.int64)
# by length and distance in samples, that is, half of those in bytes
_LENGTH_SYMBOL = (np.searchsorted(_LENGTH_BASE, 2 * np.arange(129), side="right") - 1).clip(0).astype(np.uint8)
_DISTANCE_SYMBOL = (np.searchsorted(_DISTANCE_BASE, 2 * np.arange(WINDOW + 2), side="right") - 1).clip(0)
_DISTANCE_SYMBOL = _DISTANCE_SYMBOL.astype(np.uint8)

_U = np.uint64
_MATCH = np.uint32(0x80000000)
_MULTIPLIER = _U(0x9E3779B97F4A7C15)
_LOW32 = _U(0xFFFFFFFF)


def compress16(samples: np.ndarray, hash_bits: int = 16, use_four: bool = True) -> np.ndarray:
    """One zlib stream (RFC 1950) of 16-bit samples.

    Parameters
    ----------
    samples : contiguous array of int16 or uint16
    hash_bits : int
        Size of the hash tables: 2 ** hash_bits entries.
    use_four : bool
        Whether to look for matches of four samples first: smaller and slower.

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
    space = _workspace(flat.size, hash_bits, use_four)
    size = _encode(
        flat.view(np.uint16), hash_bits, use_four, *space, _LENGTH_SYMBOL, _DISTANCE_SYMBOL, _LENGTH_BASE,
        _LENGTH_EXTRA, _DISTANCE_BASE, _DISTANCE_EXTRA, CODE_LENGTH_ORDER,
    )  # fmt: skip
    out = space[0].view(np.uint8)
    out[size : size + 4] = np.frombuffer(libdeflate.adler32(flat).to_bytes(4, "big"), np.uint8)
    return out[: size + 4].copy()


_local = threading.local()


def _workspace(n: int, hash_bits: int, use_four: bool):
    """This thread's output buffer, hash tables and tokens; kept for its next chunk."""
    spaces = _local.__dict__.setdefault("spaces", {})
    # a stored block costs 5 bytes per 65535; Huffman tables of a block that is kept are part of its gain
    words = (2 * n + 5 * (2 * n // 65535 + n // BLOCK + 2) + 64) // 4 + 8
    out = spaces.get("out")
    if out is None or out.size < words:
        out = spaces["out"] = np.empty(words, np.uint32)
    key = hash_bits, use_four
    if key not in spaces:
        size = 1 << hash_bits
        spaces[key] = (
            np.empty(size, np.int32),
            np.empty(size, np.int32),
            np.empty(size if use_four else 1, np.int32),
            np.empty(BLOCK + 8, np.uint32),
        )
    return out, *spaces[key]


@kernel(inline="always")
def _hash(key, shift):
    return (key * _MULTIPLIER) >> shift


@kernel(inline="always")
def _flush(out, at, bits, n_bits):
    """Write 32 bits when there are as many."""
    if n_bits >= _U(32):
        out[at] = np.uint32(bits & _LOW32)
        at += 1
        bits >>= _U(32)
        n_bits -= _U(32)
    return at, bits, n_bits


@kernel
def _parse(u, first, last, hash_bits, use_four, head2, head3, head4, tokens, literals, lengths, distances, dist_symbol):
    """Matches and literals of one block.

    A token is a sample (literal) or 0x80000000 | length << 16 | distance (match). Counts literal bytes, match lengths
    (in samples) and distance symbols. Returns the number of tokens.
    """
    shift = _U(64 - hash_bits)
    n = 0
    i = first
    limit = last - 4
    while i < limit:
        key2 = _U(u[i]) | (_U(u[i + 1]) << _U(16))
        key3 = key2 | (_U(u[i + 2]) << _U(32))
        slot3 = _hash(key3 << _U(16), shift)
        slot2 = _hash(key2 << _U(32), shift)
        p3 = head3[slot3]
        head3[slot3] = i
        p2 = head2[slot2]
        head2[slot2] = i
        length = 0
        at = 0
        if use_four:
            slot4 = _hash(key3 | (_U(u[i + 3]) << _U(48)), shift)
            p4 = head4[slot4]
            head4[slot4] = i
            if (
                i - p4 <= WINDOW
                and u[p4] == u[i]
                and u[p4 + 1] == u[i + 1]
                and u[p4 + 2] == u[i + 2]
                and u[p4 + 3] == u[i + 3]
            ):
                length = 4
                at = p4
        if length == 0:
            if i - p3 <= WINDOW and u[p3] == u[i] and u[p3 + 1] == u[i + 1] and u[p3 + 2] == u[i + 2]:
                length = 3
                at = p3
            elif i - p2 <= WINDOW and u[p2] == u[i] and u[p2 + 1] == u[i + 1]:
                length = 2
                at = p2
        if length > 0:
            longest = min(128, last - i)
            while length < longest and u[at + length] == u[i + length]:
                length += 1
            distance = i - at
            tokens[n] = _MATCH | np.uint32(length << 16) | np.uint32(distance)
            lengths[length] += 1
            distances[dist_symbol[distance]] += 1
            for j in range(i + 1, min(i + length, limit)):
                key2 = _U(u[j]) | (_U(u[j + 1]) << _U(16))
                key3 = key2 | (_U(u[j + 2]) << _U(32))
                head3[_hash(key3 << _U(16), shift)] = j
                head2[_hash(key2 << _U(32), shift)] = j
                if use_four:
                    head4[_hash(key3 | (_U(u[j + 3]) << _U(48)), shift)] = j
            i += length
        else:
            value = u[i]
            tokens[n] = np.uint32(value)
            literals[value & 0xFF] += 1
            literals[value >> 8] += 1
            i += 1
        n += 1
    while i < last:
        value = u[i]
        tokens[n] = np.uint32(value)
        literals[value & 0xFF] += 1
        literals[value >> 8] += 1
        n += 1
        i += 1
    return n


@kernel
def _store(u, first, last, final, out, at, bits, n_bits):
    """Write samples as stored blocks; returns the state of the bit writer."""
    stored = first
    while stored < last:
        part = min(last - stored, 32767)
        is_last = final and stored + part == last
        bits |= (_U(1) if is_last else _U(0)) << n_bits
        n_bits += _U(3)
        n_bits = (n_bits + _U(7)) & ~_U(7)
        at, bits, n_bits = _flush(out, at, bits, n_bits)
        size = _U(2 * part)
        bits |= (size | ((size ^ _U(0xFFFF)) << _U(16))) << n_bits
        n_bits += _U(32)
        at, bits, n_bits = _flush(out, at, bits, n_bits)
        for i in range(stored, stored + part):
            bits |= _U(u[i]) << n_bits
            n_bits += _U(16)
            at, bits, n_bits = _flush(out, at, bits, n_bits)
        stored += part
    return at, bits, n_bits


@kernel
def _encode(
    u, hash_bits, use_four, out, head2, head3, head4, tokens, length_symbol, dist_symbol, length_base, length_extra,
    dist_base, dist_extra, order,
):  # fmt: skip
    """Two bytes of zlib header and all blocks into `out`; returns how many bytes there are."""
    n = u.size
    head2[:] = -40000
    head3[:] = -40000
    head4[:] = -40000
    lit_freq = np.zeros(286, np.int64)
    len_freq = np.zeros(129, np.int64)
    dist_freq = np.zeros(30, np.int64)
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
    match_bits = np.zeros(129, np.uint64)
    match_len = np.zeros(129, np.uint64)
    at = 0
    bits = _U(0x9C78)
    n_bits = _U(16)
    first = 0
    while True:
        last = min(first + BLOCK, n)
        final = last >= n
        lit_freq[:] = 0
        len_freq[:] = 0
        dist_freq[:] = 0
        n_tokens = _parse(
            u, first, last, hash_bits, use_four, head2, head3, head4, tokens, lit_freq, len_freq, dist_freq, dist_symbol
        )
        for length in range(2, 129):
            lit_freq[257 + length_symbol[length]] += len_freq[length]
        lit_freq[256] = 1
        code_lengths(lit_freq, 286, 15, lit_len)
        if code_lengths(dist_freq, 30, 15, dist_len) == 0:
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
            size += lit_freq[i] * lit_len[i]
        for i in range(29):
            size += lit_freq[257 + i] * length_extra[i]
        for i in range(30):
            size += dist_freq[i] * (dist_len[i] + dist_extra[i])
        if size >= 16 * (last - first) and last > first:
            at, bits, n_bits = _store(u, first, last, final, out, at, bits, n_bits)
        else:
            head = (_U(1) if final else _U(0)) | _U(4)
            head |= (_U(n_lit - 257) << _U(3)) | (_U(n_dist - 1) << _U(8)) | (_U(n_meta - 4) << _U(13))
            bits |= head << n_bits
            n_bits += _U(17)
            at, bits, n_bits = _flush(out, at, bits, n_bits)
            for i in range(n_meta):
                bits |= _U(meta_len[order[i]]) << n_bits
                n_bits += _U(3)
                at, bits, n_bits = _flush(out, at, bits, n_bits)
            for i in range(n_runs):
                symbol = run_symbol[i]
                bits |= _U(meta_code[symbol]) << n_bits
                n_bits += _U(meta_len[symbol])
                if symbol >= 16:
                    bits |= _U(run_extra[i]) << n_bits
                    n_bits += _U(2) if symbol == 16 else (_U(3) if symbol == 17 else _U(7))
                at, bits, n_bits = _flush(out, at, bits, n_bits)
            for length in range(2, 129):
                symbol = length_symbol[length]
                extra = _U(2 * length - length_base[symbol])
                match_bits[length] = _U(lit_code[257 + symbol]) | (extra << _U(lit_len[257 + symbol]))
                match_len[length] = _U(lit_len[257 + symbol] + length_extra[symbol])
            at, bits, n_bits = _emit(
                tokens, n_tokens, out, at, bits, n_bits, lit_code, lit_len, match_bits, match_len, dist_code, dist_len,
                dist_symbol, dist_base, dist_extra,
            )  # fmt: skip
            bits |= _U(lit_code[256]) << n_bits
            n_bits += _U(lit_len[256])
            at, bits, n_bits = _flush(out, at, bits, n_bits)
        first = last
        if final:
            break
    out[at] = np.uint32(bits & _LOW32)
    return 4 * at + int((n_bits + _U(7)) >> _U(3))


@kernel
def _emit(
    tokens, n_tokens, out, at, bits, n_bits, lit_code, lit_len, match_bits, match_len, dist_code, dist_len, dist_symbol,
    dist_base, dist_extra,
):  # fmt: skip
    """Write the tokens of a block; a literal pair takes at most 30 bits, a match 20 + 28."""
    code = np.empty(256, np.uint64)
    length = np.empty(256, np.uint64)
    for i in range(256):
        code[i] = _U(lit_code[i])
        length[i] = _U(lit_len[i])
    for i in range(n_tokens):
        token = tokens[i]
        if token & _MATCH:
            samples = (token >> np.uint32(16)) & np.uint32(0x7FFF)
            distance = token & np.uint32(0xFFFF)
            symbol = dist_symbol[distance]
            bits |= match_bits[samples] << n_bits
            n_bits += match_len[samples]
            at, bits, n_bits = _flush(out, at, bits, n_bits)
            extra = _U(2 * np.int64(distance) - dist_base[symbol])
            bits |= (_U(dist_code[symbol]) | (extra << _U(dist_len[symbol]))) << n_bits
            n_bits += _U(dist_len[symbol] + dist_extra[symbol])
        else:
            low = token & np.uint32(255)
            high = token >> np.uint32(8)
            bits |= (code[low] | (code[high] << length[low])) << n_bits
            n_bits += length[low] + length[high]
        at, bits, n_bits = _flush(out, at, bits, n_bits)
    return at, bits, n_bits
