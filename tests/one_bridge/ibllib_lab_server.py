"""The unmodified lab-server client of ibllib, in an environment of its own, against a server of ours.

    python -m tests.one_bridge.ibllib_lab_server --ibllib-python /tmp/ibl/bin/python

Creates a lab with a real raw session, lets ibllib's `job_creator`, `task_queue` and `tasks_runner` work on it over
HTTP, and prints the tasks with their status. Not part of the test run, since ibllib cannot share an environment with
us.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

ENDPOINT = "0f8a9ba0-5b0c-4d0e-8d8d-222222222222"
LAB, SUBJECT, DAY = "cortexlab", "KS014", "2026-11-28"

CLIENT = """
import sys, logging
from pathlib import Path
from one.api import ONE
url, root = sys.argv[1:]
one = ONE(base_url=url, username="root", password="correct horse", silent=True, cache_dir=root, cache_rest=None)
from ibllib.pipes import local_server
if Path("/mnt/s0/Data").exists():
    local_server.report_health(one.alyx)
local_server.job_creator(Path(root), one=one)
queue = local_server.task_queue("all", lab="cortexlab", alyx=one.alyx)
print("queue:", [task["name"] for task in queue])
for _ in range(4):
    queue = local_server.task_queue("all", lab="cortexlab", alyx=one.alyx)
    if not queue:
        break
    local_server.tasks_runner(Path(root), queue, one=one, count=10, time_out=3600)
"""


def rig(root: Path) -> Path:
    """A real training session, as the rig's copy script leaves it."""
    source = Path(__file__).parents[3] / "shared/realdata/raw_rig/session_training_ge5/raw_behavior_data"
    folder = root / LAB / "Subjects" / SUBJECT / DAY / "001"
    shutil.copytree(source, folder / "raw_behavior_data")
    for path in [folder / "raw_behavior_data", *(folder / "raw_behavior_data").iterdir()]:
        path.chmod(0o755)
    settings = folder / "raw_behavior_data/_iblrig_taskSettings.raw.json"
    told = json.loads(settings.read_text())
    told |= {
        "SUBJECT_NAME": SUBJECT, "PYBPOD_SUBJECTS": [SUBJECT], "PYBPOD_CREATOR": ["root", ""], "PYBPOD_BOARD": "rig_1",
        "SESSION_DATE": DAY, "SESSION_DATETIME": f"{DAY}T10:00:00.000000", "SUBJECT_WEIGHT": 22.5, "LAB": LAB,
        "PYBPOD_SUBJECT_EXTRA": {"lab": LAB}, "SUBJECT_PROJECT": None, "PROJECTS": [],
    }  # fmt: skip
    settings.write_text(json.dumps(told))
    (folder / "raw_session.flag").touch()
    return folder


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ibllib-python", required=True)
    options = parser.parse_args()
    import pipeline
    from pipeline import settings
    from pipeline.database import embedded
    from tests.one_bridge.serving import PASSWORD, serving

    home = Path(tempfile.mkdtemp(prefix="neurojoint-"))
    home.chmod(0o711)
    root = home / "data"
    rig(root)
    (home / "person/.globusonline/lta").mkdir(parents=True)
    (home / "person/.globusonline/lta/client-id.txt").write_text(ENDPOINT)
    with settings.override(home=home):
        connection = pipeline.connect()
        from pipeline.schemas import action, data, lab, subject, task, transfer

        lab.Lab.insert1({"lab": LAB})
        lab.LabMember.insert1({"user_name": "root"})
        lab.LabLocation.insert1({"lab": LAB, "location": "rig_1"})
        subject.Subject.insert1({"lab": LAB, "subject": SUBJECT, "subject_uuid": ENDPOINT})
        action.WaterType.insert1({"water_type": "Water 10% Sucrose"}, skip_duplicates=True)
        action.ProcedureType.insert1({"procedure_type": "Behavior training/tasks"}, skip_duplicates=True)
        data.Repository.insert1({"repository": "lab_SR", "repository_kind": "globus", "repository_root": "/",
                                 "repository_host": ENDPOINT})  # fmt: skip
        transfer.Access.insert1({"repository": "lab_SR", "lab": LAB, "access_options": {}})
        try:
            with serving(connection, root, home) as served:
                served.users.add("root", PASSWORD, "member")
                environment = {"HOME": str(home / "person"), "PATH": os.environ["PATH"]}
                command = [options.ibllib_python, "-c", CLIENT, served.url, str(root / LAB / "Subjects")]
                done = subprocess.run(command, env=environment, check=False, text=True, capture_output=True)
                print(done.stdout[-3000:], done.stderr[-6000:])
                for row in task.Task().to_dicts():
                    print(f"{row['task_state']:10} {row['task_name']}: {row['task_log'][-200:]!r}"[:160])
                print(sorted(data.Dataset().to_arrays("rel_path")))
        finally:
            connection.close()
            embedded.stop(home)


if __name__ == "__main__":
    main()
