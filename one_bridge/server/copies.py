"""`PATCH /files/ID {"exists": …}`: a client says that a copy is there or gone; the server looks before it believes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ingest.rows import claims
from ingest.rows.writing import Writer
from one_bridge.server import values
from one_bridge.server.endpoint_model import BadInput, NotFound, table
from one_bridge.server.files import Roots
from one_bridge.server.record_hooks import value_of
from pipeline.entry.fields import Field
from pipeline.web.accounts import Account
from pipeline.web.threads import Database

_EXISTS = Field("exists", "boolean")


class Copies:
    """Claims of clients about copies.

    Parameters
    ----------
    database : the tables.
    roots : the folders of this computer that hold files.
    """

    def __init__(self, database: Database, roots: Roots) -> None:
        self.database, self.roots = database, roots

    def claim(self, restriction: str, sent: Any, account: Account) -> Callable[[], None]:
        """Look at a copy, without keeping anybody waiting; returns what has to be done in the transaction that follows.

        Parameters
        ----------
        restriction : that finds the record of the copy.
        sent : whether it is there.

        Raises
        ------
        BadInput : the copy is said to be there, and the server sees that it is not, or that it is another file.
        """
        is_there = value_of(_EXISTS, sent, "exists")
        if is_there is None:
            raise BadInput("exists", "true or false is needed here")
        records = self.database.select(table("data.FileRecord") & restriction)
        if len(records) != 1:
            raise NotFound
        record = records[0]
        if is_there == (record["file_state"] == "online"):
            return lambda: None
        which = values.restriction({"dataset_id": record["dataset_id"]}, self.database.backend)
        (dataset,) = self.database.select(table("data.Dataset") & which, ["dataset_id", "dataset_hash", "file_size"])
        root = self.roots.local().get(record["repository"])
        try:
            seen = None if root is None else claims.look(root, record)
        except OSError as error:
            raise BadInput("exists", f"{record['file_path']} cannot be read now: {error.strerror}.") from None
        if is_there and root is not None and (why := claims.refusal(record, dataset, seen)):
            raise BadInput("exists", f"{why[0].upper()}{why[1:]}.")

        def write() -> None:
            writer = Writer(self.database.connection, dry_run=False)
            writer.user = account.name
            claims.write(writer, record, dataset, is_there, seen, root is not None)

        return write
