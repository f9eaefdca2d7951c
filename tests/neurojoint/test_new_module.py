"""`neurojoint module new`: the package that it writes passes its own tests and is bound like any other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from neurojoint.new_module import create
from pipeline.errors import UserError

pytestmark = pytest.mark.slow


def test_the_package_passes_its_own_test(tmp_path: Path):
    made = create("speed", tmp_path)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "--doctest-modules", str(made)],
        env=os.environ | {"PYTHONPATH": f"{made}{os.pathsep}{Path(__file__).parents[2]}"},
        capture_output=True,
        text=True,
        cwd=made,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 passed" in run.stdout


def test_the_page_is_in_the_menu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from dashboard import links
    from dashboard.server.app import find_pages
    from pipeline import settings
    from pipeline.database import lab_modules, registry

    made = create("tempo", tmp_path)
    monkeypatch.syspath_prepend(made)
    with settings.override(modules=("tempo.analyses", "tempo.page")):
        lab_modules.load()
        assert lab_modules.failures() == []
        assert "tempo" in find_pages() and links.to("tempo") == "/app/own/tempo"
    links.TEMPLATES.pop("tempo")
    registry.forget("tempo.analyses")
    for name in [name for name in sys.modules if name.split(".")[0] == "tempo"]:
        del sys.modules[name]


def test_a_name_that_cannot_be_is_refused(tmp_path: Path):
    create("speed", tmp_path)
    for name in ("speed", "Speed", "../speed", "averyverylongname"):
        with pytest.raises(UserError):
            create(name, tmp_path)
