"""A lab of several computers on one machine: network namespaces with host names and process ids of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

NETWORK = "10.77"
ROOT = Path(__file__).parents[2]


def require_namespaces() -> None:
    """Skip the test where this machine does not let us make network namespaces."""
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip("network namespaces need root and iproute2")
    probe = f"njprobe{os.getpid()}"  # processes of pytest-xdist try at the same time
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True)
    subprocess.run(["ip", "netns", "delete", probe], capture_output=True)
    if made.returncode:
        pytest.skip("this machine makes no network namespaces")


@dataclass
class Computer:
    """A computer `number` (1 to 250); the machine itself is its server, at `server_address`."""

    number: int
    processes: list[subprocess.Popen] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"njrig{self.number}"

    @property
    def server_address(self) -> str:
        return f"{NETWORK}.{self.number}.1"

    @property
    def address(self) -> str:
        return f"{NETWORK}.{self.number}.2"

    def __enter__(self) -> Computer:
        for leftover in ("link", "netns"):
            subprocess.run(["ip", leftover, "delete", self.name], capture_output=True)
        _ip(f"netns add {self.name}")
        _ip(f"link add {self.name} type veth peer name eth0 netns {self.name}")
        _ip(f"addr add {self.server_address}/24 dev {self.name}")
        _ip(f"link set {self.name} up")
        _ip(f"-n {self.name} link set lo up")
        _ip(f"-n {self.name} addr add {self.address}/24 dev eth0")
        _ip(f"-n {self.name} link set eth0 up")
        return self

    def __exit__(self, *_: object) -> None:
        self.lose_power()
        _ip(f"link delete {self.name}")  # the namespace itself ends when its last process is collected
        _ip(f"netns delete {self.name}")

    def run(self, *command: str, log: Path | None = None, **environment: str) -> subprocess.Popen:
        """Start a program on this computer; its output goes to a pipe, or is added to a file."""
        output = subprocess.PIPE if log is None else log.open("a")
        inner = f'hostname {self.name}; exec "$@"'
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.name, "unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc",
             "sh", "-c", inner, "sh", *command],
            stdout=output, stderr=subprocess.STDOUT, text=True, cwd=ROOT, start_new_session=True,
            env=os.environ | environment,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def python(self, code: str, **environment: str) -> subprocess.Popen:
        return self.run(sys.executable, "-u", "-c", code, **environment)

    def pull_cable(self) -> None:
        _ip(f"link set {self.name} down")

    def plug_in(self) -> None:
        _ip(f"link set {self.name} up")

    def lose_power(self) -> None:
        """All programs end, and nobody on the network hears of it (pull the cable first)."""
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self.processes.clear()


def _ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True, capture_output=True)
