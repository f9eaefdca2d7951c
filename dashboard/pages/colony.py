"""The colony: pairs, litters, weaning, genotypes, requests, counts and cages of a lab."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import html

from dashboard import links
from dashboard.components import forms, shell
from dashboard.pages import _entering
from dashboard.queries import notebook
from dashboard.site import Component, Page, Site, Viewer
from pipeline.entry import policy
from pipeline.entry.actions import ACTIONS

PAGE = Page("colony", "Colony", order=14, in_menu=True, icon="group")


def layout(site: Site, viewer: Viewer, *, query: Mapping[str, str]) -> Component:
    """The page."""
    if viewer.public:
        return shell.page("Colony", shell.sentence(_entering.PUBLIC))
    lab, labs = _entering.lab_of(site, viewer, query)
    colony = site.read(notebook.colony, lab)
    lists = dict(site.read(notebook.choices, lab)) | {
        "father": colony["animals"], "mothers": colony["animals"], "animals": colony["animals"],
        "breeding_pair": [row["breeding_pair"] for row in colony["pairs"] if row["pair_end"] is None],
        "litter": [row["litter"] for row in colony["unweaned"]],
        "request_id": [row["request_id"] for row in colony["requests"] if row["request_status"] == "open"],
    }  # fmt: skip
    person = _entering.person(site, viewer)

    def enter(*names: str) -> Component:
        allowed = [
            ACTIONS[name] for name in names if policy.allows(person, ACTIONS[name].verb, lab, viewer.name)
        ]  # fmt: skip
        return html.Div([
            forms.folded(item, {"lab": lab} if any(i.name == "lab" for i in item.inputs) else {}, lists=lists)
            for item in allowed
        ], className="nj-stack")  # fmt: skip

    return shell.page(
        f"Colony · {lab}",
        shell.columns(
            shell.section("Pairs", _pairs(colony), enter("start_pair", "check_plug", "end_pair")),
            shell.section("Litters", _litters(colony), enter("record_litter", "wean")),
            shell.section("To genotype", _work_list(lab, colony["genotyping"]), enter("genotype"),
                          hint="the zygosity follows by the rules of the line"),
            shell.section("Requests", _requests(colony["requests"]), enter("request_animals", "answer_request")),
            shell.section("Living animals", _counts(colony["counts"]), hint="by line, sex and age in weeks"),
            shell.section("Cages", _cages(lab, colony["cages"]), enter("move")),
            *_racks(lab, colony["cages"]),
            shell.section("To cull", _work_list(lab, colony["culling"]), enter("cull")),
            shell.section("New animals and curves", enter("register_animal", "make_growth_curve")),
            least=440,
        ),
        actions=[
            _entering.lab_links("colony", labs, lab),
            html.A("Animals as Excel", href=f"{links.EXPORT}/subject.Subject.xlsx", className="nj-button",
                   **{"data-leave": "1"}),
        ],
    )  # fmt: skip


def _table(heads: list[str], rows: list[list[Component]], words: str, numbers: tuple[int, ...] = ()) -> Component:
    return shell.card(shell.table(heads, rows, numbers=numbers)) if rows else shell.sentence(words)


def _pairs(colony: dict[str, Any]) -> Component:
    parents: dict[str, list[str]] = {}
    for row in colony["parents"]:
        parents.setdefault(row["breeding_pair"], []).append(f"{row['subject']} ({row['parent_role']})")
    rows: list[list[Component]] = [
        [
            row["breeding_pair"],
            row["line"],
            ", ".join(parents.get(row["breeding_pair"], [])),
            str(row["pair_start"] or ""),
        ]
        for row in colony["pairs"]
        if row["pair_end"] is None
    ]
    return _table(["Pair", "Line", "Parents", "Since"], rows, "No pair is together.")


def _litters(colony: dict[str, Any]) -> Component:
    rows: list[list[Component]] = [
        [row["litter"], row["breeding_pair"], str(row["litter_birth_date"] or ""), row["n_born"]]
        for row in colony["unweaned"]
    ]
    return _table(["Litter", "Pair", "Born", "Pups"], rows, "No litter waits for weaning.", numbers=(3,))


def _work_list(lab: str, animals: list[dict[str, Any]]) -> Component:
    rows: list[list[Component]] = [
        [shell.link(row["subject"], links.notebook(lab, row["subject"])), row["sex"], row["line"], row["cage"],
         str(row["birth_date"] or "")] for row in animals
    ]  # fmt: skip
    return _table(["Mouse", "Sex", "Line", "Cage", "Born"], rows, "None.")


def _requests(requests: list[dict[str, Any]]) -> Component:
    rows: list[list[Component]] = [
        [row["request_user"], row["request_count"], row["line"], str(row["request_due"] or ""), row["request_status"],
         row["request_text"], html.Code(row["request_id"][:8])] for row in requests[:20]
    ]  # fmt: skip
    return _table(
        ["Who", "Animals", "Line", "Needed by", "State", "What", "Number"], rows, "Nobody asks for animals.", (1,)
    )


def _counts(counts: list[dict[str, Any]]) -> Component:
    rows: list[list[Component]] = [
        [row["line"], row["sex"], row["young"], row["adult"], row["ageing"], row["unknown"]] for row in counts
    ]
    return _table(["Line", "Sex", "to 8", "to 30", "older", "age unknown"], rows, "No animal lives here.", (2, 3, 4, 5))


def _cages(lab: str, cages: list[dict[str, Any]]) -> Component:
    rows: list[list[Component]] = [
        [row["cage"], row["room"], f"{row['rack']} {row['place']}".strip(),
         [piece for name in row["animals"] for piece in (shell.link(name, links.notebook(lab, name)), " ")],
         html.A("card", href=f"{links.CARD}/{lab}/{row['cage']}.pdf", **{"data-leave": "1"}) if row["animals"] else ""]
        for row in cages
    ]  # fmt: skip
    return _table(["Cage", "Room", "Rack", "Animals", "Card"], rows, "No cage is in use.")


def _racks(lab: str, cages: list[dict[str, Any]]) -> list[Component]:
    """Each rack as it stands in its room: rows and columns of cages, with how many animals live there."""
    racks: dict[tuple[str, str], dict[tuple[str, str], dict[str, Any]]] = {}
    for row in cages:
        if row["rack"] and row["row"] and row["column"]:
            racks.setdefault((row["room"], row["rack"]), {})[row["row"], row["column"]] = row
    return [
        shell.section(f"Rack {rack}", shell.card(_rack(lab, places)), hint=room and f"room {room}")
        for (room, rack), places in sorted(racks.items())
    ]


def _rack(lab: str, places: dict[tuple[str, str], dict[str, Any]]) -> Component:
    lines, columns = (sorted({place[which] for place in places}, key=notebook.natural) for which in (0, 1))
    head = html.Tr([html.Td(), *(html.Th(column, scope="col") for column in columns)])
    body = [
        html.Tr([html.Th(line, scope="row"), *(_cell(lab, places.get((line, column))) for column in columns)])
        for line in lines
    ]
    table = html.Table([html.Thead(head), html.Tbody(body)], className="nj-rack")
    return html.Div(table, className="nj-scroll", tabIndex=0, role="region", **{"aria-label": "Cages of the rack"})


def _cell(lab: str, cage: dict[str, Any] | None) -> Component:
    if cage is None:
        return html.Td(className="nj-rack-none")
    animals = cage["animals"]
    names = [html.Div(shell.link(name, links.notebook(lab, name))) for name in animals]
    many = f"nj-rack-{min(len(animals), 5)}"
    return html.Td([html.Div(cage["cage"], className="nj-rack-name"), *names], className=f"nj-rack-cage {many}")
