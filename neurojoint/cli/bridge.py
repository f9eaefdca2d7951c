"""Commands around ONE: the server, its accounts, the client's tables; tags, QC, revisions and repositories."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import click

from neurojoint.cli.group import main


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; others can reach 0.0.0.0.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--public-read", is_flag=True, help="Let those read who are not logged in.")
@click.option("--root", type=click.Path(path_type=Path, exists=True, file_okay=False), help="The data root.")
@click.option("--dashboard", is_flag=True, help="Serve the site for trainers too, below /app/, with the same accounts.")
@click.option("--public-dashboard", is_flag=True, help="The same, also for those who are not signed in: pseudonyms.")
def serve(host: str, port: int, public_read: bool, root: Path | None, dashboard: bool, public_dashboard: bool) -> None:
    """Answer the ONE client and other programs over HTTP, in Alyx's way, until stopped."""
    from one_bridge.server.serve import LOCAL, serve

    options = {}
    click.echo(f"http://{host}:{port} (stop with Ctrl-C)")
    if dashboard or public_dashboard:
        from dashboard.server.serve import address, onto

        options["beside"] = lambda api: onto(
            api, api.state.bridge.database, api.state.bridge.gate.throttle, public_dashboard
        )
        click.echo(f"the site: {address(host, port)}")
    if host not in LOCAL:
        click.echo("passwords travel unencrypted: put a proxy with TLS before it (docs/server.md)", err=True)
    serve(host, port, public_read, root, **options)


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
@click.option("--scope", type=click.Choice(["public", "member", "manager", "admin"]), default=None,
              help="The most that the token may do; by default as much as the account.")  # fmt: skip
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="After which it ends; by default never.")
def user_token(name: str, revoke: bool, label: str, scope: str | None, days: float | None) -> None:
    """Print a new token of the account NAME; it is shown only now."""
    from one_bridge.server import accounts

    if revoke:
        click.echo(f"{accounts.store().revoke_tokens(name)} tokens ended")
    else:
        click.echo(accounts.store().issue_token(name, label, scope or "", days))


@user.command("sessions")
@click.argument("name")
@click.option("--end", is_flag=True, help="Sign the account out everywhere; tokens for programs stay.")
def user_sessions(name: str, end: bool) -> None:
    """List where the account NAME is signed in, and its tokens."""
    from one_bridge.server import accounts

    if end:
        click.echo(f"{accounts.store().end_sessions(name)} sessions ended")
    else:
        for line in accounts.session_lines(name):
            click.echo(line)


@user.command("sign-ins")
@click.argument("name", required=False)
def user_sign_ins(name: str | None) -> None:
    """List the last attempts to sign in, of all accounts or of NAME."""
    from one_bridge.server import accounts

    for line in accounts.sign_in_lines(name):
        click.echo(line)


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
    _curation().define_tag(name, protected, public, description)


@tag.command("add")
@click.argument("tag_name", metavar="NAME")
@_which
def tag_add(tag_name: str, **which: str | None) -> None:
    """Put datasets into the tag NAME."""
    curation = _curation()
    click.echo(f"{curation.tag(tag_name, curation.choose(which))} datasets added to {tag_name}")


@tag.command("remove")
@click.argument("tag_name", metavar="NAME")
@_which
def tag_remove(tag_name: str, **which: str | None) -> None:
    """Take datasets out of the tag NAME."""
    curation = _curation()
    click.echo(f"{curation.untag(tag_name, curation.choose(which))} datasets removed from {tag_name}")


@tag.command("list")
def tag_list() -> None:
    """List the tags with the number of their datasets."""
    for row in _curation().tags():
        marks = [word for word in ("protected", "public") if row[f"tag_{word}"]]
        click.echo("  ".join(filter(None, [row["tag"], str(row["n_datasets"]), *marks, row["tag_description"]])))


@main.group()
def revision() -> None:
    """Versions of datasets: the folders #revision#."""


@revision.command("define")
@click.argument("name")
@click.option("--description", help="What changed.")
def revision_define(name: str, description: str | None) -> None:
    """Make the revision NAME, or describe it. Registration makes those it finds; later names are newer."""
    _curation().define_revision(name, description)


@revision.command("list")
def revision_list() -> None:
    """List the revisions with the number of their datasets."""
    for row in _curation().revisions():
        click.echo("  ".join(filter(None, [row["revision"], str(row["n_datasets"]), row["revision_description"]])))


@revision.command("remove")
@click.argument("name")
def revision_remove(name: str) -> None:
    """Forget the revision NAME, which no dataset may have."""
    _curation().remove_revision(name)


@main.group()
def repository() -> None:
    """Places that hold files: folders, web addresses, buckets."""


@repository.command("define")
@click.argument("name")
@click.option("--kind", type=click.Choice(["local", "http", "s3", "globus"]), help="What it is; a folder by default.")
@click.option("--root", help="Folder, address or bucket under which its files begin; needed for a new one.")
@click.option("--host", help="The computer, where it matters.")
def repository_define(name: str, kind: str | None, root: str | None, host: str | None) -> None:
    """Make the repository NAME, or change it, e.g. after its folder was moved."""
    _curation().define_repository(name, kind, root, host)


@repository.command("list")
def repository_list() -> None:
    """List the repositories with the number of files recorded in each."""
    for row in _curation().repositories():
        place = [row["repository_kind"], row["repository_root"], row["repository_host"]]
        click.echo("  ".join(filter(None, [row["repository"], str(row["n_datasets"]), *place])))


@repository.command("remove")
@click.argument("name")
def repository_remove(name: str) -> None:
    """Forget the repository NAME, in which no file may be recorded."""
    _curation().remove_repository(name)


@main.command("qc")
@click.argument("outcome", type=click.Choice(["NOT_SET", "PASS", "WARNING", "FAIL", "CRITICAL"]))
@_which
def qc(outcome: str, **which: str | None) -> None:
    """Set the QC outcome of sessions; with --name, --collection or --revision, of their datasets."""
    curation = _curation()
    of_sessions = not any(which[name] for name in ("name", "collection", "revision"))
    if of_sessions:
        which = {name: which[name] for name in ("session", "subject", "lab", "date_range", "projects")}
    changed = curation.set_qc(curation.choose(which, of_sessions), outcome)
    click.echo(f"{changed} {'sessions' if of_sessions else 'datasets'} changed to {outcome}")


def _curation() -> ModuleType:
    """The room of tags, QC, revisions and repositories, with the database joined."""
    from one_bridge import dataset_admin
    from one_bridge.tables import join_database

    join_database()
    return dataset_admin
