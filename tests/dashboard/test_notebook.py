"""The pages on which people enter, by keyboard alone: a morning round, and a life from a breeding pair to perfusion."""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dashboard import browser as site
from tests.dashboard.notebook_lab import LAB, ROLES

PAGES = ("round", "colony", "calendar", "inbox", "admin", "admin?table=action.Weighing", f"notebook/{LAB}/M001")


@pytest.fixture(scope="module")
def notebook() -> Iterator[site.Served]:
    """A site over the lab that people entered."""
    with site.shared("notebook", "tests.dashboard.notebook_lab") as found:
        for name in set(ROLES) - {"mia"}:
            found.users.add(name, "correct horse", "member")
        yield found


@pytest.fixture
def visit(notebook, chromium):
    with site.visiting(chromium, notebook) as open_page:
        yield open_page


def rows(notebook: site.Served, expression: str) -> object:
    """What the tables hold, read by another program."""
    program = (
        "import json, pipeline; pipeline.connect(); from pipeline import action, lab, subject;"
        f"print(json.dumps({expression}, default=str))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], env=notebook.environment(), text=True,
                          capture_output=True, cwd=site.REPOSITORY, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def weights(notebook, subject):
    query = f"(action.Weighing & {{'subject': '{subject}'}}).to_arrays('weight', order_by='weighing_time').tolist()"
    return rows(notebook, query)


def test_a_morning_round_by_keyboard_with_doubts_undo_and_a_dropped_connection(visit, notebook):
    """Digits and Enter; 2.45 g is asked back; without a connection entries wait in the browser and are sent once."""
    seen = visit("/app/round", viewer="tom")
    page = seen.page
    page.wait_for_selector("#round tr[data-key]", timeout=120_000)  # the first page of a server takes its time
    page.wait_for_function("() => document.activeElement.dataset.field === 'weight'")
    page.keyboard.type("24.1")
    page.keyboard.press("Enter")
    page.keyboard.type("24,2")  # a decimal comma
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#round-count').textContent.startsWith('2 of')")
    page.keyboard.type("2.45")
    page.keyboard.press("Enter")
    page.wait_for_function(
        "() => [...document.querySelectorAll('#round .nj-wrong')].some(e => e.textContent.includes('2.45'))"
    )
    page.keyboard.type("24.5")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#round-count').textContent.startsWith('3 of')")
    page.context.set_offline(True)
    for weight in ("24.6", "24.7"):
        page.keyboard.type(weight)
        page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#round-unsent').textContent.includes('2 not sent')")
    page.context.set_offline(False)
    page.wait_for_function("() => document.querySelector('#round-unsent').textContent === 'all saved'")
    page.wait_for_function("() => document.querySelector('#round-count').textContent.startsWith('5 of')")
    assert [weights(notebook, f"M00{n}")[3:] for n in range(1, 7)] == [[24.1], [24.2], [24.5], [24.6], [24.7], []]
    percent = page.locator("#round tr[data-key='mouselab/M001'] .nj-pct").inner_text()
    assert percent == "96.4 %"
    seen.problems[:] = [problem for problem in seen.problems if "ERR_INTERNET_DISCONNECTED" not in problem]


def test_a_round_can_be_typed_in_before_the_programs_of_the_site_and_while_data_arrive(visit, notebook):
    """What is typed stays, with the cursor, when the page is made by Dash and when it is made again."""
    seen = visit(viewer="tom")
    page = seen.page
    held = []
    page.route("**/dash_renderer*", lambda route: held.append(route))
    page.goto(f"{notebook.url}/app/round", wait_until="commit")
    field = "#round tr[data-key='mouselab/M012'] [data-field=weight]"
    page.wait_for_selector("#early " + field)
    page.locator(field).focus()
    page.keyboard.type("2")
    while not held:
        page.wait_for_timeout(50)
    held[0].continue_()
    page.wait_for_function(
        "() => !document.getElementById('early') && document.querySelector('.mantine-AppShell-navbar')"
    )
    page.keyboard.type("4,")
    enter(visit(f"/app/notebook/{LAB}/M005", viewer="mia").page, "Weigh", weight="24.9")
    page.evaluate("dash_clientside.set_props('version', {data: 'another'})")
    page.wait_for_function(
        "() => document.querySelector(`#round tr[data-key='mouselab/M005'] input`).placeholder === '24.9'"
    )
    page.keyboard.type("8")
    assert page.locator(field).input_value() == "24,8"
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{field}[placeholder='24.8']")
    assert weights(notebook, "M012")[3:] == [24.8]


def open_form(page, name):
    """Open a form by keyboard; its first field has the focus."""
    summary = page.locator("summary", has_text=name).first
    summary.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(f"details[open] form[aria-label='{name}']")
    page.keyboard.press("Tab")
    return page.locator(f"form[aria-label='{name}']")


def enter(page, name, **values):
    """Fill in a form as a person does: Tab from field to field, type, Enter."""
    form = open_form(page, name)
    for field, value in values.items():
        page.locator(f"form[aria-label='{name}'] [name={field}]").focus()
        if form.locator(f"[name={field}]").evaluate("e => e.tagName") == "SELECT":
            form.locator(f"[name={field}]").select_option(value)
        else:
            page.keyboard.type(value)
    form.locator("button[type=submit]").focus()
    page.keyboard.press("Enter")
    # The sentence is read when it appears: the page is made again when the new rows arrive.
    said = page.wait_for_function(
        """name => {
            const said = document.querySelector(`form[aria-label='${name}'] .nj-form-said`)?.textContent ?? ""
            return said.startsWith("Saved") && said
        }""",
        arg=name,
    ).json_value()
    page.wait_for_timeout(300)
    return said


def test_a_life_from_pair_to_perfusion(visit, notebook):
    seen = visit("/app/colony", viewer="mia")
    page = seen.page
    assert "AI_BP_001" in enter(page, "Start a breeding pair", father="P001", mothers="P002", line="Ai32")
    page.wait_for_function("() => document.querySelector('.nj-page').innerText.includes('AI_BP_001')")
    assert "AI_L_001" in enter(page, "Record a litter", breeding_pair="AI_BP_001", n_born="2")
    page.wait_for_function("() => document.querySelector('.nj-page').innerText.includes('AI_L_001')")
    form = open_form(page, "Wean a litter")
    form.locator("[name=litter]").focus()
    page.keyboard.type("AI_L_001")
    form.locator("[name=males]").focus()
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    page.wait_for_function(
        "() => document.querySelector(\"form[aria-label='Wean a litter'] button\").textContent.includes('all')"
    )
    page.keyboard.press("Enter")  # 0 days old: the person insists
    page.wait_for_function("() => document.querySelector('.nj-page').innerText.includes('AI_0001')")
    seen.go(f"/app/notebook/{LAB}/AI_0001")
    enter(page, "Enter a test result", sequence="cre", test_result="Present")
    page.wait_for_function("() => document.querySelector('.nj-facts').innerText.includes('Cre Present (tests)')")
    enter(page, "Weigh", weight="25")
    enter(page, "Operate", procedures="Headplate implant", implant_weight="1.5", outcome="recovery")
    enter(page, "Start restriction", reference_weight="25")
    page.wait_for_function("() => document.querySelector('.nj-facts').innerText.includes('restricted')")
    enter(page, "Give water", volume="0.5")
    enter(page, "Write a note", note_text="Calm, <b>not</b> shy.")
    enter(page, "Cull", cull_method="perfusion", cull_reason="end of experiment")
    page.wait_for_function("() => document.querySelector('.nj-facts').innerText.includes('Died')")
    assert "<b>not</b>" in seen.text(".nj-line")
    key = "{'subject': 'AI_0001'}"
    tables = ("subject.Subject", "action.WaterRestriction", "subject.Implant", "subject.Genotype", "subject.Cull",
              "action.WaterAdministration")  # fmt: skip
    found = rows(notebook, f"[{', '.join(f'({table} & {key}).fetch1()' for table in tables)}]")
    animal, restriction, implant, genotype, cull, water = found
    known = [animal[name] for name in ("line", "sex", "responsible_user", "actual_severity")]
    assert known == ["Ai32", "M", "mia", 3]
    assert animal["death_date"] == cull["cull_date"] and restriction["restriction_end"] is not None
    assert (implant["implant_weight"], genotype["zygosity"], water["water_volume"]) == (1.5, "Present", 0.5)


def test_a_reader_sees_no_form_and_the_server_refuses_what_no_form_sends(visit, notebook):
    seen = visit(f"/app/notebook/{LAB}/M002", viewer="rita")
    assert "you may look at this animal only" in seen.text()
    told = seen.page.evaluate("""async () => { const answer = await fetch("/app/_do", {method: "POST",
        headers: {"Content-Type": "application/json"}, body: JSON.stringify({action: "weigh",
        values: {lab: "mouselab", subject: "M002", weight: "20"}})}); return [answer.status, await answer.json()]; }""")
    assert told[0] == 403 and "ask a technician" in told[1]["errors"][0]["message"]
    seen.problems[:] = [problem for problem in seen.problems if "403" not in problem]


PASTED = "M008\t24,1 g\nm009 ; 24.2\n24.3g\nX99 24\n\nno weight\n"
"""As a scale, a spreadsheet and a person write it: decimal commas, units, other spelling, what is none of it."""


def test_a_round_takes_pasted_lists_and_taps_twice_and_shows_what_others_enter(visit, notebook):
    seen = visit("/app/round", viewer="tom")
    page = seen.page
    row = "#round tr[data-key='mouselab/{}']"
    page.locator(f"{row.format('M008')} [data-field=weight]").focus()
    page.evaluate("""(text) => { const data = new DataTransfer(); data.setData("text/plain", text);
        document.activeElement.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true,
        cancelable: true})); }""", PASTED)  # fmt: skip
    page.wait_for_function("() => document.querySelector('#round-unsent').textContent === 'all saved'")
    said = seen.text("#round-pasted")
    assert "X99 is not on this list" in said and '"no weight" holds no number' in said
    assert [weights(notebook, f"M0{n}")[3:] for n in ("08", "09", "10")] == [[24.1], [24.2], [24.3]]
    free = page.locator(f"{row.format('M011')} button", has_text="Free water")
    free.dblclick()
    page.wait_for_function(
        f"() => document.querySelector(\"{row.format('M011')} .nj-due\").textContent === 'free' &&"
        "document.querySelector('#round-unsent').textContent === 'all saved'"
    )
    assert rows(notebook, "len(action.WaterAdministration & {'subject': 'M011'})") == 1
    other = visit(f"/app/notebook/{LAB}/M007", viewer="mia")
    enter(other.page, "Weigh", weight="24.9")
    page.evaluate("dash_clientside.set_props('version', {data: 'another'})")
    page.wait_for_selector(f"{row.format('M007')} input[placeholder='24.9']")


PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060000000040001f61738"
    "550000000049454e44ae426082"
)


def test_care_of_an_animal_is_entered_and_two_people_do_not_overwrite_each_other(visit, notebook):
    """Drugs, harm, injections, pictures; and a form that stood open while somebody else changed the animal."""
    seen, other = (visit(f"/app/notebook/{LAB}/M003", viewer=who) for who in ("mia", "lars"))
    page = seen.page
    form = open_form(page, "Give a drug")
    form.locator("[name=drug_name]").fill("carprofen")
    form.locator("[name=drug_dose]").fill("5,0")
    form.locator("button[type=submit]").click()
    page.wait_for_function(
        "() => document.querySelector('[data-for=drug_unit]').textContent.includes('needs its unit')"
    )
    form.locator("[name=drug_unit]").select_option("mg/kg")
    form.locator("button[type=submit]").dblclick()  # with gloves
    page.wait_for_selector(".nj-line >> text=carprofen 5.0 mg/kg")
    enter(page, "Report harm", effect_text="Wet fur.", effect_severity="2")
    enter(page, "Inject a virus", virus_name="AAV1", injection_volume="200 nL", injection_dv="-1200")
    form = open_form(page, "Write a note")
    form.locator("[name=note_text]").fill("Healing well.")
    form.locator("[name=image]").set_input_files({"name": "p.png", "mimeType": "image/png", "buffer": PICTURE})
    form.locator("button[type=submit]").click()
    page.wait_for_function("() => (document.querySelector('.nj-line img') || {}).naturalWidth === 1")
    form = open_form(page, "Change")
    form.locator("[name=ear_mark]").fill("L1")
    theirs = open_form(other.page, "Change")  # the page is as it was before
    theirs.locator("[name=ear_mark]").fill("R2")
    theirs.locator("button[type=submit]").click()
    other.page.wait_for_function("() => document.body.innerText.includes('Saved')")
    form.locator("button[type=submit]").click()
    page.wait_for_function(
        "() => document.querySelector(\"[aria-label='Change'] [data-for=ear_mark]\").textContent.includes('R2 by now')"
    )
    key = "{'subject': 'M003'}"
    found = rows(notebook, f"[(action.DrugAdministration & {key}).to_dicts(), (subject.AdverseEffect & {key}).fetch1(),"
                 f"(action.VirusInjection & {key}).fetch1(), (subject.Subject & {key}).fetch1()]")  # fmt: skip
    drugs, harm, virus, animal = found
    assert [(drug["drug_name"], drug["drug_dose"], drug["drug_unit"]) for drug in drugs] == [
        ("carprofen", 5.0, "mg/kg")
    ]
    assert (harm["effect_text"], harm["effect_severity"], animal["actual_severity"]) == ("Wet fur.", 2, 2)
    assert (virus["virus_name"], virus["injection_volume"], virus["injection_dv"]) == ("AAV1", 200, -1200)
    assert animal["ear_mark"] == "R2"
    seen.problems[:] = [problem for problem in seen.problems if "status of 4" not in problem]


def test_papers_and_tables_leave_the_site(visit, notebook):
    import openpyxl

    seen = visit("/app/calendar", viewer="mia")
    fetch = seen.page.context.request.get
    card = fetch(f"{notebook.url}/app/_card/{LAB}/C1.pdf")
    assert card.ok and card.body().startswith(b"%PDF")
    book = openpyxl.load_workbook(io.BytesIO(fetch(f"{notebook.url}/app/_export/action.Weighing.xlsx").body()))
    assert [cell.value for cell in book.active[1]][:4] == ["lab", "subject", "weighing_time", "weight"]
    enter(seen.page, "Plan training", subject="M001", planned_date="01012031")
    feed = seen.page.locator("a", has_text="address of the feed").get_attribute("href")
    with urllib.request.urlopen(notebook.url + feed) as answer:  # noqa: S310 - our own server; nobody signs in there
        assert answer.read().startswith(b"BEGIN:VCALENDAR")
    assert seen.page.context.request.get(f"{notebook.url}{feed[:-8]}0000.ics").status == 404


def test_the_generic_grid_saves_all_rows_or_none_and_says_which_is_wrong(visit, notebook):
    seen = visit("/app/admin?table=lab.LabLocation", viewer="lars")
    page = seen.page
    page.locator("#grid-paste").focus()
    page.keyboard.insert_text(f"lab\tlocation\n{LAB}\trig 1\n{LAB}\t=cmd()\n")
    page.locator("[data-grid-save]").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#grid-said').innerText.includes('Row 2')")
    assert rows(notebook, "len(lab.LabLocation())") == 0
    page.locator("#grid-paste").fill(f"lab\tlocation\n{LAB}\trig 1\n{LAB}\trig 2")
    page.locator("[data-grid-save]").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.nj-page').innerText.includes('2 rows')")
    seen.ready()
    cell = page.locator(".ag-row[row-id='mouselab|rig 1'] [col-id=location_description]")
    for text, told in (("behind the door", "Saved location_description"), ("by the window", "look at it again")):
        if told != "Saved location_description":  # meanwhile somebody else writes the same cell
            rows(notebook, f"__import__('pipeline.entry').entry.write('lab.LabLocation', [dict(lab='{LAB}', "
                 "location='rig 1', location_description='lent out')], user='ada', source='test').updated")  # fmt: skip
        cell.dblclick()
        page.keyboard.press("Control+A")
        page.keyboard.type(text)
        page.keyboard.press("Enter")
        page.wait_for_function("told => document.querySelector('#grid-said').innerText.includes(told)", arg=told)
    assert rows(notebook, "(lab.LabLocation & {'location': 'rig 1'}).fetch1('location_description')") == "lent out"
    seen.problems[:] = [problem for problem in seen.problems if "status of 4" not in problem]


@pytest.mark.parametrize("path", PAGES)
def test_pages_fit_a_phone_and_are_accessible(visit, path, axe):
    seen = visit(f"/app/{path}", width=site.PHONE, scheme="dark", viewer="lars")
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= site.PHONE
    seen.page.evaluate(axe)
    found = seen.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    bad = [(violation["id"], violation["nodes"][0]["html"][:200]) for violation in found["violations"]
           if violation["impact"] in ("serious", "critical")]  # fmt: skip
    assert not bad, bad


@pytest.fixture(scope="session")
def axe() -> str:
    """The program axe-core, as a package brings it."""
    package = importlib.util.find_spec("axe_playwright_python")
    assert package is not None and package.submodule_search_locations
    (found,) = Path(package.submodule_search_locations[0]).rglob("axe.min.js")
    return found.read_text(encoding="utf-8")
