"""Which samples a sorter counted: the file that `params.py` names, and the recordings of a session that this is."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from ingest.programs.sorting.runs import Item
from pipeline.alf.columns import raw_form
from pipeline.errors import NeurojointError

_UUID = re.compile(r"\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?=\.)")
_JOINED = re.compile(r"_tcat\.imec\d*\.ap\.")
_WORKING = ("temp_wh", "proc", "whitened")
"""Files that sorters make for themselves, longer than what they sorted."""
FEWEST_SPIKES, FASTEST_UNITS = 300, 40.0
"""As many spikes show whether they are in samples; half of the units do not fire faster (Hz) over a recording."""


@dataclass(frozen=True)
class SortedFile:
    """What `params.py` says, which is read as text and never run; None or empty where it does not."""

    names: tuple[str, ...] = ()  # paths of the files, as written
    sampling_rate: float | None = None  # Hz
    n_samples: int | None = None  # of the file, where it lies beside the results


def read(place: Path) -> SortedFile:
    """Read the `params.py` of phy in a folder."""
    path = place / "params.py"
    if not path.is_file():
        return SortedFile()
    text = path.read_text("utf-8", "replace")
    rate = _number(text, "sample_rate")
    names = _names(text)
    row = _number(text, "n_channels_dat")
    n_samples = None
    if row and len(names) == 1 and (beside := _beside(place, names[0])) is not None:
        kind = re.search(r"^\s*dtype\s*=\s*['\"](?:np\.)?(\w+)['\"]", text, re.MULTILINE)
        try:
            size = int(row) * np.dtype(kind[1] if kind else "int16").itemsize
        except TypeError:
            size = 0
        n_samples = (beside.stat().st_size - int(_number(text, "offset") or 0)) // size if size else None
    return SortedFile(names, rate, n_samples)


def find(source: Path) -> SortedFile:
    """What `params.py` says, in the folder or in the only one below it."""
    folders = [path.parent for path in (source / "params.py", *sorted(source.glob("*/params.py"))) if path.is_file()]
    return read(folders[0]) if folders else SortedFile()


def recordings_of(told: SortedFile, recordings: Sequence[Item], notes: list[str]) -> list[Item]:
    """The recordings whose samples a sorter counted, in that order.

    Those that `params.py` names; without these the file that CatGT joined from several, where there is one; else all.

    Raises
    ------
    NeurojointError : what was sorted has another length or another sampling rate than these recordings.
    """
    named = [one for name in told.names if (one := _named(name, recordings)) is not None]
    if named and len(named) == len(told.names):
        chosen = list(dict.fromkeys(named))
    elif joined := [recording for recording in recordings if _JOINED.search(recording.path)]:
        chosen = joined
        if len(recordings) > len(joined):
            notes.append(f"nothing says which file was sorted: samples are counted in {_file(joined[0])}")
    else:
        chosen = list(recordings)
    if not chosen:
        return []
    rate, expected = told.sampling_rate, chosen[0].sampling_rate
    if rate and abs(rate / expected - 1) > 1e-3:
        raise NeurojointError(
            f"what was sorted has {rate:.10g} samples a second, but {_file(chosen[0])} has {expected:.10g}",
            "ingest the recording that was sorted, or name the right probe with --probe",
        )
    n_samples = sum(item.n_samples for item in chosen)
    if not named and told.n_samples is not None and abs(told.n_samples - n_samples) > 1:
        names = ", ".join(_file(item) for item in chosen)
        raise NeurojointError(
            f"{told.names[0]}, which was sorted, has {told.n_samples:,} samples, but {names} {n_samples:,}: "
            "the times of its spikes are not known",
            "ingest what was sorted as the raw recording of the probe, or sort the whole recording",
        )
    return chosen


def refuse_ms(source: Path, samples: np.ndarray, clusters: np.ndarray, recordings: Sequence[Item]) -> None:
    """Refuse times in ms where samples are expected: only so they span the recording, and units fire as units do."""
    rate = recordings[0].sampling_rate
    seconds = sum(item.n_samples for item in recordings) / rate
    span = float(samples[-1] - samples[0])
    if len(samples) < FEWEST_SPIKES or not np.isclose(span / 1e3, seconds, rtol=0.1) or rate < 5e3:
        return
    middle = float(np.median(np.unique(clusters, return_counts=True)[1])) / (span / rate)
    if middle > FASTEST_UNITS:
        raise NeurojointError(
            f"the spike times of {source} would span {span / rate:,.4g} s of the {seconds:,.1f} s of the recording as "
            f"samples, with units of {middle:,.0f} Hz, and all of it as ms",
            "write spike_times.npy in samples",
        )


def in_order(path: str) -> list[tuple[int, str]]:
    """Sorts paths with numbers as people count: `t2` before `t10`.

    >>> sorted(["r_g0_t10.bin", "r_g0_t2.bin"], key=in_order)
    ['r_g0_t2.bin', 'r_g0_t10.bin']
    """
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path)]


def _number(text: str, name: str) -> float | None:
    written = rf"^\s*{name}\s*=\s*([\d_]+\.?\d*(?:[eE]\+?\d+)?)\s*;?\s*(?:#.*)?$"
    match = re.search(written, text, re.MULTILINE)
    return float(match[1].replace("_", "")) if match else None


def _names(text: str) -> tuple[str, ...]:
    """The strings of `dat_path`, one or a list of them."""
    match = re.search(r"^\s*dat_path\s*=\s*(\[[^\]]*\]|\([^)]*\)|[rRuU]?(['\"]).*\2)\s*(?:#.*)?$", text, re.MULTILINE)
    if not match:
        return ()
    parts = re.findall(r"[rRuU]?'[^'\n]*'|[rRuU]?\"[^\"\n]*\"", match[1])
    return tuple(name for part in parts if (name := _text(part)) not in ("", "None"))


def _text(literal: str) -> str:
    """The text of a literal; paths of Windows are often written without the r that they need."""
    try:
        value = ast.literal_eval(literal)
    except (SyntaxError, ValueError):
        value = literal.lstrip("rRuU")[1:-1]
    if "\\" in literal and not literal.startswith(("r", "R")) and "\\\\" not in literal:
        value = literal.lstrip("uU")[1:-1]
    return str(value).replace("\\", "/")


def _beside(place: Path, name: str) -> Path | None:
    """The file of that name beside the results or above them, where sorters leave a copy of what they sort."""
    base = PurePosixPath(name).name
    if not base or base.startswith(_WORKING):
        return None
    return next((path for path in (place / base, place.parent / base) if path.is_file()), None)


def _named(name: str, recordings: Sequence[Item]) -> Item | None:
    """The recording that a path names: most parts of the path from its end on are equal; None where not one is."""
    parts = _parts(name)
    scores = [_n_equal(parts, _parts(recording.path)) for recording in recordings]
    best = max(scores, default=0)
    return recordings[scores.index(best)] if best and scores.count(best) == 1 else None


def _parts(path: str) -> list[str]:
    whole = PurePosixPath(_UUID.sub("", raw_form(path)).lower())
    return [whole.stem, *reversed(whole.parts[:-1])]


def _n_equal(one: list[str], other: list[str]) -> int:
    n = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        n += 1
    return n


def _file(one: Item) -> str:
    return one.path.rpartition("/")[2]
