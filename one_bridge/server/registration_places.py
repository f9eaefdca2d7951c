"""Where on this computer the folder of a session is that a client registers files of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.files.scan import SessionKey
from ingest.rows import layouts
from one_bridge.server import values
from one_bridge.server.endpoint_model import BadInput, table
from one_bridge.server.files import Roots
from one_bridge.server.record_hooks import SESSION
from pipeline.alf import identity
from pipeline.web.threads import Database


@dataclass(frozen=True)
class Place:
    """A session folder: the repository, its root, and the path of the folder below it."""

    repository: str
    root: Path
    path: str

    @property
    def folder(self) -> Path:
        return self.root / self.path

    def holds(self, name: str) -> bool:
        """Whether a file of this path below the folder is there, and within the root once links are followed."""
        file = self.folder / name
        return file.is_file() and file.resolve().is_relative_to(self.root)


class Places:
    """Finds session folders.

    Parameters
    ----------
    database : Database
        The tables.
    roots : Roots
        The folders of this computer that hold files.
    """

    def __init__(self, database: Database, roots: Roots) -> None:
        self.database, self.roots = database, roots

    def find(self, key: Mapping[str, Any], names: Sequence[str], repository: str, host: str) -> Place:
        """The folder of a session in which all files are.

        In each repository a session has one folder: where files of it are registered there, that one, else the first
        of `lab/Subjects/subject/date/number`, `Subjects/subject/date/number` and `subject/date/number` that holds the
        files. Of several repositories that hold them, the one of the settings goes first.

        Parameters
        ----------
        key : mapping
            Of the session.
        names : sequence of str
            Paths of the files below the session folder.
        repository, host : str
            What the client says of the repository: its name, or its computer; empty: nothing.

        Raises
        ------
        BadInput
            There is no such repository, no such folder, or the files are elsewhere.
        """
        roots = self._wanted(repository, host)
        places = [place for name, root in roots.items() for place in self._of_session(key, name, root)]
        if not places:
            where = identity.session_path(*(key[name] for name in SESSION))
            raise BadInput("path", f"Copy the files below the data root of the server first, to {where}.")
        chosen = next((place for place in places if all(place.holds(name) for name in names)), None)
        if chosen is None:
            missing = next(name for name in names if not places[0].holds(name))
            raise BadInput("filenames", f"{missing} is not in {places[0].path} below the data root of the server.")
        self._check_free(key, chosen)
        return chosen

    def _wanted(self, repository: str, host: str) -> dict[str, Path]:
        roots = {name: root.resolve() for name, root in self.roots.local().items()}
        if repository:
            if repository not in roots:
                raise BadInput("name", f"There is no repository {repository} on this server.")
            return {repository: roots[repository]}
        if host:
            rows = self.database.select(table("data.Repository") & {"repository_host": values.printable(host)})
            of_host = {row["repository"]: roots[row["repository"]] for row in rows if row["repository"] in roots}
            return of_host or roots
        return roots

    def _of_session(self, key: Mapping[str, Any], repository: str, root: Path) -> Iterator[Place]:
        """The folders of a session in a repository that are there."""
        session = SessionKey(key["lab"], key["subject"], f"{key['session_date']}", key["session_number"])
        known = layouts.registered_places(repository, [session]).get(session)
        if known and (root / known).is_dir():
            yield Place(repository, root, known)
            return
        *start, _ = path = identity.session_path(*session).split("/")
        for skipped in (0, 1, 2):
            for number in dict.fromkeys((path[-1], str(session.number))):
                folder = "/".join([*start[skipped:], number])
                if (root / folder).is_dir() and (root / folder).resolve().is_relative_to(root):
                    yield Place(repository, root, folder)

    def _check_free(self, key: Mapping[str, Any], place: Place) -> None:
        """A folder without the lab in its path may be that of another lab's session."""
        if place.path.startswith(f"{key['lab']}/"):
            return
        same = {name: key[name] for name in SESSION if name != "lab"}
        others = (table("data.Dataset") & values.restriction(same, self.database.backend)).proj("lab") * (
            table("data.FileRecord") & {"repository": place.repository, "file_state": "online"}
        ).proj("file_path")
        for row in self.database.select(others, ["lab", "file_path"]):
            if row["lab"] != key["lab"] and row["file_path"].startswith(f"{place.path}/"):
                raise BadInput("path", f"The folder {place.path} is that of a session of the lab {row['lab']}.")
