"""The public API: every name that a package shows is there, and nothing else is shown."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import neurojoint as nj
from pipeline import SCHEMAS

ROOT = Path(__file__).parents[2]
PACKAGES = ["neurojoint", "pipeline", "pipeline.worker", "ingest", "one_bridge", "dashboard"]


@pytest.mark.parametrize("name", PACKAGES)
def test_tab_completion_shows_the_public_names_and_nothing_else(name):
    package = importlib.import_module(name)
    assert sorted(dir(package)) == sorted(package.__all__)
    for public in package.__all__:
        assert getattr(package, public) is not None


def test_every_schema_is_part_of_the_public_api():
    assert set(SCHEMAS) <= set(nj.__all__)


def test_importing_neither_connects_nor_imports_what_is_slow():
    slow = ("datajoint", "pandas", "numpy", "one", "dash")
    code = f"import neurojoint, sys; print([name for name in {slow} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_package_is_typed():
    for package in ("neurojoint", "pipeline"):
        assert (ROOT / package / "py.typed").exists()


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="find_unit"):
        nj.find_unit  # noqa: B018 - the access is the test


def test_the_version_is_said_once():
    assert "version" not in tomllib.loads((ROOT / "pyproject.toml").read_text()).get("project", {})
    assert 'version="' not in (ROOT / "setup.py").read_text()
