"""What a notebook shows, in a form that can be compared: text, tables and figures of each cell."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from pipeline.database import capsule
from pipeline.errors import NeurojointError

_ADDRESS = re.compile(r"0x[0-9a-f]{6,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OPENING = """import datajoint, neurojoint, pipeline
pipeline.connect({folder!r})
pipeline.connect = neurojoint.connect = lambda *_, **__: datajoint.conn()
"""
"""The first cell: what the notebook connects to is the capsule."""
TIMEOUT_S = 1800
CLOSE = 1e-6
"""Relative difference up to which numbers are equal: another processor rounds otherwise."""


def run(notebook: Path, folder: Path) -> list[dict[str, Any]]:
    """Run a notebook on a capsule, to which its `connect()` leads; returns what its cells show.

    Raises
    ------
    NeurojointError : a cell fails.
    """
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, DeadKernelError
    except ModuleNotFoundError as error:
        raise NeurojointError(f"{error.name} is not installed", "pip install 'neurojoint[capsule]'") from None
    content = nbformat.read(notebook, as_version=4)
    content.cells.insert(0, nbformat.v4.new_code_cell(_OPENING.format(folder=str(folder.resolve()))))
    places = {"metadata": {"path": str(notebook.parent)}}
    client = NotebookClient(content, timeout=TIMEOUT_S, kernel_name="python3", resources=places)
    try:
        client.execute()
    except CellExecutionError as error:
        raise NeurojointError(f"{notebook.name} fails: {error.ename}: {error.evalue}", "correct the notebook") from None
    except DeadKernelError:
        raise NeurojointError(f"{notebook.name} ends its kernel", "run it by hand to see why") from None
    finally:
        capsule.stop(folder)
    cells = [cell for cell in content.cells[1:] if cell.cell_type == "code"]
    return [shown for cell in cells for shown in map(_shown, cell.outputs) if shown]


def differences(expected: Any, found: Any, where: str = "") -> list[str]:
    """What two outputs differ in; numbers may differ by rounding."""
    if isinstance(expected, dict) and isinstance(found, dict):
        if expected.keys() != found.keys():
            return [f"{where}: has {', '.join(sorted(expected.keys() ^ found.keys()))} on one side only"]
        return [one for name in expected for one in differences(expected[name], found[name], f"{where}/{name}")]
    if isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            return [f"{where}: {len(found)} instead of {len(expected)}"]
        pairs = enumerate(zip(expected, found, strict=True), 1)
        return [one for number, (a, b) in pairs for one in differences(a, b, f"{where}/{number}")]
    if isinstance(expected, float) or isinstance(found, float):
        try:
            if math.isclose(expected, found, rel_tol=CLOSE, abs_tol=1e-12):
                return []
        except TypeError:
            pass
    return [] if expected == found else [f"{where}: {str(found)[:80]!r} instead of {str(expected)[:80]!r}"]


def _shown(output: Any) -> dict[str, Any] | None:
    if output.output_type == "stream":
        return {"text": _plain(output.text)} if output.name == "stdout" else None
    data = output.get("data", {})
    if figure := data.get("application/vnd.plotly.v1+json"):
        return {"figure": json.loads(_plain(json.dumps(figure.get("data", []), sort_keys=True)))}
    if "image/png" in data:
        return {"image": len(data["image/png"]) > 0}
    return {"text": _plain(data["text/plain"])} if "text/plain" in data else None


def _plain(text: str) -> str:
    return _ADDRESS.sub("…", text)
