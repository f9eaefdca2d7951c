"""Folders of another computer by rsync over ssh; hashes are computed there. The login works by keys."""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from exchange.transfers.backends import marker
from exchange.transfers.backends.folder import INCOMING
from exchange.transfers.backends.marker import MARKER
from exchange.transfers.protocol import Found, Job, Outcome, Place, Progress, Stat, Unavailable, inside
from pipeline.errors import NeurojointError

PATIENCE_S = 60  # of rsync, without a sign of life
GROUP = 2_000  # files in one call of rsync
KEY_CHANGED = (
    "ask its administrator whether it was changed: it may be another computer; then `ssh-keygen -R COMPUTER` and log "
    "in once by hand"
)
_CUT_OFF = {10, 12, 30, 35, 255}
"""Codes of rsync for a connection that was lost or never came about."""
_REMEDIES = {
    "No space left": "make room there",
    "quota exceeded": "make room there, or let the quota be raised",
    "Read-only file system": "mount the disk there so that it can be written",
}
_HOST = re.compile(r"(?:[A-Za-z0-9_][\w.-]*@)?[A-Za-z0-9][\w.:-]*|(?:[A-Za-z0-9_][\w.-]*@)?\[[0-9a-fA-F:]+\]")


class Ssh:
    """A folder of `host`. Options: `port`, `identity_file`, `known_hosts_file`."""

    def __init__(self, place: Place) -> None:
        if not _HOST.fullmatch(place.host):
            raise NeurojointError(
                f"the host {place.host!r} of the repository {place.name} cannot be used", "write it as user@computer"
            )
        self.place = place
        options = place.options
        self._ssh = ["ssh", "-oBatchMode=yes", "-oConnectTimeout=15", "-oServerAliveInterval=15",
                     "-oServerAliveCountMax=4", "-oStrictHostKeyChecking=yes"]  # fmt: skip
        if options.get("port"):
            self._ssh += ["-p", str(int(options["port"]))]
        if options.get("identity_file"):
            self._ssh += ["-oIdentitiesOnly=yes", "-i", str(Path(options["identity_file"]).expanduser())]
        if options.get("known_hosts_file"):
            self._ssh.append(f"-oUserKnownHostsFile={Path(options['known_hosts_file']).expanduser()}")
        self._root = place.root.rstrip("/") or "/"

    def check(self, writing: bool = False) -> None:
        """See `Backend.check`."""
        said = self._run(f"test -d . && cat {MARKER} 2>/dev/null || true").decode("utf-8", "replace")
        marker.check(self.place, said, writing=writing)

    def mark(self, token: str) -> None:
        """See `Backend.mark`."""
        self._run(f"cat > {MARKER}", f"{token}\n".encode(), make_root=True)

    def stat(self, paths: Sequence[str]) -> dict[str, Stat]:
        """See `Backend.stat`."""
        if not paths:
            return {}
        said = self._run("xargs -0 -r stat -L --printf '%s %.9Y %n\\0' -- 2>/dev/null || true", _names(paths))
        stats = {}
        for size, modified, path in _fields(said):
            stats[path] = Stat(path, int(size), _ns(modified))
        return stats

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """See `Backend.list`."""
        start = f"./{inside(prefix.rstrip('/'))}" if prefix else "."
        command = f"find {shlex.quote(start)} -name '.?*' -prune -o -type f -printf '%s %T@ %p\\0'"
        for size, modified, path in _fields(self._run(command)):
            yield Stat(path.removeprefix("./"), int(size), _ns(modified))

    def send(self, jobs: Iterable[Job], progress: Progress) -> Iterator[Outcome]:
        """See `Backend.send`: rsync writes beside the name and renames."""
        for group in _groups(jobs):
            with tempfile.TemporaryDirectory(prefix="neurojoint-") as stage:
                for job in group:
                    link = Path(stage, inside(job.path))
                    link.parent.mkdir(parents=True, exist_ok=True)
                    link.symlink_to(job.local.absolute())
                yield from self._rsync(group, f"{stage}/", self._remote(), progress)

    def fetch(self, jobs: Iterable[Job], progress: Progress) -> Iterator[Outcome]:
        """See `Backend.fetch`."""
        for group in _groups(jobs):
            with tempfile.TemporaryDirectory(prefix=".fetch-", dir=group[0].local.parent) as stage:
                for job, error in self._rsync(group, self._remote(), f"{stage}/", progress):
                    if error is None:
                        try:
                            Path(stage, job.path).replace(job.local)
                        except OSError as failed:
                            error = failed
                    yield job, error

    def read(self, paths: Sequence[str], progress: Progress) -> Iterator[tuple[str, Found | Exception]]:
        """See `Backend.read`: md5sum of the other computer, after what it holds in memory went to its disk."""
        for start in range(0, len(paths), GROUP):
            some = paths[start : start + GROUP]
            try:
                said = self._run(
                    "(sync -f . 2>/dev/null || sync); xargs -0 -r md5sum -z -- 2>/dev/null || true", _names(some)
                )
                stats = self.stat(some)
            except NeurojointError as error:
                yield from ((path, error) for path in some)
                continue
            sums = {}
            for line in said.split(b"\0"):
                if len(line) > 34:
                    sums[line[34:].decode("utf-8", "surrogateescape")] = line[:32].decode("ascii")
            for path in some:
                if path in sums and path in stats:
                    progress(stats[path].size)
                    yield path, Found(sums[path], stats[path].size, stats[path].modified_ns, "md5sum over ssh")
                else:
                    yield path, FileNotFoundError(2, "No such file, or it cannot be read", f"{self._root}/{path}")

    def delete(self, paths: Sequence[str]) -> None:
        """See `Backend.delete`."""
        if paths:
            self._run("xargs -0 -r rm -f --", _names(paths))

    def close(self) -> None:
        """Nothing stays open."""

    def _remote(self) -> str:
        return f"{self.place.host}:{self._root}/"

    def _rsync(self, group: Sequence[Job], source: str, target: str, progress: Progress) -> Iterator[Outcome]:
        by_path = {job.path: job for job in group}
        command = [
            "rsync", "-tL", "--no-perms", "--ignore-times", "--whole-file", "--secluded-args", "--from0",
            "--files-from=-", "--no-implied-dirs", f"--partial-dir={INCOMING}", "--8-bit-output", "--out-format=%n",
            f"--timeout={PATIENCE_S}", "-e", shlex.join(self._ssh),
        ]  # fmt: skip
        if self.place.bandwidth:
            command.append(f"--bwlimit={max(1, round(self.place.bandwidth * 1e6 / 1024))}")
        with tempfile.TemporaryFile() as complaints:
            try:
                process = subprocess.Popen(
                    [*command, source, target], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints
                )
            except FileNotFoundError:
                error = NeurojointError("rsync is not installed here", "apt-get install rsync openssh-client")
                yield from ((job, error) for job in group)
                return
            with process:
                feeder = threading.Thread(target=_feed, args=(process, _names(by_path)), daemon=True)
                feeder.start()
                for line in process.stdout or ():
                    job = by_path.get(line.rstrip(b"\n").decode("utf-8", "surrogateescape"))
                    if job is not None:
                        progress(job.size)
                code = process.wait()
                feeder.join()
            complaints.seek(0)
            said = complaints.read().decode("utf-8", "replace").strip().splitlines()
        if code == 0:
            yield from ((job, None) for job in group)
            return
        arrived = self._arrived(by_path, target)
        for job in group:
            yield job, None if job.path in arrived else _failed(code, said, job.path)

    def _arrived(self, jobs: dict[str, Job], target: str) -> set[str]:
        """Which files of a call that failed are there with the size that they should have."""
        if target == self._remote():
            try:
                sizes = {path: one.size for path, one in self.stat(list(jobs)).items()}
            except NeurojointError:
                return set()
        else:
            sizes = {path: Path(target, path).stat().st_size for path in jobs if Path(target, path).is_file()}
        return {path for path, size in sizes.items() if size == jobs[path].size}

    def _run(self, command: str, given: bytes = b"", make_root: bool = False) -> bytes:
        """Run a command of ours in the root of the other computer. Names of files go through its standard input."""
        root = shlex.quote(self._root)
        make = f"mkdir -p {root} && " if make_root else ""
        try:
            done = subprocess.run(
                [*self._ssh, self.place.host, f"{make}cd {root} && {{ {command}; }}"],
                input=given, capture_output=True, check=False,
            )  # fmt: skip
        except FileNotFoundError:
            raise NeurojointError("ssh is not installed here", "apt-get install openssh-client rsync") from None
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            if any("IDENTIFICATION HAS CHANGED" in line or "Host key verification failed" in line for line in said):
                raise Unavailable(f"the key of {self.place.host} is not the one in known_hosts", KEY_CHANGED)
            detail = said[-1] if said else f"code {done.returncode}"
            raise Unavailable(
                f"{self.place.host} cannot be reached, or has no folder {self._root} ({detail})"[:900],
                f"try `ssh {self.place.host}` by hand; it must work without a password",
            )
        return done.stdout


def _failed(code: int, said: Sequence[str], path: str) -> NeurojointError:
    """Why a file did not go over: what rsync said of it, else what it said first."""
    why = next((line for line in said if path in line), said[0] if said else "no message")
    message = f"rsync ended with code {code}: {why}"[:900]
    if code in _CUT_OFF:
        return Unavailable(message, "check the connection, then `neurojoint transfer run`")
    whole = " ".join(said)
    for words, remedy in _REMEDIES.items():
        if words in whole:
            return Unavailable(message, f"{remedy}, then `neurojoint transfer run`")
    return NeurojointError(message, "look at that file and its folder, then `neurojoint transfer retry`")


def _feed(process: subprocess.Popen, names: bytes) -> None:
    pipe: Any = process.stdin
    try:
        pipe.write(names)
        pipe.close()
    except BrokenPipeError:
        pass  # rsync has ended, and says why


def _groups(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    group: list[Job] = []
    for job in jobs:
        group.append(job)
        if len(group) >= GROUP:
            yield group
            group = []
    if group:
        yield group


def _names(paths: Iterable[str]) -> bytes:
    return b"".join(inside(path).encode("utf-8", "surrogateescape") + b"\0" for path in paths)


def _fields(said: bytes) -> Iterator[tuple[str, str, str]]:
    for line in said.split(b"\0"):
        if line:
            size, modified, path = line.decode("utf-8", "surrogateescape").split(" ", 2)
            yield size, modified, path


def _ns(seconds: str) -> int:
    """Nanoseconds of a number of seconds as text, without the rounding of a float.

    >>> _ns("1577836800.123456789")
    1577836800123456789
    """
    whole, _, fraction = seconds.partition(".")
    return int(whole) * 1_000_000_000 + int(fraction[:9].ljust(9, "0") or 0)
