"""What a viewer is told of an error: the one place where the text of an exception may become part of an answer.

Texts of exceptions hold names of animals and people, paths and statements. So an answer holds one only where its class
says for whom it is meant; all others get a sentence and a number, under which the log of the server has the rest.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass

from pipeline.alf.reasons import REASONS
from pipeline.errors import (
    DatabaseUnavailable,
    InvalidData,
    NeurojointError,
    OperatorError,
    PermissionDenied,
    UserError,
    answer_to,
    explain,
    is_connection_error,
)

OPERATORS = ("manager", "admin")
"""Roles whose holders look after files and workers: they read what is wrong with them."""

logger = logging.getLogger(__name__)


class InvalidRequest(UserError):
    """What a viewer asked for cannot be used. Its text holds only what the viewer sent, so everyone may read it."""


@dataclass(frozen=True)
class Words:
    """What is said: a sentence, what to do, and the status of an HTTP answer."""

    text: str
    hint: str
    status: int

    def __str__(self) -> str:
        return f"{self.text} {self.hint}".strip()


def words_for(error: BaseException, role: str, where: str = "") -> Words:
    """The words in which a viewer learns of an error; what they do not say goes into the log.

    Parameters
    ----------
    role : of the viewer: `public`, `member`, `manager` or `admin`.
    where : what was asked for, for the log.

    Examples
    --------
    >>> logger.disabled = True
    >>> error = InvalidData("lab/Subjects/slow_002/alf/wheel.npy", "truncated", "12 of 40 bytes", "copy it again")
    >>> words_for(error, "public").text
    'This cannot be shown at the moment.'
    >>> words_for(error, "member").text
    'A file cannot be used: the file ends before its content does, as after a copy that stopped.'
    >>> words_for(error, "manager").text
    'lab/Subjects/slow_002/alf/wheel.npy: 12 of 40 bytes.'
    >>> logger.disabled = False
    """
    if isinstance(error, InvalidRequest):
        return Words(_sentence(error.message), _sentence(error.remedy), 400)
    if isinstance(error, DatabaseUnavailable) or is_connection_error(error):
        logger.warning("%s", explain(error))
        return Words("The database cannot be reached at the moment.", "Try again in a moment.", 503)
    status = answer_to(error).status
    is_known = isinstance(error, NeurojointError)
    is_mine = isinstance(error, UserError | PermissionDenied) and role != "public"
    is_for_operators = role in OPERATORS and not isinstance(error, OperatorError)
    if isinstance(error, NeurojointError) and (is_mine or is_for_operators):
        return Words(_sentence(error.message), _sentence(error.remedy), status)
    number = secrets.token_hex(3)
    if is_known:
        logger.warning("error %s %s: %s", number, where, explain(error))
    else:
        logger.error("error %s %s", number, where, exc_info=error)
    if role == "public":
        return Words(_FOR_ALL.get(status, _FOR_ALL[500]), "", status)
    hint = f"The log of the server describes it under {number}."
    if isinstance(error, InvalidData):
        unknown = ("it is not as it was registered", "run `neurojoint ingest` on the folder that holds it")
        meaning, remedy = REASONS.get(error.reason, unknown)
        return Words(f"A file cannot be used: {meaning}.", f"{_sentence(remedy)} {hint}", status)
    text = "This does not work at the moment." if is_known else "This failed: an error in the program."
    return Words(text, hint, status)


_FOR_ALL = {
    400: "This cannot be shown as it was asked for.",
    403: "This is not for everyone.",
    404: "There is nothing here.",
    500: "This cannot be shown at the moment.",
}


def _sentence(text: str) -> str:
    """With a capital at the beginning, unless it begins with a path, and a full stop at the end.

    >>> _sentence("use another name"), _sentence("lab/x.npy: empty")
    ('Use another name.', 'lab/x.npy: empty.')
    """
    text = " ".join(text.split())
    if "/" not in text.partition(" ")[0]:
        text = f"{text[:1].upper()}{text[1:]}"
    return text + ("" if not text or text[-1] in ".!?" else ".")
