"""The files of one clustering: arrays mapped from the disk, tables read whole; what is refused is taken out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from pipeline.alf.reader import HEADER, load, npy_header
from pipeline.alf.reasons import refuse
from pipeline.electrophysiology.measurement_units import Verdict
from pipeline.electrophysiology.reading import Reading
from pipeline.errors import InvalidData

if TYPE_CHECKING:
    import pyarrow as pa


class Refused(NamedTuple):
    """One file that must not be read: `attribute` is object.attribute."""

    attribute: str
    reason: str  # of pipeline.alf.reasons
    detail: str


def open_array(path: Path | str, name: str = "") -> np.ndarray:
    """An npy file as an array that is read from the disk where it is used; one column is one-dimensional.

    Raises
    ------
    InvalidData : as `pipeline.alf.reader.load`.
    """
    name = name or str(path)
    try:
        with Path(path).open("rb") as file:
            header = npy_header(file.read(HEADER), name, os.fstat(file.fileno()).st_size)
    except FileNotFoundError:
        raise refuse(name, "vanished", "the file is not there any more") from None
    except PermissionError as error:
        raise refuse(name, "permission_denied", error.strerror or "permission denied") from None
    except OSError as error:
        raise refuse(name, "unreadable_file", error.strerror or str(error)) from None
    if 0 in header.shape:
        values = np.empty(header.shape, header.dtype)
    else:
        order: Literal["F", "C"] = "F" if header.fortran else "C"
        values = np.memmap(path, header.dtype, "r", header.offset, header.shape or (1,), order)
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def load_metrics(path: Path | str, name: str = "") -> Any:
    """The content of `clusters.metrics`; its column of unit numbers is `cluster_id`, also where it was `Cluster_ID`.

    Raises
    ------
    InvalidData : as `pipeline.alf.reader.load`.
    """
    table = load(path, name or Path(path).name)
    if isinstance(table, np.ndarray) or "cluster_id" in table.column_names:
        return table
    alike = [column for column in table.column_names if column.strip().casefold().replace(" ", "_") == "cluster_id"]
    return table.rename_columns({alike[0]: "cluster_id"}) if len(alike) == 1 else table


class Files:
    """The files of a clustering that are still thought good, and those that are refused."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self.content: dict[str, np.ndarray | pa.Table] = {}
        self.refused: list[Refused] = []
        self.factors: dict[str, float] = {}
        self.from_one: list[str] = []
        self.notes: list[str] = []
        for name, path in paths.items():
            try:
                if str(path).endswith(".npy"):
                    self.content[name] = open_array(path, name)
                elif name == "clusters.metrics":
                    self.content[name] = load_metrics(path)
                else:
                    self.content[name] = load(path, Path(path).name)
            except InvalidData as error:
                self.refused.append(Refused(name, error.reason, error.detail))

    def __contains__(self, name: str) -> bool:
        return name in self.content

    def __getitem__(self, name: str) -> Any:
        return self.content[name]

    def get(self, name: str) -> Any:
        """The content of a file; None where it is absent or refused."""
        return self.content.get(name)

    def refuse(self, name: str, reason: str, detail: str) -> None:
        """Take a file out."""
        if self.content.pop(name, None) is not None:
            self.refused.append(Refused(name, reason, detail))

    def check(self, name: str, rule: Callable[[np.ndarray], tuple[str, str] | None]) -> None:
        """Take a file out where `rule(values)` returns a reason and a detail."""
        values = self.get(name)
        if values is not None and (wrong := rule(values)):
            self.refuse(name, *wrong)

    def judge(self, name: str, verdict: Verdict) -> None:
        """Take a file out, or note by what its values are to be multiplied and what is doubtful about them."""
        if verdict.wrong:
            self.refuse(name, "value_range", verdict.wrong)
            return
        if verdict.factor != 1:
            self.factors[name] = verdict.factor
        if verdict.note:
            self.notes.append(f"{name}: {verdict.note}")

    def count_from_one(self, name: str, why: str) -> None:
        """Note that the numbers of a file count from 1: readers take 1 off."""
        self.from_one.append(name)
        self.notes.append(f"{name}: it counts from 1 ({why}); 1 was taken off all {self[name].size:,} numbers")

    def leave_out(self, name: str, why: str) -> None:
        """Do not read a file that is not wrong, only not needed."""
        self.content.pop(name, None)
        self.notes.append(f"{name}: {why}")

    def scaled(self, name: str) -> np.ndarray | None:
        """The values of an array in the unit of ALF, counted from 0, float64; None where it is absent or refused."""
        values = self.get(name)
        if values is None:
            return None
        scaled = np.asarray(values, np.float64) * self.factors.get(name, 1.0)
        return scaled - 1 if name in self.from_one else scaled

    def numbers(self, name: str) -> np.ndarray | None:
        """Whole numbers counted from 0, int64; None where the array is absent or refused."""
        values = self.get(name)
        return None if values is None else np.asarray(values, np.int64) - (name in self.from_one)

    def rows(self, alf_object: str) -> int | None:
        """How many rows the arrays of an object have; None where it has no array."""
        lengths = {len(values) for values in self._arrays(alf_object).values()}
        return lengths.pop() if lengths else None

    def check_lengths(self, alf_object: str) -> None:
        """Take out the arrays that are not as long as most of their object."""
        lengths = {name: len(values) for name, values in self._arrays(alf_object).items()}
        votes = Counter(lengths.values())
        if len(votes) < 2:
            return
        n_rows, n_votes = votes.most_common(1)[0]
        listed = ", ".join(f"{count} with {rows} rows" for rows, count in sorted(votes.items()))
        for name, rows in lengths.items():
            if rows != n_rows or n_votes * 2 <= votes.total():
                self.refuse(name, "unequal_length", f"{rows} rows; the object {alf_object} has columns {listed}")

    def _arrays(self, alf_object: str) -> dict[str, np.ndarray]:
        begin = f"{alf_object}."
        return {n: v for n, v in self.content.items() if n.startswith(begin) and isinstance(v, np.ndarray)}


@dataclass
class Sorting:
    """The spikes and units of one clustering.

    Attributes:
        n_spikes: how many; 0 where the spikes are refused.
        first, last: s from session start; None without spikes.
        clusters: column of ephys.ClusterSet.Cluster -> array of one value a unit, with NaN or None where absent;
            in order of `cluster_id`.
        read: attributes that were accepted.
        refused: what must not be read.
        reading: how the rest is to be read.
    """

    n_spikes: int = 0
    first: float | None = None
    last: float | None = None
    clusters: dict[str, np.ndarray | list] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    reading: Reading = field(default_factory=Reading)
