"""A package to begin a lab's own module from: a computed table, its test, a page of the site."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.errors import UserError

_FILES = {
    "pyproject.toml": """\
[build-system]
requires = ["setuptools>=64"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "0.1.0"
dependencies = ["neurojoint"]

[project.entry-points."neurojoint.modules"]
analyses = "{name}.analyses"
page = "{name}.page"

[tool.setuptools]
packages = ["{name}"]

[tool.setuptools.package-data]
{name} = ["migrations/*/*.sql"]
""",
    "README.md": """\
# {name}

Tables and a page of our own for neurojoint. `pip install -e .`, then `neurojoint db upgrade` declares the tables,
`neurojoint work` fills them, and the page is in the menu of the site.

A change of a table that exists needs a migration: `{name}/migrations/analyses/0001_what_it_does.postgresql.sql`
(and `.mysql.sql`); `{{prefix}}` stands for the prefix of the schemas.
""",
    "{name}/__init__.py": '"""Tables and a page of our own."""\n',
    "{name}/maths.py": '''\
"""What the tables compute, as functions on arrays."""

import numpy as np


def fraction_fast(reaction_times: np.ndarray, limit: float = 0.5) -> float:
    """The fraction of reaction times (s) below `limit`; NaN where none is known.

    >>> fraction_fast(np.array([0.2, 0.4, 0.9, np.nan]))
    0.6666666666666666
    """
    known = reaction_times[np.isfinite(reaction_times)]
    return float(np.mean(known < limit)) if known.size else float("nan")
''',
    "{name}/analyses.py": '''\
"""How fast an animal responds, for each task of a session."""

import datajoint as dj
import numpy as np

from pipeline import behavior
from pipeline.database import registry
from {name} import maths

schema = registry.schema(__name__)


@schema
class FastTrials(dj.Computed):
    definition = """
    # the trials of a task in which the animal responded quickly
    -> behavior.TrialSet
    ---
    fraction_fast=null         : float64         # of the trials with a response within 0.5 s of the go cue
    """

    def make(self, key):
        trials = behavior.fetch_trials(key)
        missing = np.full(len(next(iter(trials.values()), [])), np.nan)
        times = trials.get("response_times", missing) - trials.get("goCue_times", missing)
        fraction = maths.fraction_fast(times)
        self.insert1(key | {{"fraction_fast": None if np.isnan(fraction) else fraction}})
''',
    "{name}/page.py": '''\
"""A page of the site: the mice by how fast they respond."""

from dashboard.components import shell
from dashboard.site import Page, Site, Viewer
from pipeline.database.bulk import fetch_columns

PAGE = Page("{name}", "{title}", order=200, in_menu=True)


def layout(site: Site, viewer: Viewer, *, query):
    rows = site.read(_rows)
    heads = ["Mouse", "Date", "Fast trials"]
    if not rows or viewer.public:
        return shell.page("{title}", shell.sentence("Nothing has been computed yet: run `neurojoint work`."))
    return shell.page("{title}", shell.card(shell.table(heads, rows)))


def _rows():
    from {name} import analyses

    table = fetch_columns(analyses.FastTrials(), "subject", "session_date", "fraction_fast")
    rows = table.to_pylist()
    return [[row["subject"], str(row["session_date"]), f"{{row['fraction_fast'] or 0:.0%}}"] for row in rows]
''',
    "tests/test_{name}.py": '''\
"""What the module computes; no database is needed."""

import numpy as np

from pipeline.database import registry
from {name} import analyses, maths


def test_the_fraction_of_fast_trials():
    assert maths.fraction_fast(np.array([0.1, 0.6])) == 0.5
    assert np.isnan(maths.fraction_fast(np.array([np.nan])))


def test_the_tables_are_known():
    assert [table.__name__ for table in registry.tables(analyses.__name__)] == ["FastTrials"]
''',
}


def create(name: str, folder: Path) -> Path:
    """Write the package `name` into `folder`; returns its folder.

    Raises
    ------
    UserError : the name cannot be that of a package, or the folder exists.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]{0,7}", name):
        raise UserError(f"{name!r} cannot be the name of a module", "use up to 8 letters a-z and digits")
    made = folder / name
    if made.exists():
        raise UserError(f"{made} exists already", "choose another name or folder")
    for path, text in _FILES.items():
        file = made / path.format(name=name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.format(name=name, title=name.capitalize()), encoding="utf-8")
    return made
