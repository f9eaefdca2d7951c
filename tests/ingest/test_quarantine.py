"""Protects the quarantine: each kind of damage is named exactly, the rest is registered, what is mended is resolved."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.simulate import damage
from pipeline.alf.reasons import REASONS
from pipeline.schemas import acquisition, data
from tests.ingest.tree import ingest, rows, write

pytestmark = pytest.mark.slow

SESSION = "mylab/Subjects/m1/2020-01-01/001"


def test_every_kind_of_damage_is_named_with_path_reason_and_column(database, tmp_path):
    import datetime

    expected = damage.write_damaged(tmp_path / "root", "mylab", datetime.date(2023, 9, 4), seed=1)
    summary = ingest(tmp_path / "root")
    distinct = set(rows(data.Quarantine, "quarantine_path", "reason", "quarantine_column"))
    wanted = {(item["path"], item["reason"], item["column"]) for item in expected}
    assert distinct == wanted
    assert summary.quarantined == len(wanted)
    assert not list((tmp_path / "root").rglob("executed.marker")), "code of a data file was run"
    assert {kind["kind"] for kind in expected} >= damage.KINDS.keys() - {"permission_denied"}
    assert len(acquisition.Session()) == len(damage.KINDS) - 1  # all but the impossible date


def test_each_row_says_what_to_do(database, tmp_path):
    write(tmp_path, SESSION, choice=np.array([1, 2, 1, 1, 1, 1]))
    ingest(tmp_path)
    row = data.Quarantine.fetch1()
    assert row["remedy"] == REASONS["value_range"][1]
    assert "row 1" in row["detail"]
    assert row["quarantine_column"] == "choice" and row["resolved"] is None


def test_what_is_mended_is_resolved_and_what_breaks_again_is_open_again(database, tmp_path):
    good = np.array([1, -1, 1, 1, -1, 0])
    write(tmp_path, SESSION, choice=good * 5)
    ingest(tmp_path)
    first = data.Quarantine.fetch1()
    write(tmp_path, SESSION, choice=good)
    assert ingest(tmp_path).resolved == 1
    assert data.Quarantine.fetch1("resolved") is not None
    write(tmp_path, SESSION, choice=good * 7)
    assert ingest(tmp_path).quarantined == 1
    row = data.Quarantine.fetch1()
    assert row["resolved"] is None and row["first_seen"] == first["first_seen"]


def test_an_unchanged_problem_is_seen_again_without_reading(database, tmp_path):
    write(tmp_path, SESSION, choice=np.full(6, 9))
    ingest(tmp_path)
    before = data.Quarantine.fetch1()
    assert ingest(tmp_path).quarantined == 1
    after = data.Quarantine.fetch1()
    assert after["last_seen"] > before["last_seen"] and after["first_seen"] == before["first_seen"]


def test_a_stray_folder_is_resolved_when_it_is_gone(database, tmp_path):
    write(tmp_path, SESSION)
    wrong = write(tmp_path, "mylab/Subjects/m1/2020-13-01/001")
    assert ingest(tmp_path).reasons == {"bad_session_path": 1}
    wrong.parent.rename(wrong.parent.with_name("2020-12-01"))
    summary = ingest(tmp_path)
    assert (summary.quarantined, summary.resolved, summary.sessions_new) == (0, 1, 1)


def test_a_file_that_cannot_be_opened_is_tried_again_though_nothing_changed(database, tmp_path, monkeypatch):
    """As for a file whose mode is wrong: names, sizes and times stay the same when it is mended."""
    import os

    write(tmp_path, SESSION)
    real = os.open

    def refuse(path, *args, **kwargs):
        if str(path).endswith("choice.npy"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        assert ingest(tmp_path).reasons == {"permission_denied": 1}
    assert rows(data.AlfObject, "accepted_columns")[0][0].count("choice") == 0
    summary = ingest(tmp_path)
    assert (summary.quarantined, summary.resolved, summary.files_new) == (0, 1, 1)
    assert "choice" in rows(data.AlfObject, "accepted_columns")[0][0]


def test_names_beyond_the_tables_are_refused_not_cut(database, tmp_path):
    session = write(tmp_path, SESSION)
    np.save(session / "alf" / f"{'o' * 70}.attr.npy", [1.0])
    np.save(session / "alf" / "100%.attr.npy", [1.0])
    deep = session / "/".join(["deep" * 12] * 6)
    deep.mkdir(parents=True)
    np.save(deep / "a.b.npy", [1.0])
    assert ingest(tmp_path).reasons == {"not_alf": 3}


@pytest.mark.parametrize("name", ["expected_moves.npz", "event_times.npy"])
def test_real_files_that_are_not_alf_are_only_that(database, real_data, name):
    summary = ingest(real_data)
    assert summary.reasons == {"not_alf": 4} and summary.sessions == 30
    assert any(path.endswith(name) for (path,) in rows(data.Quarantine, "quarantine_path"))


def test_names_that_are_not_text_reach_the_tables_as_escapes(database, tmp_path):
    import os

    session = write(tmp_path, SESSION)
    day = os.fsencode(session.parent.parent) + b"/day\xff\x1b"
    for folder in (day, os.fsencode(session) + b"/al\xfef", day + b"/001"):
        os.mkdir(folder)  # noqa: PTH102 - pathlib takes no bytes
        os.close(os.open(folder + b"/a\xff.b.npy", os.O_CREAT))
    assert ingest(tmp_path).reasons == {"bad_session_path": 2, "not_alf": 1}
    paths = [path for (path,) in rows(data.Quarantine, "quarantine_path")]
    assert all(path.isprintable() for path in paths) and any("\\udcff" in path for path in paths)
    assert ingest(tmp_path).quarantined == 3
