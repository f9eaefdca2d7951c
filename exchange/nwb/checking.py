"""What an NWB file holds, what the inspector says of it, and what `ingest` would make of it."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from hdmf.common import DynamicTable
from pynwb import NWBFile, TimeSeries

from exchange.nwb import foreign, reading, safety
from exchange.nwb.placing import Choices, Line
from pipeline.errors import NeurojointError, explain


@dataclass
class Finding:
    """One message of the inspector or the validator."""

    importance: str
    name: str
    where: str
    message: str


@dataclass
class Check:
    """What is known of a file.

    Attributes:
        version: of NWB.
        program: that wrote it, where it says so.
        session: where `ingest` would put it; empty where it cannot tell.
        holds: a line for each object: path, type, size.
        findings: of nwbinspector (settings for DANDI) and pynwb's validator.
        lines: what `ingest` would do, object by object.
        problem: why it cannot be ingested; empty where it can.
    """

    path: Path
    version: str = ""
    program: str = ""
    session: str = ""
    holds: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    problem: str = ""


def check(path: Path | str, choices: Choices | None = None) -> Check:
    """Look at an NWB file; nothing is written anywhere but in a temporary folder.

    Raises
    ------
    InvalidData : it cannot be read safely, or at all.
    """
    path, choices = Path(path), choices or Choices()
    report = Check(path, safety.check(path))
    with reading.opened(path) as nwbfile:
        report.program = _program(nwbfile)
        report.holds = contents(nwbfile)
        try:
            about = reading.own(nwbfile, path)
            if about is not None:
                report.session = about.session
                report.lines = [
                    Line(name, "left out" if form.kind == "absent" else "mapped", form.why or form.kind)
                    for name, form in sorted(about.forms.items())
                ]
            else:
                with tempfile.TemporaryDirectory() as folder:
                    intake, _ = foreign.read(path, nwbfile, Path(folder), choices)
                report.session, report.lines = intake.session, intake.lines
        except (NeurojointError, ValueError, TypeError, KeyError) as error:
            report.problem = explain(error)
    report.findings = inspect(path)
    return report


def inspect(path: Path) -> list[Finding]:
    """What nwbinspector (with its settings for DANDI) and pynwb's validator find, the most important first.

    Raises
    ------
    NeurojointError : nwbinspector is not installed.
    """
    try:
        from nwbinspector import inspect_nwbfile, load_config
    except ImportError as error:
        raise NeurojointError("nwbinspector is not installed", 'pip install "neurojoint[nwb]"') from error
    import pynwb

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        messages = list(inspect_nwbfile(nwbfile_path=str(path), config=load_config("dandi"), skip_validate=True))
        errors = pynwb.validate(path=str(path)) if path.is_file() else []
    findings = [Finding("ERROR", "pynwb.validate", item.location or "", item.reason) for item in errors]
    messages.sort(key=lambda one: -one.importance.value)
    findings += [
        Finding(
            message.importance.name,
            message.check_function_name or "",
            message.location or message.object_name or "",
            message.message,
        )
        for message in messages
    ]
    return findings


def contents(nwbfile: NWBFile) -> list[str]:
    """A line for each time series and table: where it is, what it is, how much."""
    lines = []
    for thing in nwbfile.objects.values():
        what = f"{reading.place_in_file(thing)}: {type(thing).__name__}"
        if isinstance(thing, TimeSeries):
            shape = getattr(thing.data, "shape", None) or (len(thing.data),) if thing.data is not None else ()
            size = " x ".join(f"{item:,}" for item in shape)
            lines.append(f"{what}, {size} {thing.unit or ''}".rstrip())
        elif isinstance(thing, DynamicTable):
            lines.append(f"{what}, {len(thing.id):,} rows, {len(thing.colnames)} columns")
    return sorted(lines)


def _program(nwbfile: NWBFile) -> str:
    made = getattr(nwbfile, "was_generated_by", None)
    if made is not None and len(made):
        return ", ".join(" ".join(str(part) for part in item) for item in made[:])
    return str(nwbfile.source_script_file_name or "")
