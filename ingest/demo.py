"""All of it on a simulated lab: write the files, register them, populate the tables, say what came out."""

from __future__ import annotations

import datetime
import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

import ingest
from ingest import simulate
from pipeline import data, ephys, ephys_analysis, histology, lab, worker
from pipeline.database.bulk import fetch_columns
from pipeline.errors import NeurojointError

if TYPE_CHECKING:
    from pipeline.worker import Summary

LAB = "simlab"
RULES = {"criteria": "ibl_pipeline_2021"}
GOOD = {"unit_criteria": "ibl", "unit_criteria_version": 1}
SESSIONS_WITH_PROBES = 2
"""Of each mouse that comes so far."""
EVENING = 18
"""From this hour (UTC) on the lab has done its day."""


@dataclass(frozen=True)
class Animal:
    """One line of the summary."""

    subject: str
    n_sessions: int
    n_trials: int
    performance_easy: float | None  # of the last day on which it is known, fraction, 0-1
    status: str
    days: int | None  # training days to the first trained status
    next_status: str
    missing: tuple[str, ...]  # for the next status, in words


@dataclass(frozen=True)
class Probes:
    """The insertions of the simulated lab, all together."""

    n_insertions: int
    n_units: int  # with spikes
    n_good: int  # that meet the rules GOOD
    n_responsive: int  # to the stimulus
    regions: tuple[str, ...]  # acronyms, those with most units first


def run(
    root: Path, n_mice: int = 4, n_sessions: int = 20, processes: int | None = None,
    last: datetime.date | None = None, tell: Callable[[str], None] = lambda line: None,
) -> Summary:  # fmt: skip
    """Simulate a lab below `root` unless it is there, ingest and populate it; call `pipeline.connect()` before.

    The copying of one trials file broke off, so that there is something in the quarantine.

    Parameters
    ----------
    last : date on which the lab ends; by default the last day that is over.
    tell : is called with a line at each step.

    Returns
    -------
    What the workers did.

    Raises
    ------
    NeurojointError : the database holds the data of a real lab.
    """
    others = sorted(set(lab.Lab.to_arrays("lab")) - {LAB})
    if others:
        raise NeurojointError(
            f"this database holds data of {', '.join(others)}",
            "give the demo one of its own: `NEUROJOINT_HOME=/tmp/neurojoint-demo neurojoint demo`",
        )
    if not (root / "truth.json").exists():
        tell(f"writing {n_mice} mice with {n_sessions} sessions each as ALF files below {root}")
        simulate.write_lab(root, n_mice, n_sessions, lab=LAB, last=last or _last_day(), ephys=SESSIONS_WITH_PROBES)
        _break_off(root)
    tell("registering the files")
    metadata = [path for path in sorted(root.glob("*.csv")) + [root / "sessions.json"] if path.exists()]
    ingest.register(root, metadata=metadata)
    tell("populating the tables")
    return worker.work(once=True, processes=processes)


def _last_day() -> datetime.date:
    """Today, or yesterday where the simulated lab is still at work."""
    now = datetime.datetime.now(datetime.UTC)
    return now.date() - datetime.timedelta(days=now.hour < EVENING)


def _break_off(root: Path) -> None:
    """Cut the trials of the last session of the second mouse, as a copy leaves them that stopped."""
    truth = json.loads((root / "truth.json").read_text(encoding="utf-8"))
    if len(truth["mice"]) > 1:
        subject = list(truth["mice"])[1]
        session = [item for item in truth["sessions"] if item["subject"] == subject][-1]
        alf = root / session["path"] / "alf"
        path = next(alf.glob("*trials.table.pqt"), None) or next(alf.glob("*trials.choice.npy"))
        os.truncate(path, path.stat().st_size // 2)


def animals() -> list[Animal]:
    """How each animal of the simulated lab does, by name."""
    from pipeline import behavior, behavior_analysis, subject  # start-up time

    result = []
    for key in (subject.Subject & {"lab": LAB} & behavior.TrialSet.proj()).keys(order_by="subject"):
        training = (behavior_analysis.SubjectTraining & key & RULES).to_dicts()
        known = behavior_analysis.DailySummary & key & "day_performance_easy IS NOT NULL"
        days = known.to_dicts(order_by="session_date DESC", limit=1)
        trials = (behavior.TrialSet & key).to_arrays("n_trials")
        one: dict[str, Any] = (
            training[0]
            if training
            else {"training_status": "", "days_to_status": {}, "next_status": "", "missing_for_next": []}
        )
        trained = [day for status, day in one["days_to_status"].items() if status.startswith("trained")]
        result.append(
            Animal(
                subject=key["subject"],
                n_sessions=len(trials),
                n_trials=int(trials.sum()),
                performance_easy=days[0]["day_performance_easy"] if days else None,
                status=one["training_status"],
                days=min(trained) if trained else None,
                next_status=one["next_status"],
                missing=tuple(one["missing_for_next"]),
            )
        )
    return result


def probes() -> Probes:
    """What was recorded with probes in the simulated lab."""
    here = {"lab": LAB}
    responses = ephys_analysis.Peth.Response & here & {"event": "stim_on"}
    located = (histology.ClusterLocation.Region & here) * histology.BrainRegion.proj("acronym")
    counts: Counter[str] = Counter()
    for row in fetch_columns(located, "acronym", "region_clusters").to_pylist():
        counts[row["acronym"]] += row["region_clusters"]
    return Probes(
        n_insertions=len(ephys.ProbeInsertion & here),
        n_units=len(ephys_analysis.UnitMetrics.Unit & here),
        n_good=len(ephys_analysis.UnitSelection.Unit & here & GOOD),
        n_responsive=len(responses & "is_responsive"),
        regions=tuple(acronym for acronym, _ in counts.most_common()),
    )


def show(console: Console, root: Path) -> None:
    """Print the animals as a table, what was recorded and refused, and what to try next."""
    mice, recorded = animals(), probes()
    refused = (data.Quarantine & "resolved IS NULL").to_dicts(order_by="quarantine_path")
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name, justify in (("mouse", "left"), ("sessions", "right"), ("trials", "right"), ("easy trials", "right")):
        table.add_column(name, justify="left" if justify == "left" else "right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("trained on", no_wrap=True)
    for item in mice:
        easy = "" if item.performance_easy is None else f"{100 * item.performance_easy:.0f} %"
        days = "" if item.days is None else f"day {item.days}"
        table.add_row(item.subject, str(item.n_sessions), f"{item.n_trials:,}", easy, item.status, days)
    n_trained = sum(item.days is not None for item in mice)
    console.print()
    console.print(table)
    for item in mice:
        if item.missing:
            console.print(
                f"\n[bold]{item.subject}[/] lacks for {item.next_status}: {'; '.join(item.missing)}", highlight=False
            )
    console.print(
        f"\n{len(mice)} mice, {sum(item.n_sessions for item in mice)} sessions, "
        f"{sum(item.n_trials for item in mice):,} trials; trained: {n_trained} "
        f"(rules {RULES['criteria']}).",
        highlight=False,
    )
    if recorded.n_insertions:
        regions = ", ".join(recorded.regions[:6]) + (" …" if len(recorded.regions) > 6 else "")
        console.print(
            f"{recorded.n_insertions} insertions with {recorded.n_units} units, {recorded.n_good} of them good by the "
            f"rules {GOOD['unit_criteria']}, {recorded.n_responsive} respond to the stimulus; "
            f"{len(recorded.regions)} regions: {regions}",
            highlight=False,
        )
    for item in refused:
        console.print(f"In quarantine ({item['reason']}): {item['quarantine_path']}", highlight=False, soft_wrap=True)
    console.print(
        "\nWhat to try next:\n"
        "  neurojoint dashboard                     all of it as pages\n"
        "  neurojoint find units --region TH --good --min 3 --status trained_1b+\n"
        "                                           by region, quality and training of the mouse\n"
        "  neurojoint status                        what is done, running, failed, in quarantine\n"
        "  neurojoint user add NAME                 an account; with it `neurojoint serve` answers the ONE client\n"
        "  neurojoint db shell                      the tables in SQL\n"
        "  jupyter lab notebooks                    query, join, plot (the notebooks are in the repository)\n"
        "  neurojoint ingest /your/data             lab/Subjects/subject/date/number/alf/...; then neurojoint work\n"
        f"The files are in {root}, what generated them in {root / 'truth.json'}.",
        highlight=False,
        soft_wrap=True,
    )
