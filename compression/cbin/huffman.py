"""Huffman codes as DEFLATE wants them (RFC 1951, 3.2.2 and 3.2.7): lengths limited, canonical, bit-reversed."""

from __future__ import annotations

import numpy as np

from .jit import kernel

CODE_LENGTH_ORDER = np.array([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15], np.int64)
"""Order in which the lengths of the code length codes are written."""

LENGTH_BASE = np.array(
    [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258]
)
LENGTH_EXTRA = np.array([0] * 8 + [n for n in range(1, 6) for _ in range(4)] + [0], np.int64)
DISTANCE_EXTRA = np.array([0, 0, *[n for n in range(14) for _ in range(2)]], np.int64)
DISTANCE_BASE = np.concatenate([[1], 1 + np.cumsum(1 << DISTANCE_EXTRA)[:-1]])
"""Of the symbols of match lengths (from 257 on) and distances: the smallest, and how many bits are added to it."""


@kernel
def code_lengths(frequency, n, max_bits, lengths):
    """Huffman code lengths of the first `n` symbols, none above `max_bits`; 0 for symbols that do not occur.

    Two-queue construction on sorted frequencies; codes that are too long are cut, and the Kraft sum is brought back
    to one by lengthening the longest codes that can still grow. Returns how many symbols occur.
    """
    lengths[:n] = 0
    symbols = np.empty(n, np.int64)
    m = 0
    for i in range(n):
        if frequency[i] > 0:
            symbols[m] = i
            m += 1
    if m == 0:
        return 0
    if m == 1:
        lengths[symbols[0]] = 1
        return 1
    counts = np.empty(m, np.int64)
    for i in range(m):
        counts[i] = frequency[symbols[i]]
    order = np.argsort(counts)
    weight = np.empty(2 * m, np.int64)
    parent = np.zeros(2 * m, np.int64)
    for i in range(m):
        weight[i] = counts[order[i]]
    leaf = 0
    inner = m
    for node in range(m, 2 * m - 1):
        total = 0
        for _ in range(2):
            if leaf < m and (inner >= node or weight[leaf] <= weight[inner]):
                child = leaf
                leaf += 1
            else:
                child = inner
                inner += 1
            parent[child] = node
            total += weight[child]
        weight[node] = total
    depth = np.zeros(2 * m, np.int64)
    for node in range(2 * m - 3, -1, -1):
        depth[node] = depth[parent[node]] + 1

    one = 1 << max_bits
    kraft = 0
    for i in range(m):
        depth[i] = min(depth[i], max_bits)
        kraft += one >> depth[i]
    while kraft > one:
        best = -1
        for i in range(m):
            if depth[i] < max_bits and (best < 0 or depth[i] > depth[best]):
                best = i
        kraft -= one >> (depth[best] + 1)
        depth[best] += 1
    for i in range(m - 1, -1, -1):
        while depth[i] > 1 and kraft + (one >> depth[i]) <= one:
            kraft += one >> depth[i]
            depth[i] -= 1
    for i in range(m):
        lengths[symbols[order[i]]] = depth[i]
    return m


@kernel
def canonical_codes(lengths, n, codes):
    """The canonical code of each symbol, its bits reversed so that it can be written least significant bit first."""
    count = np.zeros(17, np.int64)
    following = np.zeros(17, np.int64)
    for i in range(n):
        count[lengths[i]] += 1
    count[0] = 0
    code = 0
    for bits in range(1, 16):
        code = (code + count[bits - 1]) << 1
        following[bits] = code
    for i in range(n):
        length = lengths[i]
        reversed_code = 0
        if length > 0:
            code = following[length]
            following[length] += 1
            for bit in range(length):
                reversed_code |= ((code >> bit) & 1) << (length - 1 - bit)
        codes[i] = reversed_code


@kernel
def run_lengths(lengths, n, symbols, extras, frequency):
    """Code lengths as DEFLATE transmits them: symbols 0-15 literally, 16 repeats, 17 and 18 runs of zeros.

    Fills `symbols`, their `extras` and the `frequency` of the 19 symbols; returns how many symbols there are.
    """
    frequency[:] = 0
    count = 0
    at = 0
    while at < n:
        value = lengths[at]
        run = 1
        while at + run < n and lengths[at + run] == value:
            run += 1
        at += run
        if value == 0:
            while run >= 11:
                part = min(run, 138)
                symbols[count] = 18
                extras[count] = part - 11
                frequency[18] += 1
                count += 1
                run -= part
            if run >= 3:
                symbols[count] = 17
                extras[count] = run - 3
                frequency[17] += 1
                count += 1
                run = 0
        else:
            symbols[count] = value
            frequency[value] += 1
            count += 1
            run -= 1
            while run >= 3:
                part = min(run, 6)
                symbols[count] = 16
                extras[count] = part - 3
                frequency[16] += 1
                count += 1
                run -= part
        for _ in range(run):
            symbols[count] = value
            frequency[value] += 1
            count += 1
    return count
