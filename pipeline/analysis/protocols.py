"""Kinds of task: what the name of a protocol says about it, in one place."""

from __future__ import annotations

KINDS: tuple[tuple[str, str], ...] = (
    ("habituation", "habituation"),
    ("passive", "passive"),
    ("ephys", "ephys"),
    ("biased", "biased"),
    ("training", "training"),
)
"""Word in a protocol, and the kind that it stands for; the first that fits in any case of letters counts."""

OTHER = "other"
"""The kind of a protocol that has none of these words."""

BLOCKED = frozenset({"biased", "ephys"})
"""Kinds in which the side of the stimulus is more likely in blocks of trials."""

NOT_TRAINING = frozenset({"habituation", "passive"})
"""Kinds in which the animal does not do the task: they make no day of training."""


def kind(protocol: str, kinds: tuple[tuple[str, str], ...] = KINDS) -> str:
    """The kind of one protocol; empty where there is no protocol.

    >>> kind("_iblrig_tasks_biasedChoiceWorld6.4.2"), kind("my_own_task"), kind("")
    ('biased', 'other', '')
    """
    lower = protocol.lower()
    return next((name for word, name in kinds if word.lower() in lower), OTHER if protocol else "")


def parts(protocol: str) -> list[str]:
    """The protocols of a session that ran several, which are joined with a slash.

    >>> parts("ephysChoiceWorld8.2.0/passiveChoiceWorld8.2.0")
    ['ephysChoiceWorld8.2.0', 'passiveChoiceWorld8.2.0']
    """
    return [part for part in protocol.split("/") if part]


def is_without_task(protocol: str) -> bool:
    """Whether the animal did nothing in a session: all its protocols are passive or habituation.

    >>> is_without_task("ephysChoiceWorld/passiveChoiceWorld"), is_without_task("passiveChoiceWorld")
    (False, True)
    """
    every = parts(protocol)
    return bool(every) and all(kind(part) in NOT_TRAINING for part in every)


def of_collection(protocol: str, collection: str) -> str:
    """Of the protocols of a session, the one whose trials lie in a collection.

    The trials of `alf/task_01` are those of the second protocol. Those of any other collection are of the only
    protocol in which the animal does a task; where there are several, of all of them.

    >>> of_collection("training/biased", "alf/task_01"), of_collection("ephys/passive", "alf")
    ('biased', 'ephys')
    """
    every = parts(protocol)
    number = collection.rpartition("task_")[2]
    if "task_" in collection and number.isdigit() and int(number) < len(every):
        return every[int(number)]
    active = [part for part in every if kind(part) not in NOT_TRAINING]
    return "/".join(active or every)


def of_task(session_protocol: str, task_protocol: str, collection: str) -> str:
    """The protocol of a task: what its settings name, unless the session is said to have another one.

    Parameters
    ----------
    session_protocol : of the session as a whole; several joined with a slash
    task_protocol : that the settings of the task name; may be empty
    collection : of the task

    Examples
    --------
    >>> of_task("training/biased", "biased", "alf/task_01"), of_task("ephys/passive", "", "alf")
    ('biased', 'ephys')
    >>> of_task("corrected by a person", "training", "alf")
    'corrected by a person'
    """
    if task_protocol and (not session_protocol or task_protocol in parts(session_protocol)):
        return task_protocol
    return of_collection(session_protocol, collection)
