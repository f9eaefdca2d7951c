"""The lab server's program."""

from __future__ import annotations

from pathlib import Path

import click

import pipeline
from ingest.agent.agent import Agent, Options
from ingest.agent.desk import DatabaseDesk, Desk, HttpDesk
from ingest.agent.service import TaskService
from ingest.agent.unit import unit
from neurojoint.cli.group import main
from pipeline.errors import UserError
from pipeline.settings import settings, usable_cpus


@main.command()
@click.option("--root", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True,
              help="Folder of lab/Subjects/… on this computer.")  # fmt: skip
@click.option("--server", help="Address of `neurojoint serve`; without it, the database is used directly.")
@click.option("--repository", default="", help="Name of the repository that ROOT is; needed with --server.")
@click.option("--name", help="Of this computer; by default its host name.")
@click.option("--scratch", type=click.Path(path_type=Path), help="Folder for what tasks need while they run.")
@click.option("--cores", type=click.IntRange(1), help="Processors that tasks may use; by default all.")
@click.option("--memory", type=click.IntRange(256), help="MiB that tasks may use; by default three quarters.")
@click.option("--gpu", "gpus", type=click.IntRange(0), default=0, help="Graphics processors that tasks may use.")
@click.option(
    "--env", "environments", multiple=True, metavar="NAME=COMMAND",
    help="Program of an environment, e.g. pose='/opt/dlc/analyse {video} {output}'; may be repeated.",
)  # fmt: skip
@click.option("--module", "modules", multiple=True, help="A module of the lab's own that registers task kinds.")
@click.option(
    "--quiet", default=3600.0, show_default=True, help="Seconds without change after which a session is ready."
)
@click.option("--remove-raw", is_flag=True, help="Remove raw files that a registered, verified output replaces.")
@click.option("--once", is_flag=True, help="End when there is nothing to do.")
@click.option("--systemd", is_flag=True, help="Print a systemd unit for this command, and end.")
def agent(
    root: Path, server: str | None, repository: str, name: str | None, scratch: Path | None, cores: int | None,
    memory: int | None, gpus: int, environments: tuple[str, ...], modules: tuple[str, ...], quiet: float,
    remove_raw: bool, once: bool, systemd: bool,
) -> None:  # fmt: skip
    """Work off the tasks of a lab's sessions on this computer.

    It finds new session folders below ROOT, registers them, and works off what it can. With --server it needs
    nothing but HTTPS; the token of its account (neurojoint user token NAME --lab LAB) is in the variable
    NEUROJOINT_SERVER_TOKEN.
    """
    import getpass
    import importlib
    import logging
    import os
    import platform
    import shlex
    import signal
    import sys

    import psutil

    if systemd:
        program = [str(Path(sys.argv[0]).resolve())]
        if not os.access(program[0], os.X_OK):  # Python was started with the command as its argument
            program = [sys.executable, "-c", "from neurojoint.command import run; run()"]
        known = {name: os.environ[name] for name in ("NEUROJOINT_HOME",) if name in os.environ}
        arguments = [item for item in sys.argv[1:] if item != "--systemd"]
        click.echo(unit([*program, *arguments], getpass.getuser(), str(Path.cwd()), known), nl=False)
        return
    commands = {}
    for environment in environments:
        label, separator, command = environment.partition("=")
        if not separator or not shlex.split(command):
            raise click.UsageError(f"write --env as NAME=COMMAND, not {environment!r}")
        commands[label] = shlex.split(command)
    for module in modules:
        importlib.import_module(module)
    logging.getLogger("ingest").setLevel("INFO")
    options = Options(
        root.resolve(), (scratch or settings().home / "tasks" / "scratch").resolve(), (name or platform.node())[:64],
        repository, commands, cores or usable_cpus(), gpus,
        memory or int(psutil.virtual_memory().total * 0.75) >> 20,
        quiet, remove_raw, modules,
    )  # fmt: skip
    desk: Desk
    if server:
        token = os.environ.get("NEUROJOINT_SERVER_TOKEN")
        if not token:
            raise click.UsageError("put the token of an account into NEUROJOINT_SERVER_TOKEN")
        if not repository:
            raise click.UsageError("say with --repository which repository the root is")
        if not server.startswith("https://") and not server.startswith(("http://127.0.0.1", "http://localhost")):
            click.echo("the token travels unencrypted: use https", err=True)
        desk = HttpDesk(server, token)
    else:
        pipeline.connect()
        service = TaskService(getpass.getuser()[:64], None, options.root, settings().home / "tasks" / "received")
        desk = DatabaseDesk(service)
    worker = Agent(desk, options)
    ended = False

    def stop(*_: object) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGTERM, stop)
    try:
        count = worker.run(lambda: ended, once)
    except KeyboardInterrupt:
        count = 0
    except UserError as error:
        raise click.ClickException(str(error)) from None
    finally:
        worker.stop()
    click.echo(f"{count} tasks ended")
