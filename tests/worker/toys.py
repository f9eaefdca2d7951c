"""Small populated tables for the tests of the workers: one read from "files", one computed from it, one rolling.

What `make` does is read from the JSON file that `$NEUROJOINT_TOYS` names: `seconds` it takes, `fail` (readings that
raise), `die` (readings that kill their process). Each call of a `make` adds a line to the same path with `.log`.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import datajoint as dj
import pyarrow as pa

import pipeline
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns, insert_many
from pipeline.provenance import fingerprints
from pipeline.schemas import acquisition, data, lab, subject
from pipeline.settings import settings

schema = registry.schema(__name__, name="toys")


def _behave(table: str, key: dict) -> None:
    path = Path(os.environ["NEUROJOINT_TOYS"])
    wish = json.loads(path.read_text())
    number = key.get("session_number")
    with path.with_suffix(".log").open("a") as log:
        log.write(f"{table} {key['subject']} {number} {os.getpid()}\n")
    time.sleep(wish.get("seconds", 0))
    if table == "Reading" and number in wish.get("fail", ()):
        raise ValueError(f"reading {number} is\n unreadable, 100 %")
    if table == "Reading" and number in wish.get("die", ()):
        os.kill(os.getpid(), signal.SIGKILL)


@schema
class Reading(dj.Imported):
    definition = """
    # read from the object `toy` of a session
    -> acquisition.Session
    ---
    reading_fingerprint  : char(32)   # of what was read
    """
    fingerprint = "reading_fingerprint"

    class Sample(dj.Part):
        definition = """
        # a number from the fingerprint
        -> master
        sample_id            : int32
        ---
        sample               : int32
        """

    @property
    def key_source(self):
        return acquisition.Session.proj() & data.AlfObject.proj()

    def current_fingerprints(self, key=None) -> pa.Table:
        names = acquisition.Session.primary_key
        table = fetch_columns(data.AlfObject & (key or {}), *names, "object_fingerprint")
        return table.rename_columns([*names, "fingerprint"])

    def make(self, key):
        content = (data.AlfObject & key).fetch1("object_fingerprint")
        self.insert1(key | {"reading_fingerprint": content})
        _behave("Reading", key)
        insert_many(self.Sample, key | {"sample_id": range(16), "sample": list(content[:32:2].encode())})


@schema
class Total(dj.Computed):
    definition = """
    # the sum of the samples
    -> Reading
    ---
    total                : int64
    """

    def make(self, key):
        _behave("Total", key)
        self.insert1(key | {"total": int((Reading.Sample & key).to_arrays("sample").sum())})


@schema
class Chain(dj.Computed):
    definition = """
    # depends on the order of all readings of an animal
    -> subject.Subject
    ---
    chain_fingerprint    : char(32)   # of all readings
    chain_length         : int32
    """
    fingerprint = "chain_fingerprint"
    rolling = True

    class Link(dj.Part):
        definition = """
        # up to and including one reading
        -> master
        -> Reading
        ---
        link_digest          : char(32)
        """

    @property
    def key_source(self):
        return subject.Subject.proj() & Reading.proj()

    def current_fingerprints(self, key=None) -> pa.Table:
        names = acquisition.Session.primary_key
        rows = fetch_columns(Reading & (key or {}), *names, "reading_fingerprint")
        return fingerprints.combine(rows, names[:2], [*names[2:], "reading_fingerprint"])

    def make(self, key):
        _behave("Chain", key)
        rows = (Reading & key).to_dicts(order_by="session_date, session_number")
        mark = self.current_fingerprints(key)["fingerprint"][0].as_py()
        self.insert1(key | {"chain_fingerprint": mark, "chain_length": len(rows)})
        digest = ""
        for row in rows:
            digest = hashlib.md5((digest + row.pop("reading_fingerprint")).encode(), usedforsecurity=False).hexdigest()
            self.Link.insert1(row | {"link_digest": digest})


TABLES = [Reading, Total, Chain]


def activate(connection: dj.Connection, create: bool = True) -> None:
    """Bind the tables next to the pipeline's."""
    schema.database = schema.connection = None
    schema.activate(settings().prefix + "toys", connection=connection, create_schema=create, create_tables=create)
    if create:
        for table in TABLES:
            assert table.jobs.is_declared


def open_toys(path: Path) -> list[type[dj.Table]]:
    """How a worker process connects to them."""
    os.environ["NEUROJOINT_TOYS"] = str(path)
    activate(pipeline.connect(create=False), create=False)
    return TABLES


def set_settings() -> dict[str, object]:
    """What a process that is started again sets to see the same database."""
    chosen = settings()
    return {name: getattr(chosen, name) for name in chosen.model_fields_set}


@contextlib.contextmanager
def declared(connection: dj.Connection, path: Path) -> Iterator[None]:
    """The tables, new and empty, in which `make` behaves as the file at `path` says."""
    path.write_text("{}")
    os.environ["NEUROJOINT_TOYS"] = str(path)
    compiled = connection.adapter.backend == "postgresql"
    activate(connection)
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.cancel_transaction()
        cascade = " CASCADE" if compiled else ""
        connection.query(f"DROP SCHEMA {connection.adapter.quote_identifier(schema.database)}{cascade}")
        schema.database = schema.connection = None
        connection.dependencies.clear()
        del os.environ["NEUROJOINT_TOYS"]


def add_sessions(mice: int | list[str], sessions: int, content: str = "first", first: int = 1) -> None:
    """Sessions with something to read, numbered from `first` over all mice, in a lab called `toys`."""
    lab.Lab.insert1({"lab": "toys"}, skip_duplicates=True)
    names = [f"m{number}" for number in range(mice)] if isinstance(mice, int) else mice
    mice = len(names)
    subject.Subject.insert(
        ({"lab": "toys", "subject": name, "subject_uuid": name.ljust(36, "0")} for name in names), skip_duplicates=True
    )
    keys = [
        {
            "lab": "toys",
            "subject": names[number % mice],
            "session_date": datetime.date(2020, 1, 1) + datetime.timedelta(days=(number * 7) % (mice * sessions)),
            "session_number": number,
        }
        for number in range(first, first + mice * sessions)
    ]
    acquisition.Session.insert(key | {"eid": f"{key['session_number']:036d}"} for key in keys)
    data.AlfObject.insert(
        key
        | {
            "object_collection": "alf",
            "object_name": "toy",
            "object_fingerprint": mark(key["session_number"], content),
            "accepted_columns": ",toy,",
            "refused_columns": {},
        }
        for key in keys
    )


def change(session_numbers: list[int], content: str) -> None:
    """Other content for what these sessions have to read."""
    for number in session_numbers:
        key = (data.AlfObject & {"session_number": number}).fetch1("KEY")
        data.AlfObject.update1(key | {"object_fingerprint": mark(number, content)})


def mark(number: int, content: str) -> str:
    """The fingerprint of some content of a session."""
    return hashlib.md5(f"{number} {content}".encode(), usedforsecurity=False).hexdigest()


def contents() -> dict[str, list[tuple]]:
    """All rows of the toy tables, in order."""
    ordered = {}
    for table in TABLES:
        for part in (table, *registry.parts(table)):
            ordered[registry.label(part)] = sorted(tuple(row.values()) for row in part.to_dicts())
    return ordered
