"""Numbers of channels, templates and shanks: whether they count from 0, provably from 1, or name what is not there.

Numbers without a 0 that go up to exactly as many as there are count from 1. So do those that fit to the places of what
they name only when 1 is taken off. Nothing is moved without such a proof.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.electrophysiology import array_rules
from pipeline.electrophysiology.sorting_files import Files

NEAR = 2.0  # um between two statements of one place
_FEWEST, _MOST = 5, 0.9
"""Units, and share of them, that show by their depths what is meant."""
WAVEFORM_CHANNELS = ("clusters.waveformsChannels", "templates.waveformsChannels")


def check(files: Files, channel_map: Mapping[str, list] | None = None) -> None:
    """Check all numbers of a clustering that name rows, columns or shanks; `files.from_one` then has those from 1.

    Parameters
    ----------
    channel_map : `lateral`, `axial` (um) and `shank` of the columns of the raw recording.
    """
    n_rows = files.rows("channels")
    if n_rows is None and channel_map is not None:
        n_rows = len(channel_map["shank"])
    _check_rows(files, "spikes.templates", "templates", files.rows("templates"))
    _check_rows(files, "clusters.channels", "channels", n_rows)
    _check_by_depths(files)
    for name in WAVEFORM_CHANNELS:
        _check_waveform_channels(files, name, n_rows)
    _check_raw(files, channel_map)
    if channel_map is not None:
        own, of_units = files.get("channels.shanks"), files.numbers("clusters.channels")
        _check_shanks(files, "channels.shanks", None if own is None else np.arange(len(own)), channel_map)
        _check_shanks(files, "clusters.shanks", of_units, channel_map)


def columns_of_map(files: Files, channels: np.ndarray, n_map: int) -> np.ndarray | None:
    """Column of the recording for rows of the channels object, -1 where there is none; None where that is not known."""
    raw, n_rows = files.numbers("channels.rawInd"), files.rows("channels")
    if raw is not None:
        inside = (channels >= 0) & (channels < len(raw))
        at = np.full(len(channels), -1)
        at[inside] = raw[channels[inside]]
    elif n_rows in (None, n_map):
        at = channels.copy()
    else:
        return None
    return np.where((at >= 0) & (at < n_map), at, -1)


def _check_rows(files: Files, name: str, alf_object: str, n_rows: int | None) -> None:
    """Numbers of rows of another object."""
    values = files.get(name)
    if values is None:
        return
    if wrong := array_rules.whole_numbers(values):
        files.refuse(name, *wrong)
        return
    if n_rows is None or not len(values) or (last := array_rules.largest(values)) < n_rows:
        return
    if last == n_rows and array_rules.smallest(values) >= 1:
        files.count_from_one(name, f"it names no row 0 of {alf_object}, and {last} is their number")
    else:
        files.refuse(name, "value_range", f"it names row {last} of {alf_object}, which has {n_rows} rows")


def _check_by_depths(files: Files) -> None:
    """Whether the depths of the units show that channels count from 1, or that across and along are exchanged."""
    places, channels, depths = (
        files.get(name) for name in ("channels.localCoordinates", "clusters.channels", "clusters.depths")
    )
    if places is None or channels is None or places.ndim != 2 or places.shape[1] < 2 or len(channels) < _FEWEST:
        return
    if (
        depths is None
        or depths.ndim != 1
        or len(depths) != len(channels)
        or len(files["channels.localCoordinates"]) == 0
    ):
        return
    is_mended = "clusters.channels" in files.from_one
    at, depths = np.asarray(files.numbers("clusters.channels")), np.asarray(depths, np.float64)
    if at.max(initial=0) >= len(places):
        return
    fit = lambda rows, column: float(np.mean(np.abs(places[rows, column] - depths) < 1))  # noqa: E731
    as_stated = fit(at, 1)
    if fit(at, 0) > _MOST > 2 * as_stated:
        what = "the depths of the units are in its first column: expected are places across and along the shank"
        files.refuse("channels.localCoordinates", "value_range", what)
    elif not is_mended and at.min() >= 1 and fit(at - 1, 1) > _MOST > as_stated + 0.2:
        files.count_from_one("clusters.channels", "the depths of the units are those of the channels before")


def _check_waveform_channels(files: Files, name: str, n_rows: int | None) -> None:
    """Channels of waveforms, which may be filled up with -1 or the number of channels where there is no waveform."""
    values = files.get(name)
    if values is None:
        return
    if values.ndim not in (1, 2) or values.dtype.kind not in "fiu":
        what = f"an array of {values.dtype} with shape {values.shape} where (n units, n channels) numbers are expected"
        files.refuse(name, "value_range", what)
        return
    whole = np.asarray(values, np.float64)
    known = np.isfinite(whole)
    if not known.any():
        return
    if (whole[known] != np.trunc(whole[known])).any():
        files.refuse(name, "value_range", "expected are whole numbers from 0")
        return
    low, high = whole[known].min(), whole[known].max()
    own = files.get("clusters.channels")
    has_best = (
        name.startswith("clusters.") and own is not None and whole.ndim == 2
        and len(own) == len(whole) and bool((np.asarray(own) == whole[:, 0]).mean() > _MOST)
    )  # fmt: skip
    if n_rows is not None and high > n_rows:
        files.refuse(name, "value_range", f"it names row {high:.0f} of channels, which has {n_rows} rows")
    elif has_best and low >= 1 and "clusters.channels" in files.from_one:
        files.count_from_one(name, "its first column is clusters.channels, which does")
    elif n_rows is not None and low >= 1 and high == n_rows and not _is_filled_up(files, name, whole, n_rows):
        files.count_from_one(name, f"it names no row 0 of channels, and {n_rows} is their number")
        if has_best and "clusters.channels" not in files.from_one and np.asarray(own).min() >= 1:
            files.count_from_one("clusters.channels", f"it is the first column of {name}, which does")


def exchanged_axes(files: Files, name: str) -> str:
    """Why waveforms have channels where samples are expected; empty where they do not."""
    shapes, around, n_rows = files.get(name), files.get(f"{name}Channels"), files.rows("channels")
    if shapes is None or shapes.ndim != 3:
        return ""
    n_channels = around.shape[1] if around is not None and around.ndim == 2 else n_rows
    if n_channels is None or shapes.shape[2] == n_channels or shapes.shape[1] != n_channels:
        return ""
    return f"shape {shapes.shape}, of which {n_channels} are the channels: expected is (units, samples, channels)"


def _is_filled_up(files: Files, name: str, values: np.ndarray, n_rows: int) -> bool:
    """Whether the number of channels stands where there is no waveform."""
    shapes = files.get(name.replace("Channels", ""))
    if shapes is None or shapes.ndim != 3 or values.ndim != 2 or shapes.shape[::2] != values.shape:
        return True  # nobody reads it without waveforms
    units, columns = np.nonzero(values == n_rows)
    some = slice(0, 200)
    return bool(np.all(np.nan_to_num(np.asarray(shapes)[units[some], :, columns[some]]) == 0))


def _check_raw(files: Files, channel_map: Mapping[str, list] | None) -> None:
    """Columns of the raw recording: each once, none that is not there."""
    name = "channels.rawInd"
    values = files.get(name)
    if values is None or not len(values):
        return
    if wrong := array_rules.whole_numbers(values):
        files.refuse(name, *wrong)
        return
    raw = np.asarray(values, np.int64)
    if len(np.unique(raw)) < len(raw):
        columns, counts = np.unique(raw, return_counts=True)
        files.refuse(
            name, "value_range", f"{counts.max()} rows name column {columns[counts.argmax()]} of the recording"
        )
        return
    why = raw_from_one(raw, files.scaled("channels.localCoordinates"), channel_map)
    if why:
        files.count_from_one(name, why)
        return
    n_map = len(raw) if channel_map is None else len(channel_map["shank"])
    if channel_map is not None and int(raw.max()) > max(n_map, len(raw) - 1):
        what = f"it names column {raw.max()}, but the recording has {n_map} electrodes"
        files.refuse(name, "value_range", f"{what}: expected are columns of the file, from 0")


def raw_from_one(raw: np.ndarray, places: np.ndarray | None, channel_map: Mapping[str, list] | None) -> str:
    """Why columns of the raw recording are known to count from 1; empty where they do not, or nothing proves it.

    Parameters
    ----------
    raw : (n,) columns, whole numbers.
    places : (n, 2) lateral and axial place of each channel, um; None where that is not known.
    channel_map : `axial` (um) and `shank` of each column of the recording; None without a map.

    Examples
    --------
    >>> raw_from_one(np.array([2, 1, 3]), None, None)
    'it names each of 1 to 3 and no column 0'
    >>> raw_from_one(np.array([2, 3]), None, None)
    ''
    """
    if not len(raw):
        return ""
    low, high = int(raw.min()), int(raw.max())
    if low < 1:
        return ""
    if channel_map is None:
        return f"it names each of 1 to {high} and no column 0" if low == 1 and high == len(raw) else ""
    n_map = len(channel_map["shank"])
    as_stated, less_one = (_fits_places(places, raw - base, channel_map) for base in (0, 1))
    if less_one and as_stated is False:
        return "so its places are those of the raw recording"
    if high == n_map and not as_stated:
        return f"it names no column 0, and {n_map} is the number of electrodes of the recording"
    return ""


def axial_of(raw: np.ndarray, channel_map: Mapping[str, list]) -> np.ndarray:
    """Place along the shank (um) of some columns of the raw recording by its map, NaN where it has none."""
    axial = np.asarray(channel_map["axial"], np.float64)
    inside = (raw >= 0) & (raw < len(axial))
    return np.where(inside, axial[np.where(inside, raw, 0)], np.nan) if len(axial) else np.full(len(raw), np.nan)


def _fits_places(places: np.ndarray | None, raw: np.ndarray, channel_map: Mapping[str, list]) -> bool | None:
    """Whether the places of the channels are those of these columns, but for a constant; None: that is not known."""
    axial = np.asarray(channel_map["axial"], np.float64)
    if places is None or places.ndim != 2 or places.shape[1] < 2 or len(places) != len(raw) or len(raw) < _FEWEST:
        return None
    if raw.min() < 0 or raw.max() >= len(axial) or np.ptp(axial) <= NEAR:
        return False
    return bool(np.ptp(places[:, 1] - axial[raw]) <= NEAR)


def _check_shanks(files: Files, name: str, channels: np.ndarray | None, channel_map: Mapping[str, list]) -> None:
    """Shanks of channels, or of units by their channels, against those of the header, which go before them."""
    own = files.get(name)
    if own is None or channels is None or own.shape != channels.shape or own.dtype.kind not in "fiu":
        return
    at = columns_of_map(files, channels, len(channel_map["shank"]))
    if at is None:
        return
    values = np.asarray(own, np.float64)
    known = (at >= 0) & np.isfinite(values)
    stated, there = values[known], np.asarray(channel_map["shank"], np.float64)[at[known]]
    if not len(stated) or np.array_equal(stated, there):
        return
    if np.array_equal(stated - 1, there):
        files.count_from_one(name, "the header of the recording has these shanks less 1")
        return
    pairs = set(zip(stated.tolist(), there.tolist(), strict=True))
    if len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs}) or len(set(stated)) == 1:
        files.leave_out(
            name, "it numbers the shanks otherwise than the header of the recording, whose numbers are used"
        )
        return
    row = int(np.flatnonzero(known)[np.flatnonzero(stated != there)[0]])
    by_header = there[stated != there][0]
    what = f"row {row} (from 0) is on shank {values[row]:g}, by the header of the recording on {by_header:g}"
    files.refuse(name, "value_range", what)
