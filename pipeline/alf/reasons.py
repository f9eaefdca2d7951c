"""Why a file, or a column of it, is refused: the codes as data, each with what to do about it."""

from __future__ import annotations

import enum

from pipeline.errors import InvalidData

REASONS: dict[str, tuple[str, str]] = {
    "no_probe": (
        "spikes lie in a folder that names no probe, so they are in no table",
        "run `neurojoint import-sorting` on the folder if it has clusters.probes; else move it to alf/probe00",
    ),
    "truncated": (
        "the file ends before its content does, as after a copy that stopped",
        "copy the file again from where it was recorded",
    ),
    "empty_file": ("the file has no bytes", "copy the file again, or delete it if nothing was recorded"),
    "object_array": (
        "the file holds pickled Python objects, which can run any code when they are read",
        "save it again as plain numbers (np.save with a numeric dtype) or as a table (.pqt)",
    ),
    "unreadable_file": (
        "the content is not what the extension says",
        "save it again in the format that its name says, or correct its extension",
    ),
    "unequal_length": (
        "the column does not have as many rows as the other columns of its object",
        "extract the object again, or delete the file that belongs to another recording",
    ),
    "wrong_shape": (
        "the array does not have the shape that its name stands for",
        "save it again in the shape that `ONE.describe_dataset` names, or under the name of what it holds",
    ),
    "wrong_clock": (
        "the pairs of sample and time of a sparse clock cannot be interpolated",
        "extract the timestamps again: samples and times must rise, and span all samples",
    ),
    "wrong_reference": (
        "an index names rows that the other object does not have",
        "extract both objects together; rows are counted from 0",
    ),
    "wrong_animal": (
        "the settings in the folder name another animal, so that its data are not used until a person decides",
        "move the session to the animal that did it (neurojoint session move), or, if the settings are wrong, "
        "confirm the folder (neurojoint session confirm); then ingest again",
    ),
    "after_death": (
        "the session is later than the death of its animal; its data are used",
        "correct the date of death, or move the session to the animal that did it (neurojoint session move)",
    ),
    "renamed_folder": (
        "the files of the folder are those of a session that was registered under another name",
        "rename or move what was registered by the command that is named, then ingest again",
    ),
    "time_backwards": (
        "times run backwards, or an interval ends before it starts",
        "extract the times again (a clock that was restarted is the usual cause)",
    ),
    "value_range": (
        "a value lies outside what the column can hold",
        "correct the extraction: units (contrasts and probabilities are fractions 0-1) and codes",
    ),
    "not_alf": (
        "the name does not follow the ALF convention (object.attribute.extension)",
        "rename the file, or move it out of the session folder",
    ),
    "bad_session_path": (
        "the folder is not lab/Subjects/subject/date/number with a date that exists",
        "rename the folder to lab/Subjects/subject/YYYY-MM-DD/NNN",
    ),
    "symlink_outside": (
        "the link leads out of the data root",
        "put the file itself there, or ingest the folder that holds it",
    ),
    "permission_denied": (
        "this account may not read it",
        "give this account the right to read it (chmod, chown), then ingest again",
    ),
    "read_error": (
        "the disk or the network returned an error while it was read",
        "look at the disk or the mount; the next ingest reads it again",
    ),
    "missing": (
        "the session has no such file or column here",
        "ingest the folder that holds it",
    ),
    "changed": (
        "the file is not as it was when it was registered",
        "run `neurojoint ingest` on its folder, then try again",
    ),
    "vanished": (
        "the file is gone since it was registered or its folder was listed",
        "run `neurojoint ingest` on its folder once the copying or moving has ended",
    ),
    "duplicate_column": (
        "two files give different values for one column",
        "delete the one that is wrong, or put the right one into a later #revision#",
    ),
    "bad_metadata": (
        "what the file says about a session or an animal cannot be used",
        "correct that row or field, then ingest again with the same --metadata",
    ),
    "bad_header": (
        "the header of a raw recording (.meta; .ch of a compressed one) is missing or cannot be read",
        "put the header that was recorded with it beside it, under the same name",
    ),
    "forms_differ": (
        "a raw recording is not the one from which the compressed file beside it was made",
        "move the one that is wrong away (a .cbin together with its .ch), then ingest again",
    ),
    "unknown_unit": (
        "the unit of the values is not stated, and the values do not prove one",
        "state the unit of the lab's wheels in the setting wheel_units (docs/ingest.md), then retry",
    ),
}
"""Code -> what it means, what to do."""

Reason = enum.StrEnum("Reason", list(REASONS))  # type: ignore[misc]
"""The codes; each is also its text, as `data.Quarantine` stores it."""


def refuse(path: str, reason: str, detail: str, column: str = "") -> InvalidData:
    """The error that says that `path`, or one `column` of it, is refused for `reason`, a key of `REASONS`.

    >>> refuse("alf/trials.choice.npy", "truncated", "12 of 80 bytes are there").reason.value
    'truncated'
    """
    return InvalidData(path, Reason(reason), detail, REASONS[reason][1], column)
