"""Which copies of files must be where, and the transfers that bring them there; `exchange.transfers` does the work."""

import datajoint as dj

from pipeline.database import registry
from pipeline.schemas import data, lab  # noqa: F401 - parents of foreign keys

schema = registry.schema(__name__)


@schema
class Access(dj.Manual):
    definition = """
    # how and when transfers may reach a repository; without a row: at any time, with the defaults of its kind
    -> data.Repository
    ---
    -> [nullable] lab.Lab                        # where it stands; its time zone is that of the window
    access_options             : json            # of the kind, e.g. port, endpoint_url; never a password or a token
    access_archive=0           : bool            # an archive: read only when nothing else has the file
    access_offline=0           : bool            # its files come from tape and have to be recalled
    access_enabled=1           : bool            # false: no transfer begins
    access_from=""             : varchar(5)      # HH:MM in the time zone of the lab; empty: no window
    access_until=""            : varchar(5)      # HH:MM; may be on the next day
    bandwidth_limit=0          : float64         # of each transfer, 10^6 byte per s; 0 for none
    access_token=""            : varchar(36)     # what the marker file below its root says, so that an empty mount point is noticed
    """


@schema
class Policy(dj.Manual):
    definition = """
    # a rule: which datasets must have copies where, and when the local raw file may be removed
    policy                     : varchar(64)     # short name
    ---
    policy_description=""      : varchar(1000)   # what for
    for_lab=""                 : varchar(32)     # only this lab; empty: all
    for_project=""             : varchar(128)    # only sessions of this project; empty: all
    for_paths=""               : varchar(1000)   # patterns of the path below the session, between commas, e.g. raw_*; empty: all
    for_types=""               : varchar(1000)   # dataset types, between commas; empty: all
    for_worst_qc=""            : varchar(16)     # up to this outcome of QC; empty: all
    smallest_size=0            : int64           # byte
    largest_size=null          : int64           # byte; null: any
    smallest_age=0             : float64         # of the session, days of 86400 s
    keep_local=null            : float64         # age of a session at which its raw files may be removed, days of 86400 s; null: never
    minimum_copies=2           : int16           # verified copies elsewhere before a raw file may be removed; at least 2
    policy_enabled=1           : bool            # false: the rule is ignored
    """

    class Destination(dj.Part):
        definition = """
        # a repository in which the datasets of a policy must have a copy
        -> master
        -> data.Repository
        """


@schema
class Transfer(dj.Manual):
    definition = """
    # files to copy from one repository to another, as one batch
    transfer_id                : char(36)
    ---
    -> data.Repository.proj(source_repository='repository')
    -> data.Repository.proj(destination_repository='repository')
    transfer_purpose           : enum('policy', 'retrieve', 'publish', 'repair')
    transfer_state             : enum('planned', 'submitted', 'arrived', 'verified', 'failed', 'cancelled')
    transfer_keep_days=null    : float64         # of retrieved files: may be removed again after so many days of 86400 s
    transfer_large=0           : bool            # of large files, which wait for small ones
    transfer_files             : int32           # how many items
    transfer_bytes             : int64           # byte
    transfer_created           : datetime(6)     # UTC, by the clock of the database, as all times here
    transfer_started=null      : datetime(6)     # UTC
    transfer_finished=null     : datetime(6)     # UTC
    submission_id=""           : varchar(64)     # of the service, stored before anything is submitted
    task_id=""                 : varchar(64)     # that the service gave
    task_deadline=null         : datetime(6)     # UTC; after that the task counts as lost
    transfer_attempts=0        : int32           # how often it was submitted or begun
    transfer_host=""           : varchar(255)    # computer that worked on it last
    transfer_message=""        : varchar(1000)   # what went wrong last, or why it waits
    index (transfer_state)
    """

    class Item(dj.Part):
        definition = """
        # one file of a transfer
        -> master
        -> data.Dataset
        ---
        source_path            : varchar(500)    # below the root of the source
        destination_path       : varchar(500)    # below the root of the destination
        item_size              : int64           # byte
        item_hash              : char(32)        # md5 that the copy must have
        item_state             : enum('planned', 'submitted', 'arrived', 'verified', 'failed', 'cancelled')
        item_attempts=0        : int32           # how often it was tried
        item_replace=0         : bool            # a file of that name may be overwritten: it is ours
        item_due               : datetime(6)     # UTC; planned: not begun by then is late. submitted, arrived: failed by then. failed: tried again then
        item_message=""        : varchar(1000)   # what went wrong last
        index (item_state)
        """


@schema
class Retrieval(dj.Manual):
    definition = """
    # a file that was brought back from an archive for a time
    -> data.FileRecord
    ---
    retrieved_at               : datetime(6)     # UTC
    retrieved_until=null       : datetime(6)     # UTC; may be removed again after that; null: by the policies alone
    retrieved_by=""            : varchar(64)     # account
    """


@schema
class Freed(dj.Manual):
    definition = """
    # a local raw file that was removed since verified copies of it are elsewhere
    -> data.FileRecord
    ---
    freed_at                   : datetime(6)     # UTC
    freed_by=""                : varchar(64)     # account
    freed_reason               : varchar(255)    # the policy, and the copies that were verified
    """
