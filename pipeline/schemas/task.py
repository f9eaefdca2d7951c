"""The workers that populate the tables and whether they are alive; what external programs did."""

import datajoint as dj

from pipeline.database import registry
from pipeline.schemas import data  # noqa: F401 - parent of foreign keys

schema = registry.schema(__name__)


@schema
class Worker(dj.Manual):
    definition = """
    # a process that populates; one whose heartbeat is old is dead, and its jobs are taken up by others
    worker_id                  : char(36)
    ---
    worker_host                : varchar(255)    # computer
    worker_pid                 : int32           # process id
    worker_start               : datetime(6)     # UTC
    heartbeat                  : datetime(6)     # UTC, by the clock of the database
    worker_activity=""         : varchar(128)    # the table that it populates now
    worker_session=null        : int64           # its session in the database, which is ended when it is dead
    """


@schema
class Lock(dj.Manual):
    definition = """
    # what only one process may do at a time, and who is at it; the lock itself is held by the session
    lock_name                  : varchar(128)
    ---
    lock_host                  : varchar(255)    # computer
    lock_pid                   : int32           # process id
    lock_purpose               : varchar(255)    # what it does
    lock_since                 : datetime(6)     # UTC, by the clock of the database
    lock_heartbeat             : datetime(6)     # UTC, by the clock of the database
    lock_session               : int64           # number of the session in the database
    """


@schema
class SchemaMigration(dj.Manual):
    definition = """
    # which changes of the tables were applied; 0 stands for the definitions with which they were declared
    migration_number           : int32
    ---
    migration_name             : varchar(128)
    migration_applied          : datetime(6)     # UTC
    migration_checksum         : char(64)        # sha256 of the file, or of the definitions
    """


@schema
class SortingRun(dj.Manual):
    definition = """
    # the last attempt to sort the spikes of one recording by one program with one set of parameters
    -> data.Dataset            # of the AP band
    sorting_sorter             : varchar(64)     # name in the settings, and of the folder of the results
    parameters_hash            : char(32)        # md5 over sorter, parameters and the version that the settings state
    ---
    sorting_state              : enum('running', 'done', 'failed')  # running: or killed, where nothing runs any more
    sorting_parameters         : json            # what the program was told
    sorting_version=""         : varchar(64)     # what the program says of itself; else what the settings state
    sorting_command            : json            # list of the program and its arguments
    sorting_host               : varchar(255)    # computer
    sorting_attempts           : int32           # how often it was tried
    sorting_start              : datetime(6)     # UTC
    sorting_end=null           : datetime(6)     # UTC
    sorting_duration=null      : float64         # that the program ran, s
    sorting_exit_code=null     : int32           # negative: ended by this signal; null: not started, or time over
    sorting_problem=""         : varchar(1000)   # why it failed
    sorting_log=""             : varchar(4000)   # the last lines of what the program said
    recording_hash             : char(32)        # md5 of the recording that was sorted, before compression if known
    sorting_folder=""          : varchar(255)    # of the results, below the session
    n_sorted_units=null        : int32
    n_sorted_spikes=null       : int64
    """
