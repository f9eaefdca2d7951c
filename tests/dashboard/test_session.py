"""The page of a session: figures, the wheel around chosen trials, files, what is absent; sessions that lack much."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ingest
from dashboard import links
from dashboard.pages import _session_files as session_files
from dashboard.pages import session as page
from dashboard.queries import session as queries
from pipeline import behavior, behavior_analysis, data
from pipeline.errors import InvalidData, NeurojointError
from tests.conftest import REAL_DATA
from tests.dashboard import console, lab, sessions
from tests.dashboard.browser import Served, Visit, looks, shared, visiting
from tests.dashboard.test_mouse import graph

FIRST, DAMAGED, LOST, NO_TRIALS = (
    links.session(sessions.LAB, sessions.TURNER, date, 1)
    for date in (sessions.FIRST, sessions.DAMAGED, sessions.LOST, sessions.NO_TRIALS)
)
CURVES = ["psychometric", "chronometric", "response-times", "choices"]


@pytest.fixture(scope="session")
def small() -> Iterator[Served]:
    """A site over the small lab of `tests.dashboard.sessions`."""
    with shared("sessions", "tests.dashboard.sessions", *([str(REAL_DATA)] if REAL_DATA.is_dir() else [])) as result:
        yield result


@pytest.fixture
def visit_small(small: Served, browser: Any) -> Iterator[Callable[..., Visit]]:
    """As `visit`, on the small site."""
    with visiting(browser, small) as open_page:
        yield open_page


def drawn(seen: Visit) -> list[str]:
    """The figures of the page."""
    return seen.page.eval_on_selector_all("[data-figure]", "all => all.map((one) => one.dataset.figure)")


def wheel(seen: Visit, expected: int | list[str]) -> list[str]:
    """The names of the lines of the wheel, once there are so many, or these."""
    lines = "(one?._fullData ?? []).filter((trace) => trace.mode === 'lines')"
    has = "lines.length === expected" if isinstance(expected, int) else "lines.join() === expected.join()"
    seen.page.wait_for_function(
        "(expected) => { const one = document.querySelector('[data-figure=wheel] .js-plotly-plot'); "
        f"const lines = {lines}.map((trace) => trace.name); return {has} }}",
        arg=expected,
    )
    return graph(seen, "wheel", "gd._fullData.filter((one) => one.mode === 'lines').map((one) => one.name)")


def ask(served: Served, path: str, viewer: str | None) -> tuple[int, bytes, Any]:
    """Status, content and headers of an address, without a browser."""
    cookie = {"Cookie": f"{served.cookie}={served.users.issue_token(viewer, 'login')}"} if viewer else {}
    request = urllib.request.Request(served.url + path, headers=cookie)  # noqa: S310 - our own server
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def files(seen: Visit) -> dict[str, str]:
    """Name -> address of the files that can be saved."""
    seen.page.wait_for_selector("#session-files .ag-row")
    return dict(seen.page.eval_on_selector_all(
        "#session-files a", "all => all.map((one) => [one.textContent, one.getAttribute('href')])"))  # fmt: skip


def test_a_session_of_the_simulated_lab(visit, served):
    """What the figures show is what was simulated; keys lead to the neighbours."""
    seen = visit(links.mouse(lab.LAB, lab.LONG))
    seen.go(seen.page.locator("#mouse-sessions a[href*='/session/']").first.get_attribute("href"))
    last = seen.page.url
    assert drawn(seen) == CURVES
    n_trials = int(seen.text(".nj-facts dd").replace(",", ""))
    shown = graph(seen, "choices", "gd._fullData.filter((one) => one.mode === 'markers').map((one) => one.x.length)")
    assert sum(shown) == n_trials > 100
    parameters = seen.page.locator("table", has_text="Threshold").first
    assert parameters.locator("tbody tr").count() == graph(
        seen, "psychometric", "gd._fullData.filter((one) => one.mode === 'markers').length")  # fmt: skip
    assert "±" in parameters.inner_text()
    title = seen.text("h1")
    seen.page.keyboard.press("k")
    seen.page.wait_for_selector(f".nj-neighbours a[data-keys^=j][href='{last.removeprefix(served.url)}']")
    assert seen.page.url != last and seen.text("h1") != title
    seen.page.keyboard.press("j")
    seen.page.wait_for_url(last)


def test_the_mouse_whose_files_have_no_times(visit):
    seen = visit(links.mouse(lab.LAB, lab.NO_TIMES))
    seen.go(seen.page.locator("#mouse-sessions a[href*='/session/']").first.get_attribute("href"))
    assert drawn(seen) == ["psychometric", "choices"]
    text = seen.text()
    assert "There are no response times" in text and "The wheel was not recorded" in text
    assert "stimOn_times" in seen.text("#session-problems")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (f"/app/session/{lab.LAB}/{lab.LONG}/2001-01-01/1", "has no session on Mon 1 Jan 2001 with the number 1"),
        (f"/app/session/{lab.LAB}/nobody/2001-01-01/1", "There is no mouse called nobody"),
        (f"/app/session/{lab.LAB}/{lab.LONG}/2001-02-30/1", "is not a date"),
        (f"/app/session/{lab.LAB}/{lab.LONG}/2001-01-01/one", "is not the number of a session"),
        (f"/app/session/{lab.LAB}/{lab.LONG}/2001-01-01/99999", "is not the number of a session"),
        (f"/app/session/{lab.LAB}/{lab.LONG}/2001-01-01", "no page at this address"),
        (f"/app/session/{lab.LAB}/..%2f..%2fetc/2001-01-01/1", "There is no mouse called ../../etc"),
    ],
)
def test_an_address_that_means_nothing_is_answered_with_a_sentence(answer, path, words):
    assert words in answer(path).sentences[0]


def test_the_wheel_around_chosen_trials(visit_small):
    """By number, by a click, and by an address that others can open; what cannot be meant is said."""
    seen = visit_small(FIRST)
    assert drawn(seen) == [*CURVES, "wheel"]
    assert set(wheel(seen, page.FIRST_TRIALS)) <= {"choice right", "choice left", "no choice"}
    seen.page.fill("#session-trials", "3, 7-8")
    assert wheel(seen, ["trial 3", "trial 7", "trial 8"])
    seen.page.wait_for_function("() => location.search === '?trials=3,+7-8'")
    seen.page.fill("#session-trials", "7-900")
    seen.page.wait_for_selector("#session-wheel-words .nj-sentence")
    words = seen.text("#session-wheel-words")
    assert "There is no trial 7-900." in words and f"1 to {sessions.N_TRIALS}" in words
    seen.page.fill("#session-trials", "5")
    assert wheel(seen, ["trial 5"])
    assert seen.page.locator("#session-wheel-words .nj-sentence").count() == 0
    x, y, number = graph(
        seen, "choices",
        "(() => { const one = gd._fullData[0], {xaxis, yaxis} = gd._fullLayout, i = one.x.length - 1;"
        " gd.scrollIntoView({block: 'center'}); const box = gd.getBoundingClientRect();"
        " return [box.x + xaxis._offset + xaxis.d2p(one.x[i]), box.y + yaxis._offset + yaxis.d2p(one.y[i]),"
        " one.customdata[i]] })()",
    )  # fmt: skip
    seen.page.mouse.move(x, y)
    seen.page.wait_for_selector("[data-figure=choices] .hoverlayer > g")
    seen.page.mouse.click(x, y)
    seen.page.wait_for_function("() => document.querySelector('#session-trials').value !== '5'")
    clicked = int(seen.page.input_value("#session-trials"))
    assert abs(clicked - number) <= 2  # neighbours may share a pixel
    assert wheel(seen, [f"trial {clicked}"])
    again = visit_small(f"{FIRST}?trials=3,7")
    assert wheel(again, 2) == ["trial 3", "trial 7"]


def test_files_are_saved_as_they_are_and_only_by_those_who_may(visit_small, small):
    seen = visit_small(FIRST)
    listed_files = files(seen)
    name = "alf/_ibl_trials.choice.npy"
    content = (sessions.folder(small.root, sessions.FIRST) / name).read_bytes()
    with seen.page.expect_download() as saved:
        seen.page.get_by_role("link", name=name).click()
    assert saved.value.suggested_filename == "_ibl_trials.choice.npy"
    assert Path(saved.value.path()).read_bytes() == content
    status, body, headers = ask(small, listed_files[name], "pat")
    assert (status, body) == (200, content)
    assert headers["Content-Type"] == "application/octet-stream" and "attachment" in headers["Content-Disposition"]
    assert ask(small, listed_files[name], None)[0] == 404  # the public: no tag says that it is for everyone
    for path in ("nothing", "..%2f..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "' OR 1=1 --"):
        _, body, headers = ask(small, links.FILES + "/" + path.replace(" ", "%20"), "pat")
        assert "Content-Disposition" not in headers and b"root:" not in body


def test_the_nwb_file_of_a_session_is_saved_by_members(visit, served, visit_small, small):
    """The page waits while the file is written, and then saves it; what is missing is a sentence."""
    seen = visit(links.mouse(lab.LAB, lab.LONG))
    seen.go(seen.page.locator("#mouse-sessions a[href*='/session/']").first.get_attribute("href"))
    button = seen.page.get_by_role("link", name="NWB", exact=True)
    address = button.get_attribute("href")
    with seen.page.expect_download(timeout=120_000) as saved:
        button.click()
    assert saved.value.suggested_filename.startswith(f"{lab.LAB}_{lab.LONG}_")
    assert Path(saved.value.path()).read_bytes()[:8] == b"\x89HDF\r\n\x1a\n"
    for viewer in ("pat", None):
        status, body, _ = ask(served, address, viewer)
        assert (status, b"for members of the lab" in body) == (403, True)
    other = visit_small(FIRST).page.get_by_role("link", name="NWB", exact=True).get_attribute("href")
    while (answer := ask(small, other, "mia"))[0] == 202:
        assert answer[2]["Retry-After"]
    assert answer[0] == 409 and b"cannot be exported" in answer[1] and b"birth date" in answer[1]


def test_a_file_that_leads_out_of_the_root_or_has_changed_is_not_sent(visit_small, small, tmp_path):
    listed_files = files(visit_small(DAMAGED))
    alf = sessions.folder(small.root, sessions.DAMAGED) / "alf"
    secret = tmp_path / "secret.npy"
    secret.write_bytes(b"secret")
    (alf / "_ibl_trials.choice.npy").unlink()
    (alf / "_ibl_trials.choice.npy").symlink_to(secret)
    (alf / "_ibl_trials.feedbackType.npy").write_bytes(b"other")
    changed = b"is not as it was when it was registered"
    for name, words in (("choice", b"leads out of the data root"), ("feedbackType", changed)):
        status, body, _ = ask(small, listed_files[f"alf/_ibl_trials.{name}.npy"], "mia")
        assert status == 410 and words in body


def test_what_is_refused_and_absent_is_said_with_what_to_do(visit_small):
    seen = visit_small(DAMAGED)
    table = seen.text("#session-problems")
    assert "rewardVolume" in table and "the file ends before its content does" in table
    assert "copy the file again from where it was recorded" in table
    assert "Water earned" not in seen.text()


def test_a_wheel_that_was_taken_away_is_a_sentence(visit_small):
    seen = visit_small(LOST)
    seen.page.wait_for_selector("#session-wheel-words .nj-sentence")
    words = seen.text("#session-wheel-words")
    assert "the file is gone since it was registered" in words and "neurojoint ingest" in words
    assert drawn(seen) == [*CURVES, "wheel"]


def test_a_session_without_trials_and_its_neighbours(visit_small):
    seen = visit_small(NO_TRIALS)
    assert "This session has no trials." in seen.text()
    assert list(files(seen)) == ["alf/licks.times.npy"]
    assert {"trials", "wheel"} <= set(seen.text("#session-problems").split())
    neighbours = seen.text(".nj-neighbours").split("\n")
    assert neighbours[0].startswith("Wed 7 Jan 2026") and neighbours[-1] == "last"


def test_qc_and_remarks(visit_small):
    seen = visit_small(FIRST)
    text = seen.text()
    assert "QC warning" in seen.text("h1") and "_task_goCue_delays" in text and "0.98" in text
    assert sessions.NARRATIVE in text


def test_what_is_new_appears_and_the_chosen_trials_stay(visit_small, small):
    seen = visit_small(f"{DAMAGED}?trials=4")
    assert wheel(seen, ["trial 4"])
    changed = f"""
import datetime
key = {{"lab": {sessions.LAB!r}, "subject": {sessions.TURNER!r}, "session_date": "{sessions.DAMAGED}"}}
acquisition.Session.update1(key | {{"session_number": 1, "session_qc": "CRITICAL"}})
now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
data.Change.insert1({{"change_id": "x", "change_time": now, "change_action": "replaced", "change_path": "x"}})
"""
    with console.opened(small) as run:
        run(changed)
    seen.page.wait_for_selector("h1 >> text=QC critical")
    assert wheel(seen, ["trial 4"])


def test_the_public_sees_no_names(visit_small, small):
    seen = visit_small("/app/", viewer=None)
    name = seen.page.locator("a[href*='/app/mouse/sessionlab/']").first.inner_text()
    assert name.startswith("mouse-")
    seen.go(FIRST.replace(sessions.TURNER, name))
    assert drawn(seen) == [*CURVES, "wheel"]
    page_source = seen.page.content()
    assert sessions.TURNER not in page_source and sessions.NARRATIVE not in page_source
    assert seen.page.locator("#session-files a").count() == 0
    assert seen.go(FIRST).page.locator(".nj-problem").count() == 1  # nor does the real name lead there


@pytest.mark.parametrize("path", sessions.REAL)
def test_real_sessions(visit_small, real_data, path):
    at, _, subject, date, number = path.split("/")
    seen = visit_small(links.session(at, subject, date, int(number)))
    text = seen.text()
    assert "Traceback" not in text
    if subject == "trials_test":
        assert drawn(seen) == CURVES and "887" in text
        assert text.count("P(left) =") >= 3
    elif subject == "KS014":
        assert drawn(seen) == ["psychometric", "choices"] and "81.9 %" in text
        assert "There are no response times" in text
    else:
        assert drawn(seen) == [] and "This session has no trials." in text
        assert set(files(seen)) == {"alf/_ibl_wheel.position.npy", "alf/_ibl_wheel.timestamps.npy"}


def test_how_it_looks(visit_small):
    looks(visit_small, f"{FIRST}?trials=1-40", "session")


@pytest.mark.parametrize(
    ("text", "result"),
    [("1", [0]), ("12, 3-5", [2, 3, 4, 11]), ("3 – 4; 4", [2, 3]), ("", []), (" 7\n9 ", [6, 8]), ("100-199", None),
     ("1-100", list(range(100))), ("1-101", None), ("0", None), ("4-3", None), ("x", None), ("-1", None),
     ("9999999999", None), ("1" * 5000, None)],
)  # fmt: skip
def test_trials_are_named_as_people_do(text, result):
    if result is None:
        with pytest.raises(NeurojointError, match="trial"):
            page.chosen_trials(text, 150)
    else:
        assert page.chosen_trials(text, 150) == result


def test_queries_on_both_databases(database, tmp_path):
    """Everything of a session before and after it is computed; its files only by their id, its wheel as in the file."""
    sessions.write(tmp_path)
    ingest.register(tmp_path, processes=1)
    key = {"lab": sessions.LAB, "subject": sessions.TURNER, "session_date": sessions.FIRST, "session_number": 1}
    before, stamp = queries.session(key, page.RULES), queries.version(key)
    assert before.trial_set is None and before.trials.num_rows == 0 and before.has_wheel
    assert before.before is None and before.after == (sessions.DAMAGED, 1)
    for table in (behavior.TrialSet, behavior_analysis.SessionPerformance, behavior_analysis.PsychometricFit):
        table.populate(key)
    shown_session = queries.session(key, page.RULES)
    assert queries.version(key) != stamp
    assert shown_session.trials.num_rows == sessions.N_TRIALS == shown_session.trial_set["n_trials"]
    assert shown_session.blocks["block"].to_pylist() == [20, 50, 80] and shown_session.fit["n_blocks"] == 3
    assert queries.trials(key, [3, 1])["trial_id"].to_pylist() == [1, 3] and queries.trials(key, []).num_rows == 0
    times, position = queries.wheel(key)
    assert len(times) == len(position) > 1000
    (dataset,) = [file for file in shown_session.files if file["rel_path"].endswith("choice.npy")]
    assert queries.file(dataset["dataset_id"], public=False).path.name == "_ibl_trials.choice.npy"
    assert queries.file(dataset["dataset_id"], public=True) is None and queries.file("nothing", public=False) is None
    data.Tag.insert1({"tag": "for everyone", "tag_public": True})
    data.DatasetTag.insert1({"dataset_id": dataset["dataset_id"], "tag": "for everyone"})
    assert queries.file(dataset["dataset_id"], public=True) is not None
    damaged = queries.session(key | {"session_date": sessions.DAMAGED}, page.RULES)
    assert [item["reason"] for item in damaged.quarantine] == ["truncated"]
    behavior.TrialSet().jobs.refresh()
    (job,) = [item for item in queries.session(key | {"session_date": sessions.LOST}, page.RULES).jobs
              if item["table"].endswith("TrialSet")]  # fmt: skip
    assert job["status"] == "pending"
    told = session_files.problems(damaged, public=True)
    assert sessions.TURNER not in str(told) and told[0][0] == "refused"
    sessions.folder(tmp_path, sessions.FIRST).joinpath("alf", "_ibl_wheel.position.npy").unlink()
    with pytest.raises(InvalidData, match="gone since it was registered"):
        queries.wheel(key)
    assert queries.session(key | {"session_number": 7}, page.RULES) is None
