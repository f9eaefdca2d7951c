"""Registers one session folder, after a program has written into it: for the other sessions nothing is looked at."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import datajoint as dj

from ingest.files import inspect_session as examining
from ingest.files.report import Report, Step
from ingest.files.scan import SessionKey
from ingest.rows.lock import repository_lock
from ingest.rows.quarantine import Quarantine
from ingest.rows.registrar import Registrar
from ingest.rows.repository import enter_run
from ingest.rows.writing import Writer
from pipeline.alf.columns import raw_form
from pipeline.alf.reasons import refuse
from pipeline.entry import zones
from pipeline.entry.former_names import Former
from pipeline.errors import NeurojointError
from pipeline.schemas import data
from pipeline.settings import settings

SECONDS_OF_PATIENCE = 600.0
"""How long a session that was compressed waits for its turn while another registration runs."""


def register_session(
    repository: str,
    base: Path,
    key: SessionKey,
    path: str,
    known: examining.Known | None = None,
    steps: Sequence[Step] = (),
    required: Collection[str] = (),
) -> None:
    """Bring the tables up to one folder of a session that is in the tables, without a look at the others.

    All rows are written in one transaction, and for no other session than this one.

    Parameters
    ----------
    repository, base : str, Path
        Name of a repository, and where it is.
    key, path : SessionKey, str
        The session and its folder below `base`.
    known : Known, optional
        What the caller knows of its files, beyond what is registered (see `ingest.files.report.Known`).
    steps : sequence of Step
        What happens to the report of the session between reading and writing.
    required : collection of str
        Paths of files below the session folder: if one of them is refused, nothing is written.

    Raises
    ------
    InvalidData
        A required file is refused; its reason and detail say why.
    NeurojointError
        The folder is not there, the session is not in the tables, or another registration of the repository did not
        end in time.
    """
    if not (base / path).is_dir():
        raise NeurojointError(f"{base / path} is not there", "check that its disk is mounted")
    writer = Writer(dj.conn(), dry_run=False)
    with repository_lock(writer.connection, settings().prefix, repository, patience=SECONDS_OF_PATIENCE):
        registrar = Registrar(writer, repository, Quarantine(writer, repository))
        if key not in registrar.sessions.known:
            raise NeurojointError(f"there is no session {'/'.join(map(str, key))} in the tables", "register it first")
        there = registrar.known_files([key], {key: path})[key]
        zone = zones.of_labs().get(key.lab, "UTC")
        report = examining.examine(base, key, path, {**there, **(known or {})}, zone, Former().names(key))
        for step in steps:
            report = step(report, base)
        _require(report, required)
        with writer.connection.transaction:
            enter_run(writer, repository, base, base / path)
            registrar.write(reports=[report])
            data.IngestRun.update1({"run_id": writer.run_id, "run_end": writer.now})


def _require(report: Report, required: Collection[str]) -> None:
    """Raise for the first file that is not among the accepted ones of a report."""
    accepted = {raw_form(file.file_path) for file in report.files}
    for name in required:
        path = f"{report.folder.path}/{name}"
        if raw_form(path) not in accepted:
            why = next((problem for problem in report.problems if problem.path == path), None)
            if why is None:
                raise refuse(name, "not_alf", "the registration passes over files of this name")
            raise refuse(name, why.reason, why.detail, why.column)
