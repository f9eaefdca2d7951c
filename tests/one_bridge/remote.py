"""A lab of three sessions for the tests of the unmodified client, and the client itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from one.api import ONE as ClientONE

from one_bridge import client_config
from tests.one_bridge.serving import PASSWORD, Served
from tests.one_bridge.trees import File, Session

FIRST = Session(
    subject="KS014",
    date="2020-01-01",
    protocol="trainingChoiceWorld",
    projects=("alpha", "beta"),
    probes=("probe00", "probe01"),
    files=[
        File("alf/_ibl_trials.choice.npy", np.array([1.0, -1.0, 0.0]), default=False),
        File("alf/#2020-02-02#/_ibl_trials.choice.npy", np.array([1.0, 1.0, 0.0])),
        File("alf/_ibl_trials.feedbackType.npy", np.array([1, -1, -1])),
        File("alf/probe00/spikes.times.npy", np.linspace(0, 5, 50)),
        File("alf/probe00/spikes.clusters.npy", np.arange(50)),
        File("raw_behavior_data/_iblrig_taskData.raw.jsonable", b'{"a": 1}\n', qc="FAIL"),
    ],
)
SECOND = Session(
    subject="KS014", date="2020-01-02", number=1, protocol="ephysChoiceWorld",
    files=[File("alf/_ibl_trials.choice.npy", np.array([1.0]), qc="PASS")],
)  # fmt: skip
THIRD = Session(subject="ZM_1", date="2020-01-02", number=2, files=[File("alf/spikes.times.npy", None)])
SESSIONS = [FIRST, SECOND, THIRD]


def client(served: Served, home: Path, user: str = "mia"):
    """The real client, configured by `client-config`, with an empty folder of its own."""
    ClientONE.cache_clear()  # it gives the instance that it made for these words before
    client_config.configure(served.url, user, served.token(user), home / "downloads" / user)
    result = ClientONE(base_url=served.url, username=user, password=PASSWORD, silent=True)
    result.alyx.cache_mode = ""  # the client would show its own writes 5 minutes late
    return result
