"""A lab of three computers in which everything goes wrong, by a seed; in the end the tables equal an undisturbed run's.

    python -m tests.worker.chaos --minutes 20 --seed 1        # as root, with iproute2; not part of the tests

Sessions arrive one by one and are ingested from any computer while workers on all of them populate. Meanwhile programs
are killed, cables pulled, folders taken away and brought back, the server of the database killed and started, the disks
of the computers (10 MB, for their homes) filled and emptied, and their clocks moved by hours (with `faketime`, where it
is installed). At the end everything is brought back, and the tables are compared with those of a fresh database over
the same files.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ingest.check import check
from ingest.simulate import write_lab
from pipeline import settings
from pipeline.database import embedded_account
from tests.ingest.tree import content
from tests.worker.test_vanished import postgresql
from tests.worker.vanishing import Computer

COMMAND = "from neurojoint.command import run; run()"


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

    def start(self, computer: Computer, *command: str) -> subprocess.Popen:
        """Start a command of neurojoint on a computer."""
        home = self.home(computer)
        moved = self.clocks[computer.number]
        clock = ["faketime", "-f", f"{moved:+d}s"] if moved and shutil.which("faketime") else []
        return computer.run(
            *clock, sys.executable, "-c", COMMAND, *command,
            NEUROJOINT_DATABASE_URL=self.url.format(host=computer.server_address), NEUROJOINT_HOME=str(home),
            DONT_FAKE_MONOTONIC="1",
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
                   self.move_clock]  # fmt: skip
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
        if sum(one.poll() is None for one in computer.processes) < 2:
            self.start(computer, "work", "--processes", "1", "--max-seconds", "60")

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
        found = content()
        wrong = [f"{one.rule}: {one.examples}" for one in check(hashes=True) if one.n_wrong]
        connection.close()
    return found, computed, wrong


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
        print("what happened:", lab.counts, flush=True)
        disturbed = finish(url.format(host="127.0.0.1"), folder / "home", lab.root)
        (folder / "pg2").mkdir()
        (folder / "pg2").chmod(0o711)
        fresh_url = stack.enter_context(postgresql(folder / "pg2"))
        undisturbed = finish(fresh_url.format(host="127.0.0.1"), folder / "fresh", lab.root)
        differ = [name for name in undisturbed[1] if undisturbed[1][name] != disturbed[1].get(name)]
        registered = ("Session", "AlfObject", "SessionScan", "Dataset", "FileRecord")
        differ += [name for name in registered if undisturbed[0][name] != disturbed[0][name]]
        wrong = disturbed[2]
        print("tables that differ:", differ or "none", "\nwrong:", wrong or "nothing", flush=True)
        sys.exit(bool(differ or wrong))


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
