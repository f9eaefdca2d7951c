"""Fibre photometry: which site was recorded under which light, and its signal around the events of the trials."""

from collections.abc import Mapping
from typing import Any

import datajoint as dj
import numpy as np

from pipeline.analysis import photometry
from pipeline.database import registry
from pipeline.errors import AmbiguousError, InvalidData, NotFoundError
from pipeline.schemas import acquisition, behavior, data
from pipeline.schemas.inputs import photometry_frames
from pipeline.schemas.inputs.from_files import FromFiles

schema = registry.schema(__name__)


@schema
class TraceSet(FromFiles, dj.Imported):
    definition = """
    # fibre photometry in one session; the signals stay in the file
    -> acquisition.Session
    ---
    photometry_fingerprint     : char(32)        # of the files that were read
    photometry_clock           : varchar(8)      # of the times: session; device where nothing relates its clock to it
    n_photometry_frames        : int32           # in the file
    n_unlit_frames             : int32           # left out: no light, or several at once, as in the first frame
    n_invalid_frames           : int32           # left out: the file marks them as outside the session
    n_dropped_frames           : int32           # left out: their time is missing or not after the one before
    photometry_qc              : varchar(8)      # PASS; WARNING: something was left out or is odd
    photometry_notes=""        : varchar(1000)   # what was left out or is odd, in words
    """
    fingerprint = "photometry_fingerprint"

    class Trace(dj.Part):
        definition = """
        # one site under one light
        -> master
        trace_id                   : int16           # in the order of the sites in the file, then of the wavelength
        ---
        photometry_site            : varchar(64)     # column of the file, e.g. Region0G
        fiber=""                   : varchar(64)     # name of the fibre, as photometryROI.locations says
        photometry_region=""       : varchar(64)     # brain region, as photometryROI.locations says
        light_name=""              : varchar(64)     # light or indicator as the file names it, e.g. GCaMP, Isosbestic
        wavelength=null            : float64         # of the excitation, nm; null where the file does not say
        n_photometry_samples       : int32
        photometry_rate=null       : float64         # one over the median time between samples, Hz
        photometry_start=null      : float64         # first sample, s by photometry_clock
        photometry_end=null        : float64         # last sample, s by photometry_clock
        longest_photometry_gap=null : float64        # between two samples, s
        fluorescence=null          : float64         # median, unit of the file
        fluorescence_sd=null       : float64         # standard deviation, unit of the file
        fluorescence_missing       : float64         # fraction of the samples without a value, 0-1
        """

    @property
    def key_source(self) -> dj.expression.QueryExpression:
        """Sessions with a signal."""
        signal = "object_name = 'photometry' AND accepted_columns LIKE '%%,signal,%%'"
        raw = "object_name = 'fpData' AND accepted_columns LIKE '%%,raw,%%'"
        return acquisition.Session.proj() & (data.AlfObject & f"({signal}) OR ({raw})").proj()

    def _found(self):
        names = [{"object_name": name} for name in photometry_frames.OBJECTS]
        return data.AlfObject & names & "accepted_columns <> ''" & self.key_source

    @classmethod
    def fetch_signal(
        cls, key: Mapping[str, Any], site: str | None = None, light: str | float | None = None
    ) -> photometry.Trace:
        """The signal of one trace, read from its file.

        Parameters
        ----------
        key : primary key of the session; with `trace_id`, or any other column of `Trace`, where it has several.
        site : of the trace: a column of the file (`Region0G`) or its brain region (`DMS`).
        light : of the trace: its name (`GCaMP`) or its wavelength (470, nm).

        Raises
        ------
        NotFoundError, AmbiguousError : no trace fits, or several do; the message lists them.
        InvalidData : the file is not as it was registered.
        """
        chosen = cls.Trace & dict(key)
        if site is not None:
            chosen &= [{"photometry_site": site}, {"photometry_region": site}]
        if light is not None:
            chosen &= {"light_name": light} if isinstance(light, str) else f"ABS(wavelength - {float(light)!r}) < 0.5"
        rows = chosen.to_dicts(order_by="trace_id")
        if len(rows) != 1:
            listed = rows or (cls.Trace & {name: key[name] for name in cls.primary_key if name in key}).to_dicts()
            names = [
                f"{row['photometry_site']} {row['photometry_region']} {row['light_name']}".strip() for row in listed
            ]
            words = f"the traces are {'; '.join(names)}" if names else "the session has no photometry in the tables"
            if rows:
                raise AmbiguousError(f"{len(rows)} traces fit", f"name site and light: {words}")
            raise NotFoundError(f"no trace fits; {words}", "name a site and a light of these")
        recording, _ = photometry_frames.read(rows[0])
        return recording.traces[rows[0]["trace_id"]]

    @classmethod
    def fetch_aligned(
        cls,
        key: Mapping[str, Any],
        event: str = "feedback_times",
        site: str | None = None,
        light: str | float | None = None,
        condition: str | None = None,
        start: float = -1.0,
        end: float = 2.0,
        sampling_rate: float | None = None,
        baseline: tuple[float, float] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The signal of one trace around an event of each trial.

        Parameters
        ----------
        key, site, light : as in `fetch_signal`; with `task_collection` where the session has several tasks.
        event : column of `behavior.TrialSet.Trial`, e.g. `stim_on_times`.
        condition : only the trials that fulfil it, as in `behavior.fetch_trials`.
        start, end, sampling_rate, baseline : as in `pipeline.analysis.photometry.aligned`.

        Returns
        -------
        times_from_event : array (n_times,), s
        signal : array (n_trials, n_times); NaN where the trial has no such event, or the signal no sample

        Raises
        ------
        InvalidData : the times are not those of the session, so that the signal has no relation to the trials.
        NotFoundError, AmbiguousError, NeurojointError : as in `fetch_signal` and `behavior.fetch_trials`.
        """
        of_task = {name: value for name, value in key.items() if name in behavior.TrialSet.primary_key}
        trials = behavior.fetch_trials(of_task, condition)
        if event not in trials:
            listed = ", ".join(sorted(name for name in trials if name.endswith("_times") or "intervals" in name))
            raise NotFoundError(f"the trials have no {event!r}", f"the events are {listed or 'none'}")
        of_trace = {name: value for name, value in key.items() if name != "task_collection"}
        trace = cls.fetch_signal(of_trace, site, light)
        session = {name: key[name] for name in cls.primary_key}
        if (cls & session).fetch1("photometry_clock") != photometry.SESSION_CLOCK:
            detail = "its times are of the clock of the device, which nothing relates to that of the trials"
            raise InvalidData("fpData.raw", "wrong_clock", detail, "add photometry.signal with times of the session")
        return photometry.aligned(trace.times, trace.values, trials[event], start, end, sampling_rate, baseline)

    def make(self, key):
        recording, places = photometry_frames.read(key)
        said = photometry.notes(recording) + photometry_frames.unplaced(recording, places)
        self.insert1(
            key
            | self._fingerprint_of(key)
            | {
                "photometry_clock": recording.clock,
                "n_photometry_frames": recording.n_frames,
                "n_unlit_frames": recording.n_unlit,
                "n_invalid_frames": recording.n_invalid,
                "n_dropped_frames": recording.n_dropped,
                "photometry_qc": "WARNING" if said else "PASS",
                "photometry_notes": "; ".join(said)[:1000],
            }
        )
        rows = (photometry_frames.summary(trace, places) for trace in recording.traces)
        self.Trace.insert(key | {"trace_id": i} | row for i, row in enumerate(rows))
