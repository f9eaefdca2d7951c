"""JupyterHub with our accounts: who comes in, and (soak) a person's notebook with a table of its own, in a browser."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests

from pipeline import settings
from pipeline.web import accounts

pytestmark = pytest.mark.slow

hub = pytest.importorskip("neurojoint.hub", reason="pip install 'neurojoint[hub]'")

PASSWORD = "correct horse battery"
PROXY = os.environ.get("CONFIGURABLE_HTTP_PROXY") or shutil.which("configurable-http-proxy")


@pytest.fixture
def people(tmp_path):
    with settings.override(home=tmp_path / "home"):
        (tmp_path / "home").mkdir()
        users = accounts.Users(accounts.store_path())
        for name, role in (("Ada", "admin"), ("mia", "member"), ("pat", "public"), ("a.b", "member")):
            users.add(name, PASSWORD, role)
        yield users


def run(answer):
    """What a coroutine returns; in a thread of its own, as a browser of other tests may leave a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, answer).result()


def sign_in(authenticator, name, password=PASSWORD):
    handler = SimpleNamespace(request=SimpleNamespace(remote_ip="127.0.0.1"))
    return run(authenticator.authenticate(handler, {"username": name, "password": password}))


def test_our_accounts_sign_in_and_nobody_else(people):
    authenticator = hub.NeurojointAuthenticator()
    assert authenticator.allow_all, "the accounts say who may come in"
    assert sign_in(authenticator, "Ada") == {"name": "Ada", "admin": True}
    assert sign_in(authenticator, "mia") == {"name": "mia", "admin": False}
    assert authenticator.normalize_username("Ada") == "Ada"
    for name, password in (("mia", "wrong"), ("nobody", PASSWORD), ("", ""), ("ada", PASSWORD)):
        assert sign_in(authenticator, name, password) is None
    assert sign_in(authenticator, "pat") is None, "guests come in only where the hub says so"
    assert sign_in(authenticator, "a.b") is None, "the database has no accounts of such names"
    assert sign_in(hub.NeurojointAuthenticator(guests=True), "pat") == {"name": "pat", "admin": False}
    assert {item.door for item in people.sign_ins()} == {"JupyterHub"}


def test_who_is_shut_out_is_signed_out(people):
    authenticator, mia = hub.NeurojointAuthenticator(), SimpleNamespace(name="mia")
    assert run(authenticator.refresh_user(mia))
    people.disable("mia")
    assert run(authenticator.refresh_user(mia)) is False
    with pytest.raises(hub.web.HTTPError, match="403"):
        run(authenticator.pre_spawn_start(mia, SimpleNamespace(environment={})))


def test_a_home_that_is_there_keeps_its_owner(tmp_path):
    """On a volume: the account of the computer is made again with the number of the owner of the files."""
    (tmp_path / "mia").mkdir()
    recorder = tmp_path / "useradd"
    recorder.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/made\n')
    recorder.chmod(0o700)
    authenticator = hub.NeurojointAuthenticator(homes=str(tmp_path), add_user_cmd=[str(recorder), "--create-home"])
    for name in ("mia", "bob"):
        authenticator.add_system_user(SimpleNamespace(name=name))
    made = (tmp_path / "made").read_text().splitlines()
    assert made == [f"--create-home --uid {tmp_path.stat().st_uid} mia", "--create-home bob"]


CELL = """
import datajoint as dj, neurojoint as nj
nj.connect(create=False)
schema = nj.personal_schema()

@schema
class Name(dj.Lookup):
    definition = "word : varchar(8)"
    contents = [{"word": "alpha"}, {"word": "be"}]

@schema
class Length(dj.Computed):
    definition = \"\"\"
    -> Name
    ---
    n_letters : int32
    \"\"\"
    def make(self, key):
        self.insert1(key | {"n_letters": len(key["word"])})

nj.populate(Length)
try:
    nj.lab.Lab.insert1({"lab": "mine"})
    refused = False
except Exception:
    refused = True
print("letters", sum(Length.to_arrays("n_letters")), schema.database, "refused", refused)
"""


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.soak
@pytest.mark.skipif(PROXY is None, reason="configurable-http-proxy (npm) is not on the path")
def test_a_notebook_of_a_person_in_the_browser(tmp_path, chromium):
    """A server starts with its own account of the database, a cell makes and fills a table; a guest is refused."""
    pytest.importorskip("jupyterlab")
    home = Path(tempfile.mkdtemp(prefix="neurojoint-hub-"))
    home.chmod(0o711)  # run as root, the server is another user
    port, tcp = _free_port(), _free_port()
    environment = os.environ | {
        "NEUROJOINT_HOME": str(home), "NEUROJOINT_EMBEDDED_TCP_PORT": str(tcp), "HOME": str(tmp_path),
        "CONFIGPROXY_AUTH_TOKEN": "0" * 32, "JUPYTERHUB_CRYPT_KEY": "0" * 64,
    }  # fmt: skip
    program = [sys.executable, "-c", "from neurojoint.command import run; run()"]

    def run(*words, text=""):
        subprocess.run([*program, *words], env=environment, input=text, text=True, check=True, timeout=300)

    run("db", "upgrade")
    for name, role in (("mia", "member"), ("pat", "public")):
        run("user", "add", name, "--role", role, "--password-stdin", text=f"{PASSWORD}\n")
    folder = tmp_path / "notebooks"
    folder.mkdir()
    cell = {"cell_type": "code", "source": CELL, "metadata": {}, "outputs": [], "execution_count": None, "id": "one"}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (folder / "own.ipynb").write_text(json.dumps(notebook))
    config = tmp_path / "jupyterhub_config.py"
    config.write_text(
        f"""
c.JupyterHub.authenticator_class = "neurojoint.hub.NeurojointAuthenticator"
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_port = {_free_port()}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{_free_port()}"
c.ConfigurableHTTPProxy.command = {[PROXY]!r}
c.JupyterHub.db_url = "sqlite:///{tmp_path}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{tmp_path}/cookie"
c.Spawner.notebook_dir = "{folder}"
c.Spawner.cmd = [{sys.executable!r}, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root"]
c.Spawner.start_timeout = 180
c.Spawner.http_timeout = 180
"""
    )
    log = (tmp_path / "hub.log").open("w")
    server = subprocess.Popen([sys.executable, "-m", "jupyterhub", "-f", str(config)], env=environment, cwd=tmp_path,
                              stdout=log, stderr=subprocess.STDOUT)  # fmt: skip
    try:
        until = time.monotonic() + 180
        while True:
            assert server.poll() is None and time.monotonic() < until, (tmp_path / "hub.log").read_text()
            try:
                if requests.get(f"http://127.0.0.1:{port}/hub/login", timeout=5).ok:
                    break
            except requests.ConnectionError:
                time.sleep(0.5)
        _use(chromium, f"http://127.0.0.1:{port}", tmp_path)
    finally:
        server.terminate()
        server.wait(60)
        subprocess.run([*program, "db", "stop"], env=environment, timeout=60, check=False)
        shutil.rmtree(home, ignore_errors=True)


def _use(browser, url: str, folder: Path) -> None:
    page = browser.new_page()
    page.set_default_timeout(180_000)
    page.goto(f"{url}/hub/login")
    page.fill("#username_input", "pat")
    page.fill("#password_input", PASSWORD)
    page.click("#login_submit")
    page.locator(".login_error").wait_for()
    page.fill("#username_input", "mia")
    page.fill("#password_input", PASSWORD)
    page.click("#login_submit")
    page.wait_for_url(lambda address: "/user/mia" in address)
    page.goto(f"{url}/user/mia/lab/tree/own.ipynb")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    try:
        # a notebook without a kernel says that it is idle, and "Run" does nothing then: the status bar knows better
        page.locator("#jp-main-statusbar", has_text="| Idle").wait_for()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells").first.click()
        shown = page.locator(".jp-OutputArea-output", has_text="letters").first
        shown.wait_for()
    finally:
        page.screenshot(path=folder / "notebook.png")
    assert "letters 7 neurojoint_u_mia refused True" in shown.inner_text(), folder
    assert "datajoint.json" not in page.locator(".jp-OutputArea").first.inner_text(), "settings come from the hub"
