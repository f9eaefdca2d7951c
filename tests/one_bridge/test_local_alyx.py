"""Protects what analysts' code asks of the class beyond loading: `one.alyx.rest` without a server, `django=`, and the
methods of the parent that take overridden ones apart."""

from __future__ import annotations

import inspect
import re
import uuid

import numpy as np
import pytest
import requests
from one import converters
from one.api import ONE as ClientONE
from one.api import One, OneAlyx

from one_bridge import ONE
from pipeline.errors import NeurojointError
from tests.one_bridge.remote import FIRST, SECOND, SESSIONS, THIRD
from tests.one_bridge.serving import serving
from tests.one_bridge.trees import build, dataset_id

pytestmark = pytest.mark.one_database


NAMED_ONLY = {"setup"}
"""Static, and one for both kinds of the client."""


@pytest.fixture
def one(database, tmp_path) -> ONE:
    build(tmp_path / "data", SESSIONS)
    return ONE()


def test_references_lead_to_paths(one):
    ref = one.eid2ref(FIRST.eid, as_dict=False)
    assert one.ref2path(ref) == one.eid2path(FIRST.eid)
    assert one.ref2path([ref, ref]) == one.eid2path([FIRST.eid, FIRST.eid])
    assert one.ref2path(one.eid2ref(FIRST.eid)) == one.eid2path(FIRST.eid)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"unwrap\(self\.(\w+)\)", inspect.getsource(converters)))))
def test_the_parent_can_take_its_methods_apart(name):
    """It calls `inspect.unwrap(self.method)(self, …)`: ours must take the instance then, as the parent's do."""
    assert "self" in inspect.signature(inspect.unwrap(getattr(object.__new__(ONE), name))).parameters


@pytest.mark.parametrize("parent", [One, OneAlyx])
def test_every_public_method_of_the_client_is_here_with_its_arguments(parent):
    """Code that was written for the client calls ours by the same names, also by position."""
    for name in [name for name in dir(parent) if not name.startswith("_")]:
        theirs = getattr(parent, name)
        if name in NAMED_ONLY or not inspect.isfunction(theirs):
            continue
        wanted, present = (inspect.signature(method).parameters for method in (theirs, getattr(ONE, name)))
        order = [item for item in wanted if wanted[item].kind is not inspect.Parameter.VAR_KEYWORD]
        assert list(present)[: len(order)] == order, name


@pytest.mark.parametrize("parent", [One, OneAlyx])
def test_setup_is_that_of_the_client(parent, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(One, "setup", staticmethod(lambda *args, **options: asked.append((One, args, options))))
    monkeypatch.setattr(ClientONE, "setup", lambda **options: asked.append((OneAlyx, (), options)))
    options = {"base_url": "http://127.0.0.1:1"} if parent is OneAlyx else {"cache_dir": tmp_path}
    ONE.setup(silent=True, **options)
    assert asked == [(parent, (), options | {"silent": True})]


def test_arguments_of_the_client_do_no_harm(one):
    assert ONE(mode="remote", silent=True).search() == ONE(mode="local").search() == one.search()
    with pytest.raises(ValueError, match="auto"):
        ONE(mode="auto")
    for call in (one.path2url, one.record2url):
        with pytest.raises(NeurojointError, match="no server"):
            call("simlab/Subjects/KS014/2020-01-01/001/alf/spikes.times.npy")


def test_parts_of_file_names_and_django(one):
    assert set(one.search(dataset="spikes.times")) == {FIRST.eid}
    assert set(one.search(dataset="choice")) == {FIRST.eid, SECOND.eid}
    assert set(one.search(django="subject__nickname,KS014")) == {FIRST.eid, SECOND.eid}
    assert one.search(django="probe_insertion__name,probe01", projects="alpha") == [FIRST.eid]
    assert len(one.search(limit=1)) == 1 and one.search(django="number,9") == []
    pids = one.search_insertions(django="session__projects__name,beta,name,probe00")
    assert [one.pid2eid(pid) for pid in pids] == [(FIRST.eid, "probe00")]
    with pytest.raises(ValueError, match="no field 'colour'"):
        one.search(django="colour,red")


def test_lists_and_records_are_those_of_the_server(one, tmp_path):
    """The same question here and over HTTP; addresses have no host here."""
    import datajoint as dj

    with serving(dj.conn(), tmp_path / "data", tmp_path) as served:
        http = served.session()

        def without_host(content):
            import json

            return json.loads(json.dumps(content).replace(served.url, ""))

        for endpoint, filters in (
            ("sessions", {}),
            ("sessions", {"subject": "KS014", "django": "number__gte,1"}),
            ("insertions", {"name": "probe00"}),
            ("datasets", {"session": str(FIRST.eid)}),
            ("subjects", {}),
            ("labs", {}),
            ("brain-regions", {"acronym": "TH"}),
        ):
            theirs = http.get(f"{served.url}/{endpoint}", params=filters, timeout=30).json()["results"]
            assert one.alyx.rest(endpoint, "list", **filters) == without_host(theirs), endpoint
        theirs = http.get(f"{served.url}/sessions/{FIRST.eid}", timeout=30).json()
        assert one.alyx.rest("sessions", "read", id=FIRST.eid) == without_host(theirs)
    assert one.alyx.get(f"/sessions/{FIRST.eid}")["id"] == str(FIRST.eid)


def test_calls_of_the_web_client(one):
    records = one.alyx.rest("sessions", "list", subject=["KS014", "ZM_1"], limit=2)
    assert len(records) == 2 and uuid.UUID(records[0]["url"][-36:])
    assert [r["id"] for r in one.alyx.rest("sessions", "list", id=SECOND.eid)] == [str(SECOND.eid)]
    assert one.alyx.rest("sessions", "list", django="number,1", id=THIRD.eid) == []
    assert one.alyx.rest("insertions", "list", session=FIRST.eid, no_cache=True)[0]["session"] == str(FIRST.eid)
    did = dataset_id(FIRST, "alf/probe00/spikes.times.npy")
    assert one.alyx.rest("datasets", "read", id=did)["name"] == "spikes.times.npy"
    assert "sessions" in one.alyx.rest()
    with pytest.raises(requests.HTTPError) as error:
        one.alyx.rest("sessions", "read", id=uuid.uuid4())
    assert error.value.response.status_code == 404
    with pytest.raises(ValueError, match="insertions"):
        one.alyx.rest("insertion", "list")
    with pytest.raises(NeurojointError, match="server"):
        one.alyx.rest("weighings", "create", data={})
    with pytest.raises(NeurojointError, match="base_url"):
        one.record2url(one.path2record(one.eid2path(FIRST.eid)))


def test_another_server_gives_its_plain_client(one, tmp_path, monkeypatch):
    import datajoint as dj

    from one_bridge import client_config
    from tests.one_bridge.serving import PASSWORD

    monkeypatch.setenv("HOME", str(tmp_path))
    with serving(dj.conn(), tmp_path / "data", tmp_path) as served:
        client_config.configure(served.url, "mia", served.token("mia"), tmp_path / "downloads")
        ONE.cache_clear()
        other = ONE(base_url=served.url, username="mia", password=PASSWORD, silent=True)
        assert type(other).__name__ == "OneAlyx"
        assert set(other.search(dataset="spikes.times")) == {FIRST.eid}
        np.testing.assert_array_equal(other.load_dataset(FIRST.eid, "spikes.times.npy"), np.linspace(0, 5, 50))
    assert inspect.isclass(ONE)
