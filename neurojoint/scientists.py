"""The shell and the JupyterLab of `neurojoint shell` and `neurojoint jupyter`."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import neurojoint
import pipeline
from pipeline.database import registry
from pipeline.errors import NeurojointError, UserError, explain
from pipeline.settings import CONFIG_VARIABLE, config_file, settings

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
    """A diagram of tables or schemas with their dependent tables.

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


def begin_kernel(names: dict[str, Any]) -> None:
    """Give a notebook that opens what the shell knows by name; without a database, say so."""
    import datajoint as dj

    try:
        names.update(namespace())
    except NeurojointError as error:
        names.update(nj=neurojoint, dj=dj)
        print(f"not connected: {explain(error)}")


def kernel_environment(home: Path) -> dict[str, str]:
    """Write the kernel that connects when it starts, below `home`; returns what leads JupyterLab and its kernels to it.

    A kernel runs in the folder of its notebook, where no `neurojoint.toml` is.
    """
    folder = home / "jupyter"
    kernel = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}",
                 "--IPKernelApp.exec_lines=from neurojoint.scientists import begin_kernel; begin_kernel(globals())"],
        "display_name": "Python 3 (neurojoint)", "language": "python", "metadata": {"debugger": True},
    }  # fmt: skip
    place = folder / "kernels" / "python3"  # before the one of the same name that ipykernel brings
    place.mkdir(parents=True, exist_ok=True)
    (place / "kernel.json").write_text(json.dumps(kernel, indent=1), encoding="utf-8")
    file = config_file()
    others = os.environ.get("JUPYTER_PATH")
    return {
        "JUPYTER_PATH": os.pathsep.join([str(folder), *([others] if others else [])]),
        "NEUROJOINT_HOME": str(home),
        "DJ_IGNORE_CONFIG_FILE": "true",  # also where a notebook imports DataJoint first, which warns else
    } | ({CONFIG_VARIABLE: str(file.absolute())} if file else {})


def open_jupyter(folder: Path | None, port: int, browser: bool) -> None:
    """Become JupyterLab, on 127.0.0.1, whose notebooks are connected and know the names of the shell.

    Raises
    ------
    UserError : JupyterLab is not installed.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise UserError("JupyterLab is not installed", "pip install 'neurojoint[notebook]'")
    place = prepare_notebooks(folder)
    os.environ.update(kernel_environment(settings().home))
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={place}", "--ServerApp.ip=127.0.0.1",
               f"--ServerApp.port={port}"]  # fmt: skip
    os.execv(command[0], [*command, *([] if browser else ["--no-browser"])])  # noqa: S606 (a list, no shell)
