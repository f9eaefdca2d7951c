"""Runs commands of neurojoint in forks of one process that has imported everything, so that signals meet their work.

    python -m tests.command_server      # reads lines of JSON: {"command": [...], "environment": {...}, "output": path}

For each line it writes the process number of the fork, and when that has ended, its exit code (below 0: a signal).
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import signal
import sys
import time
import traceback

SIGNALS = {signal.SIGINT, signal.SIGTERM}


def serve() -> None:
    """Until standard input ends."""
    import neurojoint.cli
    import neurojoint.command
    import pipeline.schemas

    for package in (neurojoint.cli, pipeline.schemas):
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    for name in ("ingest", "ingest.check", "ingest.simulate", "exchange.releases", "exchange.nwb", "exchange.transfers",
                 "pipeline.worker", "one_bridge", "pandas", "pyarrow.parquet"):  # fmt: skip
        importlib.import_module(name)
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        number = os.fork()
        if not number:
            _run(asked)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        while not _leads_its_group(number):
            time.sleep(0.001)
        print(number, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]), flush=True)


def _leads_its_group(number: int) -> bool:
    """Whether the fork has a process group of its own, so that an interrupt of the group reaches it."""
    return os.getpgid(number) == number  # one that has ended keeps it until it is waited for


def _run(asked: dict) -> None:
    """Run a command in this fork. Signals that came before wait until it begins, however long the fork takes."""
    from neurojoint import command

    os.setsid()
    output = os.open(asked["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor, target in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (output, 2)):
        os.dup2(descriptor, target)
    os.environ.update(asked["environment"])
    sys.argv = ["neurojoint", *asked["command"]]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        command.run()
    except KeyboardInterrupt as error:
        if any(frame.filename == command.__file__ for frame in traceback.extract_tb(error.__traceback__)):
            raise  # the command let it out
        print("stopped before the command began", file=sys.stderr, flush=True)
        os._exit(command.STOPPED)


if __name__ == "__main__":
    serve()
