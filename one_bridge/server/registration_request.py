"""What a request to register files says: which folder, which files, which hashes. Nothing is looked up here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from one_bridge.server import values
from one_bridge.server.endpoint_model import BadInput, Field
from one_bridge.server.writing import body_text
from pipeline.alf import columns

MOST_FILES = 5000
_PATH = re.compile(
    r"(?:(?:(?P<lab>\w+)/)?Subjects/)?(?P<subject>[\w.-]+)/(?P<date>\d{4}-\d{2}-\d{2})/(?P<number>\d{1,3})"
    r"(?:/(?P<collection>.+))?",
    re.ASCII,
)


@dataclass(frozen=True)
class SessionFolder:
    """The session that a path names; `labs` are empty where the client does not say them."""

    subject: str
    date: Any  # datetime.date
    number: int
    labs: tuple[str, ...]
    collection: str

    @property
    def text(self) -> str:
        """As in messages."""
        return f"{self.subject}/{self.date}/{self.number:03d}"


@dataclass(frozen=True)
class RequestedFile:
    """One file: its path below the session, and what the client says of it."""

    path: str
    md5: str | None
    size: int | None


def session_folder(body: Mapping[str, Any]) -> SessionFolder:
    """The session folder in `path`, which may begin with the lab and end with a collection, and may have backslashes.

    Raises
    ------
    BadInput
        It is no such path.
    """
    text = _slashes(body_text(body, "path")).strip("/")
    match = _PATH.fullmatch(text)
    if match is None:
        raise BadInput("path", "Write it as subject/YYYY-MM-DD/NNN.")
    date = values.parse(Field("path", kind="date"), match["date"])
    labs = body.get("labs")
    labs = labs[0] if isinstance(labs, list) and labs else labs or match["lab"]
    text = values.parse(Field("labs"), labs) if labs else ""
    return SessionFolder(
        match["subject"], date, int(match["number"]), tuple(text.split(",")) if text else (), match["collection"] or ""
    )


def files(body: Mapping[str, Any], collection: str = "") -> list[RequestedFile]:
    """The files that a body names, with hash and size where it says them.

    Parameters
    ----------
    body : mapping
        Of the request.
    collection : str
        Folder that stands before each file name.

    Raises
    ------
    BadInput
        A name that ALF does not allow, or lists of unequal length.
    """
    names = body.get("filenames")
    names = names.split(",") if isinstance(names, str) else names
    if not isinstance(names, list) or not names or len(names) > MOST_FILES:
        raise BadInput("filenames", f"Expected a list of 1 to {MOST_FILES} paths below the session folder.")
    hashes, sizes = _aligned(body, "hashes", names), _aligned(body, "filesizes", names)
    return [
        RequestedFile(_checked_name(name, collection), _md5(md5), _size(size))
        for name, md5, size in zip(names, hashes, sizes, strict=True)
    ]


def _md5(given: Any) -> str | None:
    if given in (None, ""):
        return None
    md5 = str(given).strip().replace("-", "").lower()
    if not re.fullmatch(r"[0-9a-f]{32}", md5):
        raise BadInput("hashes", f"{str(given)[:80]!r} is no md5: write its 32 hexadecimal digits, or nothing.")
    return md5


def _size(given: Any) -> int | None:
    if given in (None, ""):
        return None
    size = values.parse(Field("filesizes", kind="int"), given)
    if not 0 <= size < 1 << 53:
        raise BadInput("filesizes", f"{size} is no size of a file in byte.")
    return size


def aggregate_folder(body: Mapping[str, Any], relation: str) -> str:
    """The folder, below a data root, of files over many sessions, e.g. `aggregates/Subjects/lab/KS014`.

    Raises
    ------
    BadInput
        The path does not begin with the kind of object that the files are of.
    """
    path = _slashes(body_text(body, "path")).strip("/").removeprefix("aggregates/")
    kind, *folders = path.split("/")
    if not relation or not kind.casefold().startswith(relation.casefold()) or not folders:
        raise BadInput("path", f"Files of a {relation} lie in aggregates/{relation.capitalize()}s/….")
    if any(re.fullmatch(r"#?[\w.-]+#?", part) is None or part in (".", "..") for part in (kind, *folders)):
        raise BadInput("path", "A folder is named with letters, digits and _ . -")
    return f"aggregates/{path}"


def flag(body: Mapping[str, Any], name: str, default: bool = True) -> bool:
    """A yes or no; `default` where nothing is said."""
    return default if body.get(name) in (None, "") else values.parse(Field(name, kind="bool"), body[name])


def without_uuid(path: str) -> str:
    """A path without a uuid in the name of the file, as datasets are registered.

    >>> without_uuid("alf/spikes.times.npy")
    'alf/spikes.times.npy'
    """
    folder, _, name = path.rpartition("/")
    parsed = columns.parse_name(name)
    plain = parsed.dataset if parsed else name
    return f"{folder}/{plain}" if folder else plain


def _aligned(body: Mapping[str, Any], name: str, names: Sequence[Any]) -> list[Any]:
    """One value a file; nothing said means None for each."""
    given = body.get(name)
    given = given.split(",") if isinstance(given, str) else given
    if given is None:
        return [None] * len(names)
    if not isinstance(given, list) or len(given) != len(names):
        raise BadInput(name, "Expected one value for each file.")
    return given


def _checked_name(name: Any, collection: str) -> str:
    """A path below a session folder that ALF allows."""
    if not isinstance(name, str) or len(name) > 255:
        raise BadInput("filenames", "A path of at most 255 characters is required.")
    path = "/".join(filter(None, (collection, _slashes(name))))
    folder, _, file_name = path.rpartition("/")
    parts = path.split("/")
    is_inside = not path.startswith("/") and not any(part in ("", ".", "..") for part in parts)
    if not is_inside or not path.isprintable() or len(path) > 255:
        raise BadInput("filenames", f"{name[:80]!r} is no path below the session folder.")
    if columns.parse_name(file_name) is None or columns.parse_folder(folder) is None:
        raise BadInput("filenames", f"{name[:80]!r} is no ALF name.")
    return path


def _slashes(path: str) -> str:
    """A path as rigs with Windows write it, with slashes."""
    return re.sub(r"/{2,}", "/", path.replace("\\", "/"))
