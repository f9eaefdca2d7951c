"""What an action is, and the one way to do it."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.entry import policy, zones
from pipeline.entry.fields import Field
from pipeline.entry.parse import is_blank, parse, zone_or_utc
from pipeline.entry.policy import Person, Verb
from pipeline.entry.reading import rows_by_key
from pipeline.entry.removal import remove
from pipeline.entry.reversal import undo as undo_batch
from pipeline.entry.tables import TABLES, class_of, field_of
from pipeline.entry.writer import Action as WriteAction
from pipeline.entry.writer import transaction, write
from pipeline.entry.written import InvalidEntry, RowError, Written
from pipeline.errors import NotFoundError, UserError
from pipeline.schemas import audit

FUTURE = datetime.timedelta(minutes=10)
"""How far a clock may be ahead."""


class NeedsConfirmation(UserError):
    """What was entered is possible, but not likely: the person is asked. `questions` maps a code to a sentence."""

    def __init__(self, questions: Mapping[str, str]) -> None:
        self.questions = dict(questions)
        super().__init__(" ".join(self.questions.values()), "confirm it, or correct it")


@dataclass(frozen=True)
class Actor:
    """Who acts, and through what.

    Attributes
    ----------
    person : with roles and delegations.
    source : for the audit, e.g. `site`, `command`, `import weights.csv`.
    """

    person: Person
    source: str

    @classmethod
    def of(cls, name: str, account: str = "member", source: str = "site") -> Actor:
        """The actor of this name, with the roles that the tables hold today."""
        return cls(policy.person_of(name, account), source)


@dataclass(frozen=True)
class Input:
    """One value that an action takes.

    Attributes
    ----------
    name : of the argument.
    label : for people.
    field : its type, unit and limits.
    required : must be given.
    many : a list; text is split at commas.
    help : one phrase for the form.
    """

    name: str
    label: str
    field: Field
    required: bool = False
    many: bool = False
    help: str = ""

    @classmethod
    def of(cls, table: str, column: str, label: str = "", name: str = "", **more: Any) -> Input:
        """The input for a column, with the limits of the column."""
        described = field_of(table, column)
        text = label or column.replace("_", " ").capitalize()
        return cls(name or column, text, replace(described, required=False), help=described.description, **more)


@dataclass(frozen=True)
class Action:
    """Something that people do.

    Attributes
    ----------
    name : of the action.
    label : for the button.
    verb : what it takes (see `policy`).
    inputs : in the order of the form.
    run : `(context, **values)`; values that were not given are None.
    of_animal : it begins with the inputs `lab` and `subject`.
    """

    name: str
    label: str
    verb: Verb
    inputs: tuple[Input, ...]
    run: Callable[..., Any]
    of_animal: bool = True
    description: str = ""


@dataclass
class Done:
    """What an action did.

    Attributes
    ----------
    batch : identifier, for `undo`.
    repeated : it had been done already (the same batch), and was not done again.
    created, updated, deleted : how many rows.
    result : what the action returns, e.g. the names of weaned animals.
    """

    batch: str
    repeated: bool = False
    created: int = 0
    updated: int = 0
    deleted: int = 0
    result: Any = None


@dataclass
class Context:
    """What an action works with: who, when, what was confirmed, and the writing."""

    actor: Actor
    action: Action
    batch: str
    confirmed: Collection[str] | bool
    now: datetime.datetime
    done: Done
    questions: dict[str, str] = field(default_factory=dict)
    seen: Mapping[str, Any] = field(default_factory=dict)

    def animal(self, lab: str, subject: str, *, alive: bool = True, verb: Verb | None = None) -> dict[str, Any]:
        """The row of an animal, locked until the action ends; the person must have the right.

        Raises
        ------
        InvalidEntry : there is no such animal, or it is dead.
        PermissionDenied : the person may not.
        """
        rows = rows_by_key(class_of("subject.Subject"), [(lab, subject)], lock=True)
        if not rows:
            self.fail("subject", f"there is no animal {subject} in {lab}")
        row = next(iter(rows.values()))
        self.require(verb or self.action.verb, lab, row["responsible_user"], f"{self.action.label.lower()} {subject}")
        if alive and row["death_date"] is not None:
            self.fail("subject", f"{subject} died on {row['death_date']}")
        return row

    def require(self, verb: Verb, lab: str, responsible: str | None = None, what: str = "") -> None:
        """Refuse what the person may not do."""
        policy.require(self.actor.person, verb, lab, responsible, what)

    def write(
        self, table: str, rows: Sequence[Mapping[str, Any]], action: WriteAction = "save", **more: Any
    ) -> Written:
        """Write rows as a part of this action."""
        written = write(table, rows, user=self.actor.person.name, source=self.actor.source, batch=self.batch,
                        action=action, **more)  # fmt: skip
        self.done.created += written.created
        self.done.updated += written.updated
        return written

    def remove(self, table: str, keys: Sequence[Mapping[str, Any]], reason: str = "") -> None:
        """Delete rows as a part of this action."""
        self.done.deleted += remove(
            table, keys, user=self.actor.person.name, source=self.actor.source, batch=self.batch, reason=reason
        ).deleted

    def ask(self, code: str, sentence: str) -> None:
        """Ask the person about something that is not plausible, unless they have confirmed it."""
        if self.confirmed is True or (not isinstance(self.confirmed, bool) and code in self.confirmed):
            return
        self.questions[code] = sentence

    def settle(self) -> None:
        """Stop here if there are questions.

        Raises
        ------
        NeedsConfirmation
        """
        if self.questions:
            raise NeedsConfirmation(self.questions)

    def fail(self, name: str, sentence: str) -> None:
        """Refuse a value.

        Raises
        ------
        InvalidEntry
        """
        raise InvalidEntry(self.action.name, [RowError(0, name, sentence)])

    def zone(self, lab: str) -> datetime.tzinfo:
        """The time zone of a lab."""
        return zone_or_utc(zones.of_labs().get(lab, "UTC"))

    def today(self, lab: str) -> datetime.date:
        """The date that a lab has now."""
        return self.now.replace(tzinfo=datetime.UTC).astimezone(self.zone(lab)).date()

    def time(self, given: datetime.datetime | None, name: str) -> datetime.datetime:
        """A time that was given, or now; nothing can be entered that has not happened."""
        if given is None:
            return self.now
        if given > self.now + FUTURE:
            self.fail(name, "it is in the future: correct the time")
        return given


ACTIONS: dict[str, Action] = {}
"""Name -> action, in the order in which pages show them."""

LAB = Input("lab", "Lab", replace(field_of("subject.Subject", "lab"), required=False), required=True)
SUBJECT = Input("subject", "Animal", replace(field_of("subject.Subject", "subject"), required=False), required=True)


def action(
    name: str, label: str, verb: Verb, *inputs: Input, of_animal: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as an action."""

    def register(run: Callable[..., Any]) -> Callable[..., Any]:
        everything = ((LAB, SUBJECT) if of_animal else ()) + inputs
        words = " ".join((run.__doc__ or "").split())
        ACTIONS[name] = Action(name, label, verb, everything, run, of_animal, words)
        return run

    return register


def perform(
    name: str,
    values: Mapping[str, Any],
    *,
    actor: Actor,
    confirmed: Collection[str] | bool = (),
    batch: str = "",
    now: datetime.datetime | None = None,
    seen: Mapping[str, Any] | None = None,
) -> Done:
    """Do an action.

    Parameters
    ----------
    name
        Of the action.
    values
        Its inputs, as people write them or as Python values; blank ones count as not given.
    actor
        Who does it.
    confirmed
        Codes of the questions that the person has answered with yes; True: all.
    batch
        Identifier that the client chose: an action that was done under it is not done again.
    now
        The time, UTC.
    seen
        Inputs of an action that changes a row, as they stood there for the person: where they differ by now, somebody
        else was faster and nothing is changed.

    Raises
    ------
    InvalidEntry
        A value cannot be used; `errors` say which and why.
    NeedsConfirmation
        It is possible but not likely.
    PermissionDenied
        The person may not.
    """
    if name not in ACTIONS:
        raise NotFoundError(f"there is no action {name!r}", f"there are {', '.join(ACTIONS)}")
    one = ACTIONS[name]
    batch = str(uuid.UUID(batch)) if batch else str(uuid.uuid4())
    with transaction(audit.Edit().connection):
        if _is_done(batch):
            return Done(batch, repeated=True)
        moment = now or datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        context = Context(actor, one, batch, confirmed, moment.replace(microsecond=0), Done(batch), seen=seen or {})
        given = read(one, values)
        context.done.result = one.run(context, **given)
        context.settle()
        return context.done


def read(one: Action, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of an action's inputs.

    Raises
    ------
    InvalidEntry
        With one error for each input that cannot be used.
    """
    errors = [RowError(0, str(name), "there is no such input") for name in values if name not in _names(one)]
    parsed: dict[str, Any] = {}
    zone = zones.of_labs().get(str(values.get("lab") or ""), "UTC")
    for wanted in one.inputs:
        value = values.get(wanted.name)
        if is_blank(value):
            parsed[wanted.name] = [] if wanted.many else None
            if wanted.required:
                errors.append(RowError(0, wanted.name, "a value is needed here"))
            continue
        try:
            if wanted.many:
                listed = value.split(",") if isinstance(value, str) else list(value)  # type: ignore[arg-type]
                parsed[wanted.name] = [parse(wanted.field, item, zone) for item in listed if not is_blank(item)]
            else:
                parsed[wanted.name] = parse(wanted.field, value, zone)
        except (ValueError, TypeError) as error:
            errors.append(RowError(0, wanted.name, str(error)))
    if errors:
        raise InvalidEntry(one.name, errors)
    return parsed


def undo(batch: str, *, actor: Actor) -> Written:
    """Take back an action: one's own, or as a lab manager that of others.

    Raises
    ------
    PermissionDenied
        The person may not.
    ConflictError
        A row was changed since.
    """
    edits = (audit.Edit & {"edit_batch": batch}).to_dicts(order_by="edit_number")
    for edit in edits:
        lab = (edit["edit_key"] or {}).get("lab", "")
        verb = policy.TABLE_VERBS.get(edit["edit_table"], "administer")
        if edit["edit_user"] == actor.person.name:
            if actor.person.role(lab) == "reader" and lab:
                policy.require(actor.person, verb, lab, what="undo this entry")
        else:
            policy.require(actor.person, "manage", lab, what=f"undo an entry of {edit['edit_user']}")
    return undo_batch(batch, user=actor.person.name, source=actor.source)


def _names(one: Action) -> set[str]:
    return {wanted.name for wanted in one.inputs}


def _is_done(batch: str) -> bool:
    return bool(audit.Edit & {"edit_batch": batch})


def member_or_none(name: str) -> str | None:
    """The person as `lab.LabMember` knows them."""
    return name if name and rows_by_key(class_of("lab.LabMember"), [(name,)], ("user_name",)) else None


def known_tables() -> Collection[str]:
    """The tables that have a grid."""
    return tuple(TABLES)
