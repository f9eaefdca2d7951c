"""Workers that populate the tables, what external programs did, and the tasks that lab servers work off."""

import datajoint as dj

from pipeline.database import registry
from pipeline.schemas import acquisition, data  # noqa: F401 - parents of foreign keys

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
class ModuleMigration(dj.Manual):
    definition = """
    # the same for the modules of a lab, whose migrations have numbers of their own
    module                     : varchar(128)    # name of the Python module
    module_version             : int32           # number of the migration; 0: the definitions of its tables
    ---
    version_name               : varchar(128)
    version_applied            : datetime(6)     # UTC
    version_checksum           : char(64)        # sha256 of the file, or of the definitions
    """


@schema
class SessionPlan(dj.Manual):
    definition = """
    # what a session is expected to consist of, as the lab server that holds its raw files said
    -> acquisition.Session
    ---
    plan_description           : json            # the experiment description: devices, tasks, synchronisation
    plan_files                 : json            # paths below the session that were there when it was planned
    plan_protocol=""           : varchar(255)    # of the task, where the description does not name it
    plan_host=""               : varchar(64)     # computer that reported the session
    plan_repository=""         : varchar(64)     # where its raw files are; empty: the data root of the server
    plan_first                 : datetime(6)     # UTC, when it was first reported
    plan_time                  : datetime(6)     # UTC, when it was reported last
    """


@schema
class Task(dj.Manual):
    definition = """
    # a piece of preprocessing that a computer of a lab claims under a lease, and works off
    task_uuid                  : char(36)
    ---
    -> [nullable] acquisition.Session
    task_name                  : varchar(64)     # unique in its session with its arguments, e.g. compress_video_left
    kind_name=""               : varchar(64)     # in the registry of task kinds; empty: of a client that brings its own programs
    task_version=""            : varchar(64)     # of the kind, or of the program that finished it
    task_unique                : char(32)        # md5 of session, name and arguments
    task_state                 : enum('Waiting', 'Started', 'Errored', 'Abandoned', 'Empty', 'Incomplete', 'Complete')
    task_held=0                : bool            # a person holds it back
    task_order                 : float64         # when it was made (s since 1970) less an hour for each step of priority
    task_priority=0            : int16           # the higher, the sooner; an hour of waiting counts as one
    task_level=0               : int16           # length of the longest way to it in the graph
    task_arguments=null        : json            # what distinguishes it from others of its kind
    task_graph=""              : varchar(64)     # as the client that made it calls the graph
    task_executable=""         : varchar(128)    # as the client that made it names its program; nothing here runs it
    task_environment=""        : varchar(64)     # name of the environment that it needs; empty: that of neurojoint
    task_cores=1               : int16           # processors
    task_memory=4096           : int32           # MiB
    task_gpus=0                : int16           # graphics processors
    task_io=5                  : int16           # load on the disk, 0-100
    task_scratch=0             : int64           # byte of scratch space
    task_time_limit=7200       : int32           # s
    task_repository=""         : varchar(64)     # where its inputs are; empty: the data root of the server
    task_created               : datetime(6)     # UTC, by the clock of the database, as all times here
    task_changed               : datetime(6)     # UTC
    task_not_before=null       : datetime(6)     # UTC; it is not handed out before that
    task_attempts=0            : int16           # how often it was handed out since it was planned or restarted
    task_most_attempts=4       : int16           # after so many it is given up
    task_host=""               : varchar(64)     # computer that has, or had, it last
    lease_token=""             : varchar(36)     # of the claim; only who knows it may report
    lease_until=null           : datetime(6)     # UTC; after that others get it
    task_heartbeat=null        : datetime(6)     # UTC
    task_started=null          : datetime(6)     # UTC
    task_ended=null            : datetime(6)     # UTC
    task_elapsed=null          : float64         # that it ran, s
    task_progress=null         : float64         # 0-1
    task_activity=""           : varchar(255)    # what it does now, or did last
    task_exit=""               : varchar(16)     # how the last attempt ended: ok, data, program, resource, lost, cancelled
    task_message=""            : varchar(1000)   # what went wrong, and what to do
    task_log=""                : varchar(4000)   # the last lines of its log
    unique index (task_unique)
    index (task_state, task_order, task_level, task_name)
    index (task_state, lease_until)
    index (lease_token)
    index (task_name)
    """


@schema
class TaskEdge(dj.Manual):
    definition = """
    # what has to be done first
    -> Task
    -> Task.proj(parent_id="task_uuid")
    """


@schema
class TaskLog(dj.Manual):
    definition = """
    # the log of a task, in pieces; of the last attempts only
    -> Task
    log_attempt                : int16           # from 1
    log_piece                  : int32           # from 0
    ---
    log_text                   : varchar(8000)
    log_time                   : datetime(6)     # UTC
    """


@schema
class TaskOutput(dj.Manual):
    definition = """
    # a file that a task made
    -> Task
    output_path                : varchar(255)    # below the session
    ---
    output_hash                : char(32)        # md5
    output_size                : int64           # byte
    output_version=""          : varchar(64)     # of the kind that made it
    output_inputs=""           : varchar(32)     # md5 over the hashes of what was read
    output_time                : datetime(6)     # UTC
    index (output_path)
    """


@schema
class TaskHost(dj.Manual):
    definition = """
    # a computer that works off tasks, as it reported itself last
    host_name                  : varchar(64)
    ---
    host_user=""               : varchar(64)     # account of its token
    host_labs=""               : varchar(500)    # labs whose tasks it may have, between commas; empty: all
    host_repository=""         : varchar(64)     # the files that it reaches
    host_kinds                 : json            # kind -> version
    host_environments          : json            # name -> version
    host_cores                 : int16           # processors
    host_memory                : int32           # MiB
    host_gpus                  : int16           # graphics processors
    host_version=""            : varchar(64)     # of neurojoint
    host_health                : json            # disks, processors, errors
    host_clock_offset=null     : float64         # its clock less that of the database, s
    host_seen                  : datetime(6)     # UTC
    """
