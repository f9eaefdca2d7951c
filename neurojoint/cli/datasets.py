"""What the commands `tag`, `revision`, `repository` and `qc` share."""

from __future__ import annotations

from types import ModuleType

import click

from neurojoint.cli.options import combined
from one_bridge import dataset_admin as administration
from one_bridge.tables import join_database

select_datasets = combined(
    click.option("--session", help="Experiment ids."),
    click.option("--subject", help="Names of animals."),
    click.option("--lab", help="Names of labs."),
    click.option("--date", "date_range", help="A day, or the first and the last: 2020-01-01,2020-01-31."),
    click.option("--project", "projects", help="Part of a project's name."),
    click.option("--name", help="File names of datasets, e.g. spikes.times.npy or '*.ap.cbin'"),
    click.option("--collection", help="Part of the folder below the session."),
    click.option("--revision", help="Part of a revision's name."),
)
"""Which datasets or sessions are meant; names count whole, several are written with commas."""


def dataset_admin() -> ModuleType:
    """The room of tags, QC, revisions and repositories, with the database joined."""
    join_database()
    return administration
