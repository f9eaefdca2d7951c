"""A lab's own modules: `neurojoint module`."""

from __future__ import annotations

from pathlib import Path

import click

import pipeline
from neurojoint.cli.group import main
from neurojoint.new_module import create
from pipeline.database import lab_modules, personal, registry


@main.group()
def module() -> None:
    """List, create and fill modules with tables of your own."""


@module.command("list", short_help="List modules, with what is wrong with them.")
@click.option("--trace", is_flag=True, help="Show where a module that is left out fails.")
def module_list(trace: bool) -> None:
    """List the modules of the settings and of installed packages, with their tables."""
    pipeline.connect(create=False)
    failures = {item.module: item for item in lab_modules.failures()}
    for name in registry.modules_of_labs():
        if name not in failures:
            click.echo(f"{name}: {', '.join(table.__name__ for table in registry.tables(name))}")
    for failure in failures.values():
        click.echo(f"{failure.module} is left out: {failure.problem}")
        if trace:
            click.echo(failure.trace)
    if not failures and not registry.modules_of_labs():
        click.echo('no module is named: write modules = ["mylab.analyses"] in neurojoint.toml')


@module.command("new", short_help="Create a package with a table, a test and a page.")
@click.argument("name")
@click.option("--in", "folder", type=click.Path(path_type=Path, file_okay=False), default=".", show_default=True,
              help="Folder in which the package is created.")  # fmt: skip
def module_new(name: str, folder: Path) -> None:
    """Create the package NAME: a computed table, its test, a page for the site."""
    made = create(name, folder)
    click.echo(f"created {made}\nnext: pip install -e {made} && pytest {made}, then neurojoint db upgrade")


@module.command("graft", short_help="Move tables of a personal schema into a module.")
@click.argument("name")
@click.option("--from", "account", required=True, help="Account whose personal schema has the tables.")
@click.option("--table", "tables", multiple=True, help="Only this table; may be given several times.")
def module_graft(name: str, account: str, tables: tuple[str, ...]) -> None:
    """Move tables of a personal schema, with their rows, into the module NAME that now defines them."""
    connection = pipeline.connect()
    pipeline.module(name)
    for table, n_rows in personal.graft(connection, account, name, list(tables)).items():
        click.echo(f"{table}: {n_rows:,} rows")
