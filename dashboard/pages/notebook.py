"""The notebook of one animal: what it is, what happened to it in one line of time, and forms for what happens now."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from dash import html

from dashboard import links
from dashboard.components import forms, shell
from dashboard.figures import pedigree
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
        action for action in ACTIONS.values()
        if action.of_animal and action.name != "register_animal"
        and policy.allows(person, action.verb, lab, row["responsible_user"])
        and not (action.name == "start_restriction" and row["restricted"])
        and not (action.name == "end_restriction" and not row["restricted"])
    ]  # fmt: skip
    if row["death_date"] is not None:
        allowed = [
            item for item in allowed if item.name in ("note", "edit_animal", "genotype", "set_zygosity", "report_harm")
        ]
    entering = [forms.folded(item, key, lists=lists, initial=_initial(item.name, row), key=name) for item in allowed]
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
        _family(site, lab, name),
        subtitle=f"{lab} · times of {site.zone(lab).key}",
        actions=[card, shell.button_link("Training and figures", links.mouse(lab, name))],
    )


def _family(site: Site, lab: str, name: str) -> Component:
    """The family tree, where parents or offspring are known."""
    animals = site.read(notebook.pedigree, lab, name)
    if len(animals) < 2:
        return None
    return shell.figure("pedigree", pedigree.pedigree(animals, name), "Family tree", hint="ancestors above")


def _initial(action: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return dict(row) if action == "edit_animal" else {}


def _facts(row: Mapping[str, Any], state: status.Today | None, lab: str) -> list[tuple[Component, Component]]:
    weight = None
    if state is not None and state.weight is not None:
        weight = shell.number(state.weight, 1, "g")
        if state.restricted and state.weight_pct is not None:
            weight += f" · {state.weight_pct:.1f} % of {state.expected:.1f} g"
    genotype = ", ".join(
        f"{item['allele']} {item['zygosity']}"
        + ("" if item["genotype_origin"] == "entered" else f" ({item['genotype_origin']})")
        for item in row["genotypes"]
    )
    parents = [
        shell.link(parent["subject"], links.notebook(parent["lab"], parent["subject"])) for parent in row["parents"]
    ]
    children = [
        shell.link(child["subject"], links.notebook(child["lab"], child["subject"])) for child in row["children"]
    ]
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
    for moment in moments[:MOST_MOMENTS]:
        picture = (
            html.Img(src=f"{links.PICTURE}/{moment.picture}", alt="picture of the note") if moment.picture else None
        )
        undo = html.Button("undo", type="button", className="nj-tool", title=f"Take this entry back: {moment.kind}",
                           **{"data-undo": moment.batch}) if moment.batch else html.Span()  # fmt: skip
        items.append(html.Li([
            html.Span(_when(site, lab, moment.when), className="nj-hint"),
            html.Span([shell.chip(moment.kind), " ", moment.text, picture]),
            html.Span([undo, html.Span(className="nj-undo-said")]),
        ]))  # fmt: skip
    return html.Ul(items, className="nj-line")


def _when(site: Site, lab: str, when: datetime.date) -> str:
    if isinstance(when, datetime.datetime):
        local = site.local(when, lab)
        return f"{local:%Y-%m-%d %H:%M}" if local else ""
    return str(when)
