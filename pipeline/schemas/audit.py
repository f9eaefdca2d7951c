"""What people, clients and files entered: every change of a row, with what it was before and after."""

import datajoint as dj

from pipeline.database import registry

schema = registry.schema(__name__)


@schema
class Edit(dj.Manual):
    definition = """
    # one row that was created, updated or deleted through pipeline.entry
    edit_id                    : char(36)
    ---
    edit_batch                 : char(36)        # all rows of one write
    edit_number                : int32           # order within the write, from 0
    edit_time                  : datetime(6)     # UTC
    edit_user                  : varchar(64)     # account of the person
    edit_source                : varchar(255)    # through what, e.g. rest, csv subjects.csv, command, undo
    edit_action                : enum('create', 'update', 'delete')
    edit_table                 : varchar(64)     # e.g. action.Weighing
    edit_path                  : varchar(500)    # key of the row, with slashes
    edit_key                   : json            # key of the row
    edit_before=null           : json            # the columns that were changed or deleted
    edit_after=null            : json            # the columns as they are since
    edit_undoes=""             : varchar(36)     # the write that this one takes back
    index (edit_batch)
    index (edit_time)
    """
