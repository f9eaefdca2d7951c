"""The shell and the JupyterLab of `neurojoint shell` and `neurojoint jupyter`."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import neurojoint
import pipeline
from pipeline.database import registry
from pipeline.errors import UserError

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def namespace() -> dict[str, Any]:
    """What the shell knows by name: `nj`, `dj`, `np`, the schemas, the modules of the lab, and `erd`."""
    import datajoint as dj
    import numpy as np

    pipeline.connect(create=False)
    names: dict[str, Any] = {"nj": neurojoint, "dj": dj, "np": np, "erd": erd}
    names |= {name: getattr(pipeline, name) for name in pipeline.SCHEMAS}
    for module in registry.modules_of_labs():
        names[module.rpartition(".")[2]] = pipeline.module(module)
    return names


def erd(*tables: Any, above: int = 1, below: int = 1) -> Any:
    """A diagram of tables or schemas with what hangs on them.

    Parameters
    ----------
    *tables : tables, or modules with a `schema`; by default all schemas that are bound.
    above, below : how many steps up and down are shown.
    """
    import datajoint as dj

    chosen = tables or tuple(dict.fromkeys(sys.modules[table.__module__] for table in registry.tables()))
    diagram = dj.Diagram(chosen[0])
    for item in chosen[1:]:
        diagram += dj.Diagram(item)
    return diagram - above + below if tables else diagram


def open_shell(embed: Callable[..., None] | None = None) -> None:
    """Open IPython in `namespace()`.

    Raises
    ------
    UserError : IPython is not installed.
    """
    if embed is None:
        if importlib.util.find_spec("IPython") is None:
            raise UserError("IPython is not installed", "pip install 'neurojoint[notebook]'")
        import IPython

        embed = IPython.start_ipython
    names = namespace()
    listed = ", ".join(sorted(name for name in names if name not in ("nj", "dj", "np", "erd")))
    print(f"connected; nj, dj, np, erd(table), and the schemas {listed}")
    embed(argv=[], user_ns=names)


def prepare_notebooks(folder: Path | None) -> Path:
    """Copy the notebooks that ship with the program to a folder of one's own; those that are there stay as they are."""
    folder = (folder or Path("~/notebooks")).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
        if not (folder / notebook.name).exists():
            shutil.copyfile(notebook, folder / notebook.name)
    return folder


def open_jupyter(folder: Path | None, port: int, browser: bool) -> None:
    """Become JupyterLab, on 127.0.0.1; a kernel connects when a notebook calls `nj.connect()`.

    Raises
    ------
    UserError : JupyterLab is not installed.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise UserError("JupyterLab is not installed", "pip install 'neurojoint[notebook]'")
    place = prepare_notebooks(folder)
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={place}", "--ServerApp.ip=127.0.0.1",
               f"--ServerApp.port={port}"]  # fmt: skip
    os.execv(command[0], [*command, *([] if browser else ["--no-browser"])])  # noqa: S606 (a list, no shell)
