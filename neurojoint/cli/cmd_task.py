"""Preprocessing tasks: graph, list, and what people change."""

from __future__ import annotations

from typing import Any

import click

import pipeline
from ingest.agent import sessions
from neurojoint.cli.group import main
from pipeline.entry.policy import Person
from pipeline.queries import timeline
from pipeline.tasks import by_people, description, hosts, kinds, plan, submit
from pipeline.tasks.plan import drawn
from pipeline.tasks.queue import Queue


@main.group()
def task() -> None:
    """Show and change preprocessing tasks (docs/lab-server.md)."""


@task.command("graph", short_help="Draw the tasks of a session.")
@click.argument("session")
def task_graph(session: str) -> None:
    """Draw the tasks of SESSION: lab/Subjects/subject/date/number, an eid, or a folder that is not registered."""
    from pathlib import Path

    folder = Path(session)
    if folder.is_dir():
        unregistered = sessions.look(folder.resolve())
        told = sessions.report(unregistered) if unregistered else {}
        files = told.get("files", {})
        content = told.get("description")
        read = description.read(content) if content else description.infer(files)
        lines = drawn(plan(read, files, told.get("protocol", "")))
    else:
        pipeline.connect()

        key = timeline.session_key(session)
        states = {row["task_name"]: row["status"] for row in timeline.tasks(key)}
        planned = submit.planned_of(key)
        if planned is None:
            raise click.ClickException(
                f"no lab server has reported {session}: give its folder, or start `neurojoint agent`"
            )
        lines = drawn(planned, states)
    for line in lines or ["no task kind has anything to do in this session"]:
        click.echo(line)


@task.command("list")
@click.argument("query", nargs=-1)
@click.option("--limit", default=50, show_default=True)
def task_list(query: tuple[str, ...], limit: int) -> None:
    """List tasks. QUERY are pairs NAME=VALUE: status, lab, subject, date, kind, name, host, exit."""
    rows = _found(query)

    computers = hosts.known() if any(row["status"] == "Waiting" for row in rows[:limit]) else []
    for row in rows[:limit]:
        place = f"{row['subject']}/{row['session_date']}/{row['session_number']:03d}" if row["subject"] else "-"
        lacking = hosts.why_not(row, computers) if row["status"] == "Waiting" else None
        what = f"no computer takes it: {lacking.what}" if lacking else row["task_message"] or row["task_activity"]
        click.echo(f"{row['task_uuid'][:8]}  {row['status']:10}  {place:32}  {row['task_name']:28}  {what[:100]}")
    if len(rows) > limit:
        click.echo(f"and {len(rows) - limit:,} more (--limit)")
    if not rows:
        click.echo("no tasks")


@task.command("log")
@click.argument("task_uuid")
def task_log(task_uuid: str) -> None:
    """Print the log of the last attempt of a task."""
    queue, (row,) = _queue(), _by_id([task_uuid])
    click.echo(queue.log_text(row["task_uuid"]))


@task.command("rerun")
@click.argument("query", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Only show what would run again.")
@click.option("--stale", is_flag=True, help="Only those that an older version of their kind did.")
def task_rerun(query: tuple[str, ...], dry_run: bool, stale: bool) -> None:
    """Run tasks again, with those that wait for them. QUERY as for `task list`."""
    if not query and not stale:
        raise click.UsageError("say which (e.g. kind=extract_trials lab=mylab), or --stale")

    known = kinds()
    rows = _found(query)
    if stale:
        rows = [row for row in rows if row["task_state"] in ("Complete", "Incomplete", "Empty")
                and row["kind_name"] in known and row["task_version"] != known[row["kind_name"]].version]  # fmt: skip
    queue = _queue()
    ids = [row["task_uuid"] for row in rows]
    below = [descendant for descendant in queue.descendants(ids) if descendant not in set(ids)]
    if dry_run:
        for row in rows:
            place = f"{row['subject']}/{row['session_date']}/{row['session_number']:03d}" if row["subject"] else "-"
            click.echo(f"{place}  {row['task_name']}  version {row['task_version'] or '-'}")
        click.echo(f"{len(ids):,} tasks would run again, and {len(below):,} that wait for them")
        return
    click.echo(f"{queue.restart([*ids, *below]):,} tasks run again")


def _change(name: str, words: str, done: str) -> None:
    @task.command(name, help=words)
    @click.argument("task_uuids", nargs=-1, required=True)
    def command(task_uuids: tuple[str, ...]) -> None:
        import getpass

        queue, rows = _queue(), _by_id(task_uuids)

        n_changed = by_people.change(queue, name, rows, Person(getpass.getuser(), "admin"))
        click.echo(f"{n_changed:,} {'task' if n_changed == 1 else 'tasks'} {done}")


_change("hold", "Hold tasks back.", "held back")
_change("unhold", "Let tasks go that were held back.", "let go")
_change("abandon", "Abandon tasks; who works on one is told.", "abandoned")
_change("restart", "Let tasks run again from the beginning.", "restarted")


def _queue() -> Any:
    pipeline.connect()

    return Queue()


def _found(query: tuple[str, ...]) -> list[dict[str, Any]]:
    _queue()

    pairs = dict(item.partition("=")[::2] for item in query)
    return timeline.find_tasks(pairs)


def _by_id(ids: Any) -> list[dict[str, Any]]:
    rows = _found(())
    tasks = []
    for id_ in ids:
        fitting = [row for row in rows if row["task_uuid"].startswith(id_.lower())]
        if len(fitting) != 1:
            raise click.ClickException(
                f"{'no' if not fitting else 'more than one'} task begins with {id_}: see task list"
            )
        tasks.append(fitting[0])
    return tasks
