"""Who may do what: the table, cell by cell, and that actions keep to it."""

from __future__ import annotations

import pytest

from pipeline.entry import policy
from pipeline.entry.actions import ACTIONS
from pipeline.entry.policy import POLICY, ROLES, VERBS, Person, allows, person_of
from pipeline.entry.tables import TABLES
from pipeline.errors import PermissionDenied
from tests.entry.lab_of_mice import LAB, PEOPLE, do


@pytest.mark.parametrize("verb", sorted(set(VERBS) - policy.BY_ACCOUNT))
@pytest.mark.parametrize("role", ROLES)
def test_every_cell(role, verb):
    far = POLICY[verb][ROLES.index(role)]
    person = Person("p", roles={"a": role}, principals=frozenset({"p", "boss"}))
    if role == "admin":
        person = Person("p", account="admin")
    assert allows(person, verb, "a", "p") == (far != "none")
    assert allows(person, verb, "a", "boss") == (far != "none")
    assert allows(person, verb, "a", "stranger") == (far in ("lab", "all"))
    if role != "admin":
        assert allows(person, verb, "b", "stranger") == (POLICY[verb][0] == "all")


@pytest.mark.parametrize("verb", sorted(policy.BY_ACCOUNT))
@pytest.mark.parametrize(("account", "role"), policy.ACCOUNT_ROLES.items())
def test_what_goes_by_the_account_does_not_ask_the_lab(account, role, verb):
    far = POLICY[verb][ROLES.index(role)]
    assert allows(Person("rig", account=account), verb, "any lab") == (far == "all")
    assert not allows(Person("", account=account), verb, "any lab")


def test_no_role_may_less_than_one_before_it_except_technicians():
    order = ("none", "own", "lab", "all")
    for verb, reaches in POLICY.items():
        ranks = [order.index(reache) for reache in reaches]
        without = ranks[:1] + ranks[2:]
        assert without == sorted(without), verb
        assert ranks[1] <= ranks[3], verb


def test_accounts_and_labs_that_list_nobody():
    mia = Person("mia", open_labs=frozenset({"a"}))
    assert mia.role("a") == "member" and allows(mia, "operate", "a", "bob")
    assert mia.role("b") == "reader" and not allows(mia, "care", "b")
    assert not allows(Person("x", account="public", roles={"a": "lab manager"}), "care", "a")
    assert allows(Person("x", account="manager"), "manage", "a")


def test_tables_have_verbs():
    assert set(policy.TABLE_VERBS) - {"histology.BrainRegion"} <= set(TABLES)  # of regions only the words are changed
    assert all(policy.OWNERS[table] in {field.column for field in TABLES[table].fields} for table in policy.OWNERS)
    assert set(policy.TABLE_VERBS.values()) <= set(VERBS)


TRIES = {
    "weigh": {"weight": "22"},
    "start_restriction": {"reference_weight": "22"},
    "operate": {"procedures": ["Headplate implant"]},
    "move": {"cage": "C9"},
    "cull": {"cull_method": "CO2", "cull_reason": "surplus"},
    "assign": {"responsible_user": "cora"},
    "plan_training": {"planned_date": "2026-03-04"},
}
"""One action of each kind on one animal."""


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_roles_and_actions_on_own_and_other_animals(lab_of_module):
    """Each cell tried: what the policy forbids is refused and writes nothing, what it allows is done."""
    database = lab_of_module
    from pipeline.schemas import audit

    for name, values in TRIES.items():
        for who in (*PEOPLE, "dora", "admin"):
            for mouse, responsible in (("m1", "mia"),) if who in ("rita", "dora") else (("m1", "mia"), ("b1", "bob")):
                person = person_of(who, "admin" if who == "admin" else "member")
                before = len(audit.Edit())
                database.start_transaction()
                try:
                    do(name, who, subject=mouse, confirmed=True, **values)
                    done = True
                except PermissionDenied as error:
                    done = False
                    assert "ask" in error.remedy and len(audit.Edit()) == before
                finally:
                    database.cancel_transaction()
                assert done == allows(person, ACTIONS[name].verb, LAB, responsible), (name, who, mouse)
