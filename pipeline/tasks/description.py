"""The experiment description of a session (`_ibl_experiment.description.yaml`): which devices and tasks it has.

Sessions without one are described by the folders and files that they have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from pipeline.errors import InvalidData

FILE = "_ibl_experiment.description.yaml"
LARGEST = 256 << 10  # byte
_LABEL = re.compile(r"[A-Za-z0-9][\w.-]{0,31}", re.ASCII)
_FOLDER = re.compile(r"[\w.-]+(/[\w.-]+)*", re.ASCII)
_DEVICES = {"cameras": "camera", "neuropixel": "probe", "microphone": "microphone"}


@dataclass(frozen=True)
class Device:
    """A device of a session.

    Attributes
    ----------
    kind : camera, probe or microphone
    label, folder : its name, and its folder below the session
    extra_pulses : of a camera: where the pulses lie that belong to no frame, if a person has said it: before or after
        the frames
    """

    kind: str
    label: str
    folder: str
    extra_pulses: str = ""


@dataclass(frozen=True)
class TaskRun:
    """A task of a session: its protocol, number and folder below the session."""

    protocol: str
    number: int
    folder: str


@dataclass(frozen=True)
class Description:
    """What a session consists of.

    Attributes
    ----------
    sync : the device that all others are synchronised to: bpod, nidq, or what the description says; empty: not known
    sync_folder : its folder below the session
    """

    devices: tuple[Device, ...] = ()
    tasks: tuple[TaskRun, ...] = ()
    sync: str = ""
    sync_folder: str = ""

    def labels(self, kind: str) -> list[Device]:
        """The devices of one kind, in order."""
        return [device for device in self.devices if device.kind == kind]


def parse_yaml(text: str) -> dict[str, Any]:
    """The content of a description file.

    Raises
    ------
    InvalidData : it is no YAML, or no mapping.
    """
    if len(text.encode("utf-8", "replace")) > LARGEST:
        raise _invalid(f"it is larger than {LARGEST} byte")
    try:
        content = yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark is not None else ""
        raise _invalid(f"it is no YAML{where}") from None
    if not isinstance(content, dict):
        raise _invalid("it is no mapping of names to values")
    return content


def read(content: Mapping[str, Any]) -> Description:
    """What a parsed description says.

    Raises
    ------
    InvalidData : a name or a folder that cannot be used; the message says which.
    """
    devices: list[Device] = []
    for name, kind in _DEVICES.items():
        for label, options in _mapping(_mapping(content, "devices"), name).items():
            folder = _folder(_option(options, "collection"), _usual(kind, label))
            devices.append(Device(kind, _label(label), folder, _extra_pulses(options)))
    tasks = []
    listed = content.get("tasks") or []
    if not isinstance(listed, list):
        raise _invalid("`tasks` is no list")
    for number, entry in enumerate(listed):
        if not isinstance(entry, dict) or len(entry) != 1:
            raise _invalid(f"task {number} is not `protocol: options`")
        ((protocol, options),) = entry.items()
        given = _option(options, "protocol_number")
        tasks.append(
            TaskRun(
                str(protocol)[:128], given if isinstance(given, int) and 0 <= given < 100 else number,
                _folder(_option(options, "collection"), f"raw_task_data_{number:02d}"),
            )
        )  # fmt: skip
    sync = _mapping(content, "sync")
    if len(sync) > 1:
        raise _invalid("`sync` names more than one device")
    label, folder = "", ""
    for name, options in sync.items():
        label, folder = _label(name), _folder(_option(options, "collection"), "raw_ephys_data")
    return Description(tuple(devices), tuple(tasks), label, folder)


def infer(files: Iterable[str]) -> Description:
    """What the files of a session without a description say; paths below the session folder.

    Examples
    --------
    >>> experiment = infer(["raw_video_data/_iblrig_leftCamera.raw.avi", "raw_ephys_data/probe00/a_g0_t0.imec0.ap.bin"])
    >>> [(one.kind, one.label) for one in experiment.devices]
    [('camera', 'left'), ('probe', 'probe00')]
    """
    devices: dict[tuple[str, str], Device] = {}
    tasks: dict[str, TaskRun] = {}
    has_nidq = False
    for path in sorted(files):
        folder, _, name = path.rpartition("/")
        if match := re.fullmatch(r"_iblrig_(\w+?)Camera\.(?!timestamps).+", name):
            devices.setdefault(("camera", match[1]), Device("camera", match[1], folder))
        elif name.startswith("_iblrig_micData.raw."):
            devices.setdefault(("microphone", "microphone"), Device("microphone", "microphone", folder))
        elif re.search(r"\.ap\.(bin|cbin)$", name) and (match := re.search(r"(?:^|/)(probe\w+)$", folder)):
            devices.setdefault(("probe", match[1]), Device("probe", match[1], folder))
        elif re.search(r"\.nidq\.(bin|cbin)$", name):
            has_nidq = True
        elif name.startswith(("_iblrig_taskData.raw.", "_iblrig_taskSettings.raw.")) and folder not in tasks:
            match = re.fullmatch(r"raw_task_data_(\d\d)", folder)
            tasks[folder] = TaskRun("", int(match[1]) if match else len(tasks), folder)
    kinds = sorted(devices.values(), key=lambda one: (one.kind, one.label))
    sync = "nidq" if has_nidq else "bpod" if tasks else ""
    return Description(tuple(kinds), tuple(tasks.values()), sync, "raw_ephys_data" if has_nidq else "")


def _usual(kind: str, label: Any) -> str:
    return {"camera": "raw_video_data", "probe": f"raw_ephys_data/{label}"}.get(kind, "raw_behavior_data")


def _mapping(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = content.get(name)
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise _invalid(f"`{name}` is no mapping")
    return section


def _option(options: Any, name: str) -> Any:
    return options.get(name) if isinstance(options, dict) else None


def _extra_pulses(options: Any) -> str:
    side = _option(options, "extra_pulses")
    if side not in (None, "", "before", "after"):
        raise _invalid(f"`extra_pulses` is {str(side)[:40]!r}, neither before nor after")
    return side or ""


def _label(value: Any) -> str:
    if not isinstance(value, str) or not _LABEL.fullmatch(value):
        raise _invalid(f"{str(value)[:40]!r} cannot be the name of a device")
    return value


def _folder(value: Any, usual: str) -> str:
    """A folder below the session."""
    folder = usual if value in (None, "") else value
    if not isinstance(folder, str) or not _FOLDER.fullmatch(folder) or ".." in folder.split("/") or len(folder) > 128:
        raise _invalid(f"{str(folder)[:60]!r} is no folder below the session")
    return folder


def _invalid(problem: str) -> InvalidData:
    return InvalidData(path=FILE, reason="description", detail=problem, remedy="correct the file")


class _PlainLoader(yaml.SafeLoader):
    """Plain values; times stay text, and references, by which a small file can become endless, are refused."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("references are not allowed")
        return super().compose_node(parent, index)


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
