"""What people are told: their rules, the outbox, and when the checks last ran."""

import datajoint as dj

from pipeline.database import registry
from pipeline.schemas import lab  # noqa: F401 - parents of foreign keys

schema = registry.schema(__name__)


@schema
class Rule(dj.Manual):
    definition = """
    # what a person wants to be told of, and how; without a row the default of the event holds
    -> lab.LabMember
    event                      : varchar(48)     # name of an event, e.g. underweight
    ---
    scope="mine"               : enum('none', 'mine', 'lab', 'all')  # of whose animals
    rule_channel="mail"        : enum('mail', 'inbox', 'digest')  # at once, on the site only, or once a day
    """


@schema
class Message(dj.Manual):
    definition = """
    # one message to one person: written in the transaction that caused it, then delivered
    message_id                 : char(36)
    ---
    message_event              : varchar(48)     # name of the event
    occasion                   : varchar(200)    # what makes it one message, e.g. lab, animal and day
    -> lab.LabMember.proj(recipient='user_name')
    message_channel            : enum('mail', 'inbox', 'digest')
    message_title              : varchar(255)
    message_body               : varchar(4000)
    message_link=""            : varchar(500)    # path of the page on the site
    created_time               : datetime(6)     # UTC
    send_after                 : datetime(6)     # UTC; not sent before
    message_state              : enum('waiting', 'sending', 'sent', 'undeliverable', 'shown')
    attempts=0                 : int32
    last_error=""              : varchar(500)    # what the mail server said
    sent_time=null             : datetime(6)     # UTC
    mail_id=""                 : varchar(255)    # Message-ID of the mail
    read_time=null             : datetime(6)     # UTC; when the person read it on the site
    unique index (message_event, occasion, recipient)
    index (message_state, send_after)
    """


@schema
class CheckRun(dj.Manual):
    definition = """
    # when a check ran last; a check that does not run is reported
    check_name                 : varchar(64)
    ---
    started_time               : datetime(6)     # UTC
    finished_time=null         : datetime(6)     # UTC; null while it runs or where it failed
    check_error=""             : varchar(500)
    """
