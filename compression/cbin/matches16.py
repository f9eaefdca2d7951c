"""Finding repeats in 16-bit samples for DEFLATE: a quick greedy search, and one that weighs what each choice costs.

Both keep, for each hash of two, three or four samples, only the place it was last seen: the nearest, hence the
cheapest. A token is a sample (a literal of two bytes) or `MATCH | length << 16 | distance`, in samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import kernel, load64, pick

WINDOW = 16383
"""Farthest match, in samples: DEFLATE's window is 32768 bytes."""

LONGEST = 128
"""Longest match, in samples: DEFLATE's is 258 bytes."""

SEGMENT = 8192
"""Samples that are searched and weighed at a time; what belongs to them fits in the processor's cache."""

NO_MATCH = 30
"""Distance symbol of distance 0, which DEFLATE has not: it stands for "no match", at a price nothing can pay."""

MATCH = np.uint32(0x80000000)
UNPAYABLE = 1 << 24
PRICE_UNIT = 16
"""Prices are in sixteenths of a bit."""

_U = np.uint64
_MULTIPLIER = _U(0x9E3779B97F4A7C15)
_16 = _U(0xFFFF)
_0 = _U(0)
_1 = _U(1)


@kernel
def find_nearest(u, first, last, hash_bits, length, heads, nearest):
    """Distance of the nearest earlier repeat of `length` (2 to 4) samples, for each sample from `first` to `last`.

    `heads` holds the low 16 bits of the place each hash was last seen; what is older than the window may alias into
    it, so every candidate is compared. 0 where there is none.
    """
    drop = _U(64 - 16 * length)
    shift = _U(64 - hash_bits)
    n = u.size
    stop = _U(max(first, min(last, n - 4)))
    i = _U(first)
    j = _0
    while i < stop:
        key = load64(u, i) << drop
        slot = (key * _MULTIPLIER) >> shift
        distance = (i - _U(heads[slot])) & _16
        heads[slot] = np.uint16(i)
        distance = pick(distance <= min(_U(WINDOW), i), distance, _0)
        other = load64(u, i - distance) << drop
        nearest[j] = np.uint16(pick(other == key, distance, _0))
        i += _1
        j += _1
    for k in range(j, last - first):
        nearest[k] = 0


@kernel
def find_nearest_two(u, first, last, hash_bits, short, long, short_heads, long_heads, short_found, long_found):
    """`find_nearest` for two lengths in one pass."""
    short_drop = _U(64 - 16 * short)
    long_drop = _U(64 - 16 * long)
    shift = _U(64 - hash_bits)
    n = u.size
    stop = _U(max(first, min(last, n - 4)))
    i = _U(first)
    j = _0
    while i < stop:
        key = load64(u, i)
        short_key = key << short_drop
        long_key = key << long_drop
        short_slot = (short_key * _MULTIPLIER) >> shift
        long_slot = (long_key * _MULTIPLIER) >> shift
        place = np.uint16(i)
        near = (i - _U(short_heads[short_slot])) & _16
        short_heads[short_slot] = place
        far = (i - _U(long_heads[long_slot])) & _16
        long_heads[long_slot] = place
        limit = min(_U(WINDOW), i)
        near = pick(near <= limit, near, _0)
        far = pick(far <= limit, far, _0)
        short_found[j] = np.uint16(pick(load64(u, i - near) << short_drop == short_key, near, _0))
        long_found[j] = np.uint16(pick(load64(u, i - far) << long_drop == long_key, far, _0))
        i += _1
        j += _1
    for k in range(j, last - first):
        short_found[k] = 0
        long_found[k] = 0


@kernel
def weigh(u, first, last, short, long, short_found, long_found, cost, choice, prices, distance_symbol):
    """The cheapest way to write the samples from `first` to `last` with the repeats found in them.

    Backwards from the end: what is left costs least with a literal, a match of `short` samples, or one of `long` or
    more (as far as the next samples' long repeats have the same distance). Leaves the length chosen at each sample in
    `choice`, and returns the whole price.

    `cost` has room for SEGMENT + LONGEST + 8 numbers, none of them negative.
    `prices`: of literal bytes (0-255), match lengths (256 + samples), and distance symbols (512 + symbol).
    """
    n = last - first
    cost[n] = 0
    cost[n + 1 : n + 8] = 1 << 28
    short_length = _U(short)
    long_length = _U(long)
    short_price = prices[256 + short]
    after = np.int32(0)
    run = _0
    last_distance = np.uint16(0)
    end = _U(max(n - long, 0))
    longest = _U(LONGEST)
    i = _U(n)
    while i > _0:
        i -= _1
        sample = u[_U(first) + i]
        distance = long_found[i]
        longer = pick(run < longest, run + _1, longest)
        run = pick((distance == last_distance) & (run >= long_length), longer, long_length)
        run = pick((distance == np.uint16(0)) | (i > end), _0, run)
        last_distance = distance
        best = prices[_U(256) + run] + prices[_U(512) + _U(distance_symbol[distance])] + cost[i + run]
        length = run
        price = short_price + prices[_U(512) + _U(distance_symbol[short_found[i]])] + cost[i + short_length]
        cheaper = price < best
        best = pick(cheaper, price, best)
        length = pick(cheaper, short_length, length)
        price = prices[sample & np.uint16(255)] + prices[sample >> np.uint16(8)] + after
        cheaper = price < best
        best = pick(cheaper, price, best)
        length = pick(cheaper, _1, length)
        cost[i] = best
        choice[i] = np.uint8(length)
        after = best
    return cost[0]


@kernel
def weigh_three(u, first, last, found2, found3, found4, cost, choice, prices, distance_symbol):
    """`weigh` with matches of two, three, and four or more samples."""
    n = last - first
    unpayable = np.int32(1 << 28)
    cost[n] = 0
    cost[n + 1 : n + 8] = unpayable
    price2 = prices[256 + 2]
    price3 = prices[256 + 3]
    after = np.int32(0)
    after2 = unpayable
    after3 = unpayable
    run = _0
    last_distance = np.uint16(0)
    end = _U(max(n - 4, 0))
    longest = _U(LONGEST)
    i = _U(n)
    while i > _0:
        i -= _1
        sample = u[_U(first) + i]
        distance = found4[i]
        longer = pick(run < longest, run + _1, longest)
        run = pick((distance == last_distance) & (run >= _U(4)), longer, _U(4))
        run = pick((distance == np.uint16(0)) | (i > end), _0, run)
        last_distance = distance
        best = prices[_U(256) + run] + prices[_U(512) + _U(distance_symbol[distance])] + cost[i + run]
        length = run
        price = price3 + prices[_U(512) + _U(distance_symbol[found3[i]])] + after3
        cheaper = price < best
        best = pick(cheaper, price, best)
        length = pick(cheaper, _U(3), length)
        price = price2 + prices[_U(512) + _U(distance_symbol[found2[i]])] + after2
        cheaper = price < best
        best = pick(cheaper, price, best)
        length = pick(cheaper, _U(2), length)
        price = prices[sample & np.uint16(255)] + prices[sample >> np.uint16(8)] + after
        cheaper = price < best
        best = pick(cheaper, price, best)
        length = pick(cheaper, _1, length)
        cost[i] = best
        choice[i] = np.uint8(length)
        after3 = after2
        after2 = after
        after = best
    return cost[0]


@kernel
def write_tokens(u, first, last, found2, found3, found4, choice, tokens, n, literals, lengths, distances, symbol):
    """Follow the choices of `weigh` from the first sample on; returns the number of tokens after them.

    `found2`, `found3`, `found4`: where the distance of a match of two, three, and more samples stands.
    """
    i: Any = 0
    while i < last - first:
        length = np.int64(choice[i])
        if length == 1:
            value = u[first + i]
            tokens[n] = np.uint32(value)
            literals[value & 0xFF] += 1
            literals[value >> 8] += 1
        else:
            distance = pick(length == 2, found2[i], pick(length == 3, found3[i], found4[i]))
            tokens[n] = MATCH | np.uint32(length << 16) | np.uint32(distance)
            lengths[length] += 1
            distances[symbol[distance]] += 1
        n += 1
        i += length
    return n


@kernel
def take_greedily(u, first, last, hash_bits, heads2, heads3, tokens, literals, lengths, distances, symbol):
    """Tokens of a block, where each sample takes the match of three or else two samples that is there, extended.

    Four samples before the end of the block only literals are used. Returns the number of tokens.
    """
    shift = _U(64 - hash_bits)
    n = 0
    i = first
    limit = last - 4
    while i < limit:
        key = load64(u, _U(i))
        slot3 = ((key << _U(16)) * _MULTIPLIER) >> shift
        slot2 = ((key << _U(32)) * _MULTIPLIER) >> shift
        reach = min(_U(WINDOW), _U(i))
        far = (_U(i) - _U(heads3[slot3])) & _16
        heads3[slot3] = np.uint16(i)
        near = (_U(i) - _U(heads2[slot2])) & _16
        heads2[slot2] = np.uint16(i)
        length = 0
        distance: Any = 0
        if _0 < far <= reach and (load64(u, _U(i) - far) ^ key) << _U(16) == _0:
            length = 3
            distance = np.int64(far)
        elif _0 < near <= reach and (load64(u, _U(i) - near) ^ key) << _U(32) == _0:
            length = 2
            distance = np.int64(near)
        if length > 0:
            longest = min(LONGEST, last - i)
            while length < longest and u[i - distance + length] == u[i + length]:
                length += 1
            tokens[n] = MATCH | np.uint32(length << 16) | np.uint32(distance)
            lengths[length] += 1
            distances[symbol[distance]] += 1
            j = i + 1
            stop = min(i + length, limit)
            while j < stop:
                key = load64(u, _U(j))
                heads3[((key << _U(16)) * _MULTIPLIER) >> shift] = np.uint16(j)
                heads2[((key << _U(32)) * _MULTIPLIER) >> shift] = np.uint16(j)
                j += 1
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
def set_prices(literals, lengths, distances, length_symbol, length_extra, distance_extra, prices):
    """Prices from how often each literal byte, match length and distance symbol occurred in the block before.

    What did not occur counts as a third of once.
    """
    total = 1.0
    for i in range(256):
        total += literals[i] + 0.3
    by_symbol = np.full(29, 0.3)
    for length in range(2, LONGEST + 1):
        by_symbol[length_symbol[length]] += lengths[length]
    for i in range(29):
        total += by_symbol[i]
    all_distances = 0.0
    for i in range(30):
        all_distances += distances[i] + 0.3
    prices[:] = UNPAYABLE
    for i in range(256):
        prices[i] = round(PRICE_UNIT * np.log2(total / (literals[i] + 0.3)))
    for length in range(2, LONGEST + 1):
        symbol = length_symbol[length]
        prices[256 + length] = round(PRICE_UNIT * (np.log2(total / by_symbol[symbol]) + length_extra[symbol]))
    for i in range(30):
        bits = np.log2(all_distances / (distances[i] + 0.3)) + distance_extra[i]
        prices[512 + i] = round(PRICE_UNIT * bits)
