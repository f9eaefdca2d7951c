"""Measures: sessions a second of `neurojoint work` with 1, 2 and 4 processes, and the share of time outside `make`.

A simulated lab is registered in a database of its own; then all populated tables are emptied and filled again, in
turns by our workers and by the peer: N processes that each call DataJoint's `populate(reserve_jobs=True)` on one table
after the other until nothing is left. Time counts from the first `make` to the last, so that starting processes and
loading libraries and compiled functions, the same for both, is left out. The share outside `make` is that of all
processes in this time. Both must end in the same rows, value for value. A first round, which is not counted, fills the
caches of numba. The peer calls the same `make`, so that the ratio is that of the queues, and the rate that of all.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pipeline
from ingest import register
from ingest.simulate import write_lab
from pipeline import settings, worker
from pipeline.analysis import encoder, psychometrics, wheel
from pipeline.database import embedded, registry

SESSIONS_PER_MOUSE = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="neurojoint-benchmark-"))
    folder.chmod(0o711)
    try:
        with settings.override(home=folder / "home"):
            pipeline.connect()
            per_mouse = min(SESSIONS_PER_MOUSE, options.sessions)
            n_mice = max(1, options.sessions // per_mouse)
            write_lab(folder / "data", n_mice, per_mouse, lab="bench")
            register(folder / "data")
            _warm_up()
            n_sessions = n_mice * per_mouse
            print(f"{n_sessions} sessions of {n_mice} mice, {len(registry.populated_tables())} tables")
            _measure(folder / "log", n_sessions, options.processes, options.repeats)
    finally:
        embedded.stop(folder / "home")
        shutil.rmtree(folder, ignore_errors=True)


def _warm_up() -> None:
    """Compute once with one worker, so that numba's cache and the database's statistics are there for all runs."""
    worker.work(once=True, processes=1)
    connection = registry.connection()
    connection.query("ANALYZE")


def _measure(log: Path, n_sessions: int, processes: list[int], repeats: int) -> None:
    reference = None
    for n_processes in processes:
        rates: dict[str, list[float]] = {"neurojoint": [], "datajoint": []}
        outside: dict[str, list[float]] = {"neurojoint": [], "datajoint": []}
        calls = {}
        for _ in range(repeats):
            for name, run in (("neurojoint", _ours), ("datajoint", _peer)):
                _empty()
                log.unlink(missing_ok=True)
                run(n_processes, log)
                rows = _rows()
                assert reference is None or rows == reference, (
                    f"{name} computed other rows in {_differing(rows, reference)}"
                )
                reference = rows
                times = [tuple(map(float, line.split())) for line in log.read_text().splitlines()]
                seconds = max(end for _, end in times) - min(start for start, _ in times)
                calls[name] = len(times)
                rates[name].append(n_sessions / seconds)
                outside[name].append(1 - sum(end - start for start, end in times) / (n_processes * seconds))
        ours, peer = max(rates["neurojoint"]), max(rates["datajoint"])
        print(
            f"{n_processes} processes: {ours:.1f} sessions/s, {min(outside['neurojoint']):.0%} outside make; "
            f"DataJoint's populate {peer:.1f} sessions/s, {min(outside['datajoint']):.0%} outside make; "
            f"ratio {ours / peer:.2f}; calls of make: {calls['neurojoint']} and {calls['datajoint']}",
            flush=True,
        )
    print(f"rows: {sum(count for count, _ in reference.values()):,} in {len(reference)} tables, the same in all runs")


def _ours(n_processes: int, log: Path) -> None:
    worker.work(once=True, processes=n_processes, open_tables=functools.partial(_timed_tables, log))


def _peer(n_processes: int, log: Path) -> None:
    context = multiprocessing.get_context("spawn")
    chosen = settings.settings()
    values = {name: getattr(chosen, name) for name in chosen.model_fields_set}
    started = [context.Process(target=_populate, args=(values, log)) for _ in range(n_processes)]
    for process in started:
        process.start()
    for process in started:
        process.join()
        assert process.exitcode == 0


def _populate(values: dict, log: Path) -> None:
    with settings.override(**values):
        for table in _timed_tables(log):
            # a summary of an animal is computed once here: the peer has no notion of its being outdated
            while table().progress()[0] and not len(table().jobs.errors):
                table.populate(reserve_jobs=True, suppress_errors=True)
                time.sleep(0.01)


def _timed_tables(log: Path) -> list:
    """Connect; the tables write down when each of their `make` begins and ends (s since 1970)."""
    pipeline.connect(create=False)
    _load_compiled_functions()
    tables = registry.populated_tables()
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for table in tables:
        table.make = _timed(table.make, file)
    return tables


def _load_compiled_functions() -> None:
    """Have numba read from its cache, or compile, what each process loads once; a third of a second."""
    wheel.movements([0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.5, 3.0], tick=encoder.TICK)
    psychometrics.fit_batch([([-50.0, 0.0, 50.0], [20, 20, 20], [2, 11, 18])])


def _timed(make: Callable, file: int) -> Callable:
    @functools.wraps(make)
    def timed(self, key):
        start = time.time()
        make(self, key)
        os.write(file, f"{start:.6f} {time.time():.6f}\n".encode())

    return timed


def _empty() -> None:
    tables = [part for table in registry.populated_tables() for part in (table, *registry.parts(table))]
    names = [table().full_table_name for table in tables]
    names += [table().jobs.full_table_name for table in registry.populated_tables()]
    tables[0]().connection.query(f"TRUNCATE {', '.join(names)}")


def _rows() -> dict[str, tuple[int, str]]:
    """Table -> how many rows, and a hash over all their values in the order of their keys; without the empty ones."""
    tables = [part for table in registry.populated_tables() for part in (table, *registry.parts(table))]
    digests = {}
    for table in tables:
        quote = table().connection.adapter.quote_identifier
        columns = ", ".join(quote(name) for name in table.heading.names)
        rows = f"(SELECT {columns} FROM {table().full_table_name}) AS row"
        sql = f"SELECT COUNT(*), md5(string_agg(row::text, ' ' ORDER BY row::text)) FROM {rows}"
        count, digest = table().connection.query(sql).fetchone()
        if count:
            digests[registry.label(table)] = (count, digest)
    return digests


def _differing(rows: dict, reference: dict) -> str:
    return ", ".join(sorted(name for name in rows.keys() | reference.keys() if rows.get(name) != reference.get(name)))


if __name__ == "__main__":
    main()
