"""Fields that cannot be set: a request that states another value for one is refused, and not taken for a change.

Alyx passes over them without a word. A record that was read and is sent back whole, as programs do, is no such request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from one_bridge.server import values
from one_bridge.server.endpoint_model import BadInput, Endpoint, Verb

_EMPTY: tuple[Any, ...] = (None, "", [], {})


def names(endpoint: Endpoint, verb: Verb) -> set[str]:
    """The fields of records that a request of this kind cannot set.

    >>> from one_bridge.server.endpoints import ENDPOINTS
    >>> sorted(names(ENDPOINTS["weighings"], "update"))
    ['id', 'nickname', 'url']
    """
    fixed = {field.name for field in endpoint.fields if not field.write or not field.column}
    fixed |= {item.name for item in endpoint.many if not item.write or item.single}
    fixed |= {item.name for item in endpoint.nested}
    return fixed - {name for name, verbs in endpoint.hook_inputs.items() if verb in verbs}


def check(endpoint: Endpoint, verb: Verb, body: Mapping[str, Any], record: Mapping[str, Any] | None = None) -> None:
    """Compare what a request says of such fields with the record as it is shown.

    Parameters
    ----------
    record
        The record before the change; None for one that is new.

    Raises
    ------
    BadInput
        Some differ; all of them are named.
    """
    wrong = {}
    for name in sorted(names(endpoint, verb) & set(body)):
        sent = body[name]
        if record is None:
            is_same = any(sent == item for item in _EMPTY)
        else:
            is_same = name in record and is_shown_as(sent, record[name])
        if not is_same:
            wrong[name] = [f"It cannot be {'changed' if record is not None else 'set'} here: leave it out."]
    if wrong:
        raise BadInput.of(wrong)


def is_shown_as(sent: Any, shown: Any) -> bool:
    """Whether a value that was sent is the one that the record shows; addresses may have a host, or be the id alone.

    >>> is_shown_as("http://127.0.0.1:8000/datasets/1", "/datasets/1"), is_shown_as([1, {"a": None}], [1, {"a": None}])
    (True, True)
    >>> is_shown_as(3, 4), is_shown_as(None, ""), is_shown_as([], [1])
    (False, True, False)
    """
    if isinstance(sent, dict) and isinstance(shown, dict):
        return sent.keys() == shown.keys() and all(is_shown_as(sent[name], shown[name]) for name in sent)
    if isinstance(sent, list) and isinstance(shown, list | tuple):
        return len(sent) == len(shown) and all(map(is_shown_as, sent, shown))
    if sent in (None, "") or shown in (None, "", [], ()):
        return sent in _EMPTY and shown in (None, "", [], ())
    if isinstance(sent, dict | list) or isinstance(shown, dict | list | tuple):
        return False
    one, other = str(sent).rstrip("/"), str(shown).rstrip("/")
    is_address = other.startswith("/") and one.endswith(other)
    return one == other or is_address or (values.is_uuid(one.lower()) and other.endswith(one.lower()))
