"""What a sorter is told: one JSON file with recording, geometry and parameters, and a command made from a template."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import InvalidSettings

PROTOCOL = 1
RUNNER = Path(__file__).with_name("spikeinterface_runner.py")
PLACEHOLDERS = {
    "job": "the JSON file of the job",
    "recording": "the raw samples, int16, channels fastest",
    "output": "the folder for the results; it is there and empty",
    "scratch": "a folder for all else, deleted afterwards",
    "threads": "how many to use",
    "runner": "our program that runs SpikeInterface's sorters",
    "python": "the Python of this program",
}
"""What stands in braces in a command of the settings."""


@dataclass(frozen=True)
class Job:
    """One run of a sorter over one recording. The program must not change the recording."""

    sorter: str
    recording: str  # path of the raw samples: int16, channels fastest
    sampling_rate: float  # Hz
    n_channels: int  # columns of the file
    n_samples: int  # per channel
    channels: list[int]  # the columns that hold neural signals
    positions: list[tuple[float, float]]  # um of each of these, across and along the shank
    shanks: list[int]  # of each of these
    uv_per_bit: list[float]  # of each of these
    parameters: Mapping[str, Any]
    threads: int
    output: str
    scratch: str
    protocol: int = PROTOCOL

    def write(self, path: Path) -> None:
        """Write the job as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1, sort_keys=True), encoding="utf-8")


def command(template: Sequence[str], job: Job, path: Path) -> list[str]:
    """The arguments of a sorter for a job that is written at `path`; no shell sees them.

    Raises
    ------
    InvalidSettings : the template names something that is not in `PLACEHOLDERS`.
    """
    values = {
        "job": str(path), "recording": job.recording, "output": job.output, "scratch": job.scratch,
        "threads": str(job.threads), "runner": str(RUNNER), "python": sys.executable,
    }  # fmt: skip

    def value(match: re.Match) -> str:
        if match[1] not in values:
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise InvalidSettings(f"the command of the sorter {job.sorter} has {match[0]}", f"known are {known}")
        return values[match[1]]

    return [re.sub(r"\{(\w+)\}", value, part) for part in template]


def parameters_hash(sorter: str, version: str, parameters: Mapping[str, Any]) -> str:
    """md5 over what decides about the result: sorter, the version that the settings state, parameters.

    >>> parameters_hash("s", "1", {"a": 1, "b": 2}) == parameters_hash("s", "1", {"b": 2, "a": 1})
    True
    """
    text = json.dumps([sorter, version, dict(parameters)], sort_keys=True, allow_nan=False)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
