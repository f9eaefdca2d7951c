"""A computer that vanishes from the network costs the others a minute, whatever it held at that moment."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import pipeline
from pipeline import settings
from pipeline.database import embedded_account
from tests.database import mariadb
from tests.worker.vanishing import NETWORK, Computer, require_namespaces

pytestmark = pytest.mark.slow

MOST_SECONDS = 90

HOLD_ALL = """
import pipeline, time
from ingest.rows.lock import repository_lock
from pipeline import lab
from pipeline.database.connection import Connection
from pipeline.worker import heartbeat, locks
mine = pipeline.connect(create=False)
filler, registrar = Connection(mine.address), Connection(mine.address)
heartbeat.register(mine)
with locks.attempt(filler, f"queue of {heartbeat.database_name()}", "filling the queue") as holder:
    assert holder is None
    with repository_lock(registrar, "neurojoint_", "d6"):
        mine.query("BEGIN")
        mine.query(f"INSERT INTO {lab.Lab.full_table_name} (lab) VALUES ('ghost')")
        time.sleep(2)  # heartbeats of both locks are written
        print("holding", flush=True)
        time.sleep(1000)
"""

GO_ON = """
import pipeline, time
from ingest.rows.lock import repository_lock
from pipeline import lab
from pipeline.database import registry
from pipeline.worker import Queue
connection = pipeline.connect(create=False)
queue = Queue(registry.populated_tables())
print("ready", flush=True)
input_time = time.monotonic()
while queue.schedule() is None:
    time.sleep(0.5)
print("queue", time.monotonic() - input_time, flush=True)
while True:
    try:
        lab.Lab.insert1({"lab": "ghost"})
        break
    except Exception as error:  # MySQL gives up waiting for a row after a while
        print(type(error).__name__, error, flush=True)
print("row", time.monotonic() - input_time, flush=True)
with repository_lock(connection, "neurojoint_", "d6", patience=90):
    print("repository", time.monotonic() - input_time, flush=True)
"""

WAIT_FOR_SERVER = """
import pipeline, time
connection = pipeline.connect(create=False)
print("ready", flush=True)
time.sleep(2)
began = time.monotonic()
try:
    connection.query("SELECT 1" if {is_sending} else "SELECT {sleep}(300)", reconnect=False)
except Exception as error:
    print("lost after", time.monotonic() - began, flush=True)
"""


@pytest.fixture(autouse=True)
def _one_network_at_a_time(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The names and addresses of the computers are fixed: processes of pytest-xdist take turns."""
    with (tmp_path_factory.getbasetemp().parent / "network.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module", params=["postgresql", pytest.param("mysql", marks=pytest.mark.soak)])
def tcp_server(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A server that other computers reach; its kind, and its URL with {host} for the address."""
    require_namespaces()
    folder = Path(tempfile.mkdtemp(prefix="neurojoint-lab-"))
    folder.chmod(0o711)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        if request.param == "postgresql":
            url = stack.enter_context(postgresql(folder))
        else:
            started, stop = mariadb.start(folder, "--bind-address=0.0.0.0")
            stack.callback(stop)
            url = started.replace("127.0.0.1", "{host}")
        with settings.override(database_url=url.format(host="127.0.0.1"), home=folder / "home"):
            pipeline.connect().close()
        yield request.param, url


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    port = mariadb.free_port()
    data = folder / "pg"
    account = embedded_account.server_account(data)
    programs = embedded_account.programs(folder, account)
    data.mkdir(mode=0o700)
    account.give(data)
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    account.run([programs / "initdb", "-D", data, "-U", "neurojoint", "--auth=trust", "--no-sync"], **quiet)
    with (data / "pg_hba.conf").open("a") as file:
        file.write(f"host all all {NETWORK}.0.0/16 trust\n")
    options = f"-c listen_addresses=* -c port={port} -c fsync=off -c unix_socket_directories={data}"
    log = data / "log"
    account.run([programs / "pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start"], **quiet)
    try:
        yield f"postgresql://neurojoint@{{host}}:{port}/postgres"
    finally:
        account.run([programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **quiet)


def said(process: subprocess.Popen, word: str) -> str:
    """Wait until a program prints a line that begins with a word; returns the line."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(word):
            return line
    raise AssertionError(f"never said {word!r}:\n{''.join(lines)}")


def environment(url: str, computer: Computer) -> dict[str, str]:
    home = tempfile.gettempdir()
    return {"NEUROJOINT_DATABASE_URL": url.format(host=computer.server_address), "NEUROJOINT_HOME": home}


def test_whatever_a_vanished_computer_held_is_free_for_the_others_within_90_seconds(tcp_server):
    _, url = tcp_server
    with Computer(1) as lost, Computer(2) as healthy:
        holder = lost.python(HOLD_ALL, **environment(url, lost))
        other = healthy.python(GO_ON, **environment(url, healthy))
        said(holder, "holding")
        said(other, "ready")
        began = time.monotonic()
        lost.pull_cable()
        lost.lose_power()
        for what in ("queue", "row", "repository"):
            said(other, what)
        assert time.monotonic() - began < MOST_SECONDS


def test_a_server_that_vanishes_is_noticed_also_in_the_middle_of_a_statement(tcp_server):
    kind, url = tcp_server
    with Computer(3) as sending, Computer(4) as waiting:  # the latter for an answer
        processes = []
        for computer in (waiting, sending):
            is_sending = computer is sending
            code = WAIT_FOR_SERVER.format(is_sending=is_sending, sleep="pg_sleep" if kind == "postgresql" else "SLEEP")
            processes.append(computer.python(code, **environment(url, computer)))
            said(processes[-1], "ready")
            if not is_sending:
                time.sleep(4)
            computer.pull_cable()
        for process in processes:
            assert float(said(process, "lost after").split()[-1]) < MOST_SECONDS
