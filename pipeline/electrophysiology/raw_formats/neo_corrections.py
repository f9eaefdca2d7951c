"""What neo leaves out of files of Plexon and SpikeGadgets, or reads wrongly.

The bits of continuous samples, the last block, pauses, lost packets, digital lines.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np

_PLEXON_BITS = (202, 203)
"""Where the header of a .plx file states the bits of a sample of spikes, and of continuous samples."""
_PACKETS = 1 << 22
"""Packets of which the counts are read at once."""


def bits_of_plexon(path: Path) -> float:
    """By what the gains of neo are to be multiplied: it takes the bits of spikes for those of continuous samples."""
    with path.open("rb") as file:
        header = file.read(_PLEXON_BITS[1] + 1)
    version = int.from_bytes(header[4:8], "little")
    of_spikes, of_samples = (header[place] for place in _PLEXON_BITS)
    return 2.0 ** (of_spikes - of_samples) if version >= 103 and of_spikes and of_samples else 1.0


def plexon_counts(reader: Any, stream: int) -> tuple[np.ndarray, np.ndarray, float]:
    """First sample of each block of a stream, the count of the device at it, and how fast it counts (Hz)."""
    blocks = _plexon_blocks(reader, stream)[0]
    return blocks["cumsum"], blocks["timestamp"], float(reader._global_ssampling_rate)


def spikegadgets_counts(reader: Any, stream: int) -> tuple[np.ndarray, np.ndarray, float]:
    """The same of packets: every sample has the count of the device; those beside pauses are enough."""
    place, packets = reader._timestamp_byte, reader._raw_memmap
    first, counts, before = [np.zeros(1, np.int64)], [], None
    for start in range(0, len(packets), _PACKETS):
        some = np.ascontiguousarray(packets[start : start + _PACKETS, place : place + 4]).view("<u4").ravel()
        steps = np.diff(some, prepend=some[:1] - np.uint32(1) if before is None else before)  # modulo 2^32
        jumps = np.flatnonzero(steps != 1)
        if before is None:
            counts.append(some[:1].astype(np.int64))
        first.append(start + jumps)
        counts.append(steps[jumps].astype(np.int32).astype(np.int64))
        before = some[-1:]
    if before is None:
        return np.empty(0, np.int64), np.empty(0, np.int64), 1.0
    at, steps = np.concatenate(first), np.concatenate(counts)
    return at, np.cumsum(np.concatenate([steps[:1], np.diff(at) - 1 + steps[1:]])), float(reader._sampling_rate)


COUNTS = {"plexon": plexon_counts, "spikegadgets": spikegadgets_counts}
"""Systems whose pauses neo does not tell -> function that does."""


def plexon_samples(reader: Any, stream: int, first: int, last: int) -> np.ndarray:
    """Samples (n, n_channels) of a stream; where neo is asked up to the end of a block, it leaves that block at 0."""
    channels = _plexon_blocks(reader, stream)
    samples = np.zeros((last - first, len(channels)), np.int16)
    for column, blocks in enumerate(channels):
        low = max(0, int(np.searchsorted(blocks["cumsum"], first, side="right")) - 1)
        high = int(np.searchsorted(blocks["cumsum"], last, side="left"))
        for begin, size, place in blocks[["cumsum", "size", "pos"]][low:high].tolist():
            some = reader._memmap[place : place + size].view("<i2")[max(0, first - begin) : max(0, last - begin)]
            at = max(begin, first) - first
            samples[at : at + len(some), column] = some
    return samples


def _plexon_blocks(reader: Any, stream: int) -> list[np.ndarray]:
    """The blocks of each channel of a stream: first sample, count at it, place and size (byte)."""
    channels = reader.header["signal_channels"]
    own = channels[channels["stream_id"] == reader.header["signal_streams"][stream]["id"]]
    return [reader._data_blocks[5][int(value)] for value in own["id"].tolist()]


def plexon_lines(reader: Any, stream: int) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Event channel -> samples of a stream at which its events are, and 1 for each: the file has no ends of events."""
    first, counts, rate = plexon_counts(reader, stream)
    own = reader.header["signal_channels"]["stream_id"] == reader.header["signal_streams"][stream]["id"]
    per_count = float(reader.header["signal_channels"]["sampling_rate"][own][0]) / rate
    lines = {}
    for channel, events in reader._data_blocks[4].items():
        if len(events) and channel < _FIRST_SPECIAL and len(first):
            block = np.searchsorted(counts, events["timestamp"], side="right") - 1
            inside = events["timestamp"] - counts[block]
            samples = np.round(first[block] + inside * per_count).astype(np.int64)
            last = np.append(first[1:], np.iinfo(np.int64).max)[block]
            kept = (block >= 0) & (samples < last)  # not within a pause
            lines[int(channel)] = samples[kept], np.ones(int(kept.sum()), np.int8)
    return lines


_FIRST_SPECIAL = 257
"""Event channels from this one on hold strobed words, starts and stops."""


def plexon_line_names(reader: Any) -> dict[int, str]:
    """Event channel -> its name, where the file gives it one of its own."""
    channels = reader.header["event_channels"]
    pairs = zip(channels["id"].tolist(), channels["name"].tolist(), strict=True)
    return {int(number): str(name) for number, name in pairs if str(number).isdecimal() and str(name).strip()}


class _Input(NamedTuple):
    """A digital input of SpikeGadgets."""

    name: str
    place: int  # byte of the packet
    bit: int


def _spikegadgets_inputs(path: Path) -> list[_Input]:
    """The digital inputs as the header lists them."""
    header = b""
    with path.open("rb") as file:
        for text in file:
            header += text
            if b"</Configuration>" in text:
                break
    if b"<!ENTITY" in header:
        return []
    devices = ElementTree.fromstring(header.decode("utf-8", "replace")).find("HardwareConfiguration")  # noqa: S314 - no entities
    inputs: list[_Input] = []
    offset = 1
    for device in devices if devices is not None else ():
        inputs += [
            _Input(channel.get("id", ""), offset + int(channel.get("startByte", 0)), int(channel.get("bit", 0)))
            for channel in device
            if channel.get("dataType") == "digital" and channel.get("input") == "1"
        ]
        offset += int(device.get("numBytes", 0))
    return inputs


def spikegadgets_line_names(path: Path) -> dict[int, str]:
    """Digital input -> its name."""
    return {line: one.name for line, one in enumerate(_spikegadgets_inputs(path)) if one.name}


def spikegadgets_lines(reader: Any, path: Path) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Digital input -> samples and polarities of its changes; inputs are numbered as the header lists them."""
    changes: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for line, (_, place, bit) in enumerate(_spikegadgets_inputs(path)):
        before, at, polarities = None, [], []
        for start in range(0, len(reader._raw_memmap), _PACKETS):
            some = (reader._raw_memmap[start : start + _PACKETS, place] >> bit & 1).astype(np.int8)
            steps = np.diff(some, prepend=some[:1] if before is None else before)
            at.append(start + np.flatnonzero(steps))
            polarities.append(steps[steps != 0])
            before = some[-1:]
        if at and len(samples := np.concatenate(at)):
            changes[line] = samples, np.concatenate(polarities)
    return changes
