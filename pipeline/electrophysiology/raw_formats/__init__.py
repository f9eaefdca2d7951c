"""Raw recordings of other systems than SpikeGLX: Open Ephys, Intan, Blackrock, Plexon, SpikeGadgets, NWB, MEArec.

Each is described and opened with the interface of `cbin.Recording`: samples times `volts_per_bit` are V, and digital
lines are words in columns of their own whose factor is 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from cbin import Recording

from pipeline.electrophysiology.raw_formats import mearec_file, neo_files, nwb_file, open_ephys
from pipeline.electrophysiology.raw_formats.description import Description
from pipeline.errors import InvalidData

FORMATS: Mapping[str, re.Pattern[str]] = {
    "open_ephys": re.compile(r"(?:.*/)?continuous\.(?:dat|cbin)"),
    "intan": re.compile(r".*\.rh[ds]"),
    "blackrock": re.compile(r".*\.ns[1-6]"),
    "plexon": re.compile(r".*\.plx"),
    "plexon_pl2": re.compile(r".*\.pl2"),  # known, and refused with a sentence
    "spikegadgets": re.compile(r".*\.rec"),
    "nwb": re.compile(r"raw_ephys_data/.*\.nwb"),
    "mearec": re.compile(r"raw_ephys_data/.*\.h5"),
}
"""Format -> pattern of the path below the session of the file that is the recording."""
SPIKEGLX = "spikeglx"
_BESIDE = re.compile(
    r"continuous\.(?:dat|cbin|ch)|structure\.oebin|settings(?:_\d+)?\.xml|sync_messages\.txt|experiment\d+\.nwb"
    r"|(?:timestamps|sample_numbers|states|full_words|channels|channel_states|text|metadata|waveforms|clusters"
    r"|electrode_indices|spike_\w+|synchronized_timestamps|data_array)\.npy"
    r"|[\w -]+\.(?:rhd|rhs|ns[1-6]|nev|ccf|plx|pl2|rec|nwb|h5)"
    r"|(?:amplifier|auxiliary|analogin|analogout|digitalin|digitalout|dcamplifier|stim|lowpass|highpass|spike|supply"
    r"|time|amp-[\w-]+|board-[\w-]+|aux-[\w-]+|vdd-[\w-]+|stim-[\w-]+|dc-[\w-]+)\.dat"
)
_FOLDER = re.compile(r"[\w ./#-]*")


def format_of(rel_path: str) -> str | None:
    """The format of a recording by its path below the session; None where it is none of these.

    >>> format_of("raw_ephys_data/probe00/continuous/Rhythm-100.0/continuous.dat"), format_of("raw_ephys_data/a.rhd")
    ('open_ephys', 'intan')
    >>> format_of("raw_ephys_data/probe00/r_g0_t0.imec0.ap.bin"), format_of("figures/a.h5")
    (None, None)
    """
    return next((name for name, pattern in FORMATS.items() if pattern.fullmatch(rel_path)), None)


def belongs_to_recording(rel_path: str) -> bool:
    """Whether a file below `raw_ephys_data` is one that a recording system writes under a name that is not ALF."""
    folder, _, name = rel_path.rpartition("/")
    return (
        f"{folder}/".startswith("raw_ephys_data/")
        and _FOLDER.fullmatch(folder) is not None
        and _BESIDE.fullmatch(name) is not None
    )


def _readable(rel_path: str) -> str | None:
    """The format of a recording; InvalidData where only its maker's own programs read it."""
    kind = format_of(rel_path)
    if kind == "plexon_pl2":
        raise InvalidData(rel_path, "unreadable_file", "only Plexon's own library reads PL2", "export it as PLX")
    return kind


def describe(path: Path, rel_path: str) -> Description:
    """Describe a recording by its files.

    Raises
    ------
    InvalidData : a file that it needs is not there, or cannot be read.
    """
    kind = _readable(rel_path)
    if kind == "open_ephys":
        return open_ephys.describe(path)
    if kind == "nwb":
        return nwb_file.describe(path)
    if kind == "mearec":
        return mearec_file.describe(path)
    return neo_files.describe(path, str(kind))


def open_raw(path: Path, rel_path: str) -> Recording:
    """Open a recording; to be closed by the caller.

    Raises
    ------
    InvalidData : as for `describe`.
    """
    kind = _readable(rel_path)
    if kind == "open_ephys":
        return open_ephys.open_raw(path)
    if kind == "nwb":
        return nwb_file.NwbRecording(path)
    if kind == "mearec":
        return mearec_file.MearecRecording(path)
    return neo_files.NeoRecording(path, str(kind))


def own_times(path: Path, rel_path: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Some samples of a recording and their times (s) by the system that recorded it; None where it gives none."""
    kind = format_of(rel_path)
    if kind == "open_ephys":
        return open_ephys.own_times(path)
    if kind == "nwb":
        return nwb_file.own_times(path)
    return neo_files.own_times(path, kind) if kind in neo_files.READERS else None


def own_changes(path: Path, rel_path: str) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Changes of digital lines that the system keeps in files of their own; line -> samples, polarities."""
    kind = format_of(rel_path)
    if kind == "open_ephys":
        return open_ephys.own_changes(path)
    if kind == "nwb":
        return nwb_file.own_changes(path)[0]
    return neo_files.own_changes(path, kind) if kind in ("plexon", "spikegadgets", "blackrock") else {}


def line_names(path: Path, rel_path: str) -> dict[int, str]:
    """Line -> its name, of the digital lines that the system names."""
    kind = format_of(rel_path)
    if kind == "open_ephys":
        return open_ephys.line_names(path)
    if kind == "nwb":
        return nwb_file.own_changes(path)[1]
    return neo_files.line_names(path, kind) if kind in ("intan", "plexon", "spikegadgets", "blackrock") else {}
