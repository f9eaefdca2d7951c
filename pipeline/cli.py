"""The `neurojoint` command: a list of commands, each a call into a room that works without it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click


class ExplainedGroup(click.Group):
    """Commands whose errors are one line that says what to do; `--debug` before the command shows where they arose."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except (Exception, KeyboardInterrupt) as error:
            if ctx.params.get("debug"):
                raise
            from pipeline.errors import explain

            click.echo(f"neurojoint: {explain(error)}", err=True)
            stopped = 130 if isinstance(error, KeyboardInterrupt) else 1
            ctx.exit(getattr(error, "exit_code", stopped))


@click.group(cls=ExplainedGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="neurojoint")
@click.option("--debug", is_flag=True, help="Show where an error arose, and what the programs log.")
def main(debug: bool) -> None:
    """Run a neuroscience lab's data pipeline: from ALF files to tables, training status and plots."""
    import logging

    # Settings are read by the commands: here only what shows progress and warnings, on standard error.
    logging.basicConfig(level="DEBUG" if debug else "WARNING", format="%(message)s")


@main.command()
@click.option("--mice", default=4, show_default=True, help="How many mice to simulate.")
@click.option("--sessions", default=20, show_default=True, help="Sessions of each mouse.")
@click.option("--processes", type=int, help="Workers; by default one for each processor.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the files [default: NEUROJOINT_HOME/demo].")
def demo(mice: int, sessions: int, processes: int | None, root: Path | None) -> None:
    """Do all of it on a simulated lab, from files to training status, and say what to try next."""
    import time

    from rich.console import Console

    import pipeline
    from pipeline.settings import settings

    console, start = Console(), time.monotonic()

    def say(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - start:5.1f} s[/]  {line}", highlight=False)

    say(f"starting the database in {settings().home}" if settings().database_url is None else "connecting")
    pipeline.connect()
    from ingest import demo as room

    root = root or settings().home / "demo"
    found = room.run(root, mice, sessions, processes, say)
    say("done")
    room.show(console, root, found)


@main.group()
def db() -> None:
    """Start, stop, look at, back up and upgrade the database."""


@db.command("start")
def db_start() -> None:
    """Start the embedded database of NEUROJOINT_HOME, or check that the server of NEUROJOINT_DATABASE_URL answers."""
    from pipeline.database import connection
    from pipeline.settings import settings

    with contextlib.closing(connection.open_connection(settings())) as opened:
        click.echo(f"{' '.join(opened.server)} answers at {opened.address}")


@db.command("stop")
def db_stop() -> None:
    """Stop the embedded database. Programs that use it are cut off; nothing that was committed is lost."""
    from pipeline.database import embedded
    from pipeline.settings import settings

    stopped = embedded.stop(settings().home)
    click.echo("stopped" if stopped else f"no database runs in {settings().home}")


@db.command("status")
def db_status() -> None:
    """Say whether the database runs, and where. Starts nothing; the exit code is 3 where it does not run."""
    from pipeline.database import connection, embedded
    from pipeline.settings import settings

    if settings().database_url is not None:
        with contextlib.closing(connection.open_connection(settings())) as opened:
            click.echo(f"{' '.join(opened.server)} answers at {opened.address}")
        return
    found = embedded.status(settings().home)
    if not found.running:
        click.echo(f"not running; data in {found.data}" if found.version else f"no database in {settings().home} yet")
        raise click.exceptions.Exit(3)
    size = f"{found.size_bytes / 1e6:.0f} MB"
    click.echo(f"PostgreSQL {found.version} runs as process {found.pid}\naddress {found.address}")
    click.echo(f"data    {found.data} ({size})\nlog     {found.log}")


@db.command("url")
@click.option("--with-password", is_flag=True, help="Print the password too.")
def db_url(with_password: bool) -> None:
    """Print the address of the database as a URL, for other programs."""
    from pipeline.database import connection
    from pipeline.settings import settings

    click.echo(connection.resolve(settings()).url(with_password))


@db.command("shell", context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def db_shell(options: tuple[str, ...]) -> None:
    """Open the database's own client (psql or mysql); OPTIONS are passed on to it, e.g. `-c "SELECT 1"`."""
    import os

    from pipeline.database import backup, connection
    from pipeline.settings import settings

    command, secrets = backup.shell_command(connection.resolve(settings()))
    os.execvpe(command[0], [*command, *options], os.environ | secrets)  # noqa: S606 (a list, no shell)


@db.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def db_backup(file: Path) -> None:
    """Write all rows of the pipeline to a new FILE. Work may go on meanwhile."""
    from pipeline.database import backup, connection
    from pipeline.settings import settings

    schemas = backup.backup(connection.resolve(settings()), settings().prefix, file)
    click.echo(f"{len(schemas)} schemas in {file} ({file.stat().st_size / 1e6:.1f} MB)")


@db.command("restore")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--force", is_flag=True, help="Drop the tables that are there first (asks before).")
@click.option("--yes", is_flag=True, help="With --force: do not ask.")
def db_restore(file: Path, force: bool, yes: bool) -> None:
    """Bring all rows of a backup FILE back into a database without a pipeline."""
    from pipeline.database import backup, connection
    from pipeline.settings import settings

    address, prefix = connection.resolve(settings()), settings().prefix
    present = backup.schemas_in_database(address, prefix)
    if present and force and not yes:
        click.confirm(f"Drop {', '.join(present)} in {address}?", abort=True, err=True)
    schemas = backup.restore(address, prefix, file, replace=force)
    click.echo(f"{len(schemas)} schemas restored")


@db.command("upgrade")
def db_upgrade() -> None:
    """Bring the tables of an older version of neurojoint up to this one. Stop the workers and make a backup first."""
    from pipeline.database import connection, migrate
    from pipeline.settings import settings

    applied = migrate.upgrade(connection.open_connection(settings()), settings().prefix)
    for migration in applied:
        click.echo(f"applied {migration.number:04d} {migration.name.replace('_', ' ')}")
    click.echo("the tables are up to date")


_remove_raw = click.option(
    "--remove-raw", is_flag=True, help="Delete raw files whose compressed file was verified a second time."
)


@main.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.option("--lab", help="The lab, where the tree has no folder for it.")
@click.option(
    "--metadata",
    multiple=True,
    type=click.Path(path_type=Path),
    help="sessions.json, labs.csv, subjects.csv, weighings.csv, water.csv or restrictions.csv, or a folder of them; "
    "may be given several times.",
)
@click.option("--repository", help="Name under which ROOT is known; by default that of the folder.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would be done.")
@click.option("--processes", type=click.IntRange(1), help="How many read at once; by default one for each processor.")
@click.option("--accept-missing", is_flag=True, help="Mark files as missing even where a large share is gone.")
@click.option("--compress/--no-compress", default=True, help="Compress raw recordings at the end [default: do].")
@_remove_raw
def ingest(root: Path, compress: bool, remove_raw: bool, **options: object) -> None:
    """Register the ALF files below ROOT; what is invalid goes into quarantine. Run it again at any time.

    At the end the raw recordings (*.ap.bin, *.lf.bin, *.nidq.bin) are compressed; all else is registered by then.
    """
    import pipeline
    from ingest import command, register

    pipeline.connect()
    with command.shown_progress() as progress:
        summary = register(root, progress=progress, **options)
    click.echo(command.report(summary))
    failed = compress and not summary.dry_run and _compress(root, remove_raw, quiet=True)
    if summary.withheld or failed:
        raise SystemExit(1)


@main.command()
@click.argument("root", type=click.Path(path_type=Path))
@_remove_raw
@click.option("--layout", type=click.Choice(["auto", "compat", "access"]), default="auto", show_default=True,
              help="compat: as mtscomp writes it; access: for short reads; auto: the smaller order.")  # fmt: skip
@click.option("--effort", type=click.Choice(["fast", "default", "small"]), default="default", show_default=True)
@click.option("--threads", type=click.IntRange(1), help="By default one for each processor.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would be done.")
def compress(root: Path, remove_raw: bool, **options: object) -> None:
    """Compress the raw recordings that are registered below ROOT. What was interrupted goes on where it ended."""
    import pipeline

    pipeline.connect()
    if _compress(root, remove_raw, **options):
        raise SystemExit(1)


def _compress(root: Path, remove_raw: bool, quiet: bool = False, **options: object) -> bool:
    """Compress, say what was done (`quiet`: not that there was nothing to do); whether something failed."""
    from ingest import compress, compression_command

    with compression_command.shown_progress() as progress:
        summary = compress(root, remove_raw=remove_raw, progress=progress, **options)
    if summary.recordings or not quiet:
        click.echo(compression_command.report(summary, remove_raw))
    return bool(summary.failures)


@main.command()
@click.option("--once", is_flag=True, help="End when nothing is left to do; else wait for more until it is stopped.")
@click.option("--processes", type=click.IntRange(1), help="How many workers; by default one for each processor.")
@click.option("--table", "tables", multiple=True, help="Only this table, e.g. TrialSet; may be given several times.")
@click.option(
    "--max-seconds", type=click.FloatRange(0, min_open=True), help="End after that time, e.g. in a batch job."
)
def work(once: bool, processes: int | None, tables: tuple[str, ...], max_seconds: float | None) -> None:
    """Compute what is to be computed, in parallel, with any number of these on any number of computers."""
    from rich.console import Console

    import pipeline
    from pipeline import worker
    from pipeline.worker.display import Progress, describe

    pipeline.connect()
    chosen = worker.tables_named(tables) if tables else None
    with Progress(Console(stderr=True)) as progress:
        summary = worker.work(once, processes, chosen, max_seconds, watch=progress.watch, say=progress.say)
    click.echo(describe(summary))
    if summary.stopped_by is not None:
        raise SystemExit(128 + summary.stopped_by)


@main.command()
@click.argument("table", required=False)
@click.option("--like", help="Only failures whose message contains this text.")
def retry(table: str | None, like: str | None) -> None:
    """Give failed jobs back to the workers, of all tables or of TABLE."""
    import pipeline
    from pipeline import worker
    from pipeline.database import registry

    pipeline.connect()
    given = worker.retry(worker.tables_named([table]) if table else registry.populated_tables(), like)
    for label, n_jobs in given.items():
        click.echo(f"{label}: {n_jobs:,} given back")
    click.echo("the workers try again (neurojoint work)" if given else "no failed job" + (" says that" if like else ""))


@main.command()
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def refresh(dry_run: bool, yes: bool) -> None:
    """Delete rows that were made from files that have changed since; the workers compute them again."""
    import pipeline
    from pipeline import staleness

    pipeline.connect()
    stale = staleness.find()
    if not stale.keys:
        click.echo("nothing is stale")
        return
    for label, keys in stale.keys.items():
        gone = stale.vanished.get(label, 0)
        click.echo(f"{label}: {len(keys):,} stale" + (f", {gone:,} of them without any file left" if gone else ""))
    click.echo("with what hangs on them, these rows go:")
    for label, n_rows in stale.lost.items():
        click.echo(f"  {n_rows:>10,}  {label}")
    if dry_run:
        return
    if not yes:
        click.confirm("Delete them?", abort=True)
    deleted = staleness.refresh()
    click.echo(f"{sum(deleted.values()):,} rows deleted; neurojoint work computes them again")


@main.command()
@click.option("--watch", is_flag=True, help="Look again every two seconds until Ctrl-C.")
@click.option("--lab", help="Only what belongs to this lab.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(watch: bool, lab: str | None, as_json: bool) -> None:
    """Show per table what is done, pending, running, failed and stale; what went wrong; who is working."""
    import json

    from rich.console import Console
    from rich.live import Live

    import pipeline
    from pipeline.status import collect
    from pipeline.status import watch as again
    from pipeline.worker.display import show

    pipeline.connect(create=False)
    if as_json:
        click.echo(json.dumps(collect(lab).to_dict(), indent=2))
        return
    console = Console()
    if not watch:
        console.print(show(collect(lab)))
        return
    with Live(console=console, auto_refresh=False) as live, contextlib.suppress(KeyboardInterrupt):
        for found in again(lab):
            live.update(show(found), refresh=True)


@main.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.option(
    "--mice", default=4, show_default=True, help="Mice: fast, slow, never learning, side-biased, then average."
)
@click.option("--sessions", default=20, show_default=True, help="Sessions of each mouse.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same files.")
@click.option("--lab", default="simlab", show_default=True, help="Name of the lab.")
@click.option("--form", default="mixed", show_default=True, help="Trials as mixed, npy, table, plain or revision.")
@click.option("--wheel/--no-wheel", default=True, help="Write wheel traces and camera times too (most of the bytes).")
@click.option("--damaged", is_flag=True, help="Add one session per kind of damage, to see what an ingest refuses.")
def simulate(root: Path, mice: int, sessions: int, **options: object) -> None:
    """Write a simulated lab as an ALF tree below ROOT, with the truth that generated it in ROOT/truth.json."""
    from rich.progress import Progress

    from ingest.simulate import write_lab

    with Progress(transient=True) as bar:
        task = bar.add_task("sessions", total=mice * sessions)
        truth = write_lab(root, mice, sessions, progress=lambda done, _: bar.update(task, completed=done), **options)
    click.echo(f"{mice} mice with {sessions} sessions each in {root}; what generated them: {truth}")


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; others can reach 0.0.0.0.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--public-read", is_flag=True, help="Let those read who are not logged in.")
@click.option("--root", type=click.Path(path_type=Path, exists=True, file_okay=False), help="The data root.")
def serve(host: str, port: int, public_read: bool, root: Path | None) -> None:
    """Answer the ONE client and other programs over HTTP, in Alyx's way, until stopped."""
    from one_bridge.server.serve import LOCAL, serve

    click.echo(f"http://{host}:{port} (stop with Ctrl-C)")
    if host not in LOCAL:
        click.echo("passwords travel unencrypted: put a proxy with TLS before it (docs/server.md)", err=True)
    serve(host, port, public_read, root)


@main.group()
def user() -> None:
    """Accounts of the server: add, list, disable, tokens."""


@user.command("add")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["public", "member", "manager", "admin"]),
    default="member",
    show_default=True,
    help="public reads; member also writes; manager also deletes and edits what labs share; admin everything.",
)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def user_add(name: str, role: str, password_stdin: bool) -> None:
    """Add the account NAME, or give it a new password and role; asks for the password."""
    import sys

    from one_bridge.server import accounts

    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("password", hide_input=True, confirmation_prompt=True, err=True)
    click.echo(accounts.add(name, password, role))


@user.command("list")
def user_list() -> None:
    """List the accounts."""
    from one_bridge.server import accounts

    for line in accounts.lines():
        click.echo(line)


@user.command("disable")
@click.argument("name")
@click.option("--enable", is_flag=True, help="Let it in again.")
def user_disable(name: str, enable: bool) -> None:
    """Shut the account NAME out. Its tokens end at once."""
    from one_bridge.server import accounts

    accounts.store().disable(name, enabled=enable)


@user.command("token")
@click.argument("name")
@click.option("--revoke", is_flag=True, help="End all its tokens instead.")
@click.option("--label", default="", help="What the token is for.")
def user_token(name: str, revoke: bool, label: str) -> None:
    """Print a new token of the account NAME; it is shown only now."""
    from one_bridge.server import accounts

    if revoke:
        click.echo(f"{accounts.store().revoke_tokens(name)} tokens ended")
    else:
        click.echo(accounts.store().issue_token(name, label))


@main.command("client-config")
@click.option("--url", required=True, help="Address of the server, e.g. http://127.0.0.1:8000")
@click.option("--user", "name", required=True, help="Your account.")
@click.option("--token", help="A token of it; by default one is fetched with the password, which is asked for.")
@click.option("--cache-dir", type=click.Path(path_type=Path), help="Where the client keeps downloads.")
@click.option("--default", "make_default", is_flag=True, help="ONE() without an address means this server.")
def client_config(url: str, name: str, token: str | None, cache_dir: Path | None, make_default: bool) -> None:
    """Write the parameter files of the ONE client, so that ONE(base_url=URL) asks nothing."""
    from one_bridge import client_config as room

    url = room.checked_url(url)
    if token is None:
        token = room.login(url, name, click.prompt("password", hide_input=True, err=True))
    for path in room.configure(url, name, token, cache_dir, make_default):
        click.echo(path)


def _which(command: click.Command) -> click.Command:
    """Options that say which datasets or sessions are meant; names count whole, several are written with commas."""
    for option in reversed(
        [
            click.option("--session", help="Experiment ids."),
            click.option("--subject", help="Names of animals."),
            click.option("--lab", help="Names of labs."),
            click.option("--date", "date_range", help="A day, or the first and the last: 2020-01-01,2020-01-31."),
            click.option("--project", "projects", help="Part of a project's name."),
            click.option("--name", help="File names of datasets, e.g. spikes.times.npy"),
            click.option("--collection", help="Part of the folder below the session."),
            click.option("--revision", help="Part of a revision's name."),
        ]
    ):
        command = option(command)
    return command


@main.command("cache")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--tag", help="Only the datasets of this tag.")
def cache(out: Path, tag: str | None) -> None:
    """Write the tables of the ONE client (sessions, datasets, insertions) to the folder OUT, e.g. the data root."""
    from one_bridge import cache as room
    from one_bridge.tables import join_database

    join_database()
    for path in room.export(out, tag):
        click.echo(path)


@main.group()
def tag() -> None:
    """Name sets of datasets, e.g. releases, and protect them."""


@tag.command("define")
@click.argument("name")
@click.option("--protected/--unprotected", default=None, help="Its files may not be overwritten.")
@click.option("--public/--private", default=None, help="Its files are for everyone.")
@click.option("--description", help="What for.")
def tag_define(name: str, protected: bool | None, public: bool | None, description: str | None) -> None:
    """Make the tag NAME, or change it."""
    from one_bridge import curation
    from one_bridge.tables import join_database

    join_database()
    curation.define_tag(name, protected, public, description)


@tag.command("add")
@click.argument("tag_name", metavar="NAME")
@_which
def tag_add(tag_name: str, **which: str | None) -> None:
    """Put datasets into the tag NAME."""
    from one_bridge import curation
    from one_bridge.tables import join_database

    join_database()
    click.echo(f"{curation.tag(tag_name, curation.choose(which))} datasets added to {tag_name}")


@tag.command("remove")
@click.argument("tag_name", metavar="NAME")
@_which
def tag_remove(tag_name: str, **which: str | None) -> None:
    """Take datasets out of the tag NAME."""
    from one_bridge import curation
    from one_bridge.tables import join_database

    join_database()
    click.echo(f"{curation.untag(tag_name, curation.choose(which))} datasets removed from {tag_name}")


@tag.command("list")
def tag_list() -> None:
    """List the tags with the number of their datasets."""
    from one_bridge import curation
    from one_bridge.tables import join_database

    join_database()
    for row in curation.tags():
        marks = [word for word in ("protected", "public") if row[f"tag_{word}"]]
        click.echo("  ".join(filter(None, [row["tag"], str(row["n_datasets"]), *marks, row["tag_description"]])))


@main.command("qc")
@click.argument("outcome", type=click.Choice(["NOT_SET", "PASS", "WARNING", "FAIL", "CRITICAL"]))
@_which
def qc(outcome: str, **which: str | None) -> None:
    """Set the QC outcome of sessions; with --name, --collection or --revision, of their datasets."""
    from one_bridge import curation
    from one_bridge.tables import join_database

    join_database()
    of_sessions = not any(which[name] for name in ("name", "collection", "revision"))
    if of_sessions:
        which = {name: which[name] for name in ("session", "subject", "lab", "date_range", "projects")}
    changed = curation.set_qc(curation.choose(which, of_sessions), outcome)
    click.echo(f"{changed} {'sessions' if of_sessions else 'datasets'} changed to {outcome}")
