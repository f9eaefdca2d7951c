"""What is connected to the lines of a recording, as a wiring file beside it says: `<name>.nidq.wiring.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_LARGEST = 1 << 20  # byte
_UUID = re.compile(r"\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
WORD = 16  # lines of a digital word
_KINDS = {
    "SYNC_WIRING_DIGITAL": (re.compile(r"[Pp](\d{1,2})\.([0-7])"), False),
    "SYNC_WIRING_ANALOG": (re.compile(r"[Aa][Ii](\d{1,2})"), True),
}


def line_names(recording: Path, n_words: int = 1) -> dict[int, str]:
    """Line -> what is connected to it; empty without a wiring file that can be read.

    `SYNC_WIRING_DIGITAL` names pins by port and bit (`P0.3`; a port has 8 bits), `SYNC_WIRING_ANALOG` inputs (`AI2`),
    whose lines follow those of the digital words. Pins whose value is empty have no name.

    Parameters
    ----------
    recording : file of the samples, e.g. `run_g0_t0.nidq.cbin` or `run_g0_t0.imec0.ap.bin`.
    n_words : digital words of the recording.
    """
    names: dict[int, str] = {}
    for path in _candidates(recording):
        try:
            if not path.is_file() or path.stat().st_size > _LARGEST:
                continue
            told = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        names = {line: device for line, _, device in _connected(told, n_words) if line is not None and device}
        break
    return names


def fault(told: Any) -> str:
    """What is wrong with the content of a wiring file; empty where nothing is. What is right in it counts all the same.

    >>> fault({"SYNC_WIRING_DIGITAL": {"P0.3": "left_camera", "P0.4": ""}, "SYNC_WIRING_ANALOG": {"AI0": "bpod"}})
    ''
    >>> fault({"SYNC_WIRING_DIGITAL": {"P0.8": "left_camera"}})
    'P0.8 is no line: pins are P<port>.<bit 0-7>, inputs AI<number>'
    """
    if not isinstance(told, dict) or not set(told) & set(_KINDS):
        return f"it has neither {' nor '.join(_KINDS)}"
    pin_of: dict[str, str] = {}
    for line, pin, device in _connected(told, 1):
        if line is None:
            return f"{pin} is no line: pins are P<port>.<bit 0-7>, inputs AI<number>"
        if device is None:
            return f"what is connected to {pin} is no text"
        if device and pin_of.setdefault(device, pin) != pin:
            return f"{device} is connected to both {pin_of[device]} and {pin}"
    return ""


def _connected(told: Any, n_words: int) -> Iterator[tuple[int | None, str, str | None]]:
    """Each pin of a wiring file: its line, its name, and what is connected; None where it is no line or no text."""
    for name, (pattern, is_analog) in _KINDS.items():
        pins = told.get(name) if isinstance(told, dict) else None
        if pins is not None and not isinstance(pins, dict):
            yield None, name, None
            continue
        for pin, device in (pins or {}).items():
            numbers = pattern.fullmatch(str(pin).strip())
            line = None
            if numbers:
                *port, number = map(int, numbers.groups())
                line = number + (WORD * n_words if is_analog else 8 * port[0])
            text = "" if device is None else device.strip() if isinstance(device, str) else None
            yield line, str(pin)[:40], text


def _candidates(recording: Path) -> Iterator[Path]:
    stem = _UUID.sub("", recording.name.rpartition(".")[0])
    yield recording.with_name(f"{stem}.wiring.json")
    if stem.endswith((".ap", ".lf")):
        yield recording.with_name(f"{stem[:-3]}.wiring.json")
