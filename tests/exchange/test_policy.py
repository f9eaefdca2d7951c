"""A marker stands in every text that may not leave, and in nothing that leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard import links
from dashboard.queries import session as files_of_sessions
from dashboard.server.app import find_pages
from dashboard.site import PUBLIC, Site
from exchange.nwb.export import Options
from exchange.nwb.export import export as nwb_export
from exchange.public_copy import snapshot
from exchange.releases import build, frozen
from one_bridge import cache
from pipeline import entry, policy, settings, worker
from pipeline.policy import pseudonyms
from pipeline.schemas import acquisition, behavior, data, subject
from pipeline.web.accounts import Users
from pipeline.web.threads import Database
from tests.dashboard.test_real_ephys import made
from tests.exchange.marks import MARK, fill, found_in, mark_every_text

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["postgresql"], indirect=True)]


def test_no_marker_leaves(database, tmp_path):
    fill(tmp_path / f"{MARK}_root")
    marked = mark_every_text(database)
    for column in ("subject.Subject.cage", "subject.Line.line_description", "acquisition.Session.session_narrative"):
        assert column in marked
    for column in ("lab.LabMember.email", "action.Note.note_text", "acquisition.Session.rig"):
        assert column in marked
    with settings.override(publication={"subjects": "pseudonym"}):
        release, _ = frozen.create("paper", "paper")
        build.build(release, tmp_path / "release")
        cache.export(tmp_path / "cache", "paper", public=True)
        results = nwb_export(acquisition.Session().keys(), tmp_path / "nwb", Options(dandi=True))
        assert {result.state for result in results} == {"written"}, results
        taken = snapshot.take("paper", policy.current())
    for folder in ("release", "cache", "nwb"):
        assert any((tmp_path / folder).rglob("*")) and found_in(tmp_path / folder) == set()
        pages = public_pages(database, tmp_path)
    assert [name for name, text in pages.items() if f"{MARK}_" in text] == []
    said = {label: str(rows.to_pylist()) for label, rows in taken.tables.items()}
    assert [label for label, text in said.items() if f"{MARK}_" in text] == []
    assert not any("'m1'" in text or "'m2'" in text for text in said.values())
    assert taken.tables["acquisition.Session"].num_rows == 3 and taken.tables["action.Weighing"].num_rows == 1


def public_pages(connection, folder: Path) -> dict[str, str]:
    """Address -> content, of every page that those see who are not signed in."""
    shared = Database(connection)
    site = Site(shared, Users(folder / "users.sqlite"), settings.settings(), public=True)
    key = (acquisition.Session & {"subject": "m1"}).keys(order_by="session_date")[0]
    mouse = (key["lab"], site.name(key["lab"], "m1", PUBLIC))
    session = (*mouse, str(key["session_date"]), key["session_number"])
    addresses = [links.mouse(*mouse), links.session(*session), links.notebook(*mouse), links.region("root"),
                 links.daily(date="2020-01-01")]  # fmt: skip
    addresses += [f"{links.overview().rstrip('/')}/{name}" for name, one in find_pages().items() if one.PAGE.in_menu]
    try:
        return {item: made(site, item, PUBLIC) for item in dict.fromkeys([links.overview(), *addresses])}
    finally:
        shared.close()


def test_the_public_is_told_nothing_of_an_animal_under_embargo(database, tmp_path):
    fill(tmp_path / "root")
    dataset_admin_public()
    worker.drain([behavior.TrialSet])
    secret = pseudonyms.subject("mylab", "m2", settings.settings().home / "dashboard")
    chosen = (data.Dataset & {"subject": "m2"}).to_arrays("dataset_id")[0]
    assert secret in "".join(public_pages(database, tmp_path).values())
    assert files_of_sessions.file(chosen, public=True) is not None
    entry.write("publication.Embargo", [{"lab": "mylab", "subject": "m2", "embargo_until": "2199-01-01"}],
                user="ada", source="command")  # fmt: skip
    assert secret not in "".join(public_pages(database, tmp_path).values())
    assert files_of_sessions.file(chosen, public=True) is None
    assert files_of_sessions.file(chosen, public=False) is not None


def test_what_is_asked_to_stay_or_go_does(database, tmp_path):
    fill(tmp_path / "root")
    subject.Line.update1({"line": "L1", "line_description": "shown"})
    asked = {"keep": ["subject.Line.line_description"], "drop": ["subject.Subject.birth_date", "line"]}
    with settings.override(publication=asked):
        dataset_admin_public()
        taken = snapshot.take("paper", policy.current())
    assert taken.tables["subject.Line"]["line_description"].to_pylist() == ["shown"]
    assert set(taken.tables["subject.Subject"]["birth_date"].to_pylist()) == {None}


def dataset_admin_public() -> None:
    from one_bridge import dataset_admin

    dataset_admin.define_tag("paper", public=True)
