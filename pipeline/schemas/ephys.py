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
