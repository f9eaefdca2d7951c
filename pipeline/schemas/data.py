"""The files: what exists, where, in which version, and what was refused."""

import datetime
import getpass
import json
import uuid
from collections.abc import Iterable
from typing import NamedTuple

import datajoint as dj

from pipeline.alf.columns import DATA_FORMATS
from pipeline.alf.dataset_types import DATASET_TYPES
from pipeline.database import registry
from pipeline.database.bulk import insert_many
from pipeline.schemas import acquisition, lab  # noqa: F401 - parents of foreign keys

schema = registry.schema(__name__)


@schema
class DatasetType(dj.Lookup):
    definition = """
    # what kind of data a file holds, named object.attribute
    dataset_type               : varchar(96)     # e.g. trials.choice
    ---
    type_description=""        : varchar(1000)   # meaning, with units
    filename_pattern=""        : varchar(128)    # glob of the file names, where object.attribute does not say it
    """
    contents = [{"dataset_type": name, "type_description": one.description} for name, one in DATASET_TYPES.items()]


@schema
class DataFormat(dj.Lookup):
    definition = """
    # a file format
    data_format                : varchar(32)     # name
    ---
    file_extension             : varchar(32)     # without the dot
    format_description=""      : varchar(255)    # how it is read
    """
    contents = [
        {"data_format": extension, "file_extension": extension, "format_description": text}
        for extension, text in DATA_FORMATS.items()
    ]


@schema
class Repository(dj.Manual):
    definition = """
    # a place that holds files
    repository                 : varchar(64)     # short name
    ---
    repository_kind            : varchar(16)     # how it is reached: local, ssh, sftp, s3, http, globus
    repository_root            : varchar(500)    # folder, address or bucket under which the paths of its files begin
    repository_host=""         : varchar(255)    # the computer, user@host, or the collection of Globus
    repository_json=null       : json            # what other programs keep with it, e.g. how the lab server that holds it is
    """


@schema
class RepositoryKind(dj.Lookup):
    definition = """
    # how repositories are reached
    kind                       : varchar(16)     # as `Repository.repository_kind`
    ---
    kind_description           : varchar(255)
    """
    contents = [
        {"kind": "local", "kind_description": "a folder of this computer, or one that is mounted on it"},
        {"kind": "ssh", "kind_description": "a folder of another computer, by rsync over ssh"},
        {"kind": "sftp", "kind_description": "a folder of another computer, by sftp"},
        {"kind": "s3", "kind_description": "a bucket of an S3 server"},
        {"kind": "http", "kind_description": "a web server, to read from"},
        {"kind": "globus", "kind_description": "a collection of Globus"},
    ]


@schema
class RepositoryLayout(dj.Manual):
    definition = """
    # where the sessions lie in a data root, decided when it is first registered
    -> Repository
    ---
    layout                     : varchar(16)     # labs: lab/Subjects/subject; subjects_folder: Subjects/subject; subjects: subject
    layout_lab=""              : varchar(32)     # the lab of all sessions, where the layout has no folder for it
    """


@schema
class MountPoint(dj.Manual):
    definition = """
    # a folder of a repository that is a disk of its own; where it is not mounted, its files are away, not deleted
    -> Repository
    mount_path                 : varchar(255)    # below the root
    """


@schema
class Revision(dj.Manual):
    definition = """
    # a version of datasets: the folder #revision#
    revision                   : varchar(64)     # name, later ones sort later
    ---
    revision_description=""    : varchar(1000)   # what changed
    """


@schema
class Tag(dj.Manual):
    definition = """
    # a set of datasets, e.g. a release
    tag                        : varchar(128)    # name
    ---
    tag_protected=0            : bool            # its datasets cannot be overwritten
    tag_public=0               : bool            # its datasets are for everyone
    tag_description=""         : varchar(1000)   # what for
    """


@schema
class IngestRun(dj.Manual):
    definition = """
    # one call of the registration
    run_id                     : char(36)
    ---
    run_start                  : datetime(6)     # UTC
    run_end=null               : datetime(6)     # UTC; null while it runs or where it was cut off
    run_root                   : varchar(500)    # the data root
    run_host=""                : varchar(255)    # computer
    run_user=""                : varchar(64)     # account
    run_version=""             : varchar(32)     # of neurojoint
    """


@schema
class Dataset(dj.Manual):
    definition = """
    # one file of a session
    dataset_id                 : char(36)        # given, or derived from the ALF path
    ---
    -> acquisition.Session
    rel_path                   : varchar(255)    # below the session folder, with collection and #revision#
    collection                 : varchar(128)    # folder below the session, without the revision
    alf_object                 : varchar(64)     # first part of the name
    alf_attribute              : varchar(96)     # second part, with the time scale
    extension                  : varchar(32)     # with what stands before it, e.g. ap.cbin
    dataset_revision=""        : varchar(64)     # the folder #revision#, empty for the first version
    -> [nullable] DatasetType
    dataset_hash               : char(32)        # md5 of the content
    file_size                  : int64           # byte
    default_dataset            : bool            # the version that is read when none is asked for
    dataset_qc="NOT_SET"       : enum('NOT_SET', 'PASS', 'WARNING', 'FAIL', 'CRITICAL')
    registered                 : datetime(6)     # UTC
    dataset_online=0           : bool            # one of its FileRecords is online; see `note_online`
    dataset_json=null          : json            # what other programs keep with the dataset
    unique index (lab, subject, session_date, session_number, rel_path)
    index (rel_path, lab, subject, session_date, session_number, dataset_online, dataset_qc)
    index (dataset_id, dataset_hash)
    """


@schema
class DatasetTag(dj.Manual):
    definition = """
    # the sets that a dataset belongs to
    -> Dataset
    -> Tag
    """


@schema
class Download(dj.Manual):
    definition = """
    # how often somebody downloaded a dataset, as their program reported it
    -> Dataset
    -> lab.LabMember.proj(download_user='user_name')
    ---
    first_download             : datetime(6)     # UTC
    last_download              : datetime(6)     # UTC
    download_count             : int32
    download_json=null         : json            # what other programs keep with it
    """

    class Project(dj.Part):
        definition = """
        # what it was downloaded for
        -> master
        -> lab.Project
        """


@schema
class DataNotice(dj.Manual):
    definition = """
    # a known problem of some datasets, for those who use them
    notice_id                  : char(36)        # given, or drawn when it is entered
    ---
    notice_name=""             : varchar(255)    # title
    notice_description=""      : varchar(4000)
    importance="INSIGNIFICANT" : enum('INSIGNIFICANT', 'MINOR', 'MAJOR', 'CRITICAL')
    notice_created             : datetime(6)     # UTC
    -> [nullable] lab.LabMember.proj(notice_user='user_name')
    version_affected=""        : varchar(64)     # of the program that made them
    affected_from=null         : date            # first day of the sessions
    affected_until=null        : date            # last day of the sessions
    notice_json=null           : json            # what other programs keep with it
    """

    class AffectedDataset(dj.Part):
        definition = """
        # a dataset with the problem
        -> master
        -> Dataset
        """


@schema
class FileRecord(dj.Manual):
    definition = """
    # a copy of a dataset in a repository
    -> Dataset
    -> Repository
    ---
    file_path                  : varchar(500)    # below the root of the repository
    file_state                 : enum('online', 'missing')
    record_size                : int64           # byte
    record_hash                : char(32)        # md5 of this copy when it was last read
    modified_ns                : int64           # time of last change in the file system, ns since 1970
    verified                   : datetime(6)     # UTC, when the copy was last read and hashed
    record_json=null           : json            # what other programs keep with the copy
    index (repository, file_state, dataset_id, record_hash)
    """


@schema
class Aggregate(dj.Manual):
    definition = """
    # a file over many sessions, below the folder aggregates of a repository
    aggregate_id               : char(36)        # derived from the path
    ---
    -> Repository
    aggregate_path             : varchar(255)    # below the root, e.g. aggregates/Subjects/simlab/KS014/x.y.pqt
    aggregate_relation         : varchar(64)     # over what, in lower case, e.g. subjects, tags
    aggregate_identifier       : varchar(255)    # over which, e.g. simlab/KS014
    aggregate_revision=""      : varchar(64)     # the folder #revision#, empty for the first version
    aggregate_hash             : char(32)        # md5 of the content
    aggregate_size             : int64           # byte
    aggregate_modified_ns      : int64           # time of last change in the file system, ns since 1970
    aggregate_default          : bool            # the newest version
    aggregate_qc="NOT_SET"     : enum('NOT_SET', 'PASS', 'WARNING', 'FAIL', 'CRITICAL')
    aggregate_registered       : datetime(6)     # UTC
    index (aggregate_relation)
    """


@schema
class AlfObject(dj.Manual):
    definition = """
    # one ALF object of a session: the columns that belong together, in their default versions
    -> acquisition.Session
    object_collection          : varchar(128)    # folder below the session
    object_name                : varchar(64)     # e.g. trials, wheel
    ---
    object_fingerprint         : char(32)        # md5 over the hashes of the default datasets and what was refused
    accepted_columns           : varchar(4000)   # what may be read: columns of pipeline.alf.columns, else attributes, as ,position,timestamps,
    refused_columns            : json            # column -> reason
    """


@schema
class SessionScan(dj.Manual):
    definition = """
    # how a session folder looked when it was registered; an equal signature means that nothing has to be read
    -> acquisition.Session
    -> Repository
    ---
    scan_signature             : char(32)        # md5 over names, sizes and times of the files
    scanned_files              : int32           # how many
    scanned_bytes              : int64           # byte
    scanned                    : datetime(6)     # UTC
    """


@schema
class Quarantine(dj.Manual):
    definition = """
    # what was refused, why, and what to do
    quarantine_id              : char(32)        # md5 of repository, path and column
    ---
    -> Repository
    -> [nullable] acquisition.Session
    quarantine_path            : varchar(500)    # below the root of the repository
    quarantine_column=""       : varchar(96)     # the column that is refused; empty for the whole file
    reason                     : varchar(32)     # code
    detail                     : varchar(1000)   # what was found, with the row
    remedy                     : varchar(500)    # what to do
    first_seen                 : datetime(6)     # UTC
    last_seen                  : datetime(6)     # UTC
    resolved=null              : datetime(6)     # UTC, when it was found mended
    """


@schema
class SourceRow(dj.Manual):
    definition = """
    # where a row comes from that nobody entered by hand: the file that says it, and the line
    source_row_id              : char(32)        # md5 of repository, file, table and key
    ---
    -> Repository
    source_file                : varchar(500)    # below the root of the repository, else absolute; a session folder as a whole
    source_line                : int32           # of a metadata file, from 1; 0: what the settings in a session folder say
    source_zone                : varchar(64)     # time zone in which times without an offset were read
    stated_lab                 : varchar(32)     # the lab that the row belongs to
    stated_table               : varchar(64)     # e.g. action.Weighing
    stated_key                 : varchar(500)    # primary key of the row, as JSON
    stated_values              : varchar(4000)   # the columns that the file gives, as JSON
    index (source_file)
    index (stated_table, stated_key)
    """

    @classmethod
    def of(cls, table: str, key: dict) -> dj.expression.QueryExpression:
        """The files and lines that say a row.

        Parameters
        ----------
        table
            E.g. `action.Weighing`.
        key
            Its primary key, all of it.
        """
        parts = {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in key.items()}
        for name, value in key.items():
            if isinstance(value, datetime.datetime):
                parts[name] = value.isoformat(timespec="microseconds")
        return cls & {"stated_table": table, "stated_key": json.dumps(parts, ensure_ascii=False)}


class ChangeNote(NamedTuple):
    """One line of `Change`."""

    action: str
    path: str
    detail: str = ""
    old_hash: str = ""
    new_hash: str = ""


@schema
class Change(dj.Manual):
    definition = """
    # what happened to registered data
    change_id                  : char(36)
    ---
    change_time                : datetime(6)     # UTC
    change_action              : varchar(16)     # registered, announced, replaced, deleted, restored, compressed, removed
    change_path                : varchar(500)    # the file, session or table that it happened to
    change_detail=""           : varchar(1000)   # in words
    old_hash=""                : varchar(32)        # md5 before
    new_hash=""                : varchar(32)        # md5 after
    change_run=""              : varchar(36)        # IngestRun that did it
    change_user=""             : varchar(64)     # account
    index (change_time)
    """

    @classmethod
    def record(
        cls, notes: Iterable[ChangeNote], user: str = "", run: str = "", time: datetime.datetime | None = None
    ) -> None:
        """Write down what happened; in a transaction it is kept or lost with the rest of that.

        Parameters
        ----------
        notes : what happened.
        user : who did it; by default the account that runs this program.
        run : IngestRun that did it.
        time : when it happened, UTC; by default now, by the clock of this computer.
        """
        listed = list(notes)
        if not listed:
            return
        columns = {
            "change_action": [note.action for note in listed],
            "change_path": [note.path[:500] for note in listed],
            "change_detail": [note.detail[:1000] for note in listed],
            "old_hash": [note.old_hash for note in listed],
            "new_hash": [note.new_hash for note in listed],
        }
        same = {
            "change_time": time or datetime.datetime.now(datetime.UTC).replace(tzinfo=None),
            "change_run": run,
            "change_user": (user or getpass.getuser())[:64],
        }
        insert_many(cls, {"change_id": [str(uuid.uuid4()) for _ in listed]} | columns | same)


def note_online(datasets: dj.Table) -> None:
    """Make `dataset_online` of some datasets what their FileRecords say.

    Searches read the flag: an index answers them, whereas the records of all datasets are as many as these. Whoever
    writes or deletes FileRecords calls this in the same transaction.

    Parameters
    ----------
    datasets : Dataset, restricted by its own columns.
    """
    records = f"SELECT 1 FROM {FileRecord().full_table_name} AS copies"
    there = (
        f"EXISTS ({records} WHERE copies.dataset_id = {datasets.full_table_name}.dataset_id AND file_state = 'online')"
    )
    where = datasets.where_clause()
    condition = f"{where} AND" if where else " WHERE"
    datasets.connection.query(
        f"UPDATE {datasets.full_table_name} SET dataset_online = NOT dataset_online{condition} dataset_online <> {there}"
    )
