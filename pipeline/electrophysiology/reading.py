"""How the files of one clustering are to be read: decided at registration, stored, and followed by every reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

BY_ROW, BY_ROW_FROM_ONE, BY_NAME, UNKNOWN = "row", "row from 1", "name", ""
"""What a row of the clusters object is: the unit of that number, counted from 0 or from 1; the unit that
clusters.metrics names; not known."""


@dataclass(frozen=True)
class Recorded:
    """What is known of the raw recording from which a clustering was made.

    Attributes
    ----------
    sampling_rate : Hz
    duration : s, of all pieces of the recording together
    n_samples : of all pieces together
    map_hash : md5 of the channel map; empty without one
    """

    sampling_rate: float
    duration: float
    n_samples: int
    map_hash: str = ""


@dataclass
class Reading:
    """What a reader has to know beside the files themselves.

    Attributes
    ----------
    rows : `row`, `row from 1`, `name` or empty: which unit a row of the clusters object and of its metrics is
    rows_why : how that was found, in words
    factors : object.attribute -> factor that brings its values into the unit of the ALF convention, where it is not 1
    from_one : object.attribute of numbers that count from 1 in the files; readers take 1 off
    n_moved : spikes that are not in order of time in the files; readers sort them
    n_dropped : spikes without a unit (spikes.clusters is -1); readers leave them out
    notes : repairs and doubts, in words
    recorded : the raw recording; None where there is none
    """

    rows: str = BY_ROW
    rows_why: str = ""
    factors: dict[str, float] = field(default_factory=dict)
    from_one: list[str] = field(default_factory=list)
    n_moved: int = 0
    n_dropped: int = 0
    notes: list[str] = field(default_factory=list)
    recorded: Recorded | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the spikes can be used as they are in the files."""
        return not (self.n_moved or self.n_dropped)

    def factor(self, name: str) -> float:
        """By what the values of object.attribute are multiplied."""
        return self.factors.get(name, 1.0)

    def from_zero(self, name: str, values: np.ndarray) -> np.ndarray:
        """Numbers of object.attribute counted from 0."""
        return values - 1 if name in self.from_one else values

    def to_dict(self) -> dict[str, Any]:
        """As it is stored; what is as by default is left out."""
        default = Reading()
        return {name: value for name, value in asdict(self).items() if value != getattr(default, name)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> Reading:
        """The reading of a stored row; of rows from before it was stored, the default.

        >>> Reading.from_dict(Reading(n_moved=2).to_dict()).n_moved
        2
        """
        known = {item.name for item in fields(cls)}
        arguments = {name: value for name, value in (values or {}).items() if name in known}
        if arguments.get("recorded"):
            arguments["recorded"] = Recorded(**arguments["recorded"])
        return cls(**arguments)

    def mend(self, content: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The arrays of the spikes in order of time, without spikes of no unit; as they are where nothing is to mend.

        Parameters
        ----------
        content : object.attribute -> (n, ...) array; `spikes.times` and `spikes.clusters` are among them.
        """
        if self.is_plain:
            return dict(content)
        clusters, times = np.asarray(content["spikes.clusters"]), np.asarray(content["spikes.times"])
        rows = np.flatnonzero(clusters >= 0)
        if self.n_moved:
            rows = rows[np.argsort(times[rows], kind="stable")]
        return {name: np.asarray(values)[rows] for name, values in content.items()}
