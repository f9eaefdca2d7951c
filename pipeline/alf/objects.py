"""From the files of one ALF object to its columns: joins single files and tables, and refuses what breaks the rules."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.alf import clocks
from pipeline.alf import columns as alf
from pipeline.alf.aliases import heading, meaning, object_of
from pipeline.alf.columns import Column
from pipeline.alf.dataset_types import describe
from pipeline.alf.pieces import Piece, array_of, check, decode, last_revisions, n_digits, pieces_of, refuse_piece
from pipeline.alf.reader import HEADER, load, npy_header
from pipeline.alf.reasons import refuse
from pipeline.analysis.time_order import in_order
from pipeline.errors import InvalidData

if TYPE_CHECKING:
    import pyarrow as pa

Content = str | os.PathLike[str] | bytes | tuple[int, ...]
"""Path of a file, its bytes, or the shape of its array where only that is needed (empty: rows are not compared)."""

ARRAY_FORMATS = ("npy", "csv", "tsv", "ssv", "pqt", "mat")
"""Formats in which a single column is read."""


@dataclass
class Assembled:
    """The columns of an ALF object.

    Attributes:
        values: column of `pipeline.alf.columns` -> 1-D array of float64, int64 (float64 with NaN where values are
            missing) or bool, all of one length, in the order of `pipeline.alf.columns`.
        absent: columns that no file gives.
        other: attributes that no column stands for.
        refused: column, or attribute where there is no column, -> reason; none of them is in `values`.
        refusals: what was refused and why, with the path of the file.
        dropped: rows that were left out of all columns, since their time is missing or not after the time before.
    """

    values: dict[str, np.ndarray] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    refusals: list[InvalidData] = field(default_factory=list)
    dropped: int = 0


def _loaded(content: Content, path: str) -> Any:
    """The values of a file or its bytes; of a bare shape there are none to read."""
    if isinstance(content, tuple):
        raise ValueError(f"{path} is given by its shape, but its values are needed")
    return load(content, path)


def assemble(alf_object: str, contents: Mapping[str, Content]) -> Assembled:
    """Join the files of one ALF object, in their default versions, into columns.

    The columns keep the rules of `pipeline.alf.columns`.

    Parameters
    ----------
    alf_object : name of the object, e.g. `trials`.
    contents : path below the session (with collection and #revision#) -> where its content is, see `Content`. Names of
        other layouts (`pipeline.alf.aliases`) are read as what they stand for.

    Where files of several revisions give a column, the last revision counts. A column that is refused costs only
    itself: unequal in length to a strict majority of the columns (without a majority, all are refused), out of range,
    not in order, or given differently by two files.

    Examples
    --------
    >>> assembled = assemble("licks", {"alf/licks.times.csv": b"times\\n0.5\\n0.7\\n"})
    >>> assembled.values, assembled.absent
    ({'times': array([0.5, 0.7])}, [])
    """
    result = Assembled()
    pieces, lengths = _read_all(alf_object, contents, result)
    pieces = last_revisions(pieces)
    n_rows, pieces = _equal_lengths(pieces, lengths, result)
    pieces = _interpolate(pieces, n_rows, result)
    _check_clocks(alf_object, contents, n_rows, result)
    accepted: dict[str, list[tuple[Piece, np.ndarray]]] = defaultdict(list)
    for piece in pieces:
        try:
            accepted[piece.column.name].append((piece, check(piece)))
        except InvalidData as error:
            result.refusals.append(error)
            result.refused[piece.column.name] = error.reason
    for column in alf.columns_of(alf_object):
        if candidates := accepted.get(column.name):
            _put(column.name, candidates, result)
    _check_intervals(alf_object, accepted, result)
    _drop_out_of_order(alf_object, accepted, result)
    known = {column.name for column in alf.columns_of(alf_object)}
    result.refused = {name: why for name, why in result.refused.items() if name not in result.values}
    result.absent = [c.name for c in alf.columns_of(alf_object) if c.name not in result.values.keys() | result.refused]
    result.other = sorted({name for name in result.other if name not in known and name not in result.refused})
    result.refusals = _merged(result.refusals)
    return result


def _read_all(
    alf_object: str, contents: Mapping[str, Content], result: Assembled
) -> tuple[list[Piece], dict[tuple[str, str], int]]:
    """The pieces of the known columns; and (path, attribute) -> number of rows of the other attributes."""
    pieces: list[Piece] = []
    lengths: dict[tuple[str, str], int] = {}
    by_attribute = alf.columns_by_attribute(alf_object)
    for path in sorted(contents):
        folder, _, file_name = path.rpartition("/")
        name, place = alf.parse_name(file_name), alf.parse_folder(folder)
        if name is None or place is None or object_of(name.alf_object) != alf_object:
            raise ValueError(f"{path} is no file of the ALF object {alf_object}")
        _, attribute, codes, _ = meaning(name.alf_object, name.attribute)
        as_columns = by_attribute.get(attribute, ()) if name.extension in ARRAY_FORMATS else ()
        try:
            if as_columns:
                split = pieces_of(as_columns, _loaded(contents[path], path), path, attribute, place[1])
                pieces += [piece._replace(values=decode(piece, codes)) for piece in split] if codes else split
            elif by_attribute and name.attribute == "table" and name.extension in ARRAY_FORMATS[1:]:
                _split_table(alf_object, _loaded(contents[path], path), path, place[1], by_attribute, pieces, lengths)
            else:
                label = ".".join([attribute, *name.extension.split(".")[:-1]])
                shape = _shape(contents[path], path)
                known = describe(f"{alf_object}.{attribute}") if name.extension == "npy" and shape else None
                if known is not None and (wrong := known.wrong_shape(shape)):
                    raise refuse(path, "wrong_shape", wrong, attribute)
                lengths[path, label] = shape[0] if shape and shape[0] != 1 else -1
        except InvalidData as error:
            result.refusals.append(error)
            for column in as_columns or [attribute]:
                result.refused[column if isinstance(column, str) else column.name] = error.reason
    return pieces, lengths


def _split_table(
    alf_object: str,
    table: pa.Table,
    path: str,
    revision: str,
    by_attribute: Mapping[str, tuple[Column, ...]],
    pieces: list[Piece],
    lengths: dict[tuple[str, str], int],
) -> None:
    for name in table.column_names:
        attribute = heading(alf_object, name)
        columns = by_attribute.get(attribute, ())
        if len(columns) == 1:
            pieces.append(Piece(columns[0], path, attribute, revision, array_of(table[name])))
        else:
            lengths[path, name] = table.num_rows


def _shape(content: Content, path: str) -> tuple[int, ...]:
    """Shape of the array in an npy file; empty for other formats and where it is not to be compared."""
    if isinstance(content, tuple):
        return content
    if not path.endswith(".npy"):
        return ()
    if isinstance(content, bytes):
        return npy_header(content[:HEADER], path, len(content)).shape
    try:
        with Path(content).open("rb") as file:
            return npy_header(file.read(HEADER), path, os.fstat(file.fileno()).st_size).shape
    except FileNotFoundError:
        raise refuse(path, "vanished", "the file is not there any more") from None
    except PermissionError:
        raise refuse(path, "permission_denied", "permission denied") from None


def _equal_lengths(
    pieces: list[Piece], lengths: Mapping[tuple[str, str], int], result: Assembled
) -> tuple[int | None, list[Piece]]:
    """How many rows the object has, and the pieces that have as many; the others are refused.

    The known columns decide; where there is none, the other attributes do.
    """
    votes = Counter(len(piece.values) for piece in pieces if piece.values.ndim == 1)
    if not votes:
        votes = Counter(rows for (_, attribute), rows in lengths.items() if rows >= 0 and attribute != "timestamps")
    n_rows, n_votes = votes.most_common(1)[0] if votes else (None, 0)
    if n_votes * 2 <= votes.total():
        n_rows = None
    listed = ", ".join(f"{count} with {rows} rows" for rows, count in sorted(votes.items()))
    kept = []
    for piece in pieces:
        rows = len(piece.values)
        if piece.values.ndim == 1 and rows == n_rows or piece.values.ndim == 2 and n_rows is not None:
            kept.append(piece)
            continue
        detail = f"{rows} rows; the object has columns {listed}" if listed else "no column says how many samples"
        result.refusals.append(refuse(piece.path, "unequal_length", detail[:900], piece.column.name))
        result.refused[piece.column.name] = "unequal_length"
    for (path, attribute), rows in lengths.items():
        if rows < 0 or rows == n_rows or not votes or attribute == "timestamps":
            result.other.append(attribute)
            continue
        detail = f"{rows} rows; the object has columns {listed}"
        result.refusals.append(refuse(path, "unequal_length", detail[:900], attribute))
        result.refused[attribute] = "unequal_length"
    return n_rows, kept


def _interpolate(pieces: list[Piece], n_rows: int | None, result: Assembled) -> list[Piece]:
    """Times of all samples where the file holds pairs (sample, time); a clock that cannot be used is refused."""
    kept = []
    for piece in pieces:
        if piece.values.ndim == 2 and n_rows is not None and piece.values.dtype.kind in "fiu":
            if wrong := clocks.wrong_clock(piece.values, n_rows):
                result.refusals.append(refuse_piece(piece, "wrong_clock", wrong))
                result.refused[piece.column.name] = "wrong_clock"
                continue
            piece = piece._replace(values=clocks.times_of_samples(piece.values, n_rows))
        kept.append(piece)
    return kept


def _check_clocks(alf_object: str, contents: Mapping[str, Content], n_rows: int | None, result: Assembled) -> None:
    """Refuse the sparse clock of an object without known columns where it cannot be used."""
    if "timestamps" in alf.columns_by_attribute(alf_object):
        return
    for path, content in contents.items():
        is_clock = path.rpartition("/")[2].split(".")[1:] == ["timestamps", "npy"]
        if not is_clock or isinstance(content, tuple) or "timestamps" in result.refused:
            continue
        values = load(content, path)
        wrong = clocks.wrong_clock(values, n_rows) if values.ndim == 2 and values.shape[1] == 2 else ""
        if wrong:
            result.refusals.append(refuse(path, "wrong_clock", wrong, "timestamps"))
            result.refused["timestamps"] = "wrong_clock"
            result.other = [name for name in result.other if name != "timestamps"]


def _put(name: str, candidates: list[tuple[Piece, np.ndarray]], result: Assembled) -> None:
    """Keep the column, in its finest type, if all files that give it agree as far as their types can tell."""
    candidates = sorted(candidates, key=lambda one: -n_digits(one[0]))
    first = candidates[0][1]
    for piece, values in candidates[1:]:
        coarse = piece.values.dtype if n_digits(piece) < 15 else np.float64
        differs = ~((values.astype(coarse) == first.astype(coarse)) | (np.isnan(values) & np.isnan(first)))
        if differs.any():
            row = int(np.flatnonzero(differs)[0])
            paths = [one.path for one, _ in candidates]
            detail = f"row {row} (from 0) is {first[row]:.10g} in {paths[0]}, {values[row]:.10g} in {piece.path}"
            result.refusals += [refuse(path, "duplicate_column", detail[:900], name) for path in paths]
            result.refused[name] = "duplicate_column"
            return
    result.values[name] = first


def _drop_out_of_order(alf_object: str, accepted: Mapping[str, list[Any]], result: Assembled) -> None:
    """Leave out the few rows that a clock has twice or backwards; refuse the clock where they are not few."""
    for column in alf.columns_of(alf_object):
        if not column.tolerance or column.name not in result.values:
            continue
        clock = result.values[column.name]
        if (clock[1:] > clock[:-1]).all() and all(np.isfinite(values).all() for values in result.values.values()):
            continue
        complete = np.logical_and.reduce([np.isfinite(values) for values in result.values.values()])
        kept = in_order(np.where(complete, clock, np.nan))
        n_dropped = kept.size - int(kept.sum())
        if n_dropped > max(1, column.tolerance * kept.size):
            row = int(np.flatnonzero(~kept)[0])
            detail = f"{n_dropped} of {kept.size} samples have no time or one not after the time before, from row {row}"
            for path in sorted({piece.path for piece, _ in accepted[column.name]}):
                result.refusals.append(refuse(path, "time_backwards", f"{detail} (from 0)", column.name))
            result.refused[column.name] = "time_backwards"
            del result.values[column.name]
        elif n_dropped:
            result.dropped += n_dropped
            result.values = {name: values[kept] for name, values in result.values.items()}


def _check_intervals(alf_object: str, accepted: Mapping[str, list[Any]], result: Assembled) -> None:
    """Refuse intervals of which one ends before it starts."""
    ends = [column for column in alf.columns_of(alf_object) if column.index == 1]
    for end in ends:
        start = end.name.removesuffix("1") + "0"
        if end.name not in result.values or start not in result.values:
            continue
        with np.errstate(invalid="ignore"):
            wrong = np.flatnonzero(result.values[end.name] < result.values[start])
        if wrong.size:
            row = int(wrong[0])
            times = f"{result.values[start][row]:.10g} to {result.values[end.name][row]:.10g}"
            for name in (start, end.name):
                paths = {piece.path for piece, _ in accepted[name]}
                detail = f"row {row} (from 0) runs from {times}; {wrong.size} such rows"
                result.refusals += [refuse(path, "time_backwards", detail, name) for path in sorted(paths)]
                result.refused[name] = "time_backwards"
                del result.values[name]


def _merged(refusals: list[InvalidData]) -> list[InvalidData]:
    """One refusal for a two-dimensional attribute of which all columns are refused for one reason."""
    merged: list[InvalidData] = []
    by_file: dict[tuple[str, str, str], list[InvalidData]] = defaultdict(list)
    for refusal in refusals:
        stem, _, index = refusal.column.rpartition("_")
        two_dimensional = index in ("0", "1") and refusal.path.rpartition("/")[2].split(".")[1:2] == [stem]
        if not two_dimensional:
            merged.append(refusal)
            continue
        by_file[refusal.path, refusal.reason, stem].append(refusal)
    for (path, reason, stem), both in by_file.items():
        merged += [refuse(path, reason, both[0].detail, stem)] if len(both) == 2 else both
    return merged
