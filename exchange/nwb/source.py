"""What a session has that can go into an NWB file: its rows, its files, and the arrays of its ALF objects."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from exchange.nwb import forms
from pipeline.alf import columns
from pipeline.alf.dataset_types import DATASET_TYPES
from pipeline.alf.reader import load
from pipeline.database.bulk import fetch_columns, json_column
from pipeline.errors import InvalidData, NeurojointError
from pipeline.policy import Policy
from pipeline.schemas import acquisition as acquisition_schema
from pipeline.schemas import data as data_schema
from pipeline.schemas import lab as lab_schema
from pipeline.schemas import subject as subject_schema
from pipeline.schemas.inputs import local_copies

RECORDINGS = (".cbin", ".bin")
VIDEOS = (".mp4", ".avi", ".mkv", ".mov")
_TABLES = ("pqt", "csv", "tsv", "ssv", "htsv")


@dataclass
class File:
    """One registered file of the session."""

    rel_path: str
    dataset_id: str
    collection: str
    alf_object: str
    attribute: str
    extension: str
    revision: str
    md5: str
    size: int  # byte
    is_default: bool
    qc: str
    path: Path | None  # None: no copy is here
    problem: str = ""  # why there is no path


@dataclass
class Piece:
    """One attribute of an ALF object as one file gives it.

    Attributes:
        attribute: ALF attribute; of a table, the name of the column.
        values: array with one entry (or row) for each row of the object.
        header: of the npy file; None for a column of a table, or where the file cannot be made again to the byte.
    """

    attribute: str
    values: np.ndarray
    file: File
    header: forms.NpyHeader | None = None


@dataclass
class AlfObject:
    """One ALF object: the pieces that are equally long, in the order of their files."""

    name: str
    collection: str
    pieces: list[Piece] = field(default_factory=list)

    @property
    def attributes(self) -> set[str]:
        return {piece.attribute for piece in self.pieces}

    def get(self, *attributes: str) -> Piece | None:
        """The first piece of these attributes."""
        return next((piece for name in attributes for piece in self.pieces if piece.attribute == name), None)

    def require(self, *attributes: str) -> Piece:
        """The same, where one of them is known to be there; KeyError where none is."""
        piece = self.get(*attributes)
        if piece is None:
            raise KeyError(f"{self.name} of {self.collection} has no {' or '.join(attributes)}")
        return piece

    @property
    def n_rows(self) -> int:
        return len(self.pieces[0].values) if self.pieces else 0

    @property
    def suffix(self) -> str:
        """What tells objects of one name in several folders apart.

        >>> AlfObject("trials", "alf").suffix, AlfObject("trials", "alf/task_01").suffix
        ('', '_task_01')
        """
        below = self.collection.removeprefix("alf").strip("/")
        return f"_{below.replace('/', '_')}" if below else ""


@dataclass
class Source:
    """A session: its key, the rows that say what it is, its files."""

    key: dict[str, Any]
    session: dict[str, Any]
    subject: dict[str, Any]
    lab: dict[str, Any]
    files: list[File]
    refused: dict[tuple[str, str], dict[str, str]]
    described: dict[str, str]
    """object.attribute -> meaning."""
    rules: Policy | None = None
    """What may leave; none: the file is for the lab."""

    @property
    def shown_subject(self) -> str:
        """What the animal is called in the file."""
        name = self.key["subject"]
        return name if self.rules is None else self.rules.subject(self.key["lab"], name)

    def shown_day(self, day: Any) -> Any:
        """A date or time of the animal as the file tells it."""
        return day if self.rules is None else self.rules.day(self.key["lab"], self.key["subject"], day)

    @property
    def shown_name(self) -> str:
        """The session as the file calls it."""
        shown = self.key | {"subject": self.shown_subject, "session_date": self.shown_day(self.key["session_date"])}
        return "{lab}/{subject}/{session_date}/{session_number:03d}".format(**shown)

    def text(self, column: str, value: Any) -> str:
        """A text for people; empty where it may not leave."""
        return (value or "") if self.rules is None or self.rules.allows(column) else ""

    def under(self, rules: Policy) -> Source:
        """The same, of which only what the rules allow is told.

        Raises
        ------
        NeurojointError : the animal is under embargo.
        """
        if (self.key["lab"], self.key["subject"]) in rules.embargoed:
            raise NeurojointError(f"{self.name} is of an animal under embargo", "see publication.Embargo")
        shipped = DATASET_TYPES
        told = {
            name: text
            for name, text in self.described.items()
            if rules.allows("data.DatasetType.type_description")
            or (name in shipped and shipped[name].description == text)
        }
        return replace(self, rules=rules, described=told)

    @property
    def name(self) -> str:
        """As people write it: lab/subject/date/number."""
        return "{lab}/{subject}/{session_date}/{session_number:03d}".format(**self.key)

    def objects(self) -> Iterator[AlfObject]:
        """The ALF objects that can be read, one after the other."""
        groups: dict[tuple[str, str], list[File]] = defaultdict(list)
        for file in self.files:
            if file.is_default and file.path is not None and file.extension.rpartition(".")[2] in ("npy", *_TABLES):
                groups[file.collection, file.alf_object].append(file)
        for (collection, name), own_files in groups.items():
            one = AlfObject(name, collection)
            refused = self.refused.get((collection, name), {})
            for file in own_files:
                one.pieces += _pieces(file, refused)
            if one.pieces:
                lengths = Counter(len(piece.values) for piece in one.pieces)
                length = max(lengths, key=lambda n: (lengths[n], n))
                one.pieces = [piece for piece in one.pieces if len(piece.values) == length]
                yield one


def _pieces(file: File, refused: Mapping[str, str]) -> list[Piece]:
    """The attributes that one file gives, without those that are in quarantine."""
    if file.path is None or file.attribute in refused:
        return []
    known = {column.name: column.attribute for column in columns.columns_of(file.alf_object)}
    barred = {known.get(name, name) for name in refused}
    try:
        if file.extension.endswith("npy"):
            if file.attribute in barred:
                return []
            values = np.load(file.path, mmap_mode="r", allow_pickle=False)
            if values.ndim == 0 or values.dtype.kind not in "biufUS":
                return []
            return [Piece(file.attribute, values, file, forms.header_of(file.path))]
        table = load(file.path, file.rel_path)
    except (InvalidData, ValueError, OSError):
        return []  # it is kept as bytes, or named among what is left out
    if not isinstance(table, pa.Table):
        return []
    if table.num_columns == 1 and file.attribute not in ("table", "metrics"):
        table = table.rename_columns([file.attribute])
    pieces = []
    for name in table.column_names:
        values = column_values(table[name])
        if name not in barred and values is not None:
            pieces.append(Piece(name or "index", values, file))
    return pieces


def column_values(column: pa.ChunkedArray) -> np.ndarray | None:
    """A column of a table as an array: numbers (NaN where there is none), bool or text; None for other types."""
    kind = column.type
    if pa.types.is_boolean(kind) and not column.null_count:
        return column.to_numpy().astype(bool)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return column.to_numpy() if not column.null_count else column.cast(pa.float64()).to_numpy()
    if pa.types.is_boolean(kind):
        return column.cast(pa.int8()).cast(pa.float64()).to_numpy()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return np.asarray([str(row or "") for row in column.to_pylist()], dtype=object)
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    return None


def read(key: Mapping[str, Any]) -> Source:
    """Look up a session.

    Parameters
    ----------
    key : primary key of the session, or `eid`.

    Raises
    ------
    NeurojointError : there is no such session, or several.
    """
    given = (
        {"eid": key["eid"]} if "eid" in key else {name: key[name] for name in acquisition_schema.Session.primary_key}
    )
    rows = (acquisition_schema.Session & given).to_dicts()
    if len(rows) != 1:
        raise NeurojointError(
            f"there is no session {' '.join(str(value) for value in given.values())}", "check the eid"
        )
    session = {name: rows[0][name] for name in acquisition_schema.Session.primary_key}
    datasets = (data_schema.Dataset & session).to_dicts(order_by="rel_path")
    objects = fetch_columns(data_schema.AlfObject & session, "object_collection", "object_name", "refused_columns")
    refused = zip(
        objects["object_collection"].to_pylist(), objects["object_name"].to_pylist(),
        json_column(objects, "refused_columns"), strict=True,
    )  # fmt: skip
    types = fetch_columns(data_schema.DatasetType, "dataset_type", "type_description").to_pylist()
    return Source(
        session,
        rows[0],
        (subject_schema.Subject & session).fetch1(),
        (lab_schema.Lab & session).fetch1(),
        _files(session, datasets),
        {(collection, name): dict(why or {}) for collection, name, why in refused},
        {row["dataset_type"]: row["type_description"] for row in types if row["type_description"]},
    )


def _files(session: dict[str, Any], datasets: list[dict[str, Any]]) -> list[File]:
    listed = []
    for row in datasets:
        path, problem = None, ""
        try:
            if row["extension"].endswith(("cbin", "bin")):
                path = local_copies.path_of(session, row["rel_path"])
            else:
                path = local_copies.paths_of(session, {row["rel_path"]: row["dataset_hash"]})[row["rel_path"]]
        except InvalidData as error:
            problem = f"{error.detail}: {error.remedy}"
        listed.append(
            File(
                row["rel_path"],
                row["dataset_id"],
                row["collection"],
                row["alf_object"],
                row["alf_attribute"],
                row["extension"],
                row["dataset_revision"],
                row["dataset_hash"],
                row["file_size"],
                bool(row["default_dataset"]),
                row["dataset_qc"],
                path,
                problem,
            )  # fmt: skip
        )
    return listed
