"""Electrophysiology: the probes, where they were inserted, what was recorded with them, and how it was sorted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datajoint as dj
import numpy as np
import pyarrow as pa

from pipeline.analysis.signals import ChannelStatistics
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns, insert_many
from pipeline.electrophysiology import clocks, clusterings, sorting
from pipeline.electrophysiology.spikes import attributes, grouped, spikes, templates
from pipeline.provenance import fingerprints
from pipeline.schemas import acquisition, data, subject  # noqa: F401 - parents of foreign keys
from pipeline.schemas.inputs import files, local_copies, session_streams
from pipeline.schemas.inputs.recordings import channel_map, clock, raw_snippet, sync_events

__all__ = ["clock", "grouped", "raw_snippet", "spikes", "sync_events", "templates"]

schema = registry.schema(__name__)

PIECES = {"ap": (24, 1.0, 4096), "lf": (40, 4.0, 2048)}
"""What RecordingSignal reads of a band: pieces, length of each (s), samples of a segment of the spectrum."""


@schema
class ProbeModel(dj.Lookup):
    definition = """
    # a kind of probe
    probe_model                : varchar(64)     # name
    ---
    probe_manufacturer=""      : varchar(64)
    n_sites=null               : int32           # recording sites
    probe_description=""       : varchar(255)    # remarks
    """
    contents = [
        {
            "probe_model": "3A",
            "probe_manufacturer": "imec",
            "n_sites": 960,
            "probe_description": "Neuropixels phase 3A",
        },
        {"probe_model": "NP1", "probe_manufacturer": "imec", "n_sites": 960, "probe_description": "Neuropixels 1.0"},
        {"probe_model": "NP2.1", "probe_manufacturer": "imec", "n_sites": 1280, "probe_description": "2.0, one shank"},
        {
            "probe_model": "NP2.4",
            "probe_manufacturer": "imec",
            "n_sites": 5120,
            "probe_description": "2.0, four shanks",
        },
    ]


@schema
class Probe(dj.Manual):
    definition = """
    # a probe
    probe_serial               : varchar(64)     # serial number
    ---
    -> [nullable] ProbeModel
    probe_comment=""           : varchar(255)    # remarks
    """


@schema
class ProbeInsertion(dj.Manual):
    definition = """
    # one probe in one session
    -> acquisition.Session
    probe_label                : varchar(32)     # as the folder, e.g. probe00
    ---
    pid                        : char(36)        # given, or derived from the ALF path
    -> [nullable] Probe
    insertion_qc="NOT_SET"     : enum('NOT_SET', 'PASS', 'WARNING', 'FAIL', 'CRITICAL')
    insertion_json=null        : json            # what other programs keep with the insertion
    unique index (pid)
    """


@schema
class GoodPeriod(dj.Manual):
    definition = """
    # a part of a recording that may be analysed; a probe without any may be from start to end
    -> ProbeInsertion
    good_period                : int16           # number, from 0
    ---
    good_start                 : float64         # s from session start
    good_end                   : float64         # s from session start
    good_comment=""            : varchar(255)    # e.g. drift before
    """

    @classmethod
    def holds(cls, key: Mapping[str, Any], times: np.ndarray) -> np.ndarray:
        """Whether times (s from session start) lie in good periods of a probe; all do where none are entered."""
        insertion = {name: key[name] for name in ProbeInsertion.primary_key}
        start, end = (cls & insertion).to_arrays("good_start", "good_end")
        times = np.asarray(times, np.float64)
        if not len(start):
            return np.ones(times.shape, bool)
        with np.errstate(invalid="ignore"):
            inside = (times[..., None] >= start.astype(float)) & (times[..., None] <= end.astype(float))
        return inside.any(axis=-1)

    @classmethod
    def text(cls, key: Mapping[str, Any]) -> str:
        """The good periods of a probe in words; empty where none are entered."""
        insertion = {name: key[name] for name in ProbeInsertion.primary_key}
        rows = (cls & insertion).to_dicts(order_by="good_start, good_end")
        return "".join(f" {float(row['good_start'])!r} {float(row['good_end'])!r}" for row in rows)

    @classmethod
    def digests(cls, keys: pa.Table) -> pa.Table:
        """Keys of rows of insertions with `fingerprint`, which changes with the good periods of the insertion."""
        with_periods = {tuple(row.values()) for row in (ProbeInsertion & cls.proj()).proj().to_dicts()}
        places = list(zip(*(keys[name].to_pylist() for name in ProbeInsertion.primary_key), strict=True))
        names = ProbeInsertion.primary_key
        said = {item: cls.text(dict(zip(names, item, strict=True))) for item in set(places) & with_periods}
        digests = [fingerprints.extend("good periods", said.get(place, "")) for place in places]
        return keys.append_column("fingerprint", pa.array(digests, pa.string()))


class InGoodPeriods:
    """A populated table of insertions whose rows are made from the good periods only."""

    fingerprint: str
    """The column that says what the good periods were."""

    def current_fingerprints(self, key: dict | None = None) -> pa.Table:
        """Key and fingerprint of every row (of `key`) that there should be now."""
        table: Any = self
        return GoodPeriod.digests(fetch_columns(table.key_source & (key or {}), *table.primary_key))

    def _fingerprint_of(self, key: Mapping[str, Any]) -> dict[str, str]:
        place = {name: pa.array([key[name]]) for name in ProbeInsertion.primary_key}
        return {self.fingerprint: GoodPeriod.digests(pa.table(place))["fingerprint"][0].as_py()}


@schema
class ChronicInsertion(dj.Manual):
    definition = """
    # a probe that stays in an animal over many sessions
    chronic_id                 : char(36)        # given, or drawn when it is entered
    ---
    -> subject.Subject
    chronic_name=""            : varchar(64)     # e.g. probe00
    -> [nullable] Probe
    chronic_start=null         : datetime(6)     # UTC, when it was implanted
    chronic_end=null           : datetime(6)     # UTC, when it was taken out
    chronic_narrative=""       : varchar(1000)   # remarks
    chronic_json=null          : json            # what other programs keep with it
    """


@schema
class ChronicRecording(dj.Manual):
    definition = """
    # a session's insertion that is a recording with an implanted probe
    -> ProbeInsertion
    ---
    -> ChronicInsertion
    """


@schema
class Recording(dj.Manual):
    definition = """
    # one raw recording of a session: the samples of one band of one probe, or of the auxiliary channels
    -> data.Dataset
    ---
    -> [nullable] ProbeInsertion
    band                       : enum('ap', 'lf', 'nidq', 'obx')  # action potentials, local field, auxiliary channels of a NIDQ or a OneBox
    sampling_rate              : float64         # Hz
    n_channels                 : int32           # with the synchronisation channel
    n_samples                  : int64           # per channel
    duration                   : float64         # s
    volts_per_bit=null         : float64         # V, of the first channel
    """


@schema
class Compression(dj.Manual):
    definition = """
    # a raw recording that is kept compressed, with the hashes of both forms
    -> Recording
    ---
    raw_path                   : varchar(500)    # of the raw file, below the session folder
    raw_size                   : int64           # byte
    raw_hash=""                : varchar(32)     # md5; empty where the raw file was never here
    raw_sha1=""                : varchar(40)     # of the samples
    raw_repository=""          : varchar(64)     # where the raw file lies beside the compressed one; empty: nowhere
    raw_modified_ns=null       : int64           # time of its last change when it was found equal, ns since 1970
    compressed_hash            : char(32)        # md5
    compressed_size            : int64           # byte
    compressed_sha1=""         : varchar(40)
    compression_ratio          : float64         # raw size over compressed size, as a fraction above 1
    compression_layout         : varchar(128)    # order of the samples, chunk length, differences
    compression_encoder=""     : varchar(64)     # program and version that wrote it, where the file says so
    compression_seconds=null   : float64         # s, with verification; null where another program compressed it
    compression_speed=null     : float64         # raw samples, 10^6 byte per s
    compressed_at=null         : datetime(6)     # UTC
    raw_removed=null           : datetime(6)     # UTC, when the raw file was seen to be gone; null while it is there
    """


@schema
class ChannelMap(dj.Manual):
    definition = """
    # where the channels of a recording lie on the probe, from its SpikeGLX header; without a header there is no row
    -> Recording
    ---
    map_channels               : json            # list of the acquired channel of each column of the file, sync left out
    map_lateral                : json            # list of positions across the shank, um
    map_axial                  : json            # list of distances from the tip along the shank, um
    map_shank                  : json            # list of shanks, from 0
    map_volts_per_bit          : json            # list of factors from int16 to V
    """


@schema
class RecordingSignal(dj.Computed):
    definition = """
    # strength and spectrum of each channel of a recording, from pieces spread evenly over it
    -> Recording
    ---
    signal_fingerprint         : char(32)        # of the samples
    n_signal_channels          : int32           # without the synchronisation channel
    n_pieces                   : int32           # pieces that were read
    piece_duration             : float64         # of each, s
    signal_rms                 : <blob>          # (n channels,) root mean square after the mean is taken off, uV, float32
    spectrum_frequencies       : <blob>          # (n frequencies,) Hz, float32
    spectrum_power             : <blob>          # (n channels, n frequencies) power density, uV^2/Hz, float32
    """
    fingerprint = "signal_fingerprint"

    @property
    def key_source(self):
        """Recordings of probes whose file is here and that have a gain."""
        online = (data.FileRecord & {"file_state": "online"}).proj()
        return (
            Recording.proj()
            & (Recording & [{"band": "ap"}, {"band": "lf"}] & "volts_per_bit IS NOT NULL").proj()
            & online
        )

    def current_fingerprints(self, key: dict | None = None) -> pa.Table:
        """Key and fingerprint of every recording (of `key`) that should have a row now."""
        names = ("dataset_id", "dataset_hash", "raw_hash")
        rows = fetch_columns((data.Dataset & self.key_source & (key or {})).extend(Compression), *names)
        hashes = [raw or md5 for md5, raw in zip(*(rows[name].to_pylist() for name in names[1:]), strict=True)]
        return pa.table({"dataset_id": rows["dataset_id"], "fingerprint": pa.array(hashes, pa.string())})

    def make(self, key):
        fingerprint = self.current_fingerprints(key)["fingerprint"][0].as_py()
        n_pieces, seconds, segment = PIECES[(Recording & key).fetch1("band")]
        with files.open_recording(key) as recording:
            gains = np.asarray(recording.volts_per_bit)
            kept = np.flatnonzero(gains < 1)  # digital words have a factor of 1
            statistics = ChannelStatistics(recording.sample_rate, gains[kept] * 1e6, segment)
            length = min(round(seconds * recording.sample_rate), recording.n_samples)
            n_pieces = min(n_pieces, recording.n_samples // max(length, 1))
            for first in np.linspace(0, recording.n_samples - length, n_pieces).astype(int).tolist():
                statistics.add(recording.read(first, first + length)[:, kept])
        self.insert1(
            key
            | {
                "signal_fingerprint": fingerprint,
                "n_signal_channels": len(kept),
                "n_pieces": n_pieces,
                "piece_duration": length / recording.sample_rate,
                "signal_rms": statistics.rms.astype(np.float32),
                "spectrum_frequencies": statistics.frequencies.astype(np.float32),
                "spectrum_power": statistics.power.astype(np.float32),
            }
        )


@schema
class SessionClock(dj.Computed):
    definition = """
    # the clocks of all raw recordings of a session, and the changes of their digital lines
    -> acquisition.Session
    ---
    clocks_fingerprint         : char(32)        # of the samples, and of timestamps beside them
    n_streams                  : int32           # recordings
    clocks_qc                  : enum('NOT_SET', 'PASS', 'WARNING', 'FAIL', 'CRITICAL')  # the worst of its recordings
    """
    fingerprint = "clocks_fingerprint"

    class Stream(dj.Part):
        definition = """
        # how the samples of one recording become s from session start, linear in between
        -> master
        -> Recording
        ---
        clock_source               : enum('timestamps', 'reference', 'aligned', 'unaligned')  # a file beside it; it is the session's clock; pulses; nothing
        clock_samples              : <blob>          # (k,) samples, float64
        clock_times                : <blob>          # (k,) their times, s from session start, float64
        clock_line=null            : int16           # line of the reference by which it was aligned
        clock_offset=null          : float64         # of a straight line through all pulses: session time of its first sample, s
        clock_drift=null           : float64         # relative difference of its rate to that of the reference, ppm
        n_pulses=null              : int32           # that both have
        linear_residual=null       : float64         # largest distance of a pulse from the straight line, s
        clock_residual=null        : float64         # largest distance from the piecewise linear clock, s
        clock_residual_rms=null    : float64         # root mean square of these distances, s
        clock_qc                   : enum('NOT_SET', 'PASS', 'WARNING', 'FAIL', 'CRITICAL')  # PASS: all pulses within 0.1 ms, WARNING: 1 ms
        clock_note=""              : varchar(255)    # why it is not aligned
        """

    class Line(dj.Part):
        definition = """
        # the changes of one digital line of a recording
        -> master
        -> Recording
        line                       : int16           # bit of the digital word, from 0; 16 more for each further word
        ---
        line_name=null             : varchar(128)    # what the file of the recording or a wiring file calls it
        n_rising                   : int64           # changes from 0 to 1
        n_falling                  : int64           # changes from 1 to 0
        line_samples               : <blob>          # (n,) sample of each change, int64
        line_polarities            : <blob>          # (n,) 1 rises, -1 falls, int8
        """

    class Camera(dj.Part):
        definition = """
        # how the times of a camera's frames fit the pulses of a line of the NIDQ or OneBox
        -> master
        camera                     : varchar(32)     # left, right, body
        ---
        -> [nullable] Recording
        camera_line=null           : int16           # line whose pulses fit the frames; null where none does
        n_timed_frames             : int64           # frames with a time
        n_camera_pulses            : int64           # of that line
        n_matched                  : int64           # frames with a pulse of their own
        camera_offset=null         : float64         # median of frame less pulse, s
        camera_drift=null          : float64         # relative difference of the rates, ppm
        camera_residual=null       : float64         # largest distance of a frame from its pulse, s
        camera_qc                  : enum('NOT_SET', 'PASS', 'WARNING', 'FAIL', 'CRITICAL')  # PASS: 99 of 100 frames within 1 ms, WARNING: half an interval
        """

    @property
    def key_source(self):
        """Sessions with a raw recording whose file is here."""
        online = (data.FileRecord & {"file_state": "online"}).proj()
        return acquisition.Session.proj() & (data.Dataset & Recording.proj() & online & {"default_dataset": True}).proj(
            *acquisition.Session.primary_key
        )

    def current_fingerprints(self, key: dict | None = None) -> pa.Table:
        """Key and fingerprint of every session (of `key`) that should have a row now."""
        names = acquisition.Session.primary_key
        datasets = data.Dataset & self.key_source & {"default_dataset": True} & (key or {})
        rows = fetch_columns((datasets & Recording.proj()).extend(Compression), *names, "dataset_hash", "raw_hash")
        hashes = [
            raw or md5 for md5, raw in zip(rows["dataset_hash"].to_pylist(), rows["raw_hash"].to_pylist(), strict=True)
        ]
        rows = rows.select(names).append_column("part", pa.array(hashes, pa.string()))
        chosen = " OR ".join(f"rel_path LIKE '%%{end}'" for end in session_streams.BESIDE)
        beside = fetch_columns(datasets & chosen, *names, "dataset_hash")
        return fingerprints.combine(pa.concat_tables([rows, beside.rename_columns([*names, "part"])]), names, ["part"])

    def make(self, key):
        inputs, changes = session_streams.read(key)
        made = clocks.session_clocks(inputs.streams, changes, inputs.timestamps)
        self.insert1(
            key
            | {
                "clocks_fingerprint": self.current_fingerprints(key)["fingerprint"][0].as_py(),
                "n_streams": len(made),
                "clocks_qc": max((item.qc for item in made), key=session_streams.SEVERITY.index, default="NOT_SET"),
            }
        )
        self.Stream.insert([key | session_streams.stream_row(item) for item in made])
        self.Line.insert([key | row for row in session_streams.line_rows(changes, inputs.line_names)])
        self.Camera.insert([key | row for row in session_streams.camera_rows(inputs, made, changes)])


@schema
class Sorter(dj.Lookup):
    definition = """
    # a program that sorts spikes, named as its folder below the probe
    sorter                     : varchar(64)     # e.g. pykilosort
    ---
    sorter_rank=100            : int16           # of several sorters the one with the lowest rank is the default
    sorter_description=""      : varchar(255)    # remarks
    """
    contents = [
        {"sorter": "iblsorter", "sorter_rank": 10, "sorter_description": "IBL, from 2023"},
        {"sorter": "pykilosort", "sorter_rank": 20, "sorter_description": "IBL's Python form of Kilosort 2.5"},
        {"sorter": "kilosort4", "sorter_rank": 30, "sorter_description": "Kilosort 4"},
        {"sorter": "kilosort3", "sorter_rank": 40, "sorter_description": "Kilosort 3"},
        {"sorter": "kilosort2_5", "sorter_rank": 50, "sorter_description": "Kilosort 2.5, MATLAB"},
        {"sorter": "ks2_matlab", "sorter_rank": 60, "sorter_description": "Kilosort 2, MATLAB"},
        {"sorter": "spykingcircus2", "sorter_rank": 70, "sorter_description": "SpikeInterface"},
    ]


@schema
class Clustering(dj.Manual):
    definition = """
    # one sorting of one insertion, in one revision: files of `spikes`, `clusters` and `templates` that belong together
    -> ProbeInsertion
    clustering                 : varchar(96)     # folder below `alf`, e.g. probe00, probe00/pykilosort/#2024-05-06#
    ---
    -> [nullable] Sorter
    clustering_collection      : varchar(128)    # folder below the session, without the revision
    clustering_revision=""     : varchar(64)     # the folder #revision#, empty for the first version
    clustering_state           : enum('online', 'refused', 'missing')  # refused: its spikes may not be read; missing: they are gone
    default_clustering         : bool            # the one that is meant where none is named; one for each insertion
    clustering_fingerprint     : char(32)        # md5 over the hashes of its files and over what was refused
    clustering_files           : json            # object.attribute -> [path below the session, md5] of each file that may be read
    clustering_refused         : json            # object.attribute -> reason, for what is in quarantine
    clustering_reading=null    : json            # which unit a row is and how that was found, factors of units of measurement, repairs, doubts
    """

    @staticmethod
    def paths_of(row: Mapping[str, Any], hashes: Mapping[str, str]) -> dict[str, Path]:
        """The files of a clustering on this computer; see `inputs.local_copies.paths_of`."""
        return local_copies.paths_of(row, hashes)


@schema
class DefaultClustering(dj.Manual):
    definition = """
    # the clustering that a person chose as default of an insertion; it goes before ranks and revisions
    -> ProbeInsertion
    ---
    chosen_clustering          : varchar(96)     # as in Clustering; while that one is not there, the rules choose
    chosen_by=""               : varchar(64)     # account
    """


@schema
class ClusterSet(dj.Imported):
    definition = """
    # the units of one clustering; their spikes stay in the files (`ephys.spikes`)
    -> Clustering
    ---
    clusters_fingerprint       : char(32)        # of the files that were read
    n_clusters                 : int32           # units with a spike, or a row in the metrics
    n_spikes                   : int64
    first_spike=null           : float64         # s from session start; null without spikes
    last_spike=null            : float64         # s from session start; null without spikes
    clusters_present           : json            # list of object.attribute that were read
    clusters_refused           : json            # object.attribute -> reason, for what is in quarantine; null in the rows
    """
    fingerprint = "clusters_fingerprint"

    class Cluster(dj.Part):
        definition = """
        # one unit; null where the files do not say
        -> master
        cluster_id                 : int32           # as in spikes.clusters; not always contiguous
        ---
        cluster_uuid=null          : char(36)        # name of the unit, from clusters.uuids
        cluster_channel=null       : int32           # row of the channels object with the largest amplitude
        cluster_depth=null         : float64         # from the tip, um
        cluster_lateral=null       : float64         # across the shank, um, as channels.localCoordinates or the map has it
        cluster_shank=null         : int16           # from 0; null where no file says it
        cluster_amp=null           : float64         # mean amplitude, uV
        cluster_n_spikes           : int64
        cluster_firing_rate=null   : float64         # spikes over the time from the first to the last spike of all units, Hz
        peak_to_trough=null        : float64         # of the mean waveform, ms
        sorter_label=null          : varchar(16)     # what the sorter or a curator calls it, e.g. good, mua, noise
        sorter_cluster_id=null     : int32           # number that the sorter gave it, where that differs from cluster_id
        unit_name=null             : varchar(64)     # name that the sorter gave it, where that is not just a number
        """

    @property
    def key_source(self):
        """Clusterings whose spikes can be read."""
        return Clustering.proj() & (Clustering & {"clustering_state": "online"}).proj()

    def current_fingerprints(self, key: dict | None = None) -> pa.Table:
        """Key and fingerprint of every clustering (of `key`) that should have a row now."""
        query = Clustering & {"clustering_state": "online"} & (key or {})
        rows = fetch_columns(query, *Clustering.primary_key, "clustering_fingerprint")
        return rows.rename_columns([*Clustering.primary_key, "fingerprint"])

    def make(self, key):
        row = clusterings.find(key)
        paths = attributes(row, row["clustering_files"])
        clustering = sorting.examine(paths, clusterings.reading(row).recorded, channel_map(key))
        self.insert1(
            key
            | {
                "clusters_fingerprint": row["clustering_fingerprint"],
                "n_clusters": len(clustering.clusters["cluster_id"]),
                "n_spikes": clustering.n_spikes,
                "first_spike": clustering.first,
                "last_spike": clustering.last,
                "clusters_present": clustering.read,
                "clusters_refused": row["clustering_refused"],
            }
        )
        insert_many(self.Cluster, key | clustering.clusters)
