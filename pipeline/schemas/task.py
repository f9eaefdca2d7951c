"""The workers that populate the tables, and whether they are alive."""

import datajoint as dj

from pipeline.database import registry

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
