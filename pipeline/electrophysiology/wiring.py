"""What is connected to the lines of a recording, as a wiring file beside it says: `<name>.nidq.wiring.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

_LARGEST = 1 << 20  # byte
_UUID = re.compile(r"\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_PIN, _INPUT = re.compile(r"[Pp](\d+)\.(\d+)"), re.compile(r"[Aa][Ii](\d+)")
WORD = 16  # lines of a digital word


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
        if not isinstance(told, dict):
            continue
        kinds = (("SYNC_WIRING_DIGITAL", _PIN, 0), ("SYNC_WIRING_ANALOG", _INPUT, WORD * n_words))
        for name, pattern, first in kinds:
            pins = told.get(name)
            for pin, device in pins.items() if isinstance(pins, dict) else ():
                numbers = pattern.fullmatch(str(pin).strip())
                if numbers and isinstance(device, str) and device.strip():
                    *port, bit = map(int, numbers.groups())
                    names[first + 8 * sum(port) + bit] = device.strip()
        break
    return names


def _candidates(recording: Path) -> Iterator[Path]:
    stem = _UUID.sub("", recording.name.rpartition(".")[0])
    yield recording.with_name(f"{stem}.wiring.json")
    if stem.endswith((".ap", ".lf")):
        yield recording.with_name(f"{stem[:-3]}.wiring.json")
