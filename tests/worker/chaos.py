"""A lab of three computers in which everything goes wrong, by a seed; in the end the tables equal an undisturbed run's.

    python -m tests.worker.chaos --minutes 20 --seed 1        # as root, with iproute2; not part of the tests

Sessions arrive one by one and are ingested from any computer while workers on all of them populate, one compresses raw
recordings and one serves the site and ONE over HTTP to a visitor who keeps asking. Meanwhile programs are killed,
cables pulled, folders taken away and brought back, the server of the database killed and started, the disks of the
computers (10 MB, for their homes) filled and emptied, and their clocks moved by hours (needs `gcc`). At the end
everything is brought back; the tables are compared with those of a fresh database over the same files, the files with
what arrived, and the locks with none. What the programs wrote is searched for tracebacks.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import http.client
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cbin
import numpy as np

from ingest.check import check
from ingest.simulate import write_lab
from pipeline import settings
from pipeline.database import embedded_account
from pipeline.web.accounts import Users
from tests.ingest.tree import content
from tests.worker.test_vanished import postgresql
from tests.worker.vanishing import Computer

COMMAND = "from neurojoint.command import run; run()"
PORT = 8791
CLOCK = Path(__file__).parents[2] / ".ci/clock_shift.c"
RAW = (  # samples, channels: a recording of a second
    "raw_ephys_data/probe00/_spikeglx_ephysData_g0_t0.imec0.ap",
    (30_000, 17),
)


class Lab:
    """The computers, the files and what runs."""

    def __init__(self, folder: Path, url: str, seed: int) -> None:
        self.folder, self.url = folder, url
        self.rng = random.Random(seed)  # noqa: S311 - a reproducible course of events
        self.computers = [Computer(number) for number in (11, 12, 13)]
        self.root, self.waiting = folder / "root", folder / "waiting"
        self.away: Path | None = None
        self.cut: set[int] = set()
        self.clocks = {computer.number: 0 for computer in self.computers}  # s ahead
        self.restart_server: Callable[[], None] = lambda: None
        self.counts: dict[str, int] = {}
        self.server: subprocess.Popen | None = None
        self.answers: collections.Counter[str] = collections.Counter()
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", folder / "clock.so", CLOCK], check=True)
        (folder / "clock.so").chmod(0o755)

    def start(self, computer: Computer, *command: str) -> subprocess.Popen:
        """Start a command of neurojoint on a computer."""
        home = self.home(computer)
        return computer.run(
            sys.executable, "-c", COMMAND, *command,
            NEUROJOINT_DATABASE_URL=self.url.format(host=computer.server_address), NEUROJOINT_HOME=str(home),
            LD_PRELOAD=str(self.folder / "clock.so"), CLOCK_SHIFT=str(self.clocks[computer.number]),
            log=self.folder / f"log{computer.number}",
        )  # fmt: skip

    def home(self, computer: Computer) -> Path:
        """Where a computer keeps its own files: a small disk."""
        home = self.folder / f"home{computer.number}"
        if not home.is_dir():
            home.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", home], check=True)
        return home

    def step(self) -> None:
        """One thing that happens."""
        actions = [self.arrive, self.arrive, self.ingest, self.ingest, self.work, self.work, self.kill,
                   self.pull_or_plug, self.take_away_or_bring_back, self.restart, self.fill_or_empty,
                   self.move_clock, self.compress, self.serve, self.visit, self.visit]  # fmt: skip
        action = self.rng.choice(actions)
        self.counts[action.__name__] = self.counts.get(action.__name__, 0) + 1
        action()

    def arrive(self) -> None:
        """Another session is copied into the root."""
        sessions = sorted(self.waiting.glob("*/Subjects/*/*/*"))
        if sessions and self.away is None:
            target = self.root / sessions[0].relative_to(self.waiting)
            target.parent.mkdir(parents=True, exist_ok=True)
            sessions[0].rename(target)

    def ingest(self) -> None:
        self.start(self.rng.choice(self.computers), "ingest", str(self.root), "--no-compress", "--repository", "r")

    def work(self) -> None:
        computer = self.rng.choice(self.computers)
        if sum(process.poll() is None for process in computer.processes) < 2:
            self.start(computer, "work", "--processes", "1", "--max-seconds", "60")

    def compress(self) -> None:
        self.start(self.rng.choice(self.computers), "compress", str(self.root), "--threads", "1", "--remove-raw")

    def serve(self) -> None:
        """The last computer serves the site, and ONE over HTTP."""
        host = self.computers[-1]
        if self.server is None or self.server.poll() is not None:
            with contextlib.suppress(OSError, sqlite3.Error):  # its disk is full
                Users(self.home(host) / "bridge" / "users.sqlite").add("mia", "correct horse", "member")
            address = ("--host", "0.0.0.0", "--port", str(PORT), "--root", str(self.root))  # noqa: S104 - of a namespace
            self.server = self.start(host, "serve", "--dashboard", *address)

    def visit(self) -> None:
        """Somebody asks the server; that it says nothing is no fault here, that it breaks is."""
        host = self.computers[-1]
        if host.number in self.cut:
            return
        for path in ("/app/", "/api/schema", "/app/_dash-layout"):
            visitor = http.client.HTTPConnection(host.address, PORT, timeout=5)
            try:
                visitor.request("GET", path)
                said = str(visitor.getresponse().status)
            except (OSError, http.client.HTTPException) as error:
                said = type(error).__name__
            finally:
                visitor.close()
            self.answers[said] += 1

    def kill(self) -> None:
        """Everything that runs on one computer is killed."""
        self.rng.choice(self.computers).lose_power()

    def pull_or_plug(self) -> None:
        computer = self.rng.choice(self.computers)
        (computer.plug_in if computer.number in self.cut else computer.pull_cable)()
        self.cut ^= {computer.number}

    def take_away_or_bring_back(self) -> None:
        """The disk of a subject, or of the lab, is gone for a while; an empty folder stays."""
        if self.away is not None:
            self.bring_back()
            return
        subjects = sorted(self.root.glob("*/Subjects/*"))
        if subjects:
            self.away = self.rng.choice([*subjects, subjects[0].parent.parent])
            self.away.rename(self.folder / "away")
            self.away.mkdir()

    def restart(self) -> None:
        """The server of the database is killed, and starts again."""
        self.restart_server()

    def fill_or_empty(self) -> None:
        """The disk of a computer is full, or has room again."""
        ballast = self.home(self.rng.choice(self.computers)) / "ballast"
        if ballast.exists():
            ballast.unlink()
            return
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))

    def move_clock(self) -> None:
        """What a computer starts from now on has another time: up to six hours before or after the others."""
        self.clocks[self.rng.choice(self.computers).number] = self.rng.randint(-6 * 3600, 6 * 3600)

    def bring_back(self) -> None:
        if self.away is not None:
            shutil.rmtree(self.away)
            (self.folder / "away").rename(self.away)
            self.away = None

    def settle(self) -> None:
        """All is brought back, and what is left to do is done."""
        for computer in self.computers:
            if computer.number in self.cut:
                computer.plug_in()
            computer.lose_power()
            (self.home(computer) / "ballast").unlink(missing_ok=True)
        self.cut.clear()
        self.bring_back()
        while any(self.waiting.glob("*/Subjects/*/*/*")):
            self.arrive()


def add_raw(waiting: Path) -> None:
    """Give every other session a raw recording with its meta file."""
    rng = np.random.default_rng(1)
    for session in sorted(waiting.glob("*/Subjects/*/*/*"))[::2]:
        path = session / f"{RAW[0]}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        rng.normal(0, 20, RAW[1]).astype("int16").tofile(path)
        meta = {"nSavedChans": RAW[1][1], "imSampRate": 30000, "fileSizeBytes": path.stat().st_size,
                "snsApLfSy": f"{RAW[1][1] - 1},0,1", "fileTimeSecs": 1.0, "typeThis": "imec"}  # fmt: skip
        path.with_suffix(".meta").write_text("".join(f"{name}={value}\n" for name, value in meta.items()))


def digests(root: Path) -> dict[str, str]:
    """Path -> SHA-256 of each file that a rig wrote; of a compressed one, that of what it holds."""
    hexdigest = {}
    for path in sorted(item for item in root.rglob("*") if item.is_file()):
        name = path.relative_to(root).as_posix()
        if name.endswith(".cbin"):
            with cbin.open(path) as reader:
                content = np.asarray(reader[:]).tobytes()
            hexdigest[f"{name[:-5]}.bin"] = hashlib.sha256(content).hexdigest()
        elif not name.endswith(".ch"):
            hexdigest.setdefault(name, hashlib.sha256(path.read_bytes()).hexdigest())
    return hexdigest


def locks(url: str) -> list[tuple]:
    """The advisory locks that sessions of the database hold, and the sessions in a transaction."""
    import psycopg2

    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.pid, a.state, left(a.query, 80) FROM pg_stat_activity a WHERE a.pid <> pg_backend_pid() AND "
            "(a.state LIKE 'idle in transaction%' OR a.pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory'))"
        )
        return cursor.fetchall()


def tracebacks(folder: Path) -> dict[str, int]:
    """The last lines of the tracebacks in what the programs wrote, and how often each stands there."""
    text = "".join(path.read_text(errors="replace") for path in sorted(folder.glob("log*")))
    lines = re.findall(r"^Traceback \(most recent call last\):\n(?:  .*\n|\n)*(.*)$", text, re.M)
    return dict(collections.Counter(re.sub(r"\d+", "N", line)[:150] for line in lines))


def restart(folder: Path, url: str) -> None:
    """Kill the server of `postgresql(folder)`, and start it as it was."""
    data = folder / "pg"
    account = embedded_account.server_account(data)
    programs = embedded_account.programs(folder, account)
    port = url.rpartition(":")[2].partition("/")[0]
    options = f"-c listen_addresses=* -c port={port} -c fsync=off -c unix_socket_directories={data}"
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    account.run([programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **quiet)
    account.run([programs / "pg_ctl", "-D", data, "-l", data / "log", "-w", "-o", options, "start"], **quiet)


def finish(url: str, home: Path, root: Path) -> tuple[dict, dict, list[str]]:
    """Ingest and compute all; returns what registration wrote, a digest of each computed table, and what is wrong."""
    import pipeline
    from ingest import register
    from pipeline.database import registry
    from pipeline.worker import work

    with settings.override(database_url=url, home=home):
        connection = pipeline.connect()
        register(root, repository="r", processes=2)
        work(once=True, processes=2)
        computed = {registry.label(table): _digest(connection, table) for table in registry.populated_tables()}
        result = content()
        wrong = [f"{item.rule}: {item.examples}" for item in check(hashes=True) if item.n_wrong]
        for table in registry.populated_tables():
            errors = (table().jobs & {"status": "error"}).to_arrays("error_message").tolist()
            if errors:
                print("failed:", registry.label(table), len(errors), set(errors), flush=True)
        connection.close()
    return result, computed, wrong


def _digest(connection, table) -> str:
    """Of all rows, without the order and without the times at which they were computed."""
    names = [name for name in table().heading.names if not name.endswith("_time") or name in table().primary_key]
    rows = sorted(repr(sorted(row.items())) for row in table().proj(*names).to_dicts())
    return f"{len(rows)} {hashlib.sha256(chr(10).join(rows).encode()).hexdigest()[:12]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="neurojoint-chaos-"))
    folder.chmod(0o711)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        write_lab(folder / "waiting", n_mice=3, n_sessions=12, ephys=1, wheel=False)
        for kept in (folder / "waiting").glob("*.*"):
            kept.unlink()
        add_raw(folder / "waiting")
        arrived = digests(folder / "waiting")
        (folder / "pg1").mkdir()
        (folder / "pg1").chmod(0o711)
        url = stack.enter_context(postgresql(folder / "pg1"))
        lab = Lab(folder, url, chosen.seed)
        lab.restart_server = lambda: restart(folder / "pg1", url)
        for computer in lab.computers:
            stack.callback(subprocess.run, ["umount", "-l", lab.home(computer)], capture_output=True)
        lab.root.mkdir()
        lab.arrive()
        import pipeline

        with settings.override(database_url=url.format(host="127.0.0.1"), home=folder / "home"):
            pipeline.connect().close()
        for computer in lab.computers:
            stack.enter_context(computer)
        end = time.monotonic() + 60 * chosen.minutes
        while time.monotonic() < end:
            lab.step()
            time.sleep(lab.rng.uniform(0.5, 4))
        lab.settle()
        print("what happened:", lab.counts, "\nanswers:", dict(lab.answers), flush=True)
        print("tracebacks:", tracebacks(folder) or "none", flush=True)
        held = _after_a_minute(lambda: locks(url.format(host="127.0.0.1")))
        disturbed = finish(url.format(host="127.0.0.1"), folder / "home", lab.root)
        (folder / "pg2").mkdir()
        (folder / "pg2").chmod(0o711)
        fresh_url = stack.enter_context(postgresql(folder / "pg2"))
        undisturbed = finish(fresh_url.format(host="127.0.0.1"), folder / "fresh", lab.root)
        differ = [name for name in undisturbed[1] if undisturbed[1][name] != disturbed[1].get(name)]
        registered = ("Session", "AlfObject", "SessionScan", "Dataset", "FileRecord")
        differ += [name for name in registered if undisturbed[0][name] != disturbed[0][name]]
        for name in set(differ) & set(undisturbed[1]):
            print(f"{name}: {disturbed[1][name]}, undisturbed {undisturbed[1][name]}", flush=True)
        now = digests(lab.root)
        lost = [name for name, digest in arrived.items() if now.get(name) != digest]
        wrong = disturbed[2]
        print("tables that differ:", differ or "none", "\nwrong:", wrong or "nothing", flush=True)
        print("files lost or changed:", lost or "none", "\nlocks left:", held or "none", flush=True)
        sys.exit(bool(differ or wrong or lost or held))


def _after_a_minute(look: Callable[[], list]) -> list:
    """What is still there when a minute and a half has passed, in which dead holders are found out."""
    end = time.monotonic() + 90
    while (result := look()) and time.monotonic() < end:
        time.sleep(1)
    return result


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
