"""Claim: ibllib's loaders read a lab of ours: over HTTP with the unmodified client, on the class where the python has
neurojoint too, and from cache tables.

A simulated lab is registered and populated, `neurojoint serve` and `neurojoint cache` run on it, and `SessionLoader`,
`SpikeSortingLoader`, `EphysSessionLoader`, `load_channel_locations`, `load_wheel_reaction_times` and
`get_subject_training_status` of ibllib run in an environment of its own, whose python `--ibllib-python` names (one with
both is made by `.ci/ibllib_environment.sh`). Prints a line for each loader and face; ends with 1 where one failed. This
is no measurement of time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from benchmarks import ibllib_peer

COMMAND = "from neurojoint.command import run; run()"

LOADERS = Path(__file__).parents[1] / "tests/one_bridge/programs/in_ibllib.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    ibllib_peer.add_option(parser)
    options = parser.parse_args()
    ibllib_peer.check(options.ibllib_python, "benchmarks.ibllib_loaders")
    home = Path(tempfile.mkdtemp(prefix="neurojoint-ibllib-"))
    home.chmod(0o711)
    try:
        sys.exit(1 if _compare(home, options.ibllib_python) else 0)
    finally:
        neurojoint(home, "db", "stop")
        shutil.rmtree(home, ignore_errors=True)


def _compare(home: Path, python: str) -> bool:
    """Print what each loader said; returns whether one failed."""
    from ingest.simulate import write_lab

    root = home / "root"
    write_lab(root, n_mice=1, n_sessions=20, ephys=1, seed=0)  # the last are at the stage of recordings
    neurojoint(home, "ingest", str(root), "--no-compress")
    neurojoint(home, "work", "--once", "--processes", "2")
    neurojoint(home, "cache", str(root))
    neurojoint(home, "user", "add", "mia", "--role", "member", "--password-stdin", given="correct horse battery")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(_command("serve", "--port", str(port), "--root", str(root)), env=_environment(home))
    try:
        _wait(url)
        neurojoint(
            home, "client-config", "--url", url, "--user", "mia", "--password-stdin", "--default",
            given="correct horse battery",
        )  # fmt: skip
        session, label = _session(home)
        failed = False
        faces = [("http", url), ("tables", str(root))]
        # -P: what is installed there, not what lies in the folder where this is started
        if subprocess.run([python, "-P", "-c", "import one_bridge"], capture_output=True, check=False).returncode == 0:
            faces.insert(1, ("class", ""))
        for face, where in faces:
            done = subprocess.run(
                [python, LOADERS, face, where, session, label], env=_environment(home), capture_output=True, text=True
            )
            if done.returncode:
                print(f"{face}: {done.stderr[-2000:]}")
                failed = True
                continue
            for name, result in json.loads(done.stdout.strip().splitlines()[-1]).items():
                print(f"{face:8}{name:36}{result}")
                failed |= "FAILED" in str(result)
        return failed
    finally:
        server.terminate()
        server.wait(30)


def _session(home: Path) -> tuple[str, str]:
    """A session with sorted spikes, and the label of its probe."""
    code = (
        "from pipeline import connect; connect(); from pipeline.schemas import acquisition, ephys; "
        "key = ephys.ClusterSet.keys()[0]; names = acquisition.Session.primary_key; "
        "eid = (acquisition.Session & {name: key[name] for name in names}).fetch1('eid'); "
        "print('FOUND', eid, key['probe_label'])"
    )
    process = subprocess.run([sys.executable, "-c", code], env=_environment(home), stdout=subprocess.PIPE, text=True)
    process.check_returncode()
    _, eid, label = process.stdout[process.stdout.index("FOUND") :].split()[:3]
    return eid, label


def neurojoint(home: Path, *command: str, given: str = "") -> None:
    subprocess.run(
        _command(*command), env=_environment(home), input=given, text=True, check=True, stdout=subprocess.DEVNULL
    )


def _command(*command: str) -> list[str]:
    return [sys.executable, "-c", COMMAND, *command]


def _environment(home: Path) -> dict[str, str]:
    return os.environ | {"NEUROJOINT_HOME": str(home / "neurojoint"), "HOME": str(home / "person")}


def _wait(url: str) -> None:
    until = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"{url}/", timeout=5).close()  # noqa: S310 - our own server
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


if __name__ == "__main__":
    main()
