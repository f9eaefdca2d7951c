"""Files of recording systems, written by their published layouts; each writer returns what the file holds."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

RATE = 20_000.0


def write_rhs(path: Path, n_blocks: int = 100, n_channels: int = 3) -> np.ndarray:
    """An RHS file (version 1.0, "RHS2000 data file formats") with DC amplifiers, stimulation and 2 digital inputs.

    Returns microvolts, (n, n_channels).
    """
    text = lambda value: struct.pack("<I", 2 * len(value)) + value.encode("utf-16-le")  # noqa: E731
    header = struct.pack("<Ihhfh8fhffhhfff", 0xD69127AC, 1, 0, RATE, 1, *[1.0] * 8, 0, 1e3, 1e3, 0, 0, 1e-6, 1e-9, 0.0)
    header += text("") * 3 + struct.pack("<hh", 1, 0) + text("") + struct.pack("<h", 2)
    for name, kind, n in (("Port A", 0, n_channels), ("Digital In", 5, 2)):
        header += text(name) + text("A") + struct.pack("<hhh", 1, n, n if kind == 0 else 0)
        for i in range(n):
            header += text(f"{name[-1]}-{i:03d}") * 2 + struct.pack(
                "<11hff", i, i, kind, 1, i, 0, 0, 0, 0, 0, 0, 1e5, 0
            )
    chance = np.random.default_rng(3)
    codes = chance.integers(32_000, 33_500, (n_blocks * 128, n_channels)).astype("<u2")
    dc = np.full((n_channels, 128), 512, "<u2").tobytes()
    stimulation = np.zeros((n_channels, 128), "<u2").tobytes()
    blocks = []
    for k in range(n_blocks):
        part = slice(128 * k, 128 * (k + 1))
        count = np.arange(part.start, part.stop, dtype="<i4")
        word = (count // 1000 % 4).astype("<u2")
        blocks.append(count.tobytes() + codes[part].T.tobytes() + dc + stimulation + word.tobytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + b"".join(blocks))
    return (codes.astype(np.int64) - 32768) * 0.195


def write_plexon(path: Path, pause: float = 0.5, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """A PLX file (version 106, "Plexon data file format") with two wideband channels, three inputs and a pause;
    an event ten samples after every thousandth one.

    Spikes have 12 bits and continuous samples 16, as the OmniPlex writes them. The device counts at 40 kHz.

    Returns microvolts (2 n, 2), and the time of each sample, s from the start of the count.
    """
    clock, rate, gain, pre_amplifier, largest = 40_000, 20_000, 2, 50, 5000
    channels = [("WB01", 0), ("WB02", 1), ("AI01", 2), ("AI02", 3), ("AI03", 4)]
    header = struct.pack("<Ii128s", 0x58454C50, 106, b"a test")
    header += struct.pack("<14i", clock, 0, 1, len(channels), 32, 8, 2024, 5, 1, 12, 0, 0, 0, clock)
    header += struct.pack("<dBBBBHHH18s18s10s", 1.0, 1, 1, 12, 16, 3000, largest, 1000, b"", b"", b"")
    header += bytes(4 * (650 + 650 + 512))
    header += struct.pack("<32si128sBBH32i", b"EVT01", 1, b"", 4, 0, 1, *[0] * 32)
    for name, number in channels:
        header += struct.pack("<32s5i i128sBBH27i", name.encode(), number, rate, gain, 1, pre_amplifier, -1, b"", 1, 0,
                              number, *[0] * 27)  # fmt: skip
    codes = np.random.default_rng(4).integers(-3000, 3000, (2 * n, len(channels))).astype("<i2")
    blocks, length = [], 500
    begin = 1000
    for first in range(0, 2 * n, length):
        count = begin + first * clock // rate + (round(pause * clock) if first >= n else 0)
        for column, (_, number) in enumerate(channels):
            blocks.append(struct.pack("<HHIHHHH", 5, 0, count, number, 0, 1, length))
            blocks.append(codes[first : first + length, column].tobytes())
        if first % 1000 == 0:
            blocks.append(struct.pack("<HHIHHHH", 4, 0, count + 20, 1, 0, 0, 0))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + b"".join(blocks))
    times = begin / clock + np.arange(2 * n) / rate + np.where(np.arange(2 * n) >= n, pause, 0)
    return codes[:, :2] * (largest / (0.5 * 2**16 * gain * pre_amplifier)) * 1e3, times


def write_spikegadgets(
    path: Path, lost: int = 50, n: int = 6000, scaling: float | None = 0.195
) -> tuple[np.ndarray, np.ndarray]:
    """A REC file of Trodes with four electrodes and a controller, whose input changes every 1000 samples; in the middle
    some packets were lost.

    Returns microvolts (n, 4), and the time of each sample, s from the start of the count.
    """
    scale = "" if scaling is None else f' spikeScalingToUv="{scaling}"'
    trodes = "".join(
        f'<SpikeNTrode id="{i + 1}"{scale}><SpikeChannel hwChan="{i}" maxDisp="200" thresh="60"/></SpikeNTrode>'
        for i in range(4)
    )
    text = (
        '<?xml version="1.0"?>\n<Configuration>\n<GlobalConfiguration realtimeMode="0"/>\n'
        '<HardwareConfiguration samplingRate="30000" numChannels="4">\n'
        '<Device name="MCU_IO" numBytes="2" packetOrderPreference="10" available="1">'
        '<Channel id="MCU_Din1" dataType="digital" startByte="0" bit="0" input="1"/></Device>\n'
        '</HardwareConfiguration>\n<SpikeConfiguration chanPerChip="4">'
        f"{trodes}</SpikeConfiguration>\n</Configuration>\n"
    )
    codes = np.random.default_rng(5).integers(-3000, 3000, (n, 4)).astype("<i2")
    counts = 700 + np.arange(n) + np.where(np.arange(n) >= n // 2, lost, 0)
    packets = np.zeros(n, [("sync", "u1"), ("input", "u1", 2), ("count", "<u4"), ("samples", "<i2", 4)])
    packets["input"][:, 0] = np.arange(n) // 1000 % 2
    packets["sync"], packets["count"], packets["samples"] = 0x55, counts, codes
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() + packets.tobytes())
    return codes * (scaling or 1.0), counts / 30_000


def write_nev(path: Path, words: list[tuple[int, int, int]], comments: list[tuple[int, str]], label: str = "") -> None:
    """A NEV file (version 2.3, "NEV file format") with words of the ports and comments.

    Parameters
    ----------
    words : timestamp, reason (1: the port, 129: serial) and value of each.
    comments : timestamp and text of each.
    """
    size = 104
    extended = struct.pack("<8s16sB7x", b"DIGLABEL", label.encode(), 1) if label else b""
    basic = struct.pack("<8sBBHIIII8H32s256sI", b"NEURALEV", 2, 3, 1, 336 + len(extended), size, 30_000, 30_000,
                        2024, 5, 3, 1, 9, 0, 0, 0, b"a test", b"", len(extended) // 32)  # fmt: skip
    packets = [(at, struct.pack("<IHBBH", at, 0, reason, 0, value)) for at, reason, value in words]
    packets += [(at, struct.pack("<IHBBI", at, 0xFFFF, 0, 0, 0) + text.encode("latin-1")) for at, text in comments]
    path.write_bytes(basic + extended + b"".join(body.ljust(size, b"\0") for _, body in sorted(packets)))
