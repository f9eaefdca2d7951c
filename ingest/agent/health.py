"""How an agent's computer is: disks, memory, programs, clock."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil


def version() -> str:
    """The installed version of neurojoint; empty where it is not installed."""
    from importlib import metadata

    try:
        return metadata.version("neurojoint")
    except metadata.PackageNotFoundError:
        return ""


def of_computer(folders: Mapping[str, Path], gpus: bool) -> dict[str, Any]:
    """The state of this computer.

    Parameters
    ----------
    folders : name -> folder, whose disks are looked at.
    gpus : whether it has graphics processors.
    """
    disks = {name: shutil.disk_usage(path) for name, path in folders.items()}
    return {
        "disks": {name: {"free": disk.free, "total": disk.total} for name, disk in disks.items()},
        "load": round(os.getloadavg()[0], 2), "memory_free": psutil.virtual_memory().available >> 20,
        "python": sys.version.split()[0], "gpus": _gpus() if gpus else [], "ffmpeg": bool(shutil.which("ffmpeg")),
    }  # fmt: skip


def environments(commands: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The names of the programs of environments."""
    return {name: Path(command[0]).name for name, command in commands.items()}


def _gpus() -> list[str]:
    """Name, memory and use of each graphics processor, where NVIDIA's program is."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=name,memory.total,memory.used,utilization.gpu", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout.splitlines()[:16]
    except (OSError, subprocess.SubprocessError):
        return []
