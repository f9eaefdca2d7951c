"""Recording sessions, with who ran them and for what."""

import datajoint as dj

from pipeline.database import registry
from pipeline.schemas import action, lab, subject  # noqa: F401 - parents of foreign keys

schema = registry.schema(__name__)


@schema
class Session(dj.Manual):
    definition = """
    # one recording session: the folder lab/Subjects/subject/date/number
    -> subject.Subject
    session_date               : date            # as in the path, in the lab's time zone
    session_number             : int16           # as in the path, from 1
    ---
    eid                        : char(36)        # experiment id, given or derived from the path
    start_time=null            : datetime(6)     # UTC; time 0 of every time in the session
    end_time=null              : datetime(6)     # UTC
    task_protocol=""           : varchar(255)    # as the rig names it
    -> [nullable] lab.LabLocation
    session_type="Experiment"  : varchar(32)
    session_qc="NOT_SET"       : enum('NOT_SET', 'PASS', 'WARNING', 'FAIL', 'CRITICAL')
    rig=""                     : varchar(128)    # name of the rig as its settings file states it
    start_delay=null           : float64         # from start to the first trial, s, as the task was set
    session_narrative=""       : varchar(1000)   # remarks
    session_json=null          : json            # what other programs keep with the session
    extended_qc=null           : json            # name of a QC metric -> outcome
    unique index (eid)
    index (session_date, subject, session_number)
    """


@schema
class SessionTask(dj.Manual):
    definition = """
    # one task of a session: where its trials and wheel lie, and where its settings; ingest writes a row for each
    -> Session
    task_collection            : varchar(128)    # folder of its ALF files below the session: alf, alf/task_00
    ---
    task_number                : int16           # which of the session, in the order in which they were run, from 0
    protocol=""                : varchar(255)    # as its settings name it; empty where they do not
    raw_collection=""          : varchar(128)    # folder of its settings and sensors: raw_task_data_00; empty: none
    task_water=null            : float64         # given as reward, mL
    """


@schema
class ChildSession(dj.Manual):
    definition = """
    # a session that is part of another
    -> Session
    ---
    -> Session.proj(parent_lab="lab", parent_subject="subject", parent_date="session_date", parent_number="session_number")
    """


@schema
class SessionUser(dj.Manual):
    definition = """
    # who ran the session
    -> Session
    -> lab.LabMember
    """


@schema
class SessionProject(dj.Manual):
    definition = """
    # the projects that the session belongs to
    -> Session
    -> lab.Project
    """


@schema
class SessionProcedure(dj.Manual):
    definition = """
    # what was done in the session
    -> Session
    -> action.ProcedureType
    """


@schema
class SessionWater(dj.Manual):
    definition = """
    # the session in which water was given; water given outside any session has no row here
    -> action.WaterAdministration
    ---
    -> Session
    """
