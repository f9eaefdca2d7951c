"""Files for DANDI, the commands, interruptions, and what servers send: with the real programs, without network."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import datajoint as dj
import numpy as np
import pytest
import requests
from click.testing import CliRunner

pytest.importorskip("pynwb")

import ingest  # noqa: E402
from exchange.nwb import checking, command, selection  # noqa: E402
from exchange.nwb.export import Options, dandi_label, export  # noqa: E402
from neurojoint.cli import main  # noqa: E402
from pipeline import settings  # noqa: E402
from pipeline.errors import NeurojointError  # noqa: E402
from pipeline.schemas import acquisition, subject  # noqa: E402
from tests.exchange.nwb import sessions  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.one_database]


@pytest.fixture(autouse=True)
def _postgresql_only(server: dict) -> None:
    """What is tested here does not depend on the backend; the round trip runs on both."""
    if "database_url" in server:
        pytest.skip("runs on PostgreSQL")


@pytest.fixture
def registered(database: dj.Connection, tmp_path: Path) -> Path:
    """A small session with trials and one probe, registered."""
    root = tmp_path / "data"
    root.mkdir()
    chance = np.random.default_rng(0)
    alf = root / sessions.SESSION / "alf"
    sessions.save(alf, **{f"_ibl_trials__{name}": values for name, values in sessions.trials(chance).items()})
    sessions.probe(alf / "probe00", chance)
    ingest.register(root, metadata=sessions.enter(root), processes=1)
    return root


def offline(arguments: list[str], folder: Path, home: Path) -> subprocess.CompletedProcess:
    """Run dandi without network, where this account may cut it off."""
    code = "from dandi.cli.command import main; main()"
    line = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    if shutil.which("unshare") and os.getuid() == 0:
        line = ["unshare", "-rn", *line]
    told = os.environ | {"HOME": str(home), "NO_ET": "1", "DANDI_NO_ET": "1"}
    return subprocess.run(line, cwd=folder, env=told, capture_output=True, text=True, timeout=240, check=False)


def test_inspector_validator_and_dandi_find_nothing(database: dj.Connection, tmp_path: Path) -> None:
    pytest.importorskip("dandi")
    root = tmp_path / "data"
    root.mkdir()
    sessions.everything(root)
    sessions.register(root, sessions.enter(root))
    out = tmp_path / "dandi"
    exported = export(acquisition.Session.keys(), out, Options(dandi=True))[0]
    assert exported.state == "written", exported.problem
    assert checking.inspect(exported.path) == []
    (out / "dandiset.yaml").write_text('identifier: "000000"\nname: test\ndescription: test\n')
    done = offline(["validate", "."], out, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No errors found" in done.stdout
    again = tmp_path / "organized"
    again.mkdir()
    shutil.copyfile(out / "dandiset.yaml", again / "dandiset.yaml")
    given = ["-d", str(again), "-f", "copy", "--media-files-mode", "copy", "--update-external-file-paths", "--invalid"]
    done = offline(["organize", *given, "fail", str(exported.path)], out, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (organized,) = again.rglob("*.nwb")
    assert organized.parent.name == exported.path.parent.name == "sub-mouse"
    assert organized.stem.rpartition("_")[2] == exported.path.stem.rpartition("_")[2], (
        "the same words for what it holds"
    )
    for_lab = export(acquisition.Session.keys(), tmp_path / "lab")[0]
    assert checking.inspect(for_lab.path) == []


def test_the_simulated_lab_and_real_mice_pass_the_inspector(
    database: dj.Connection, tmp_path: Path, real_data: Path
) -> None:
    from ingest import simulate

    root = tmp_path / "sim"
    simulate.write_lab(root, 1, 1)
    ingest.register(root, metadata=[*sorted(root.glob("*.csv")), root / "sessions.json"], processes=1)
    real = tmp_path / "real"
    for name in ("ibl_KS014/Subjects/KS014/2019-08-06", "ibl_photometry", "ibllib_fixtures/Subjects/ephys_test"):
        if (real_data / name).is_dir():
            shutil.copytree(real_data / name, real / name)
    people = real / "subjects.csv"
    animals = sorted((path.parts[-3], path.name) for path in real.glob("*/Subjects/*"))
    rows = "".join(f"{lab},{animal},U,2018-01-01,Mus musculus\n" for lab, animal in animals)
    people.write_text("lab,subject,sex,birth_date,species\n" + rows)
    ingest.register(real, metadata=[people, real_data / "sessions.json"], processes=1)
    sessions.populate()
    keys = acquisition.Session.keys()
    missing = [key for key in keys if (acquisition.Session & key).fetch1("start_time") is None]
    for key in missing:
        acquisition.Session.update1(key | {"start_time": f"{key['session_date']} 12:00:00"})
    exported = export(keys, tmp_path / "out")
    assert [item.problem for item in exported if item.state == "failed"] == []
    for item in exported:
        assert checking.inspect(item.path) == [], item.name


def test_what_is_missing_is_a_sentence_and_nothing_is_written(registered: Path, tmp_path: Path) -> None:
    subject.Subject.update1({"lab": "lab", "subject": "mouse", "birth_date": None, "species": None})
    out = tmp_path / "out"
    exported = export(acquisition.Session.keys(), out)[0]
    assert exported.state == "failed"
    assert "subject mouse has no birth date: give it in subjects.csv" in exported.problem
    assert list(out.rglob("*")) == []
    assert export(acquisition.Session.keys(), out, Options(incomplete=True))[0].state == "written"


def test_what_is_there_and_equal_is_passed_over(registered: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = export(acquisition.Session.keys(), out)[0]
    stat = first.path.stat()
    again = export(acquisition.Session.keys(), out)[0]
    assert (again.state, again.path.stat().st_mtime_ns) == ("equal", stat.st_mtime_ns)
    acquisition.Session.update1(acquisition.Session.keys()[0] | {"session_qc": "FAIL"})
    assert export(acquisition.Session.keys(), out)[0].state == "written"
    assert [path.name for path in out.iterdir()] == [first.path.name]


def test_a_killed_export_leaves_no_file_and_the_next_call_ends_it(
    registered: Path, tmp_path: Path, server: dict
) -> None:
    out = tmp_path / "out"
    code = "import sys; from neurojoint.cli import main; main(sys.argv[1:])"
    env = os.environ | {"NEUROJOINT_HOME": str(server["home"])}
    for delay in (2.0, 3.0):
        process = subprocess.Popen([sys.executable, "-c", code, "nwb", "export", "mouse", str(out)], env=env)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        whole = [path for path in out.glob("*.nwb") if not path.name.startswith(".")] if out.exists() else []
        assert all(not checking.inspect(item) for item in whole)
    assert export(acquisition.Session.keys(), out)[0].state in ("written", "equal")


def test_the_commands(registered: Path, tmp_path: Path, server: dict) -> None:
    out = tmp_path / "out"
    run = CliRunner().invoke
    with settings.override(**server):
        done = run(main, ["nwb", "export", "mouse", str(out)])
        assert done.exit_code == 0, done.output
        assert "1 written" in done.output
        assert "no full name is entered for ann" in done.output
        path = next(out.glob("*.nwb"))
        done = run(main, ["nwb", "check", str(path)])
        assert done.exit_code == 0, done.output
        assert "find nothing" in done.output
        assert "trials: TimeIntervals, 40 rows" in done.output
        done = run(main, ["nwb", "ingest", str(path), "--root", str(registered)])
        assert done.exit_code == 0, done.output
        assert "equal" in done.output
        done = run(main, ["nwb", "export", "nobody", str(out)])
        assert done.exit_code == 1
        assert "there is no session of nobody" in done.output
        done = run(main, ["nwb", "export", str(out)])
        assert "no session is named" in done.output


def test_sessions_are_chosen(registered: Path) -> None:
    sessions.populate()
    eid = acquisition.Session.fetch1("eid")
    for words in ([eid], ["mouse"], ["lab/mouse/2024-05-01/1"], [sessions.SESSION], ["mouse/2024-05-01"]):
        assert len(selection.sessions(words)) == 1, words
    assert len(selection.sessions(region="VISp")) == 1
    assert selection.sessions(region="CA1") == []
    assert selection.sessions(subject="mouse", since="2025-01-01") == []
    with pytest.raises(NeurojointError, match="there is no tag x"):
        selection.sessions(tag="x")


def test_members_get_the_file_from_the_server(registered: Path, database: dj.Connection, tmp_path: Path) -> None:
    from tests.one_bridge.serving import serving

    eid = acquisition.Session.fetch1("eid")
    home = tmp_path / "home"
    home.mkdir()
    with serving(database, registered, home, public_read=True) as served:
        url = f"{served.url}/sessions/{eid}/nwb"
        assert requests.get(url, timeout=30).status_code in (401, 403)
        assert served.session("pat").get(url, timeout=30).status_code in (401, 403)
        member = served.session("mia")
        missing = f"{served.url}/sessions/00000000-0000-4000-8000-000000000000/nwb"
        assert member.get(missing, timeout=30).status_code == 404
        until = time.monotonic() + 120
        answer = member.get(url, timeout=60)
        while answer.status_code == 202 and time.monotonic() < until:
            assert answer.headers["Retry-After"]
            answer = member.get(url, timeout=60)
        assert answer.status_code == 200, answer.text
        assert answer.content[:8] == b"\x89HDF\r\n\x1a\n"
        assert "lab_mouse_2024-05-01_001.nwb" in answer.headers["content-disposition"]
        subject.Subject.update1({"lab": "lab", "subject": "mouse", "birth_date": None})
        from pipeline.web import nwb_files

        served.app.state.bridge.nwb = nwb_files.NwbFiles(tmp_path / "other")
        answer = member.get(url, timeout=60)
        while answer.status_code == 202:
            answer = member.get(url, timeout=60)
        assert answer.status_code == 409
        assert "no birth date" in answer.json()["detail"]


def test_names() -> None:
    assert dandi_label("SWC_054") == "SWC-054"
    assert command.pairs(["a=b", "c=d=e"]) == {"a": "b", "c": "d=e"}
    with pytest.raises(NeurojointError, match="is no ATTRIBUTE=COLUMN"):
        command.pairs(["ab"])
