"""Claims: the morning round of 200 mice opens in under 0.5 s, and an entry of one of 20 people is saved in under 0.1 s.

A site of its own over a lab of 200 restricted mice; Chromium opens the round, then 20 people save weights over HTTP,
each with pauses as between two mice. Peers in the same run: the inbox, a page with nothing on it, and the bare row,
inserted and committed by the database's driver, by as many people with the same pauses. All are medians; CPU time
of the server tells load from work.
"""

from __future__ import annotations

import argparse
import datetime
import http.client
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.dashboard_visits import in_browser
from dashboard.server import auth

LAB = "mouselab"
CLAIMED_ROUND_S, CLAIMED_ENTRY_S = 0.5, 0.1
LONGEST_PAUSE_S = 6.0  # between two mice of one person


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mice", type=int, default=200)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--entries", type=int, default=5, help="of each person")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="neurojoint-notebook-"))
    folder.chmod(0o711)  # as root the database runs as another user
    from tests.dashboard import browser

    state = browser.start(folder, str(options.mice), lab="tests.dashboard.notebook_lab")
    try:
        site = browser.Served(state["url"], folder / "home", folder / "root")
        site.users.add("tom", "correct horse", "member")
        token = site.users.issue_token("tom", "login")
        opened = in_browser(site.url, token, {"warm up": "/app/inbox", "round": "/app/round", "inbox": "/app/inbox"})
        for name in ("round", "inbox"):
            cold, warm = opened[name].cold.page / 1000, opened[name].warm.page / 1000
            print(f"{name:<6} first visit {cold:.2f} s, again {warm:.2f} s (claimed: under {CLAIMED_ROUND_S} s again)")
        ratio = opened["round"].warm.page / opened["inbox"].warm.page
        print(f"ratio again         {ratio:.1f}")
        before = _cpu_seconds(state["pid"])
        own = _saved_by(
            options.people, options.entries, lambda number: _over_http(site.url, token, options.mice, number)
        )
        cpu = 1000 * (_cpu_seconds(state["pid"]) - before) / len(own)
        bare = _bare(folder, options.people, options.entries)
    finally:
        browser.stop(folder, state)
        shutil.rmtree(folder, ignore_errors=True)
    print(f"entry saved         {_told(own)}, {cpu:.0f} ms of the server's CPU (claimed: under {CLAIMED_ENTRY_S} s)")
    print(f"bare row committed  {_told(bare)}")
    print(f"ratio               {statistics.median(own) / statistics.median(bare):.1f}")


def _saved_by(people: int, entries: int, person: Callable[[int], Callable[[int], None]]) -> list[float]:
    """Seconds of each entry of people who work at the same time; the first of each is not counted."""
    times: list[float] = []
    problems: list[BaseException] = []
    begin = threading.Barrier(people)

    def work(number: int) -> None:
        pauses = random.Random(number)  # noqa: S311
        try:
            save = person(number)
            begin.wait()
            for turn in range(entries + 1):
                time.sleep(pauses.uniform(0, LONGEST_PAUSE_S))
                start = time.perf_counter()
                save(turn)
                if turn:
                    times.append(time.perf_counter() - start)
        except BaseException as error:
            begin.abort()
            problems.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
    return times


def _over_http(url: str, token: str, mice: int, number: int) -> Callable[[int], None]:
    """What the morning round sends for one person."""
    line = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    headers = {"Content-Type": "application/json", "Cookie": f"{auth.cookie_name(urlsplit(url).netloc)}={token}"}

    def save(turn: int) -> None:
        mouse = f"M{1 + (number * 37 + turn) % mice:03d}"
        values = {"lab": LAB, "subject": mouse, "weight": "24,1",
                  "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}  # fmt: skip
        body = {"action": "weigh", "values": values, "batch": str(uuid.uuid4()), "confirmed": ["weight"], "state": True}
        line.request("POST", "/app/_do", json.dumps(body), headers)
        answer = line.getresponse()
        told = answer.read()
        if answer.status != 200 or b'"state":{' not in told.replace(b" ", b""):
            raise RuntimeError(f"{answer.status}: {told[:300]!r}")

    return save


def _bare(folder: Path, people: int, entries: int) -> list[float]:
    """The same rows without anything that belongs to them, in a process of its own."""
    call = [sys.executable, "-W", "ignore", "-m", "benchmarks.notebook", "--bare", str(people), str(entries)]
    places = {"NEUROJOINT_HOME": str(folder / "home"), "NEUROJOINT_DATA_ROOT": str(folder / "root")}
    done = subprocess.run(call, env=os.environ | places, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _bare_rows(people: int, entries: int) -> list[float]:
    import pipeline
    from pipeline.database.connection import raw_connection

    address = pipeline.connect().address
    table = pipeline.action.Weighing.full_table_name

    def person(number: int) -> Callable[[int], None]:
        own = raw_connection(address)

        def save(turn: int) -> None:
            when = datetime.datetime(2020, 1, 1) + datetime.timedelta(hours=number, seconds=turn)
            with own.cursor() as cursor:
                cursor.execute(f"INSERT INTO {table} (lab, subject, weighing_time, weight) VALUES (%s, %s, %s, %s)",
                               (LAB, f"M{1 + number:03d}", when, 24.1))  # fmt: skip
            own.commit()

        return save

    return _saved_by(people, entries, person)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _told(times: list[float]) -> str:
    ordered = sorted(times)
    middle, late = 1000 * statistics.median(ordered), 1000 * ordered[int(0.9 * len(ordered))]
    return f"{middle:6.1f} ms median, {late:6.1f} ms for 9 of 10 ({len(ordered)} of them)"


if __name__ == "__main__":
    if "--bare" in sys.argv:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        print(json.dumps(_bare_rows(*map(int, sys.argv[2:]))))
    else:
        main()
