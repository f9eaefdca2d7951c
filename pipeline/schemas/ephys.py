"""Electrophysiology: the probes, where they were inserted, and what was recorded with them."""

import datajoint as dj

from pipeline.database import registry
from pipeline.schemas import acquisition, data  # noqa: F401 - parents of foreign keys

schema = registry.schema(__name__)


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
class Recording(dj.Manual):
    definition = """
    # one raw recording of a session: the samples of one band of one probe, or of the auxiliary channels
    -> data.Dataset
    ---
    -> [nullable] ProbeInsertion
    band                       : enum('ap', 'lf', 'nidq')  # action potentials, local field, auxiliary channels
    sampling_rate              : float64         # Hz
    n_channels                 : int16           # with the synchronisation channel
    n_samples                  : int64           # per channel
    duration                   : float64         # s
    volts_per_bit=null         : float64         # V, of the first channel
    """


@schema
class Compression(dj.Manual):
    definition = """
    # how a raw recording was compressed, with the hashes of both forms
    -> Recording
    ---
    raw_path                   : varchar(255)    # of the raw file, below the session folder
    raw_hash                   : char(32)        # md5
    raw_size                   : int64           # byte
    compressed_hash            : char(32)        # md5
    compressed_size            : int64           # byte
    compression_ratio          : float64         # raw size over compressed size, a fraction above 1
    compression_seconds        : float64         # s, with verification
    compression_layout         : varchar(64)     # order of the samples, chunk length, spatial difference
    cbin_version               : varchar(32)
    compressed_at              : datetime(6)     # UTC
    raw_removed=null           : datetime(6)     # UTC, when the raw file was removed; null while it is there
    """
