"""Insertions that must not become rows as they are: one function per kind of damage, and what an ingest has to say.

A kind takes the session folder that `write_valid` made, damages the files of `alf/probe00` and returns what must be
quarantined, as in `ingest.simulate.damage`; what is not named stays valid. The column of an entry is the ALF attribute.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.simulate import damage
from ingest.simulate.damage import Expected

from .files import write_insertion
from .insertion import Insertion, simulate_insertion

N_UNITS = 6
KINDS: dict[str, Callable[[Path], list[Expected]]] = {}
"""Name of the kind -> function that does the damage."""


def write_damaged(root: Path, lab: str, start: date, seed: int) -> list[dict[str, str]]:
    """Write one session per kind, of the subject `ephys_<kind>`; returns the expectations with their `kind`."""
    expected = []
    for kind, do_damage in KINDS.items():
        session = root / lab / "Subjects" / f"ephys_{kind}" / start.isoformat() / "001"
        write_valid(session, seed)
        expected += [{"kind": kind, **entry._asdict()} for entry in do_damage(session)]
    return expected


def write_valid(session: Path, seed: int = 0) -> Insertion:
    """Write a small valid session (60 trials and the rest of `damage.write_valid`) with one insertion of six units."""
    trials = damage.write_valid(session, seed)
    insertion = simulate_insertion(trials, N_UNITS, np.random.default_rng([seed, 78]))
    write_insertion(session, insertion)
    return insertion


def _kind(function: Callable[[Path], list[Expected]]) -> Callable[[Path], list[Expected]]:
    KINDS[function.__name__] = function
    return function


@_kind
def clusters_beyond(session: Path) -> list[Expected]:
    """Spikes of a cluster that the clusters object has no row for."""
    return _change(session, "spikes.clusters", "value_range", lambda values: np.where(values == 2, 999, values))


@_kind
def clusters_negative(session: Path) -> list[Expected]:
    """Spikes of the cluster -2; -1 stands for noise."""
    return _change(session, "spikes.clusters", "value_range", lambda values: np.where(values == 2, -2, values))


@_kind
def clusters_fractional(session: Path) -> list[Expected]:
    """Cluster numbers with a fraction."""
    return _change(session, "spikes.clusters", "value_range", lambda values: values + 0.5)


@_kind
def channels_beyond(session: Path) -> list[Expected]:
    """A cluster on a channel that the channels object has no row for."""
    return _change(session, "clusters.channels", "value_range", lambda values: values + 384)


@_kind
def spikes_unequal(session: Path) -> list[Expected]:
    """One amplitude fewer than spikes."""
    return _change(session, "spikes.amps", "unequal_length", lambda values: values[:-1])


@_kind
def clusters_unequal(session: Path) -> list[Expected]:
    """Depths of one cluster fewer than there are."""
    return _change(session, "clusters.depths", "unequal_length", lambda values: values[:-1])


@_kind
def channels_unequal(session: Path) -> list[Expected]:
    """Regions of ten channels fewer than there are."""
    return _change(session, "channels.brainLocationIds_ccf_2017", "unequal_length", lambda values: values[:-10])


@_kind
def times_backwards(session: Path) -> list[Expected]:
    """Spike times that jump back in the middle, as after a restart of the clock."""

    def jump(times: np.ndarray) -> np.ndarray:
        return np.concatenate([times[: len(times) // 2], times[len(times) // 2 :] - 40])

    return _change(session, "spikes.times", "time_backwards", jump)


@_kind
def times_truncated(session: Path) -> list[Expected]:
    """A copy that stopped: the header promises more spikes than the file holds."""
    path = _file(session, "spikes.times")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return [_expect(path, "truncated")]


@_kind
def clusters_empty_file(session: Path) -> list[Expected]:
    """Cluster numbers in a file of no bytes."""
    path = _file(session, "spikes.clusters")
    path.write_bytes(b"")
    return [_expect(path, "empty_file")]


@_kind
def depths_objects(session: Path) -> list[Expected]:
    """An array of Python objects: a pickle that makes the file `damage.marker(session)` where it is loaded."""
    path = _file(session, "spikes.depths")
    damage.write_object_array(path, len(np.load(path)), session)
    return [_expect(path, "object_array")]


@_kind
def metrics_unreadable(session: Path) -> list[Expected]:
    """A table of metrics with the marks of a parquet file and nothing valid between them."""
    path = session / "alf" / "probe00" / "clusters.metrics.pqt"
    damage.write_broken_parquet(path)
    return [_expect(path, "unreadable_file")]


def metrics_only_of_some(session: Path) -> None:
    """Not damage, though odd: a table of metrics with a row for every other cluster, which its column names."""
    path = session / "alf" / "probe00" / "clusters.metrics.pqt"
    table = pq.read_table(path)
    pq.write_table(table.take(pa.array(range(0, len(table), 2))), path)


def _change(session: Path, name: str, reason: str, change: Callable[[np.ndarray], np.ndarray]) -> list[Expected]:
    path = _file(session, name)
    np.save(path, change(np.load(path)))
    return [_expect(path, reason, name.split(".")[1])]


def _file(session: Path, name: str) -> Path:
    return session / "alf" / "probe00" / f"{name}.npy"


def _expect(path: Path, reason: str, column: str = "") -> Expected:
    root = path.parents[7]  # of <root>/<lab>/Subjects/<subject>/<date>/<number>/alf/probe00/<file>
    return Expected(path.relative_to(root).as_posix(), reason, column)
