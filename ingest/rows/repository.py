"""Which repository a folder is: its name, its root, and the runs that registered it."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import datajoint as dj

from ingest.rows.writing import Writer
from pipeline import entry
from pipeline.alf import disks
from pipeline.database.bulk import fetch_columns
from pipeline.errors import NeurojointError
from pipeline.schemas import data


def existing(root: Path) -> Path:
    """The folder, without links in its path.

    Raises
    ------
    NeurojointError
        It cannot be read, or is no folder.
    """
    if disks.hangs(root.expanduser()):
        message = f"{root} does not answer within {disks.PATIENCE:.0f} s"
        raise NeurojointError(message, "look at the network disk below it (mount, server); nothing was changed")
    disks.use(root.expanduser())
    try:
        folder = root.expanduser().resolve(strict=True)
    except OSError as error:
        message = f"{root} cannot be read ({error.strerror})"
        raise NeurojointError(message, "check the path, and that the disk is there") from None
    if not folder.is_dir():
        raise NeurojointError(f"{root} is not a folder", "name the folder that holds lab/Subjects/…")
    return folder


def repository_of(folder: Path, name: str | None) -> tuple[str, Path]:
    """Name and root of the repository that `folder` is, lies in, or becomes."""
    rows = fetch_columns(data.Repository & {"repository_kind": "local"}).to_pylist()
    roots = {row["repository"]: Path(row["repository_root"]) for row in rows}
    if name is not None:
        if name in roots and roots[name] != folder and not folder.is_relative_to(roots[name]) and roots[name].is_dir():
            raise NeurojointError(f"the repository {name} is at {roots[name]}", "choose another name for this folder")
        if name in roots and folder.is_relative_to(roots[name]):
            return name, roots[name]
        return name, folder
    holders = [one for one, root in roots.items() if folder.is_relative_to(root)]
    if holders:
        nearest = max(holders, key=lambda one: len(roots[one].parts))
        return nearest, roots[nearest]
    taken = {row["repository"] for row in fetch_columns(data.Repository, "repository").to_pylist()}
    plain = "".join(c if c.isalnum() or c in "_-." else "_" for c in folder.name)[:50] or "local"
    numbered = [plain, *(f"{plain}_{i}" for i in range(2, 1000))]
    return next(item for item in numbered if item not in taken), folder


def begin_run(connection: dj.Connection, writer: Writer, repository: str, base: Path, folder: Path) -> None:
    """Enter the repository, and this run of the registration over `folder`, in a transaction of their own."""
    with connection.transaction:
        enter_run(writer, repository, base, folder)


def enter_run(writer: Writer, repository: str, base: Path, folder: Path) -> None:
    """The same within a transaction of the caller."""
    host = platform.node()[:255]
    known = (data.Repository & {"repository": repository}).to_dicts()
    if not known or known[0]["repository_root"] != str(base):
        row = {"repository": repository, "repository_kind": "local", "repository_root": str(base)}
        entry.write(
            "data.Repository", [row | {"repository_host": host}], user=writer.user, source="registration",
            batch=writer.run_id,
        )  # fmt: skip
    columns = ("run_id", "run_start", "run_root", "run_host", "run_user", "run_version")
    run = (writer.run_id, writer.now, str(folder)[:500], host, writer.user, _version())
    writer.put(data.IngestRun, columns, [run])


def _version() -> str:
    try:
        return version("neurojoint")
    except PackageNotFoundError:
        return ""
