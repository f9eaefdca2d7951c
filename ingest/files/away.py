"""Tells files that were deleted from files that are away: on a disk that is not mounted, behind a link to one.

What is away comes back; what is marked missing makes computed rows stale, and people delete those. So where much is
gone at once, or where there is a sign of a disk that is absent, nothing of it is touched until a person accepts it.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ingest.files.scan import Problem, SessionKey, ignored_folder, list_files

LARGE_SHARE = 0.2
"""More than this share of the sessions, or of the files, of a repository, a lab or a subject is much."""
FEW = 3
"""So many sessions or files are never much by their share alone."""


@dataclass(frozen=True)
class Loss:
    """What a known session has lost: `lost` of `known` files; `path` is its folder below the root."""

    key: SessionKey
    path: str
    known: int
    lost: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the session is there any more."""
        return self.lost >= self.known


@dataclass
class Withheld:
    """Sessions that are left as they were registered, and why: place below the root -> sentence."""

    sessions: set[SessionKey] = field(default_factory=set)
    n_files: int = 0
    reasons: dict[str, str] = field(default_factory=dict)

    def add(self, place: str, why: str, losses: Iterable[Loss]) -> None:
        """Withhold these losses for one reason."""
        new = [loss for loss in losses if loss.key not in self.sessions]
        if not new:
            return
        self.sessions |= {loss.key for loss in new}
        self.n_files += sum(loss.lost for loss in new)
        self.reasons.setdefault(place, why)


def withhold(
    known: Mapping[SessionKey, int], losses: list[Loss], problems: Iterable[Problem] = (),
    absent_mounts: Iterable[str] = (), base: Path | None = None,
) -> Withheld:  # fmt: skip
    """Decide which losses are not to be believed.

    Parameters
    ----------
    known : all registered sessions that were looked for -> number of their files.
    losses : those that lack files.
    problems : what the walk could not follow.
    absent_mounts : folders below the root that were mounts of their own and are not now.
    base : the root, to look for empty folders and dead links where sessions have lost files; None: do not look.

    Examples
    --------
    >>> sessions = {SessionKey("a", "m", f"2020-01-{day:02d}", 1): 4 for day in range(1, 10)}
    >>> gone = [Loss(key, "", 4, 4) for key in sessions]
    >>> len(withhold(sessions, gone[:2]).sessions), len(withhold(sessions, gone[:5]).sessions)
    (0, 5)
    """
    held = Withheld()
    for mount in sorted(set(absent_mounts)):
        held.add(mount, "it was a disk of its own, which is not mounted", _below(mount, losses))
    dead_links = [problem.path for problem in problems if problem.reason == "vanished"]
    for link in dead_links:
        held.add(link, "it is a link to something that is not there", _below(link, losses))
    if base is not None:
        for loss in losses:
            if loss.key not in held.sessions and (sign := _sign(base, loss)):
                held.add(*sign, [loss])
    groups: list[tuple[str, Callable[[SessionKey], tuple[str, ...]]]] = [
        ("all", lambda key: ()),
        ("the lab", lambda key: (key.lab,)),
        ("the subject", lambda key: (key.lab, key.subject)),
    ]
    for name, group in groups:
        of_group: dict[tuple[str, ...], list[Loss]] = defaultdict(list)
        sizes: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0])
        for key, n_files in known.items():
            if n_files:
                sizes[group(key)][0] += 1
                sizes[group(key)][1] += n_files
        for loss in losses:
            of_group[group(loss.key)].append(loss)
        for place, some in of_group.items():
            n_sessions, n_files = sizes[place]
            label = " ".join([name, "/".join(place)]).strip()
            whole = [loss for loss in some if loss.is_whole]
            if is_large(len(whole), n_sessions) and (name != "the subject" or n_sessions > 1):
                held.add(label, f"{len(whole):,} of {n_sessions:,} sessions are not there", whole)
            partial = [loss for loss in some if not loss.is_whole]
            n_lost = sum(loss.lost for loss in partial)
            if len(partial) > 1 and n_lost > FEW and n_lost > LARGE_SHARE * n_files:
                held.add(label, f"{n_lost:,} of {n_files:,} files are not there", partial)
    return held


def is_large(n_gone: int, n_known: int) -> bool:
    """Whether so many sessions have gone at once that a disk is probably not there.

    >>> is_large(1, 20), is_large(8, 20), is_large(1, 1), is_large(2, 5)
    (False, True, True, False)
    """
    return n_gone > 0 and (n_gone == n_known or (n_gone > FEW and n_gone > LARGE_SHARE * n_known))


def mounts(base: Path, folders: Iterable[str]) -> list[str]:
    """Of folders below a root, and the folders that lead to them, those that are on another disk than the root."""
    device = base.stat().st_dev
    mounted, seen = [], set()
    for folder in folders:
        parts = folder.split("/")
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            if path in seen:
                continue
            seen.add(path)
            if _device(base / path) not in (device, None):
                mounted.append(path)
                break
    return sorted(set(mounted))


def absent(base: Path, known_mounts: Iterable[str]) -> list[str]:
    """Of folders that were mounts, those that are not now."""
    device = base.stat().st_dev
    return [path for path in known_mounts if _device(base / path) in (device, None)]


def _device(path: Path) -> int | None:
    try:
        return path.stat().st_dev
    except OSError:
        return None


def _below(place: str, losses: Iterable[Loss]) -> list[Loss]:
    return [loss for loss in losses if f"{loss.path}/".startswith(f"{place}/")]


def _sign(base: Path, loss: Loss) -> tuple[str, str] | None:
    """A dead link or an empty folder on the way to a session, or in it, with what it is."""
    parts = loss.path.split("/")
    for depth in range(1, len(parts) + 1):
        path = "/".join(parts[:depth])
        full = base / path
        if not full.is_dir():
            if full.is_symlink():
                return path, "it is a link to something that is not there"
            return None
        # What is left of a date whose sessions were deleted is no sign: nobody mounts a disk there.
        if loss.lost > FEW and depth < len(parts) - 1 and _is_empty(full):
            return path, "it is an empty folder"
    for problem in list_files(base, loss.path)[1]:
        if problem.reason == "vanished":
            return problem.path, "it is a link to something that is not there"
    if loss.lost > FEW:
        for folder, names, files in os.walk(base / loss.path):
            names[:] = [name for name in names if not ignored_folder(name)]
            if not names and not files:
                return Path(folder).relative_to(base).as_posix(), "it is an empty folder"
    return None


def _is_empty(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return False
