"""Protects what the client's registration and its users do in a row: protected files go from revision to revision, base
sessions take water, and records are found and deleted by what their address ends with."""

from __future__ import annotations

import datetime
import uuid

import numpy as np
import pytest
from one.registration import RegistrationClient

from tests.one_bridge.remote import client

pytestmark = [pytest.mark.slow, pytest.mark.one_database]


def test_protected_files_go_from_revision_to_revision(served, tmp_path):
    manager = client(served, tmp_path, "max")
    registration = RegistrationClient(manager)
    rest = manager.alyx.rest
    rest("tags", "create", data={"name": "paper", "protected": True})

    def protect(record):
        rest("datasets", "partial_update", id=record["id"], data={"tags": ["paper"]})

    path, _ = registration.create_new_session("ZM_1", session_root=served.root, date="2022-03-04T10:11:12")
    plain = path / "wheel.position.npy"  # below the root itself, as the client makes sessions
    np.save(plain, np.arange(5.0))
    first = registration.register_files(str(plain))
    assert first["revision"] is None and first["collection"] is None
    protect(first)

    name = rest("revisions", "create", data={"name": "paper1"})["name"]
    revised = path / f"#{name}#" / plain.name
    revised.parent.mkdir()
    np.save(revised, np.arange(6.0))
    (second,) = registration.register_files(file_list=[revised])
    assert second["revision"] == name and second["default"] is True
    protect(second)

    np.save(revised, np.arange(7.0))
    np.save(plain, np.arange(8.0))
    text = path / "wheel.position.ssv"
    text.write_text("0 1\n1 2\n")
    today = str(datetime.date.today())
    third, fourth, other = registration.register_files(file_list=[revised, plain, text])
    assert [item["revision"] for item in (third, fourth, other)] == [f"{name}a", today, None]
    assert not revised.exists() and not plain.exists() and text.exists()
    protect(fourth)
    again = path / f"#{today}#" / plain.name
    np.save(again, np.arange(9.0))
    (fifth,) = registration.register_files(file_list=[again])
    assert fifth["revision"] == f"{today}a" and not again.exists()


def test_base_sessions_take_water_and_addresses_end_with_ids(served, tmp_path):
    one = client(served, tmp_path, "max")
    rest = one.alyx.rest
    base = rest("sessions", "create", data={"subject": "ZM_1", "type": "Base", "users": [one.alyx.user]})
    made = RegistrationClient(one).register_water_administration("ZM_1", 0.7, session=base["url"])
    assert made["session"] == base["url"][-36:] and made["user"] == "max"
    records = rest("sessions", "list", id=uuid.UUID(base["url"][-36:]),
                 django=f"start_time__date,{base['start_time'][:10]}")  # fmt: skip
    assert [record["id"] for record in records] == [base["id"]]
    for record in rest("water-administrations", "list", django="subject__nickname,ZM_1"):
        rest("water-administrations", "delete", id=record["url"][-36:])
    assert rest("water-administrations", "list", subject="ZM_1") == []
    rest("sessions", "delete", id=base["url"][-36:])
    assert rest("sessions", "list", id=base["id"]) == []
