"""Who may do what to which animal: one table, read by the site, the REST server, commands and imports alike.

A person has a role in each lab (`lab.LabMembership.lab_role`), and an account with a role of its own
(`pipeline.web.accounts`). Each kind of change (`Verb`) says how far every role reaches: to no animal, to the person's
own, to those of the lab, or to all.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipeline.errors import PermissionDenied
from pipeline.schemas import lab as lab_schema

Role = Literal["reader", "technician", "member", "colony manager", "lab manager", "admin"]
Verb = Literal["read", "care", "restrict", "operate", "colony", "cull", "assign", "request", "answer", "plan", "manage",
               "preprocess", "record", "curate", "administer"]  # fmt: skip
Reach = Literal["none", "own", "lab", "all"]

ROLES: tuple[Role, ...] = ("reader", "technician", "member", "colony manager", "lab manager", "admin")
VERBS: dict[Verb, str] = {
    "read": "look at",
    "care": "weigh, give water and drugs, write notes and report harm",
    "restrict": "start and end water restrictions",
    "operate": "operate and inject",
    "colony": "breed, wean, genotype and move",
    "cull": "cull",
    "assign": "give to another person, change what is known of an animal",
    "request": "ask for animals",
    "answer": "answer requests for animals",
    "plan": "plan training",
    "manage": "change the lab's people, rooms, rules and lists",
    "preprocess": "hold, abandon and restart preprocessing tasks",
    "record": "register sessions, files, probes and images",
    "curate": "change lists of names that all labs share, and delete what was registered",
    "administer": "change what all labs share, and everything else",
}
"""What each kind of change is, in words."""

POLICY: dict[Verb, tuple[Reach, ...]] = {
    #              reader  technician  member  colony manager  lab manager  admin
    "read":       ("all",  "all",      "all",  "all",          "all",       "all"),
    "care":       ("none", "lab",      "lab",  "lab",          "lab",       "all"),
    "restrict":   ("none", "own",      "own",  "lab",          "lab",       "all"),
    "operate":    ("none", "own",      "own",  "own",          "lab",       "all"),
    "colony":     ("none", "lab",      "own",  "lab",          "lab",       "all"),
    "cull":       ("none", "own",      "own",  "lab",          "lab",       "all"),
    "assign":     ("none", "none",     "own",  "lab",          "lab",       "all"),
    "request":    ("none", "lab",      "lab",  "lab",          "lab",       "all"),
    "answer":     ("none", "none",     "none", "lab",          "lab",       "all"),
    "plan":       ("none", "lab",      "own",  "lab",          "lab",       "all"),
    "manage":     ("none", "none",     "none", "none",         "lab",       "all"),
    "preprocess": ("none", "none",     "lab",  "lab",          "lab",       "all"),
    "record":     ("none", "all",      "all",  "all",          "all",       "all"),
    "curate":     ("none", "none",     "none", "none",         "all",       "all"),
    "administer": ("none", "none",     "none", "none",         "none",      "all"),
}  # fmt: skip
"""Kind of change -> how far each role of `ROLES` reaches, in that order."""

BY_ACCOUNT: frozenset[Verb] = frozenset({"record", "curate"})
"""Kinds of change for which the role of the account counts, not that in a lab: rigs and lab servers have accounts, and
no lab lists them among its people."""

ACCOUNT_ROLES: dict[str, Role] = {
    "public": "reader", "member": "member", "manager": "lab manager", "admin": "admin",
}  # fmt: skip
"""Role of an account -> what it counts as in every lab, where it is more than what the lab says."""

ROLE_WORDS: dict[str, Role] = {
    "reader": "reader", "visitor": "reader", "veterinarian": "reader", "public": "reader",
    "technician": "technician", "animal technician": "technician", "caretaker": "technician",
    "member": "member", "lab member": "member", "student": "member", "postdoc": "member", "scientist": "member",
    "stock manager": "colony manager", "colony manager": "colony manager",
    "lab manager": "lab manager", "manager": "lab manager", "pi": "lab manager",
    "admin": "admin",
}  # fmt: skip
"""How labs write roles, in lower case; any other word is a member's."""

TABLE_VERBS: dict[str, Verb] = {
    "action.Weighing": "care", "action.WaterAdministration": "care", "action.DrugAdministration": "care",
    "action.OtherAction": "care", "action.Note": "care", "subject.AdverseEffect": "care",
    "acquisition.SessionWater": "care",
    "action.WaterRestriction": "restrict", "action.RestrictionDetail": "restrict",
    "action.Surgery": "operate", "action.Surgery.Procedure": "operate", "action.Surgery.Surgeon": "operate",
    "action.Surgery.Site": "operate", "action.VirusInjection": "operate", "subject.Implant": "operate",
    "subject.Housing": "colony", "subject.Genotype": "colony", "subject.GenotypeTest": "colony",
    "subject.BreedingPair": "colony", "subject.BreedingPair.Parent": "colony", "subject.Plug": "colony",
    "subject.Litter": "colony", "subject.Litter.Pup": "colony",
    "subject.Cull": "cull", "subject.Subject": "assign", "subject.SubjectProject": "assign",
    "subject.SubjectRequest": "request", "subject.RequestedSubject": "answer",
    "action.PlannedTraining": "plan",
    "lab.LabMembership": "manage", "lab.LabLocation": "manage", "lab.HusbandryRules": "manage",
    "subject.Cage": "manage", "subject.GrowthCurveUse": "manage", "action.ProcedureTemplate": "manage",
    "acquisition.Session": "record", "acquisition.SessionUser": "record", "acquisition.SessionProject": "record",
    "acquisition.SessionProcedure": "record", "data.Dataset": "record", "data.FileRecord": "record",
    "data.Aggregate": "record", "data.DataNotice": "record", "data.Download": "record",
    "ephys.ProbeInsertion": "record", "ephys.ChronicInsertion": "record", "histology.Trajectory": "record",
    "histology.AlignedChannel": "record", "imaging.FieldOfView": "record", "imaging.FieldLocation": "record",
    "imaging.ImagingStack": "record", "ephys.GoodPeriod": "record",
    "photostimulation.SessionStimulation": "record", "photostimulation.StimulationDevice": "manage",
    "photostimulation.StimulationWaveform": "manage", "photostimulation.StimulationSite": "manage",
    "lab.LabMember": "curate", "lab.Project": "curate", "lab.Project.Member": "curate",
    "action.ProcedureType": "curate", "action.WaterType": "curate", "data.DatasetType": "curate",
    "data.DataFormat": "curate", "data.Revision": "curate", "data.Tag": "curate", "histology.BrainRegion": "curate",
    "imaging.ImagingType": "curate", "subject.CullMethod": "curate", "subject.CullReason": "curate",
}  # fmt: skip
"""Table -> what it takes to change its rows, in a grid or over HTTP; of every other table: `administer`."""

REMOVAL_VERBS: dict[str, Verb] = {"lab.LabMember": "administer"}
"""What it takes to delete rows of tables whose verb goes by the account, where that is not `curate`."""

OWNERS: dict[str, str] = {
    "action.Weighing": "weighing_user", "action.WaterAdministration": "water_user", "action.Note": "note_user",
    "action.DrugAdministration": "drug_user", "subject.AdverseEffect": "effect_user",
    "subject.SubjectRequest": "request_user",
}  # fmt: skip
"""Table -> the column with who entered a row: that person may delete it."""

REMOVERS: frozenset[Role] = frozenset({"colony manager", "lab manager", "admin"})
"""Who may delete what others entered, where the verb of the table reaches it."""


@dataclass(frozen=True)
class Person:
    """Who acts.

    Attributes
    ----------
    name : user name; empty for somebody who is not signed in.
    account : role of the account: public, member, manager or admin.
    roles : lab -> role of the person there.
    open_labs : labs that list no members: every account of a member is one there, as far as its lab's animals go.
    principals : people for whom this one may act, and the person.
    """

    name: str
    account: str = "member"
    roles: Mapping[str, Role] = field(default_factory=dict)
    open_labs: frozenset[str] = frozenset()
    principals: frozenset[str] = frozenset()

    def role(self, lab: str) -> Role:
        """The role in a lab.

        >>> Person("ada", roles={"a": "technician"}).role("a"), Person("ada", account="admin").role("a")
        ('technician', 'admin')
        """
        if self.account == "public" or not self.name:
            return "reader"
        if self.account != "member":
            return ACCOUNT_ROLES[self.account]
        return self.roles.get(lab, "member" if lab in self.open_labs else "reader")

    def owns(self, responsible: str | None) -> bool:
        """Whether an animal of this responsible person counts as the person's own."""
        return not responsible or responsible == self.name or responsible in self.principals


def account_needed(table: str, removing: bool = False) -> str:
    """The least role of an account with which a request to change a table is looked at; its rows may need more.

    >>> account_needed("action.Weighing"), account_needed("data.Tag"), account_needed("lab.Lab")
    ('member', 'manager', 'admin')
    """
    verb = TABLE_VERBS.get(table, "administer")
    if verb in BY_ACCOUNT and removing:
        verb = REMOVAL_VERBS.get(table, "curate")
    if verb in BY_ACCOUNT or verb == "administer":
        return next(name for name, role in ACCOUNT_ROLES.items() if POLICY[verb][ROLES.index(role)] != "none")
    return "member"


def reach(person: Person, verb: Verb, lab: str) -> Reach:
    """How far a person reaches in a lab."""
    if verb in BY_ACCOUNT:
        return POLICY[verb][ROLES.index(ACCOUNT_ROLES[person.account] if person.name else "reader")]
    scope = POLICY[verb][ROLES.index(person.role(lab))]
    return "lab" if scope == "own" and lab in person.open_labs and person.role(lab) == "member" else scope


def allows(person: Person, verb: Verb, lab: str, responsible: str | None = None) -> bool:
    """Whether a person may do something in a lab, to an animal of a responsible person.

    >>> mia = Person("mia", roles={"a": "member"}, principals=frozenset({"mia"}))
    >>> allows(mia, "operate", "a", "mia"), allows(mia, "operate", "a", "bob"), allows(mia, "care", "a", "bob")
    (True, False, True)
    """
    scope = reach(person, verb, lab)
    return scope in ("lab", "all") or (scope == "own" and person.owns(responsible))


def require(person: Person, verb: Verb, lab: str, responsible: str | None = None, what: str = "") -> None:
    """Refuse what a person may not do.

    Raises
    ------
    PermissionDenied
        The message says who may.
    """
    if allows(person, verb, lab, responsible):
        return
    may = [role for role, far in zip(ROLES, POLICY[verb], strict=True) if far in ("lab", "all")]
    who = f"a {may[0]}" if may else "an admin"
    own = "own" in POLICY[verb] and responsible and not person.owns(responsible)
    where = f"{who} of {lab}" if lab else who
    hint = f"ask {responsible}, or {where}" if own else f"ask {where}"
    subject = what or (f"{VERBS[verb]} in {lab}" if lab else VERBS[verb])
    raise PermissionDenied(f"{person.name or 'somebody who is not signed in'} may not {subject}", hint)


def person_of(name: str, account: str = "member") -> Person:
    """A person with the roles and delegations that the tables hold today."""
    today = datetime.datetime.now(datetime.UTC).date()
    memberships = lab_schema.LabMembership().to_dicts()
    roles: dict[str, Role] = {}
    for row in memberships:
        begun = row["membership_start"] is None or row["membership_start"] <= today
        ended = row["membership_end"] is not None and row["membership_end"] < today
        if name and row["user_name"] == name and begun and not ended:
            roles[row["lab"]] = ROLE_WORDS.get(" ".join(row["lab_role"].casefold().split()), "member")
    labs = set(lab_schema.Lab().to_arrays("lab").tolist())
    principals = {row["principal"] for row in (lab_schema.Delegate & {"delegate": name}).to_dicts()} if name else set()
    open_labs = labs - {row["lab"] for row in memberships}
    return Person(name, account, roles, frozenset(open_labs), frozenset({name, *principals} - {""}))
