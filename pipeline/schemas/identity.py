"""Under which keys animals and sessions were known before, who changed that, and what people decided about folders."""

import datajoint as dj

from pipeline.database import registry
from pipeline.schemas import acquisition, subject  # noqa: F401 - parents of foreign keys

schema = registry.schema(__name__)


@schema
class FormerSubject(dj.Manual):
    definition = """
    # a former name of an animal: folders and files that use it mean the animal, unless another has the name now
    former_lab                 : varchar(32)
    former_subject             : varchar(64)
    ---
    -> subject.Subject
    """


@schema
class FormerSession(dj.Manual):
    definition = """
    # a former key of a session: the folder of that name holds the session
    former_lab                 : varchar(32)
    former_subject             : varchar(64)
    former_date                : date
    former_number              : int16
    ---
    -> acquisition.Session
    """


@schema
class SessionConfirmation(dj.Manual):
    definition = """
    # a session of which a person found that its folder is right and its settings name the wrong animal
    -> acquisition.Session
    settings_subject           : varchar(64)     # the animal that the settings name
    ---
    confirmation_user=""       : varchar(64)     # who found so
    confirmation_time          : datetime(6)     # UTC
    """


@schema
class RecordId(dj.Manual):
    definition = """
    # the uuid by which other programs know a record whose key was changed; of others it follows from the key
    record_table               : varchar(64)     # e.g. action.Weighing
    derived_id                 : char(36)        # that follows from the key now
    ---
    record_id                  : char(36)        # that followed from its first key
    index (record_table, record_id)
    """


@schema
class KeyChange(dj.Manual):
    definition = """
    # a renaming, a move or a merge of animals or sessions
    key_change_id              : char(36)
    ---
    key_change_kind            : enum('subject rename', 'subject merge', 'subject move-lab', 'session move', 'session merge')
    key_before                 : json            # primary key before
    key_after                  : json            # primary key after
    changed_rows               : json            # table -> how many rows got another key
    undo_facts                 : json            # what undoing it needs
    key_change_user=""         : varchar(64)     # who did it
    key_change_time            : datetime(6)     # UTC
    undone_time=null           : datetime(6)     # UTC, when it was undone
    index (key_change_time)
    """
