"""What a notebook shows, in a form that can be compared: text, tables and figures of each cell."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.database import capsule
from pipeline.errors import NeurojointError

_ADDRESS = re.compile(r"0x[0-9a-f]{6,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OPENING = """import datajoint, neurojoint, pipeline
pipeline.connect({folder!r})
pipeline.connect = neurojoint.connect = lambda *_, **__: datajoint.conn()
"""
"""The first cell: what the notebook connects to is the capsule."""
_NUMBER = re.compile(r"([-+]?(?:\d+\.\d*|\.\d+|\d+(?=e))(?:e[-+]?\d+)?)")
GRID, MOST_BRIGHTNESS, MOST_PIXELS = 24, 6, 3
"""Cells of a picture in each direction, and by how much of 255 each, and by how many pixels the size may differ."""
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


def differences(expected: Any, actual: Any, where: str = "") -> list[str]:
    """What two outputs differ in; numbers may differ by rounding."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        if set(expected) == set(actual) == {"size", "brightness"}:
            return [f"{where}: another picture"] if _pictures_differ(expected, actual) else []
        if expected.keys() != actual.keys():
            return [f"{where}: has {', '.join(sorted(expected.keys() ^ actual.keys()))} on one side only"]
        return [
            difference
            for name in expected
            for difference in differences(expected[name], actual[name], f"{where}/{name}")
        ]
    if isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            return [f"{where}: {len(actual)} instead of {len(expected)}"]
        pairs = enumerate(zip(expected, actual, strict=True), 1)
        return [difference for number, (a, b) in pairs for difference in differences(a, b, f"{where}/{number}")]
    if isinstance(expected, str) and isinstance(actual, str) and expected != actual:
        words, others = (_NUMBER.split(text) for text in (expected, actual))
        if len(words) == len(others) and all(map(_is_close, words, others)):
            return []
    if isinstance(expected, float) or isinstance(actual, float):
        try:
            if math.isclose(expected, actual, rel_tol=CLOSE, abs_tol=1e-12):
                return []
        except TypeError:
            pass
    return [] if expected == actual else [f"{where}: {str(actual)[:80]!r} instead of {str(expected)[:80]!r}"]


def _is_close(expected: str, actual: str) -> bool:
    """Whether two words are equal, or decimal numbers that differ by rounding."""
    if expected == actual:
        return True
    both = _NUMBER.fullmatch(expected) and _NUMBER.fullmatch(actual)
    return bool(both) and math.isclose(float(expected), float(actual), rel_tol=CLOSE, abs_tol=1e-12)


def _plotted(value: Any) -> Any:
    """A part of a figure of plotly with its arrays, which are packed, as numbers."""
    if isinstance(value, list):
        return [_plotted(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) >= {"dtype", "bdata"}:
        return np.frombuffer(base64.b64decode(value["bdata"]), dtype=value["dtype"]).tolist()
    return {name: _plotted(one) for name, one in value.items()}


def _picture(png: str) -> dict[str, Any]:
    """A picture in a form that survives other versions of fonts: its size, and its brightness on a coarse grid."""
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        coarse = image.convert("RGBA").convert("L").resize((GRID, GRID), Image.Resampling.BOX)
        return {"size": list(image.size), "brightness": np.asarray(coarse, dtype=int).ravel().tolist()}


def _pictures_differ(expected: dict[str, Any], actual: dict[str, Any]) -> bool:
    """Whether two pictures show something else; the size may differ by some pixels, as labels do."""
    sizes = zip(expected["size"], actual["size"], strict=True)
    if any(abs(a - b) > MOST_PIXELS for a, b in sizes):
        return True
    return bool(np.abs(np.subtract(expected["brightness"], actual["brightness"])).max() > MOST_BRIGHTNESS)


def _shown(output: Any) -> dict[str, Any] | None:
    if output.output_type == "stream":
        return {"text": _plain(output.text)} if output.name == "stdout" else None
    data = output.get("data", {})
    if figure := data.get("application/vnd.plotly.v1+json"):
        return {"figure": json.loads(_plain(json.dumps(_plotted(figure.get("data", [])), sort_keys=True)))}
    if "image/png" in data:
        return {"picture": _picture(data["image/png"])}
    return {"text": _plain(data["text/plain"])} if "text/plain" in data else None


def _plain(text: str) -> str:
    return _ADDRESS.sub("…", text)
