"""The environment of a capsule: the packages that its notebooks need, and a wheel of this software."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from pipeline.errors import NeurojointError

OURS = "neurojoint"
EXTRAS = ("capsule",)
"""Of this software: what runs notebooks."""


def write(folder: Path, lock: Path, notebooks: Iterable[Path]) -> None:
    """Write the lock file, and the wheel of this software into `folder` where it is installed from its sources.

    Raises
    ------
    NeurojointError : the wheel cannot be built, or a package that a notebook imports is not installed.
    """
    versions = packages(imported(notebooks))
    sources = Path(__file__).parents[2]
    if (sources / "setup.py").exists():
        versions[OURS] = _build_wheel(sources, folder)
    lock.write_text("".join(f"{name}=={version}\n" for name, version in sorted(versions.items())), encoding="utf-8")


def packages(imports: Iterable[str]) -> dict[str, str]:
    """This software, the packages of some imported modules and everything that these need: name -> version.

    Other packages that happen to be installed are left out: they would have to be installable for ever, for nothing.
    """
    owners = importlib.metadata.packages_distributions()
    waiting = [Requirement(f"{OURS}[{','.join(EXTRAS)}]")]
    for module in imports:
        waiting += [Requirement(name) for name in sorted(set(owners.get(module, ()))) if name.lower() != OURS]
    versions: dict[str, str] = {}
    done: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for extra in ("", *sorted(wanted.extras)):
            if (name, extra) in done:
                continue
            done.add((name, extra))
            try:
                distribution = importlib.metadata.distribution(name)
            except importlib.metadata.PackageNotFoundError:
                raise NeurojointError(
                    f"{name} is not installed, which the capsule needs", f"pip install '{OURS}[capsule]'"
                ) from None
            versions[name] = _public(name, distribution.version)
            waiting += _needed(distribution, extra)
    return versions


def imported(notebooks: Iterable[Path]) -> set[str]:
    """The modules that the cells of notebooks import, by their first name."""
    import nbformat

    modules: set[str] = set()
    for path in notebooks:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                modules |= _modules(cell.source)
    return modules


def _modules(source: str) -> set[str]:
    lines = [line if not re.match(r"\s*[%!]", line) else "pass" for line in source.splitlines()]
    try:
        tree = ast.parse("\n".join(lines))
    except SyntaxError:
        return set()  # the cell fails when the notebook is run, with a better message
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def _needed(distribution: importlib.metadata.Distribution, extra: str) -> Iterator[Requirement]:
    for line in distribution.requires or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        marker = requirement.marker
        if marker is None:
            if not extra:
                yield requirement
        elif marker.evaluate({"extra": extra}) and not (extra and marker.evaluate({"extra": ""})):
            yield requirement


def _public(name: str, version: str) -> str:
    """A version as registries have it, without the mark of a local build such as `+cpu`."""
    return version if name == OURS else version.partition("+")[0]


def _build_wheel(sources: Path, folder: Path) -> str:
    """Build a wheel of this software from its sources; returns its version, which may be newer than what pip says."""
    folder.mkdir()
    unneeded = shutil.ignore_patterns(".*", "tests", "build", "*.egg-info", "__pycache__", "node_modules")
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(sources, Path(copy, "src"), ignore=unneeded)
        words = ["wheel", "--quiet", "--no-deps", *_isolation(), "--wheel-dir", str(folder.resolve())]
        command = [sys.executable, "-m", "pip", *words, str(Path(copy, "src"))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = [line.strip() for line in done.stderr.splitlines() if "rror:" in line] or [done.stderr.strip()[-300:]]
        raise NeurojointError(f"the wheel of {OURS} cannot be built ({said[0]})", "pip install -U setuptools wheel")
    (wheel,) = folder.glob("*.whl")
    return parse_wheel_filename(wheel.name)[1].public


def _isolation() -> list[str]:
    """Options of pip: what builds a wheel is fetched by pip, unless it is installed, which then needs no network."""
    try:
        version = importlib.metadata.version("setuptools")
    except importlib.metadata.PackageNotFoundError:
        return []
    has_command = importlib.util.find_spec("wheel") is not None or Version(version) >= Version("70.1")
    return ["--no-build-isolation"] if has_command else []
