"""The client's parameter files: merged, never overwritten, read by the client itself."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import one.params
import pytest

from one_bridge.client_config import configure, login
from pipeline.errors import NeurojointError

URL = "http://127.0.0.1:8765"


def test_the_client_reads_what_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    configure(URL + "/", "mia", "a token", tmp_path / "downloads")
    answer = one.params.get(client=URL, silent=True)
    assert (answer.ALYX_URL, answer.ALYX_LOGIN) == (URL, "mia")
    assert (f"{URL}/data", "mia") == (answer.HTTP_DATA_SERVER, answer.HTTP_DATA_SERVER_LOGIN)
    assert answer.TOKEN["mia"] == {"token": "a token"}
    assert one.params.get_cache_dir(URL) == tmp_path / "downloads"
    assert one.params.get_default_client() == URL


def test_what_is_there_stays(tmp_path):
    folder = tmp_path / ".one"
    folder.mkdir()
    others = {"CLIENT_MAP": {"alyx.example.org": "/elsewhere"}, "DEFAULT": "alyx.example.org", "SOMETHING": 1}
    (folder / ".caches").write_text(json.dumps(others))
    (folder / ".alyx.example.org").write_text("untouched")
    (folder / ".127.0.0.1_8765").write_text(json.dumps({"EXTRA": "kept", "TOKEN": {"max": {"token": "old"}}}))
    configure(URL, "mia", "new", home=tmp_path)
    caches = json.loads((folder / ".caches").read_text())
    assert caches["CLIENT_MAP"]["alyx.example.org"] == "/elsewhere"
    assert caches["DEFAULT"] == "alyx.example.org" and caches["SOMETHING"] == 1
    own = json.loads((folder / ".127.0.0.1_8765").read_text())
    assert own["EXTRA"] == "kept" and own["TOKEN"] == {"max": {"token": "old"}, "mia": {"token": "new"}}
    assert (folder / ".alyx.example.org").read_text() == "untouched"
    configure(URL, "mia", "newer", home=tmp_path, make_default=True)
    again = json.loads((folder / ".caches").read_text())
    assert again["DEFAULT"] == "127.0.0.1_8765"
    assert again["CLIENT_MAP"]["127.0.0.1_8765"] == caches["CLIENT_MAP"]["127.0.0.1_8765"]  # the folder of downloads


def test_files_with_a_token_are_for_their_owner_only(tmp_path):
    for path in configure(URL, "mia", "token", home=tmp_path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["{not json", "[1]"])
def test_a_broken_file_is_not_replaced(tmp_path, content):
    (tmp_path / ".one").mkdir()
    (tmp_path / ".one" / ".caches").write_text(content)
    with pytest.raises(NeurojointError):
        configure(URL, "mia", "token", home=tmp_path)
    assert (tmp_path / ".one" / ".caches").read_text() == content


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://x", "http://"])
def test_addresses_that_are_none(tmp_path: Path, url):
    with pytest.raises(NeurojointError, match="no address"):
        configure(url, "mia", "token", home=tmp_path)


def test_no_server_is_said_plainly():
    with pytest.raises(NeurojointError, match="neurojoint serve"):
        login("http://127.0.0.1:1", "mia", "password")
