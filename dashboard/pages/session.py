"""One session: how the mouse did, trial by trial, what the wheel did, its files, what is absent of them and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import dash
import dash_mantine_components as dmc
import numpy as np
from dash import ClientsideFunction, Input, Output, State, dcc, html

from dashboard import links
from dashboard.components import shell
from dashboard.components.icons import icon
from dashboard.figures import build, style
from dashboard.figures import session as figures
from dashboard.pages import _session_files as session_files
from dashboard.pages import _session_groups as session_groups
from dashboard.pages import _session_task as session_task
from dashboard.pages import _session_timeline as session_timeline
from dashboard.pages._stores import ShownSession
from dashboard.queries import session as queries
from dashboard.site import Component, NotFound, Page, Site, Viewer
from pipeline.analysis import psychometrics, reaction_times
from pipeline.errors import NeurojointError
from pipeline.web import versioned_cache
from pipeline.web.error_words import InvalidRequest, words_for

PAGE = Page("session", "Session", refresh=False)

RULES = "ibl_pipeline_2021"
FIRST_TRIALS = 20
"""How many trials the wheel is shown of to begin with."""
MOST_TRIALS = 100


def layout(
    site: Site, viewer: Viewer, *, lab: str, subject: str, date: str, number: str, query: Mapping[str, str]
) -> Component:
    """The page."""
    key = links.session_key({"date": date, "number": number})
    key |= {"lab": lab, "subject": site.subject(lab, subject, viewer)}
    rules = query.get("rules") or RULES
    version = site.read(queries.version, key)
    session = site.read(queries.session, key, rules)
    if session is None:
        words = f"on {shell.date(key['session_date'])} with the number {key['session_number']}"
        raise NotFound(f"The mouse {subject} has no session {words}.")
    before, after = ((_label(*item), links.session(lab, subject, *item)) if item else None
                     for item in (session.before, session.after))  # fmt: skip
    shown: ShownSession = {"lab": lab, "name": subject, "date": date, "number": number, "rules": rules,
                           "version": version, "trials": query.get("trials", "")}  # fmt: skip
    return shell.page(
        [f"{subject} · {_label(key['session_date'], key['session_number'])}",
         html.Span(_chips(session), id="session-chips", className="nj-chips nj-beside")],
        html.Div(_body(site, viewer, session, shown), id="session-body", className="nj-stack"),
        dcc.Store(id="session-shown", data=shown),
        subtitle=[html.Span(item) for item in _subtitle(site, viewer, session, subject) if item],
        actions=[
            *(shell.button_link(insertion["probe_label"], links.insertion(*_place(shown), insertion["probe_label"]),
                                icon_name="probe", title="What this probe recorded")
              for insertion in session.insertions),
            *([shell.button_link("NWB", links.nwb(session.row["eid"]), icon_name="download", title="One NWB file",
                                 leaves=True)]
              if viewer.may("member") else []),
            html.Button([icon("link"), "Copy link"], className="nj-button", type="button", **{"data-copy": "1"}),
            shell.neighbours((before, after), "session"),
        ],
    )  # fmt: skip


def register(app: dash.Dash, site: Site) -> None:
    """What is new appears by itself; the wheel is drawn around the trials that are chosen; files can be saved."""
    session_timeline.register(app, site)

    @app.callback(
        Output("session-body", "children"),
        Output("session-chips", "children"),
        Output("session-shown", "data"),
        Input("version", "data"),
        State("session-shown", "data"),
        State("session-trials", "value", allow_optional=True),
        prevent_initial_call=True,
    )
    def renew(_: str, shown: ShownSession | None, trials: str | None) -> tuple:
        if not shown:
            return (dash.no_update,) * 3
        key = _key(site, shown)
        version = site.read(queries.version, key)
        session = None if version == shown["version"] else site.read(queries.session, key, shown["rules"])
        if session is None:
            return (dash.no_update,) * 3
        shown = {**shown, "version": version, "trials": trials or ""}
        return _body(site, site.viewer, session, shown), _chips(session), shown

    @app.callback(
        Output(shell.figure_data("wheel"), "data"),
        Output("session-wheel-words", "children"),
        Input("session-trials", "value"),
        State("session-shown", "data"),
    )
    def turn(text: str | None, shown: ShownSession | None) -> tuple:
        if not shown:
            return dash.no_update, dash.no_update
        drawing, words = _wheel(site, _key(site, shown), text or "")
        return shell.drawn(drawing, "wheel"), words

    def here(name: str) -> ClientsideFunction:
        return ClientsideFunction("neurojoint_session", name)

    app.clientside_callback(
        here("choose_trial"),
        Output("session-trials", "value"),
        Input({"type": "figure", "name": "response-times", "axis": ""}, "clickData", allow_optional=True),
        Input({"type": "figure", "name": "choices", "axis": ""}, "clickData", allow_optional=True),
        prevent_initial_call=True,
    )
    app.clientside_callback(here("remember_trials"), Input("session-trials", "value"), prevent_initial_call=True)


def chosen_trials(text: str, n_trials: int) -> list[int]:
    """The trials that a person names, as `trial_id`, in order; people count from 1.

    Raises
    ------
    NeurojointError : no such trials; the message is a sentence.

    >>> chosen_trials("12, 3-5", 700)
    [2, 3, 4, 11]
    """
    trial_ids: set[int] = set()
    for part in re.split(r"[,;\s]+", re.sub(r"\s*[-–]\s*", "-", text.strip())):
        if not part:
            continue
        if not (given := re.fullmatch(r"([0-9]{1,7})(?:-([0-9]{1,7}))?", part)):
            raise InvalidRequest(f"{part[:20]!r} is no trial", "name trials by number, e.g. 12, 40-45")
        first, last = int(given[1]), int(given[2] or given[1])
        if not 1 <= first <= last <= n_trials:
            raise InvalidRequest(f"There is no trial {part}", f"this session has the trials 1 to {n_trials:,}")
        trial_ids |= set(range(first - 1, min(last, first + MOST_TRIALS)))
        if len(trial_ids) > MOST_TRIALS:
            raise InvalidRequest("These are too many trials to draw", f"name at most {MOST_TRIALS}")
    return sorted(trial_ids)


_wheels = versioned_cache.Kept(6)


def _wheel(site: Site, key: Mapping[str, Any], text: str) -> tuple[Any, Component]:
    """The wheel around the named trials, and a sentence where there is something to say."""
    n_trials, fingerprint = site.read(queries.wheel_of, key)
    nothing = build.figure([], {}, empty="There is no wheel to show.")
    try:
        ids = chosen_trials(text or f"1-{min(FIRST_TRIALS, n_trials)}", n_trials)
        name = (id(site), *(key[part] for part in queries.KEY))
        times, position = _wheels.get(name, fingerprint, lambda: site.read(queries.wheel, key))
    except NeurojointError as error:
        said = words_for(error, site.viewer.role, "a wheel")
        return nothing, shell.sentence(said.text, said.hint, kind="problem")
    rows = site.read(queries.trials, key, ids)
    return figures.wheel_traces(rows, times, position), None


def _key(site: Site, shown: ShownSession) -> dict[str, Any]:
    place = links.session_key({"date": shown["date"], "number": shown["number"]})
    return {"lab": shown["lab"], "subject": site.subject(shown["lab"], shown["name"])} | place


def _place(shown: ShownSession) -> tuple[str, str, str, str]:
    return shown["lab"], shown["name"], shown["date"], shown["number"]


def _label(day: Any, number: int) -> str:
    return shell.date(day) + (f", no. {number}" if number > 1 else "")


def _chips(session: queries.Session) -> list[Component]:
    chips = [shell.status(session.status["session_status"])] if session.status else []
    if session.row["session_qc"] != "NOT_SET":
        chips.append(session_files.qc(session.row["session_qc"]))
    return chips


def _subtitle(site: Site, viewer: Viewer, session: queries.Session, name: str) -> list[Component]:
    row = session.row
    start, end = (site.local(row[item], row["lab"]) for item in ("start_time", "end_time"))
    hours = f"{start:%H:%M}" + (f" to {end:%H:%M}" if end else "") + f" {row['time_zone']}" if start else None
    public = [
        shell.link("All of this mouse", links.mouse(row["lab"], name)),
        shell.link(row["lab"], links.overview(lab=row["lab"])),
        hours,
        row["task_protocol"],
        ", ".join(row["projects"]),
    ]
    return public if viewer.public else [*public, row["rig"] or row["location"], ", ".join(row["users"])]


def _body(site: Site, viewer: Viewer, session: queries.Session, shown: ShownSession) -> list[Component]:
    parts: list[Component] = []
    if session.trial_set is None:
        parts.append(_without_trials(session, viewer))
    else:
        is_described = bool(session.trial_set["paradigm"])  # its curves are in the section of the task
        first = [_facts(session)] if is_described else [_facts(session), _parameters(session)]
        parts += [html.Div(first, className="nj-columns nj-first"), *([] if is_described else _figures(session))]
        parts.append(session_task.section(session))
        parts += [session_groups.light(session), session_groups.comparisons(session)]
        parts.append(_wheel_section(session, shown["trials"]))
    parts += session_files.sections(session, viewer)
    if not viewer.public:
        key = {name: session.row[name] for name in queries.KEY}
        parts += [session_timeline.section(site, viewer, key), _remarks(site, session)]
    return [part for part in parts if part is not None]


def _without_trials(session: queries.Session, viewer: Viewer) -> Component:
    waiting = [job for job in session.jobs if job["table"].endswith("TrialSet")]
    has_files = any(object_["object_name"] == "trials" and object_["accepted"] for object_ in session.objects)
    if waiting and waiting[0]["status"] == "error":
        why = "" if viewer.public else waiting[0]["error_message"]
        return shell.sentence("The trials could not be read.", why, kind="problem")
    if has_files:
        return shell.sentence("The trials are not read yet.", "They appear here once a worker has read them.")
    hint = "Trials appear here once their files (alf/_ibl_trials.*) are registered and read."
    return shell.sentence("This session has no trials.", hint)


def _facts(session: queries.Session) -> Component:
    done, trial_set = session.performance or {}, session.trial_set or {}
    reward = np.nansum(session.trials["reward_volume"].to_numpy()) / 1000
    start, end = trial_set["trials_start"], trial_set["trials_end"]
    pairs: list[tuple[Component, Component]] = [
        ("Trials", shell.number(trial_set["n_trials"])),
        ("Correct", shell.percent(done.get("performance"), 1)),
        ("Correct, easy", shell.percent(done.get("performance_easy"), 1)),
        ("No response", shell.number(done.get("n_no_go"))),
        ("Response time", shell.number(done.get("response_time"), 2, "s")),
        ("at 0 % contrast", shell.number(done.get("response_time_zero"), 2, "s")),
        ("In the task", shell.number((end - start) / 60, 0, "min") if None not in (start, end) else None),
        ("Water earned", shell.number(reward, 2, "mL") if reward > 0 else None),
        ("Bias shift", shell.number((session.fit or {}).get("bias_shift"), 1, "%")),
    ]
    if session.moves:
        turns = session.moves["wheel_distance"]
        pairs += [("Wheel movements", shell.number(session.moves["n_moves"])),
                  ("Wheel turned", shell.number(turns and turns / (2 * np.pi), 0, "turns"))]  # fmt: skip
    if len(session.tasks) > 1:
        pairs.append(("Task", f"{trial_set['trials_protocol']} ({trial_set['task_collection']})"))
    return shell.card(shell.facts(pair for pair in pairs if pair[1] != shell.DASH), title="Session")


def _parameters(session: queries.Session) -> Component:
    """The fitted parameters of each block, with their standard errors."""
    rows, notes = [], []
    for row in session.blocks.to_pylist():
        look = style.block(row["block"])
        cells = [_with_error(row, name, digits) for name, digits in
                 (("bias", 1), ("threshold", 1), ("lapse_low", 2), ("lapse_high", 2))]  # fmt: skip
        rows.append([shell.chip(look.label, look.color), shell.number(row["block_n_trials"]), *cells,
                     shell.number(row["log_likelihood"], 1)])  # fmt: skip
        if row["identifiable"] is not None and not row["identifiable"]:
            notes.append(f"{look.label}: the data do not determine the curve.")
        elif row["bias"] is None:
            notes.append(f"{look.label}: fewer than two contrasts, so there is no curve.")
    if not rows:
        words = "The curves are not fitted yet." if session.fit is None else "No block has contrasts and choices."
        return shell.card(html.P(words, className="nj-hint"), title="Psychometric parameters")
    heads = ["Block", "Trials", "Bias (%)", "Threshold (%)", "Lapse low", "Lapse high", "Log L"]
    words = html.Span("maximum likelihood ± standard error", className="nj-hint")
    table = shell.table(heads, rows, numbers=range(1, 7))
    return shell.card(table, *(html.P(note, className="nj-hint") for note in notes), title="Psychometric parameters",
                      actions=words)  # fmt: skip


def _with_error(row: Mapping[str, Any], name: str, digits: int) -> str:
    value, error = row[name], row[f"{name}_error"]
    if value is None:
        return shell.DASH
    return f"{value:.{digits}f}" + (f" ± {error:.{digits}f}" if error is not None else "")


def _figures(session: queries.Session) -> list[Component]:
    """Curves and courses side by side; what cannot be drawn is said once."""
    level = f"bars: {100 * psychometrics.INTERVAL_LEVEL:g} % intervals"
    click = "click on a trial to see its wheel" if _wheel_is_drawn(session) else ""
    made = (
        ("psychometric", "Psychometric curves", level, figures.psychometric(session.blocks)),
        ("chronometric", "Response time by contrast", level, figures.chronometric(session.blocks)),
        ("response-times", "Response time over trials", click, figures.response_time_over_trials(session.trials)),
        ("choices", "Choices and rewards", click, figures.choices_and_rewards(session.trials)),
    )
    cards = [shell.figure(name, drawing, title, hint) for name, title, hint, drawing in made if drawing.data]
    lacking = dict.fromkeys(drawing.layout.annotations[0].text for *_, drawing in made if not drawing.data)
    return [shell.columns(*cards, least=420) if cards else None, *(shell.sentence(words) for words in lacking)]


def _wheel_is_drawn(session: queries.Session) -> bool:
    """Whether there are a wheel and times of trials to show it around."""
    known = (session.trials.num_rows - session.trials[name].null_count for name in reaction_times.ONSETS)
    return session.has_wheel and any(known)


def _wheel_section(session: queries.Session, text: str) -> Component:
    """The wheel; where it cannot be drawn, why."""
    if not _wheel_is_drawn(session):
        words = "The wheel was not recorded, or its files are not here."
        if session.has_wheel:
            words = "The trials have no times, so the wheel cannot be shown around them."
        return shell.section("Wheel", shell.sentence(words))
    pick = dmc.TextInput(
        id="session-trials",
        value=text,
        placeholder=f"1-{FIRST_TRIALS}",
        debounce=500,
        size="xs",
        w=190,
        leftSection="Trials",
        leftSectionWidth=52,
        **{"aria-label": "Trials"},
    )
    hint = f"numbers and ranges, e.g. 12, 40-45; at most {MOST_TRIALS}; or click on a trial above"
    empty = build.figure([], {"height": 320}, empty="The wheel is being read.")
    return shell.section(
        "Wheel",
        html.Div(
            [
                html.Div([pick, html.Span(hint, className="nj-hint")], className="nj-links nj-picked"),
                html.Div(id="session-wheel-words"),
                shell.figure("wheel", empty, "Around the onset of the stimulus"),
            ],
            className="nj-stack nj-tight",
        ),
        id="session-wheel",
    )  # fmt: skip


def _remarks(site: Site, session: queries.Session) -> Component:
    """What people wrote about the session."""
    rows = [(shell.moment(site.local(note["note_time"], session.row["lab"])), note["note_user"], note["note_text"])
            for note in session.notes]  # fmt: skip
    told = session.row["session_narrative"]
    if not rows and not told:
        return None
    return shell.section(
        "Remarks",
        shell.card(html.P(told) if told else None, shell.table(["When", "Who", "What"], rows) if rows else None),
    )
