"""Recordings in the binary format of the Open Ephys GUI: `structure.oebin`, and `continuous.dat` of each stream."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import cbin
import numpy as np
from cbin.format import header_path, read_header

from pipeline.alf.reader import load
from pipeline.alf.reasons import refuse
from pipeline.electrophysiology.raw_formats import clock_knots
from pipeline.electrophysiology.raw_formats.description import Description, Place, band_of_rate

if TYPE_CHECKING:
    from cbin import Recording

UNITS = {"uV": 1e-6, "µV": 1e-6, "mV": 1e-3, "V": 1.0}
SMALL = 1e-2
"""Where no unit is stated, a smaller factor is in V (inputs of converters), a larger one in uV (electrodes)."""
_AUXILIARY = re.compile(r"(?i)ni-?daq|adc|pxie-6\d\d\d")
_LARGEST_XML = 16 << 20  # byte


def describe(path: Path) -> Description:
    """Describe the stream of a `continuous.dat`, or of the `continuous.cbin` that it became."""
    recording, stream, streams = _stream(path)
    channels = stream["channels"]
    gains = np.array([_factor(channel) for channel in channels])
    rate, n_channels = float(stream["sample_rate"]), int(stream["num_channels"])
    name = f"{stream.get('source_processor_name', '')} {stream.get('stream_name', '')}"
    auxiliary = bool(_AUXILIARY.search(name)) or not (gains < SMALL * 1e-3).any()
    band = ("obx" if "OneBox" in name else "nidq") if auxiliary else band_of_rate(rate)
    n_samples = _n_samples(path, n_channels)
    neural = np.flatnonzero(gains < 1)
    part_number = serial = None
    electrodes = places = None
    if not auxiliary:
        stated = [_electrode(channels[i]) for i in neural.tolist()]
        electrodes = None if any(item is None for item in stated) else np.array(stated, np.int64)
        probe = _probe_settings(recording, str(stream.get("stream_name", "")))
        part_number, serial = probe.get("part_number"), probe.get("serial")
        if electrodes is None:
            places = _places(recording, str(stream.get("stream_name", "")), len(neural))
    return Description(
        "open_ephys", band, None if auxiliary else _label(stream, streams), rate, n_channels, n_samples, gains,
        serial, probe.get("model") if not auxiliary else None, part_number, electrodes, places,
    )  # fmt: skip


def open_raw(path: Path) -> Recording:
    """Open a stream, compressed or not."""
    _, stream, _ = _stream(path)
    gains = np.array([_factor(channel) for channel in stream["channels"]])
    if path.suffix == ".cbin":
        return cbin.open(path, volts_per_bit=gains)
    return cbin.RawReader(path, int(stream["num_channels"]), float(stream["sample_rate"]), volts_per_bit=gains)


def own_times(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Samples and times (s): those that the GUI synchronised, or the samples of the device over its rate."""
    _, stream, _ = _stream(path)
    rate = float(stream["sample_rate"])
    for name, factor in (("timestamps.npy", 1.0), ("sample_numbers.npy", 1 / rate)):
        values = _array(path.parent / name)
        if values is None or len(values) < 2:
            continue
        if values.dtype.kind in "iu":  # before 0.6 the timestamps are sample numbers
            factor = 1 / rate
        samples = clock_knots.of_times(values, rate * factor)
        if samples is None:
            continue
        times = np.asarray(values[samples], np.float64) * factor
        step = np.diff(times)[np.diff(samples) > 1] / np.diff(samples)[np.diff(samples) > 1]
        if (np.abs(step * rate - 1) < 0.01).all():  # not across gaps, which lie between neighbours
            return samples.astype(np.float64), times
    return None


def own_changes(path: Path) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """The changes of the TTL lines of the stream's processor, in samples of the stream."""
    return _lines(path)[0]


def line_names(path: Path) -> dict[int, str]:
    """Line -> name of its event channel and its number there, from 1, as the GUI shows it."""
    return _lines(path)[1]


def _lines(path: Path) -> tuple[dict[int, tuple[np.ndarray, np.ndarray]], dict[int, str]]:
    """Line -> samples and polarities, and its name; each event channel has as many words of 16 lines as it needs."""
    _, stream, _ = _stream(path)
    first = _first_sample_number(path)
    changes: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    names: dict[int, str] = {}
    if first is None:
        return changes, names
    begin = 0
    for folder, name in _event_folders(path, stream):
        states = _first_array(folder, ("states", "channel_states"))
        numbers = _first_array(folder, ("sample_numbers", "timestamps"))
        if states is None or numbers is None or numbers.dtype.kind not in "iu" or len(states) != len(numbers):
            begin += 16
            continue
        samples = np.asarray(numbers, np.int64) - first
        lines = [line for line in np.unique(np.abs(states)).astype(int).tolist() if line >= 1]
        for line in lines:
            own = np.abs(states) == line
            changes[begin + line - 1] = samples[own], np.sign(states[own]).astype(np.int8)
            if name:
                names[begin + line - 1] = f"{name} {line}"
        begin += 16 * max(1, -(-max(lines, default=1) // 16))
    return changes, names


def place_of_recording(rel_path: str) -> tuple[str, ...]:
    """Folder of the recording: streams with the same one were recorded together.

    >>> place_of_recording("raw_ephys_data/Record Node 101/experiment1/recording2/continuous/A-100.B/continuous.dat")
    ('raw_ephys_data/Record Node 101/experiment1/recording2',)
    """
    return (rel_path.rsplit("/", 3)[0],)


def _stream(path: Path) -> tuple[Path, dict[str, Any], list[dict[str, Any]]]:
    """The folder of the recording, and what its `structure.oebin` says of this stream and of all."""
    if len(path.parents) < 3 or path.parents[1].name != "continuous":
        raise refuse(path.name, "bad_header", "it does not lie in continuous/STREAM of a recording of Open Ephys")
    recording = path.parents[2]
    header = recording / "structure.oebin"
    if not header.is_file():
        raise refuse(path.name, "bad_header", "there is no structure.oebin two folders above it")
    content = load(header.read_bytes(), "structure.oebin.json")
    streams = content.get("continuous") if isinstance(content, dict) else None
    for item in streams if isinstance(streams, list) else []:
        if str(item.get("folder_name", "")).strip("/") == path.parent.name:
            try:
                right = int(item["num_channels"]) == len(item["channels"]) > 0 and float(item["sample_rate"]) > 0
            except (KeyError, TypeError, ValueError):
                right = False
            if right:
                return recording, item, list(streams or ())
    raise refuse(path.name, "bad_header", f"structure.oebin does not describe the stream {path.parent.name}")


def _factor(channel: dict[str, Any]) -> float:
    """V per bit of a channel; 1 of a digital word."""
    if "SYNC" in str(channel.get("channel_name", "")).upper():
        return 1.0
    factor = float(channel.get("bit_volts") or 0)
    unit = UNITS.get(str(channel.get("units") or "").strip(), 1.0 if factor < SMALL else 1e-6)
    return factor * unit


def _n_samples(path: Path, n_channels: int) -> int:
    if path.suffix == ".cbin":
        return read_header(header_path(path)).n_samples
    size = path.stat().st_size
    if size % (2 * n_channels):
        raise refuse(path.name, "truncated", f"{size} bytes are no multiple of {2 * n_channels}")
    return size // (2 * n_channels)


def _label(stream: dict[str, Any], streams: list[dict[str, Any]]) -> str:
    """Label of the probe: by the letter in the stream's name, else by its place among the streams of electrodes."""
    name = str(stream.get("stream_name", ""))
    if match := re.search(r"Probe([A-Z])(?![A-Za-z0-9])", name):
        return f"probe{ord(match[1]) - ord('A'):02d}"
    names: list[str] = []
    for item in streams:
        full = f"{item.get('source_processor_name', '')} {item.get('stream_name', '')}"
        base = re.sub(r"-(AP|LFP)$", "", f"{item.get('source_processor_id')}/{item.get('stream_name', '')}")
        if not _AUXILIARY.search(full) and base not in names:
            names.append(base)
    own = re.sub(r"-(AP|LFP)$", "", f"{stream.get('source_processor_id')}/{name}")
    return f"probe{names.index(own) if own in names else 0:02d}"


def _electrode(channel: dict[str, Any]) -> int | None:
    for item in channel.get("channel_metadata") or ():
        if item.get("identifier") == "neuropixels.electrode_index" and item.get("value"):
            return int(item["value"][0])
    return None


def _settings(recording: Path) -> Path | None:
    """The settings.xml of the record node: `settings_2.xml` belongs to the second experiment."""
    match = re.fullmatch(r"experiment(\d+)", recording.parent.name)
    number = int(match[1]) if match else 1
    node = recording.parent.parent
    names = [f"settings_{number}.xml"] if number > 1 else []
    return next((node / name for name in [*names, "settings.xml"] if (node / name).is_file()), None)


def _probe_settings(recording: Path, stream: str) -> dict[str, str]:
    """Part number, serial number and name of the Neuropixels probe of a stream, from settings.xml."""
    path = _settings(recording)
    if path is None or path.stat().st_size > _LARGEST_XML or b"<!ENTITY" in path.read_bytes():
        return {}
    try:
        probes = list(ElementTree.parse(path).iter("NP_PROBE"))  # noqa: S314 - no entities
    except ElementTree.ParseError:
        return {}
    base = re.sub(r"-(AP|LFP)$", "", stream)
    named = [
        probe
        for probe in probes
        if base in (probe.get("custom_probe_name"), probe.get("probe_name"), probe.get("name"))
    ]
    match = re.search(r"Probe([A-Z])$", base)
    if not named and match and ord(match[1]) - ord("A") < len(probes):
        named = [probes[ord(match[1]) - ord("A")]]
    chosen = named[0] if len(named) == 1 else probes[0] if len(probes) == 1 else None
    if chosen is None:
        return {}
    wanted = {"part_number": "probe_part_number", "serial": "probe_serial_number"}
    return {name: value for name, key in wanted.items() if (value := chosen.get(key) or "").strip()}


def _places(recording: Path, stream: str, n: int) -> tuple[Place, ...] | None:
    """Places by settings.xml, for versions that do not say the electrode of a channel; read by probeinterface."""
    path = _settings(recording)
    if path is None:
        return None
    import warnings

    import probeinterface

    read = getattr(probeinterface, "read_openephys_neuropixels", None) or probeinterface.read_openephys
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            probe = read(path, stream_name=stream)
    except Exception:  # noqa: BLE001 - probeinterface raises what it meets, and says nothing of other probes
        return None
    if probe is None or probe.get_contact_count() != n or probe.ndim != 2:
        return None
    order = np.arange(n) if probe.device_channel_indices is None else np.argsort(probe.device_channel_indices)
    names = list(dict.fromkeys(probe.shank_ids.tolist())) if probe.shank_ids is not None else [""]
    shanks = probe.shank_ids.tolist() if probe.shank_ids is not None else [""] * n
    return tuple(
        Place(float(probe.contact_positions[i, 0]), float(probe.contact_positions[i, 1]), names.index(shanks[i]))
        for i in order.tolist()
    )


def _first_sample_number(path: Path) -> int | None:
    """What the device had counted to at the first sample."""
    for name in ("sample_numbers.npy", "timestamps.npy"):
        values = _array(path.parent / name)
        if values is not None and values.dtype.kind in "iu" and len(values):
            return int(values[0])
    return None


def _event_folders(path: Path, stream: dict[str, Any]) -> list[tuple[Path, str]]:
    """Folders of TTL events in samples of a stream, those of its own processor first, with the name of the channel."""
    events = path.parents[2] / "events"
    content = load((path.parents[2] / "structure.oebin").read_bytes(), "structure.oebin.json")
    name, own = stream.get("stream_name"), stream["folder_name"].strip("/")
    listed_events = [event for event in content.get("events") or () if isinstance(event, dict)]
    listed = [
        str(event.get("folder_name", "")).strip("/")
        for event in listed_events
        if not name or event.get("stream_name") == name
    ]
    names = [item for item in dict.fromkeys([f"{own}/TTL", *sorted(listed)]) if re.search(r"/TTL(_\d+)?$", item)]
    told = {str(event.get("folder_name", "")).strip("/"): event.get("channel_name") for event in listed_events}
    there = [item for item in names if ".." not in item and (events / item).is_dir()]
    return [(events / item, str(told.get(item) or "").strip()) for item in there]


def _first_array(folder: Path, names: tuple[str, ...]) -> np.ndarray | None:
    return next((one for name in names if (one := _array(folder / f"{name}.npy")) is not None), None)


def _array(path: Path) -> np.ndarray | None:
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return values if values.ndim == 1 and values.dtype.kind in "iuf" else None
