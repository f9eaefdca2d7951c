"""Deflate blocks (RFC 1951) read from the middle of a stream, where the bytes that they repeat are not known yet.

`find_block` finds where one begins; `parse` reads blocks into tokens, which is most of the work of inflating, and
`resolve` turns these into bytes once all bytes before them are there.

A token is `literals << 24 | length << 15 | distance - 1`: so many bytes of their own, then so many repeated ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .huffman import (
    CODE_LENGTH_ORDER,
    DISTANCE_BASE,
    DISTANCE_EXTRA,
    LENGTH_BASE,
    LENGTH_EXTRA,
    canonical_codes,
)
from .jit import kernel, load64, store64

TOKENS_MARGIN, LITERALS_MARGIN = 2, 8
"""Room that `tokens` and `literals` need beyond what they can hold; literals are written and read eight at a time."""

_U = np.uint64
_0, _1, _3, _7, _8, _16 = (_U(n) for n in (0, 1, 3, 7, 8, 16))
_SYMBOL_BITS, _DISTANCE_BITS = 11, 10  # what is looked up at once; two codes in one look-up, where they fit
_MOST_LITERALS = 250  # and then two and one more; a token has room for 255

# What the next bits stand for: how many they are (6 bits), and without the extra ones (5), the kind (2), how many
# literals (2), from bit 16 on the smallest length or distance, from bit 32 on up to two literals.
_ALL, _CODE = _U(63), _U(31)
_LITERALS, _LENGTH, _END, _INVALID = range(4)


def _meanings(kinds: list[int], extras: list[int], values: list[int]) -> np.ndarray:
    rows = zip(kinds, extras, values, strict=True)
    return np.array([value << 16 | kind << 11 | extra for kind, extra, value in rows], np.uint64)


_SYMBOLS = _meanings(
    [_LITERALS] * 256 + [_END] + [_LENGTH] * 29 + [_INVALID] * 2, [0] * 257 + [*LENGTH_EXTRA, 0, 0],
    [*(literal << 16 for literal in range(256)), 0, *LENGTH_BASE, 0, 0],
)  # fmt: skip
_SYMBOLS[:256] |= np.uint64(1 << 13)
_DISTANCES = _meanings([_LENGTH] * 30 + [_INVALID] * 2, [*DISTANCE_EXTRA, 0, 0], [*DISTANCE_BASE, 0, 0])
_FIXED_LENGTHS = np.array([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8 + [5] * 32, np.uint8)


@kernel
def find_block(stream, first, last):
    """The first bit, from `first` to `last` (excluded), at which a block with codes of its own can begin; -1: none.

    One that is not the stream's last block. Noise passes for one in about one of 10^9 places.
    """
    lengths = np.empty(320, np.uint8)
    for at in range(first, last):
        bits = _peek(stream, _U(at))
        if bits & _7 != 4 or (bits >> _3) & _U(31) > 29 or (bits >> _8) & _U(31) > 29:
            continue
        n_codes = 4 + ((bits >> _U(13)) & _U(15))
        bits = _peek(stream, _U(at) + _U(17))
        room = 0
        for _ in range(n_codes):
            if bits & _7:
                room += 128 >> (bits & _7)
            bits >>= _3
        if room == 128 and _read_codes(stream, _U(at) + _3, lengths)[0]:
            return at
    return -1


@kernel
def parse(stream, begin, end, tokens, literals):
    """Read the blocks from bit `begin` to bit `end`, where the next one begins, or the last byte after the last block.

    Returns how many tokens there are, or -1 where there are no such blocks, or `tokens` or `literals` have no room.
    Blocks that are stored as they are are not read.
    """
    lengths = np.empty(320, np.uint8)
    symbols = np.empty(1 << _SYMBOL_BITS, np.uint64)
    distances = np.empty(1 << _DISTANCE_BITS, np.uint64)
    counts = np.empty((2, 16), np.int64)
    ordered = np.empty((2, 320), np.uint16)
    at = _U(begin)
    stop = _U(end)
    n_tokens = n_literals = run = is_last = _0
    if tokens.size < TOKENS_MARGIN or literals.size < LITERALS_MARGIN:
        return -1
    while at != stop and not is_last:
        head = _peek(stream, at)
        is_last = head & _1
        kind = (head >> _1) & _3
        at += _3
        if kind == 2:
            at, n_symbols, n_distances = _read_codes(stream, at, lengths)
        elif kind == 1:
            n_symbols, n_distances = 288, 32
            lengths[:] = _FIXED_LENGTHS
        else:
            at = _0
        if at == 0:
            return -1
        _index(lengths[:n_symbols], _SYMBOLS, symbols, counts[0], ordered[0])
        _pair(symbols)
        _index(lengths[n_symbols : n_symbols + n_distances], _DISTANCES, distances, counts[1], ordered[1])
        at, n_tokens, n_literals, run = _parse_symbols(
            stream, at, symbols, distances, counts, ordered, tokens, n_tokens, literals, n_literals, run
        )
        if at == 0 or at > stop:
            return -1
    if at + _7 < stop:
        return -1
    if run:
        tokens[n_tokens] = np.uint32(run << _U(24))
        n_tokens += _1
    return np.int64(n_tokens)


@kernel
def _parse_symbols(stream, at, symbols, distances, counts, ordered, tokens, n_tokens, literals, n_literals, run):
    """`parse` from the first symbol of a block to its end, after `run` literals that are in no token yet.

    Returns the bit after it, or 0 where there is no such block, and the three numbers as they are then.
    """
    failed = (_0, n_tokens, n_literals, run)
    most_tokens = _U(tokens.size - TOKENS_MARGIN)
    most_literals = _U(literals.size - LITERALS_MARGIN)
    byte = (at >> _3) + _1
    held = _8 - (at & _7)
    bits = _peek(stream, at) & ((_1 << held) - _1)
    while True:
        if n_tokens > most_tokens or n_literals > most_literals:
            return failed
        bits |= _load(stream, byte) << held  # to 56 bits or more; two codes have 48 at most
        byte += (_U(63) - held) >> _3
        held |= _U(56)
        entry = symbols[bits & _U(symbols.size - 1)]
        if entry == 0:
            entry = _search(bits, counts[0], ordered[0], _SYMBOLS)
        store64(literals, n_literals, entry >> _U(32))
        n = (entry >> _U(13)) & _3
        n_literals += n
        run += n
        all_bits = entry & _ALL
        kind = (entry >> _U(11)) & _3
        if kind == _LENGTH:
            length = ((entry >> _U(16)) & _U(511)) + _extra(bits, entry)
            bits >>= all_bits
            held -= all_bits
            entry = distances[bits & _U(distances.size - 1)]
            if entry == 0:
                entry = _search(bits, counts[1], ordered[1], _DISTANCES)
            if (entry >> _U(11)) & _3 != _LENGTH:
                return failed
            distance = (entry >> _U(16)) + _extra(bits, entry)
            all_bits = entry & _ALL
            bits >>= all_bits
            held -= all_bits
            tokens[n_tokens] = np.uint32(run << _U(24) | length << _U(15) | (distance - _1))
            n_tokens += _1
            run = _0
            continue
        bits >>= all_bits
        held -= all_bits
        if kind == _INVALID:
            return failed
        if kind == _END:
            return _8 * byte - held, n_tokens, n_literals, run
        if run > _MOST_LITERALS:
            tokens[n_tokens] = np.uint32(run << _U(24))
            n_tokens += _1
            run = _0


@kernel
def resolve(tokens, literals, out, at):
    """Write what `tokens` say to `out` from place `at` on; the place after it, or -1 where they do not fit there."""
    place = _U(at)
    literal = _0
    size = _U(out.size)
    for token in tokens:
        n = _U(token) >> _U(24)
        length = (_U(token) >> _U(15)) & _U(511)
        distance = (_U(token) & _U(32767)) + _1
        end = place + n + length
        if end > size or (length > 0 and distance > place + n):
            return -1
        source = place + n - distance
        if distance >= 16 and end + _16 <= size:
            store64(out, place, load64(literals, literal))
            for i in range(_8, n, _8):
                store64(out, place + i, load64(literals, literal + i))
            place += n
            store64(out, place, load64(out, source))
            store64(out, place + _8, load64(out, source + _8))
            for i in range(_16, length, _8):
                store64(out, place + i, load64(out, source + i))
        else:
            for i in range(n):
                out[place + i] = literals[literal + i]
            place += n
            for i in range(length):
                out[place + i] = out[source + i]
        literal += n
        place = end
    return np.int64(place)


@kernel
def _peek(stream, at):
    """At least 57 bits from bit `at` on; zeros stand for what is beyond the end."""
    return _load(stream, at >> _3) >> (at & _7)


@kernel
def _load(stream, byte):
    """The eight bytes from `byte` on; zeros stand for what is beyond the end."""
    if byte + _8 <= _U(stream.size):
        return load64(stream, byte)
    bits = _0
    for i in range(byte, _U(stream.size)):
        bits |= _U(stream[i]) << (_8 * (_U(i) - byte))
    return bits


@kernel
def _extra(bits, entry):
    """The bits that follow a code, which are added to the smallest length or distance."""
    code = (entry >> _U(6)) & _CODE
    return (bits >> code) & ((_1 << ((entry & _ALL) - code)) - _1)


@kernel
def _read_codes(stream, at, lengths):
    """Code lengths of a block, from the bit after its type on; bit after them and how many of both codes, or zeros."""
    failed = (_0, 0, 0)
    bits = _peek(stream, at)
    n_symbols = 257 + np.int64(bits & _U(31))
    n_distances = 1 + np.int64((bits >> _U(5)) & _U(31))
    n_codes = 4 + np.int64((bits >> _U(10)) & _U(15))
    at += _U(14)
    bits = _peek(stream, at)
    own = np.zeros(19, np.uint8)
    for i in range(n_codes):
        own[CODE_LENGTH_ORDER[i]] = bits & _7
        bits >>= _3
    at += _U(3 * n_codes)
    if n_symbols > 286 or n_distances > 30 or not _is_complete(own, 7):
        return failed
    index = np.empty(128, np.uint8)  # symbol << 3 | bits of the code
    codes = np.empty(19, np.int64)
    canonical_codes(own, 19, codes)
    for symbol in range(19):
        if own[symbol]:
            for place in range(codes[symbol], 128, 1 << own[symbol]):
                index[place] = symbol << 3 | own[symbol]
    n = n_symbols + n_distances
    i = 0
    while i < n:
        bits = _peek(stream, at)
        entry = index[bits & _U(127)]
        code = _U(entry & 7)
        symbol = entry >> 3
        bits >>= code
        at += code
        if symbol < 16:
            lengths[i] = symbol
            i += 1
            continue
        value = np.uint8(0)
        if symbol == 16:
            if i == 0:
                return failed
            value = lengths[i - 1]
            times = 3 + np.int64(bits & _3)
            at += _U(2)
        elif symbol == 17:
            times = 3 + np.int64(bits & _7)
            at += _3
        else:
            times = 11 + np.int64(bits & _U(127))
            at += _7
        if i + times > n:
            return failed
        for _ in range(times):
            lengths[i] = value
            i += 1
    is_lone = (lengths[n_symbols:n] > 0).sum() <= 1  # one distance, or none, needs no complete code
    if lengths[256] == 0 or not _is_complete(lengths[:n_symbols], 15):
        return failed
    if not is_lone and not _is_complete(lengths[n_symbols:n], 15):
        return failed
    return at, n_symbols, n_distances


@kernel
def _is_complete(lengths, longest):
    room = 0
    for length in lengths:
        if length:
            room += (1 << longest) >> length
    return room == 1 << longest


@kernel
def _index(lengths, meaning, index, counts, ordered):
    """What the next bits stand for, by their value; 0 for codes that are too long, or not there.

    `counts` and `ordered` receive what `_search` finds the longer ones with.
    """
    counts[:] = 0
    for length in lengths:
        counts[length] += 1
    counts[0] = 0
    first = np.zeros(17, np.int64)
    for length in range(1, 16):
        first[length + 1] = first[length] + counts[length]
    codes = np.empty(lengths.size, np.int64)
    canonical_codes(lengths, lengths.size, codes)
    index[:] = 0
    for symbol in range(lengths.size):
        length = np.int64(lengths[symbol])
        if length == 0:
            continue
        ordered[first[length]] = symbol
        first[length] += 1
        if 1 << length <= index.size:
            entry = meaning[symbol] + _U(length | length << 6)
            for place in range(codes[symbol], index.size, 1 << length):
                index[place] = entry


@kernel
def _pair(index):
    """Join to what is a literal what the bits after it stand for, as far as they belong to the index."""
    for i in range(index.size - 1, -1, -1):
        first = index[i]
        if first == 0 or (first >> _U(11)) & _3 != _LITERALS:
            continue
        n_bits = first & _ALL
        second = index[_U(i) >> n_bits]
        fits = _1 << ((second >> _U(6)) & _CODE) + n_bits <= _U(index.size)
        if second != 0 and fits and (second >> _U(11)) & _3 <= _LENGTH:
            index[i] = first + (second & _U(0xFFFFFFFF)) + (second >> _U(32) << _U(40))


@kernel
def _search(bits, counts, ordered, meaning):
    """The same for a code of any length, bit by bit."""
    code: Any = 0
    first = 0
    begin = 0
    for length in range(1, 16):
        code |= np.int64(bits & _1)
        bits >>= _1
        if code - first < counts[length]:
            return meaning[ordered[begin + code - first]] + _U(length | length << 6)
        begin += counts[length]
        first = (first + counts[length]) << 1
        code <<= 1
    return _U(_INVALID << 11)
