"""From a key to the traces of fibre photometry, whichever of its forms a session has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.alf.reasons import refuse
from pipeline.analysis import photometry
from pipeline.database import registry
from pipeline.database.prepared import Prepared
from pipeline.errors import InvalidData
from pipeline.schemas.inputs import series
from pipeline.schemas.inputs.files import read_content

acquisition = registry.tables_of("acquisition")
data = registry.tables_of("data")

SIGNAL, LOCATIONS, RAW = "photometry", "photometryROI", "fpData"
"""ALF objects: the signal in the clock of the session, where its columns lie, and what the device wrote."""
OBJECTS = {SIGNAL: ("signal", "times", "timestamps"), LOCATIONS: ("locations",), RAW: ("raw",)}

_SITE = ("roi", "index", "site", "region", "name")
_REGION = ("brain_region", "brainregion", "location", "target", "acronym")
_FIBRE = ("fiber", "fibre", "insertion")

_FOUND = Prepared(lambda: data.AlfObject.proj("accepted_columns"))


class Place(NamedTuple):
    """Where the light of a site comes from; empty where nothing says."""

    fiber: str = ""
    brain_region: str = ""


def read(key: Mapping[str, Any]) -> tuple[photometry.Recording, dict[str, Place]]:
    """The traces of a session, and the place of each site that has one.

    `photometry.signal` counts before what the device wrote (`_neurophotometrics_fpData.raw`), whose times are not those
    of the session.

    Raises
    ------
    InvalidData
        There is neither, or it cannot be used; the message says why.
    """
    session = {name: key[name] for name in acquisition.Session.primary_key}
    rows = _FOUND.rows(session | {"object_name": tuple(OBJECTS)})
    has = {(row["object_name"], name) for row in rows for name in row["accepted_columns"].split(",") if name}
    places = _places(key) if (LOCATIONS, "locations") in has else {}
    if (SIGNAL, "signal") not in has:
        return _taken_apart(f"{RAW}.raw", _columns(read_content(key, RAW, "raw"))), places
    signal = read_content(key, SIGNAL, "signal")
    if not isinstance(signal, np.ndarray):
        return _taken_apart(f"{SIGNAL}.signal", _columns(signal)), places
    values = signal.reshape(len(signal), -1)
    clock = next((name for name in ("times", "timestamps") if (SIGNAL, name) in has), None)
    if clock is None:
        raise refuse(f"{SIGNAL}.signal", "missing", "the signal has no times: add photometry.times", "times")
    times = np.asarray(read_content(key, SIGNAL, clock))
    if clock == "timestamps":
        times = series.read_times(key, SIGNAL, len(values))
    if times.size != len(values):
        raise refuse(f"{SIGNAL}.{clock}", "unequal_length", f"{times.size} times of {len(values)} frames", clock)
    listed = list(places) if len(places) == values.shape[1] else [f"site_{i}" for i in range(values.shape[1])]
    columns = {"times": times} | {name: values[:, i] for i, name in enumerate(listed)}
    return _taken_apart(f"{SIGNAL}.signal", columns), places


def unplaced(recording: photometry.Recording, places: Mapping[str, Place]) -> list[str]:
    """Sites of which the file of locations says nothing, and those that it names in vain, in words."""
    sites = {trace.site for trace in recording.traces}
    said = [f"photometryROI.locations does not say where {name} is" for name in sorted(sites - places.keys()) if places]
    return said + [
        f"photometryROI.locations names {name}, which has no signal" for name in sorted(places.keys() - sites)
    ]


def summary(trace: photometry.Trace, places: Mapping[str, Place]) -> dict[str, Any]:
    """The secondary columns of a row of Photometry.Trace."""
    seen = trace.values[np.isfinite(trace.values)]
    n_samples = trace.times.size
    place = places.get(trace.site, Place())
    return {
        "photometry_site": trace.site,
        "fiber": place.fiber,
        "photometry_region": place.brain_region,
        "light_name": trace.name,
        "wavelength": None if np.isnan(trace.wavelength) else trace.wavelength,
        "n_photometry_samples": n_samples,
        "photometry_rate": trace.sampling_rate if n_samples > 1 else None,
        "photometry_start": float(trace.times[0]) if n_samples else None,
        "photometry_end": float(trace.times[-1]) if n_samples else None,
        "longest_photometry_gap": float(np.diff(trace.times).max()) if n_samples > 1 else None,
        "fluorescence": float(np.median(seen)) if seen.size else None,
        "fluorescence_sd": float(np.std(seen)) if seen.size else None,
        "fluorescence_missing": 1 - seen.size / n_samples if n_samples else 0.0,
    }


def _taken_apart(name: str, columns: Mapping[str, Any]) -> photometry.Recording:
    clock = photometry.SESSION_CLOCK if name.startswith(SIGNAL) else None
    try:
        return photometry.take_apart(columns, clock)
    except ValueError as error:
        raise refuse(name, "value_range", str(error)) from None


def _columns(content: Any) -> dict[str, np.ndarray]:
    """The columns of a table; text as objects, None where it is missing."""
    if not isinstance(content, pa.Table):
        raise InvalidData(SIGNAL, "unreadable_file", "a table is expected", "write it as .pqt or .csv")
    return {name: _values(content[name]) for name in content.column_names}


def _values(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column.to_numpy()
    coded = column.combine_chunks().dictionary_encode()  # few texts, each many times
    texts = np.array([*coded.dictionary.to_pylist(), None], object)
    return texts[coded.indices.fill_null(texts.size - 1).to_numpy()]


def _places(key: Mapping[str, Any]) -> dict[str, Place]:
    columns = {
        name.strip().lower(): values for name, values in _columns(read_content(key, LOCATIONS, "locations")).items()
    }
    site = next((columns[name] for name in _SITE if name in columns), None)
    if site is None:
        return {}
    empty = np.full(len(site), "", object)
    region = next((columns[name] for name in _REGION if name in columns), empty)
    fiber = next((columns[name] for name in _FIBRE if name in columns), empty)
    return {str(name): Place(_text(one), _text(where)) for name, one, where in zip(site, fiber, region, strict=True)}


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value).strip()[:64]
