"""Version numbers of what the tables hold: pages ask again only when one has changed."""

from __future__ import annotations

import hashlib
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dashboard.site import Site

FRESH_S = 4.0  # how old the answer may be that all viewers share
POLL_MS = 10_000  # how often a browser asks


class Versions:
    """The version of everything the pages show, looked up at most every few seconds whoever asks."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = threading.Lock()
        self._looked = -FRESH_S
        self._version = ""

    def version(self) -> str:
        """A short text that changes when a session, a result, a weighing or a mouse is added, changed or removed."""
        now = time.monotonic()
        if now - self._looked < FRESH_S:
            return self._version
        if self._version and not self._lock.acquire(blocking=False):
            return self._version  # another thread is looking
        elif not self._version:
            self._lock.acquire()
        try:
            if time.monotonic() - self._looked >= FRESH_S:
                self._version = self._site.read(look)
                self._looked = time.monotonic()
        finally:
            self._lock.release()
        return self._version

    def forget(self) -> None:
        """Look again at the next question; for those who have just written."""
        self._looked = -FRESH_S


def look() -> str:
    """The version that the tables have now."""
    from pipeline.schemas import (
        acquisition,
        action,
        behavior,
        behavior_analysis,
        data,
        ephys,
        ephys_analysis,
        histology,
        lab,
        subject,
    )

    connection = subject.Subject().connection
    quote = connection.adapter.quote_identifier
    is_postgresql = connection.adapter.backend == "postgresql"

    def digest(column: str) -> str:
        """Of the values of a column, whatever their order."""
        name = quote(column)
        return f"sum(('x' || substr({name}, 1, 8))::bit(32)::bigint)" if is_postgresql else f"sum(crc32({name}))"

    asked = [
        (data.Change, "max(change_time)"),
        (lab.Lab, "count(*)"),
        (subject.Subject, digest("subject_uuid")),
        (acquisition.Session, "count(*)"),
        (action.Weighing, "max(weighing_time)"),
        (action.WaterAdministration, "max(administration_time)"),
        (action.Note, "max(note_time)"),
        (behavior.TrialSet, digest("trials_fingerprint")),
        (behavior_analysis.SessionPerformance, "count(*)"),
        (behavior_analysis.PsychometricFit, "count(*)"),
        (behavior_analysis.SubjectTraining, digest("training_fingerprint")),
        (behavior_analysis.BehaviorHistory, digest("history_fingerprint")),
        (action.WaterHistory, digest("water_fingerprint")),
        (ephys.ProbeInsertion, "count(*)"),
        (ephys.Clustering, digest("clustering_fingerprint")),
        (ephys.DefaultClustering, "count(*)"),
        (ephys.ClusterSet, digest("clusters_fingerprint")),
        (ephys.RecordingSignal, digest("signal_fingerprint")),
        (ephys_analysis.UnitMetrics, "count(*)"),
        (ephys_analysis.UnitSelection, "count(*)"),
        (ephys_analysis.Peth, "count(*)"),
        (ephys_analysis.DepthPeth, "count(*)"),
        (ephys_analysis.DriftMap, "count(*)"),
        (ephys_analysis.Autocorrelogram, "count(*)"),
        (histology.Trajectory, "count(*)"),
        (histology.ChannelLocation, digest("locations_fingerprint")),
        (histology.ClusterLocation, "count(*)"),
    ]
    selects = ", ".join(f"(SELECT {what} FROM {table().full_table_name})" for table, what in asked)
    row = connection.query(f"SELECT {selects}").fetchone()
    return hashlib.md5(repr([str(value) for value in row]).encode(), usedforsecurity=False).hexdigest()[:12]
