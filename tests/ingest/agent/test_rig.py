"""A session travels from the rig whole, or not at all, and what a crash left unsent is picked up."""

from __future__ import annotations

import datetime
import os
import shlex
import shutil
import subprocess

import pytest
from click.testing import CliRunner

from ingest.agent import rig
from ingest.agent.sessions import FLAG
from pipeline.errors import ConflictError, UserError
from pipeline.tasks.description import FILE, parse_yaml, read

DAY = datetime.date(2030, 5, 6)


@pytest.fixture
def roots(tmp_path):
    for name in ("rig", "server"):
        (tmp_path / name).mkdir()
    return tmp_path / "rig", tmp_path / "server"


def recorded(root, number=None):
    folder = rig.new(root, "mylab", "m1", rig.describe(["training"], ["left"]), DAY, number)
    (folder / "raw_task_data_00/_iblrig_taskData.raw.jsonable").write_text("{}\n")
    (folder / "raw_video_data/_iblrig_leftCamera.raw.avi").write_bytes(os.urandom(100_000))
    return folder


def test_a_new_session_has_its_description_and_the_next_number(roots):
    first, second = recorded(roots[0]), recorded(roots[0])
    assert (first.name, second.name) == ("001", "002")
    description = read(parse_yaml((first / FILE).read_text()))
    assert [device.label for device in description.devices] == ["left"] and description.tasks[
        0
    ].folder == "raw_task_data_00"
    with pytest.raises(ConflictError, match="there already"):
        recorded(roots[0], 1)
    with pytest.raises(UserError):
        rig.new(roots[0], "../x", "m", {}, DAY)


def test_sessions_are_sent_verified_and_flagged_once_they_are_quiet(roots):
    folder = recorded(roots[0])
    assert rig.send(*roots).waiting == [f"mylab/Subjects/m1/{DAY}/001"]
    done = rig.send(*roots, quiet=0)
    there = roots[1] / folder.relative_to(roots[0])
    assert done.files == 3 and (there / FLAG).exists() and rig.unsent(roots[0]) == []
    video = "raw_video_data/_iblrig_leftCamera.raw.avi"
    assert (there / video).read_bytes() == (folder / video).read_bytes()
    assert rig.send(*roots, quiet=0).sessions == []


def test_a_crash_in_the_middle_leaves_no_flag_and_the_next_run_goes_on(roots, monkeypatch):
    folder = recorded(roots[0])
    copy = rig._copy

    def crash(source, target):
        if source.suffix == ".avi":
            raise KeyboardInterrupt
        return copy(source, target)

    monkeypatch.setattr(rig, "_copy", crash)
    with pytest.raises(KeyboardInterrupt):
        rig.send(*roots, quiet=0)
    there = roots[1] / folder.relative_to(roots[0])
    assert not (there / FLAG).exists() and rig.unsent(roots[0]) == [folder]
    monkeypatch.undo()
    done = rig.send(*roots, quiet=0)
    assert done.files == 1 and (there / FLAG).exists()


def test_another_file_of_the_name_on_the_server_is_never_overwritten(roots):
    folder = recorded(roots[0])
    there = roots[1] / folder.relative_to(roots[0]) / "raw_video_data"
    there.mkdir(parents=True)
    (there / "_iblrig_leftCamera.raw.avi").write_bytes(b"of somebody else")
    done = rig.send(*roots, quiet=0)
    assert "another" in done.problems[f"mylab/Subjects/m1/{DAY}/001"] and not done.sessions
    assert (there / "_iblrig_leftCamera.raw.avi").read_bytes() == b"of somebody else"
    assert not (there.parent / FLAG).exists()


def test_the_commands_of_the_rig(roots):
    from neurojoint.cli import main

    words = [
        "session",
        "new",
        str(roots[0]),
        "mylab",
        "m1",
        "--task",
        "training",
        "--camera",
        "left",
        "--date",
        str(DAY),
    ]
    made = CliRunner().invoke(main, words)
    assert made.exit_code == 0 and made.output.strip().endswith("001")
    sent = CliRunner().invoke(main, ["session", "send", str(roots[0]), str(roots[1]), "--quiet", "0"])
    assert sent.exit_code == 0 and "1 sessions, 1 files" in sent.output
    drawn = CliRunner().invoke(main, ["task", "graph", made.output.strip()])
    assert "compress_video_left" in drawn.output and "└─ motion_energy_left" in drawn.output.replace("├", "└")


def test_the_unit_that_is_printed_is_what_systemd_reads_as_the_command(tmp_path, monkeypatch):
    from neurojoint.cli import main

    program = tmp_path / "neurojoint"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    words = ["agent", "--root", str(tmp_path), "--name", "50 % of $HOME", "--env", "pose=/opt/run '{video}' \"a\\b\"",
             "--systemd"]  # fmt: skip
    monkeypatch.setattr("sys.argv", [str(program), *words])
    printed = CliRunner().invoke(main, words)
    assert printed.exit_code == 0 and "Restart=always" in printed.output
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not on this computer")
    file = tmp_path / "neurojoint-agent.service"
    file.write_text(printed.output)
    done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False,
                          env=os.environ | {"SYSTEMD_LOG_LEVEL": "debug"})  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (line,) = [item for item in done.stdout.splitlines() if "Command Line:" in item]
    read = shlex.split(line.partition("Command Line:")[2].replace("\\$\\$", "$"))
    assert read == [str(program), *words[:-1]]
