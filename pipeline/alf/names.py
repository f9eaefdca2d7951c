"""The one rule for names: what is a name here can be a folder, a part of a web address and a cell of a spreadsheet.

`RULES` says for each kind of name how long it may be and which characters it may have; `check` is called at every door.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

RESERVED = frozenset(("con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))))
"""Names that Windows keeps for devices, whatever extension follows."""

FORMULA = "=+-@"
"""A spreadsheet takes a cell that begins with one of these for a formula."""

NOT_IN_FOLDERS = '/\\<>:"|?*#%'
"""Characters that a folder name (on Linux, macOS or Windows) or a part of a web address must not have."""


@dataclass(frozen=True)
class NameRule:
    """How names of one kind look.

    Attributes
    ----------
    what : the kind, as messages call it.
    longest : characters.
    pattern : that the whole name must match; empty: any printable characters but those of `forbidden`.
    allowed : the pattern in words.
    forbidden : characters that it must not have.
    """

    what: str
    longest: int
    pattern: str = ""
    allowed: str = ""
    forbidden: str = NOT_IN_FOLDERS


_ALF = "letters, digits and _ . -"

RULES: dict[str, NameRule] = {
    "lab": NameRule("lab", 32, r"\w+", "letters, digits and _"),
    "subject": NameRule("subject", 64, r"[\w.-]+", _ALF),
    "probe": NameRule("probe", 32, r"[\w.-]+", _ALF),
    "tag": NameRule("tag", 128, r"[\w.-]+", _ALF),
    "revision": NameRule("revision", 64, r"[\w.-]+", _ALF),
    "repository": NameRule("repository", 64, r"[\w.-]+", _ALF),
    "user": NameRule("user", 64, r"[\w.@-]+", "letters, digits and . _ @ -"),
    "term": NameRule("name", 128, forbidden="\\%"),
    "substance": NameRule("name", 64, forbidden="\\"),
}
"""Kind of name -> its rule. A `term` is a word of a lab's vocabulary (a line, a strain, a procedure) that becomes no
folder and may have a slash, as in C57BL/6J; a `substance` may also have a percent sign, as in Water 10% Sucrose."""


def check(value: Any, kind: str = "term", longest: int = 0) -> str:
    """A name as it is stored: Unicode in its composed form, without spaces around it.

    Parameters
    ----------
    value : text, or a whole number.
    kind : one of `RULES`.
    longest : characters, where a column holds fewer than the rule allows.

    Raises
    ------
    ValueError
        It cannot be such a name; the message says why and what to type.

    Examples
    --------
    >>> check(" ada ", "user"), check("C57BL/6J", "term")
    ('ada', 'C57BL/6J')
    >>> check("=1+1", "subject")
    Traceback (most recent call last):
    ValueError: '=1+1' begins with '=', which a spreadsheet takes for a formula: begin with a letter or a digit
    """
    rule = RULES[kind]
    longest = min(longest or rule.longest, rule.longest)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{shown(value)} is no name: write it as text")
    text = unicodedata.normalize("NFC", str(value)).strip()
    if not text:
        raise ValueError("the name is empty: write at least one character")
    if len(text) > longest:
        raise ValueError(f"{shown(text)} is longer than {longest} characters: shorten it")
    if not text.isprintable():
        raise ValueError(f"{shown(text)} has characters that cannot be printed: type it again")
    if text[0] in FORMULA:
        raise ValueError(
            f"{shown(text)} begins with {text[0]!r}, which a spreadsheet takes for a formula: "
            "begin with a letter or a digit"
        )
    if rule.pattern and not re.fullmatch(rule.pattern, text):
        raise ValueError(f"{shown(text)} cannot be a {rule.what}: use {rule.allowed}")
    if forbidden := [character for character in rule.forbidden if character in text]:
        raise ValueError(f"{shown(text)} has {' and '.join(forbidden)}, which names must not have: leave it out")
    if "/" in rule.forbidden or rule.pattern:
        _check_folder(text)
    return text


_SUBSTANCES = {"citric acid": "Citric Acid", "ca": "Citric Acid", "sucrose": "Sucrose"}
_MEDIA = ("water", "hydrogel")


def water_name(written: str) -> str:
    """A kind of water in the usual spelling: what, percent, of which substance. Other names stay as they are.

    >>> water_name("Citric Acid Water 2%"), water_name("water (2 % citric acid)"), water_name("10% sucrose water")
    ('Water 2% Citric Acid', 'Water 2% Citric Acid', 'Water 10% Sucrose')
    >>> water_name("WATER"), water_name("hydrogel 5% CA"), water_name("Milk 2%")
    ('Water', 'Hydrogel 5% Citric Acid', 'Milk 2%')
    """
    words = re.sub(r"[(),;_]|\b(in|of|with|and)\b", " ", written.lower())
    share = re.search(r"(\d+(?:\.\d+)?)\s*%", words)
    words = " ".join((words[: share.start()] + " " + words[share.end() :] if share else words).split())
    medium = next((item for item in _MEDIA if re.search(rf"\b{item}\b", words)), "")
    substance = " ".join(re.sub(rf"\b{medium}\b", " ", words).split()) if medium else words
    known = _SUBSTANCES.get(substance)
    if share and known:
        return f"{(medium or 'water').capitalize()} {float(share[1]):g}% {known}"
    return medium.capitalize() if medium and not share and not substance else written


def check_account(value: Any) -> str:
    """The name of an account: a user of `RULES`.

    >>> check_account("ada")
    'ada'
    """
    return check(value, "user")


def shown(value: Any, longest: int = 40) -> str:
    """A value as messages show it: quoted, on one line, shortened.

    >>> shown("a" * 50)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…'"
    """
    text = value if isinstance(value, str) else repr(value)
    text = text if len(text) <= longest else text[:longest] + "…"
    return repr(text) if isinstance(value, str) else text


def _check_folder(text: str) -> None:
    if text[0] == "." or text[-1] == ".":
        where = "begins" if text[0] == "." else "ends"
        raise ValueError(f"{shown(text)} {where} with a dot, which folders must not: leave it out")
    if text.split(".")[0].lower() in RESERVED:
        raise ValueError(f"{shown(text)} is a name that Windows reserves for a device: choose another")
