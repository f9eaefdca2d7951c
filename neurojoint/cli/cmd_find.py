"""Commands that search: find sessions, find units, find insertions, find rois."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

import pipeline
from neurojoint.cli.group import main
from neurojoint.cli.options import combined, session_options, status_option, table_options, unit_options
from pipeline.queries import search as room
from pipeline.queries.imaging import find_rois
from pipeline.queries.sessions import find_sessions

if TYPE_CHECKING:
    import pyarrow as pa


_rules_option = click.option("--rules", help="Rules of that status  [default: the setting criteria]")
_trial_options = combined(
    click.option("--condition", help="Sessions with trials that fulfil this: a name, or an expression."),
    click.option("--period", help="Sessions with trials that have this period; see `neurojoint period`."),
    click.option("--min-trials", type=click.IntRange(1), help="At least so many such trials  [default: 1]"),
)
_kind_options = combined(
    click.option("--cell-type", help="Units of this type by waveform: fast-spiking or regular-spiking."),
    click.option("--tagged", is_flag=True, help="Units that follow light (optotagging)."),
    click.option("--selective", metavar="NAME", help="Units that tell the groups of this comparison apart."),
)
_options = combined(unit_options, status_option, _rules_option, session_options, table_options)


@main.group()
def find() -> None:
    """Find sessions, insertions, units and two-photon cells."""


@find.command()
@_options
@_kind_options
@_trial_options
@click.option("--hemisphere", type=click.Choice(["left", "right"]), help="Side of the brain, by the channel's ML.")
def units(form: str | None, **asked: Any) -> None:
    """Find insertions with units that meet the criteria.

    With --json or --csv each unit is written, with its region and position (um from bregma).

    Example: neurojoint find units --region TH --good --min 10 --status trained_1b
    """
    pipeline.connect(create=False)
    asked = {name: value for name, value in asked.items() if value is not None}
    table = room.find_units(**asked)
    if form is None:
        _show_units(table, asked)
        _warn(asked)
    else:
        _write(table, form)


@find.command()
@_options
@_kind_options
@_trial_options
def insertions(form: str | None, **asked: Any) -> None:
    """Find insertions with a channel in a region.

    Shows how many units that meet the criteria they have.

    Example: neurojoint find insertions --region TH --min 10
    """
    pipeline.connect(create=False)
    asked = {name: value for name, value in asked.items() if value is not None}
    table = room.find_insertions(**asked)
    if form is not None:
        _write(table, form)
        return
    for row in table.to_pylist():
        click.echo(
            f"{row['pid']}  {_path(row)}  {_many(row['n_channels'], 'channel')}, {_many(row['n_units'], 'unit')}"
        )
    click.echo(_many(table.num_rows, "insertion"), err=True)
    _warn(asked)


@find.command()
@click.option("--region", help="Acronyms of the Allen atlas, e.g. VISp, with all within them.")
@click.option("--type", "kind", help="Only ROI of these types, as the files call them, e.g. cell; commas between.")
@click.option("--probability", "min_probability", type=click.FloatRange(0, 1), help="Least probability of a cell.")
@click.option("--hemisphere", type=click.Choice(["left", "right"]), help="Side of the brain.")
@session_options
@table_options
def rois(form: str | None, **asked: Any) -> None:
    """Find regions of interest (ROI) of two-photon sessions.

    A line a field of view: how many, and in which brain regions. With --json or --csv each ROI is written.

    Example: neurojoint find rois --region VISp --type cell
    """
    pipeline.connect(create=False)
    table = find_rois(**{name: value for name, value in asked.items() if value is not None})
    if form is not None:
        _write(table, form)
        return
    found: dict[tuple[str, ...], Counter] = {}
    for row in table.to_pylist():
        session = f"{row['lab']}/{row['subject']}/{row['session_date']}/{row['session_number']:03d}"
        found.setdefault((row["eid"], f"{session} {row['fov_name']}"), Counter())[row["acronym"] or "no region"] += 1
    for (eid, place), regions in found.items():
        where = ", ".join(f"{name} {count}" for name, count in regions.most_common())
        click.echo(f"{eid}  {place}  {regions.total():,} ROI: {where}")
    click.echo(f"{table.num_rows:,} ROI in {_many(len(found), 'field')} of view", err=True)


@find.command()
@status_option
@_rules_option
@click.option("--trials-qc", help="Outcome of the checks of the trials: NOT_SET, PASS, WARNING, FAIL; commas between.")
@click.option("--wheel-qc", help="Outcome of the checks of the wheel: NOT_SET, PASS, WARNING, FAIL; commas between.")
@click.option("--qc", help="QC of the session: NOT_SET, PASS, WARNING, FAIL, CRITICAL; commas between.")
@click.option("--kind", help="Kind of the task: training, biased, ephys, passive, habituation, other.")
@click.option("--light", is_flag=True, help="Sessions in which light was given to the brain.")
@session_options
@_trial_options
@table_options
def sessions(form: str | None, **asked: Any) -> None:
    """Find sessions by training status and quality.

    A line a task: how many trials, what their checks found, and in words what is wrong.

    Example: neurojoint find sessions --trials-qc WARNING,FAIL --since 2024-01-01
    """
    pipeline.connect(create=False)
    table = find_sessions(**{name: value for name, value in asked.items() if value is not None})
    if form == "csv":  # which has no lists
        said = ["; ".join(words) for words in table["trials_findings"].to_pylist()]
        table = table.set_column(table.column_names.index("trials_findings"), "trials_findings", [said])
    if form is not None:
        _write(table, form)
        return
    for row in table.to_pylist():
        place = f"{row['lab']}/{row['subject']}/{row['session_date']}/{row['session_number']:03d}"
        easy = (
            "" if row["performance_easy"] is None else f", {100 * row['performance_easy']:.0f} % of easy ones correct"
        )
        task = f"{row['task_collection']} {row['task_kind'] or 'other'}"
        some = f", {row['n_fulfilling']:,} as asked" if "n_fulfilling" in row else ""
        wheel = f", wheel {row['wheel_qc']}" if row["wheel_qc"] else ""
        trials = f"{_many(row['n_trials'], 'trial')}{some}{easy}; trials {row['trials_qc']}{wheel}"
        click.echo(f"{row['eid']}  {place} {task}: {trials}")
        for words in row["trials_findings"]:
            click.echo(f"    {words}")
        if row["wheel_notes"]:
            click.echo(f"    wheel: {row['wheel_notes']}")
    click.echo(_many(table.num_rows, "task"), err=True)


def _show_units(table: pa.Table, asked: dict[str, Any]) -> None:
    """A line an insertion: how many units, where, and their numbers."""
    insertions: dict[tuple, dict[str, Any]] = {}
    columns = [table[name].to_pylist() for name in ("pid", "acronym", "cluster_id")]
    paths = _paths(table)
    for path, pid, acronym, cluster_id in zip(paths, *columns, strict=True):
        one = insertions.setdefault((path, pid), {"regions": Counter(), "ids": []})
        one["regions"][acronym or "no region"] += 1
        one["ids"].append(cluster_id)
    for (path, pid), one in insertions.items():
        regions = ", ".join(f"{name} {count}" for name, count in one["regions"].most_common())
        click.echo(f"{pid}  {path}  {_many(len(one['ids']), 'unit')}: {regions}")
        click.echo(f"    {_short(one['ids'])}")
    sessions = {path.rpartition(" ")[0] for path, _ in insertions}
    summary = [_many(table.num_rows, "good unit" if asked.get("good") or asked.get("criteria") else "unit")]
    summary += [_many(len(insertions), "insertion"), _many(len(sessions), "session")]
    click.echo(" of ".join(summary[:2]) + f" in {summary[2]}", err=True)


def _paths(table: pa.Table) -> list[str]:
    names = ("lab", "subject", "session_date", "session_number", "probe_label")
    rows = zip(*(table[name].to_pylist() for name in names), strict=True)
    return [_path(dict(zip(names, row, strict=True))) for row in rows]


def _path(row: dict[str, Any]) -> str:
    session = f"{row['lab']}/{row['subject']}/{row['session_date']}/{row['session_number']:03d}"
    return f"{session} {row['probe_label']}"


def _short(ids: list[int]) -> str:
    """Numbers in order with runs as `3-7`."""
    runs: list[list[int]] = []
    for id_ in ids:
        if runs and id_ == runs[-1][-1] + 1:
            runs[-1][1:] = [id_]
        else:
            runs.append([id_])
    return " ".join("-".join(map(str, run)) for run in runs)


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _warn(asked: dict[str, Any]) -> None:
    """Say where units are missing because something was not computed yet."""
    criteria = asked.get("criteria")
    if (asked.get("good") or criteria) and (waiting := room.unjudged(criteria)):
        text = f"{_many(waiting, 'clustering')} not judged by these criteria yet, and left out: run `neurojoint work`"
        click.echo(text, err=True)


def _write(table: pa.Table, form: str) -> None:
    import io
    import json

    import pyarrow.csv as pa_csv

    if form == "csv":
        out = io.BytesIO()
        pa_csv.write_csv(table, out)
        click.echo(out.getvalue(), nl=False)
    else:
        click.echo(json.dumps(table.to_pylist(), default=str, indent=1))
