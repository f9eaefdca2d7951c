"""The notebook of one animal: what it is, what happened to it in one line of time, and forms for what happens now."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from dash import html

from dashboard import links
from dashboard.components import forms, shell
from dashboard.pages import _entering
from dashboard.queries import notebook
from dashboard.site import Component, Page, Site, Viewer
from pipeline.entry import policy, status
from pipeline.entry.actions import ACTIONS

PAGE = Page("notebook", "Notebook")
SEVERITIES = {1: "sub-threshold", 2: "mild", 3: "moderate", 4: "severe", 5: "non-recovery"}
MOST_MOMENTS = 300


def layout(site: Site, viewer: Viewer, *, lab: str, subject: str, query: Mapping[str, str]) -> Component:
    """The page."""
    if viewer.public:
        return shell.page("Notebook", shell.sentence(_entering.PUBLIC))
    name = site.subject(lab, subject, viewer)
    row = site.read(notebook.animal, lab, name)
    person = _entering.person(site, viewer)
    state = site.read(status.today, {"lab": lab, "subject": name})
    lists = site.read(notebook.choices, lab)
    key = {"lab": lab, "subject": name}
    allowed = [
        one for one in ACTIONS.values()
        if one.of_animal and one.name != "register_animal"
        and policy.allows(person, one.verb, lab, row["responsible_user"])
        and not (one.name == "start_restriction" and row["restricted"])
        and not (one.name == "end_restriction" and not row["restricted"])
    ]  # fmt: skip
    if row["death_date"] is not None:
        allowed = [
            one for one in allowed if one.name in ("note", "edit_animal", "genotype", "set_zygosity", "report_harm")
        ]
    entering = [forms.folded(one, key, lists=lists, initial=_initial(one.name, row), key=name) for one in allowed]
    hint = "" if entering else "you may look at this animal only"
    moments = site.read(notebook.timeline, lab, name)
    card = shell.button_link("Cage card", f"{links.CARD}/{lab}/{row['cage']}.pdf") if row["cage"] else None
    return shell.page(
        f"Notebook · {name}",
        shell.card(shell.facts(_facts(row, state, lab))),
        shell.columns(
            shell.section("Enter", html.Div(entering, className="nj-stack"), hint=hint),
            shell.section(
                "History", shell.card(_line(site, lab, moments)), hint=f"{len(moments)} entries, newest first"
            ),
            least=420,
        ),
        subtitle=f"{lab} · times of {site.zone(lab).key}",
        actions=[card, shell.button_link("Training and figures", links.mouse(lab, name))],
    )


def _initial(action: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return dict(row) if action == "edit_animal" else {}


def _facts(row: Mapping[str, Any], state: status.Today | None, lab: str) -> list[tuple[Component, Component]]:
    weight = None
    if state is not None and state.weight is not None:
        weight = shell.number(state.weight, 1, "g")
        if state.restricted and state.weight_pct is not None:
            weight += f" · {state.weight_pct:.1f} % of {state.expected:.1f} g"
    genotype = ", ".join(
        f"{one['allele']} {one['zygosity']}"
        + ("" if one["genotype_origin"] == "entered" else f" ({one['genotype_origin']})")
        for one in row["genotypes"]
    )
    parents = [shell.link(one["subject"], links.notebook(one["lab"], one["subject"])) for one in row["parents"]]
    children = [shell.link(one["subject"], links.notebook(one["lab"], one["subject"])) for one in row["children"]]
    due = state.due if state is not None and state.restricted else None
    return [
        ("Sex", row["sex"]), ("Born", row["birth_date"] and shell.date(row["birth_date"])),
        ("Died", row["death_date"] and shell.date(row["death_date"])),
        ("Line", row["line"]), ("Genotype", genotype), ("Cage", row["cage"]),
        ("Responsible", row["responsible_user"]), ("Protocol", row["protocol_number"]),
        ("Severity", SEVERITIES.get(row["actual_severity"] or 0, "")), ("Weight", weight),
        ("Water", "restricted" if row["restricted"] else None),
        ("Still due today", None if due is None else shell.number(due, 2, "mL")),
        ("Litter", row["litter"] and row["litter"]["litter"]), ("Parents", _apart(parents)),
        ("Offspring", _apart(children[:12])), ("Projects", ", ".join(row["projects"])),
        ("Ear mark", row["ear_mark"]), ("Remarks", row["subject_description"]),
    ]  # fmt: skip


def _apart(parts: list[Component]) -> Component:
    return [piece for part in parts for piece in (part, " ")][:-1] if parts else None


def _line(site: Site, lab: str, moments: list[notebook.Moment]) -> Component:
    if not moments:
        return shell.sentence("Nothing was entered yet.")
    items = []
    for one in moments[:MOST_MOMENTS]:
        picture = html.Img(src=f"{links.PICTURE}/{one.picture}", alt="picture of the note") if one.picture else None
        undo = html.Button("undo", type="button", className="nj-tool", title=f"Take this entry back: {one.kind}",
                           **{"data-undo": one.batch}) if one.batch else html.Span()  # fmt: skip
        items.append(html.Li([
            html.Span(_when(site, lab, one.when), className="nj-hint"),
            html.Span([shell.chip(one.kind), " ", one.text, picture]),
            html.Span([undo, html.Span(className="nj-undo-said")]),
        ]))  # fmt: skip
    return html.Ul(items, className="nj-line")


def _when(site: Site, lab: str, when: datetime.date) -> str:
    if isinstance(when, datetime.datetime):
        local = site.local(when, lab)
        return f"{local:%Y-%m-%d %H:%M}" if local else ""
    return str(when)
