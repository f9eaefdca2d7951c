"""Trees that hypothesis draws, and how the answers of two faces to one question are compared."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from one.api import One

from tests.one_bridge.trees import File, Session

NAMES = (
    "_ibl_trials.choice.npy", "trials.choice.npy", "_ibl_trials.intervals.npy", "spikes.times.npy",
    "spikes.clusters.npy", "_ibl_wheel.timestamps.npy", "_ibl_trials.goCue_times_bpod.npy", "my_obj.attr.raw.json",
    "channels.brainLocationIds_ccf_2017.npy",
)  # fmt: skip
COLLECTIONS = ("", "alf", "alf/probe00", "raw_behavior_data", "alf/probe.01")
REVISIONS = ("", "2020-01-01", "2021-06-06a", "test")
QC = ("NOT_SET", "PASS", "WARNING", "FAIL", "CRITICAL")


@st.composite
def files(draw: st.DrawFn) -> list[File]:
    """Up to six datasets: revisions with no, one or several defaults, absent files and hashes, names of all kinds."""
    file = {}
    for _ in range(draw(st.integers(0, 6))):
        folder, name = draw(st.sampled_from(COLLECTIONS)), draw(st.sampled_from(NAMES))
        revision = draw(st.sampled_from(REVISIONS))
        path = "/".join(filter(None, (folder, f"#{revision}#" if revision else "", name)))
        content = np.arange(draw(st.integers(1, 3)), dtype=float) if name.endswith("npy") else b'{"a": 1}'
        file[path] = File(
            path,
            draw(st.sampled_from((content, content, content, None))),
            draw(st.sampled_from(QC)),
            draw(st.booleans()),
            draw(st.sampled_from((True, True, False))),
        )
    return list(file.values())


@st.composite
def trees(draw: st.DrawFn) -> list[Session]:
    """Up to five sessions of odd mice in two labs."""
    result = {}
    for _ in range(draw(st.integers(1, 5))):
        one = Session(
            draw(st.sampled_from(("simlab", "other_lab"))),
            draw(st.sampled_from(("KS014", "ks.014-b", "KS0145", "Mouse_7"))),
            draw(st.sampled_from(("2019-12-31", "2020-01-01", "2020-02-29"))),
            draw(st.integers(1, 3)),
            draw(st.sampled_from(("", "_iblrig_tasks_training6.4.2", "ephysChoiceWorld"))),
            tuple(draw(st.sets(st.sampled_from(("ibl_main", "brainwide", "x.y"))))),
            draw(files()),
            probes=tuple(sorted(draw(st.sets(st.sampled_from(("probe00", "probe01")))))),
        )
        result[one.subject, one.date, one.number] = one
    return list(result.values())


def outcome(one: One, method: str, args: tuple, options: dict) -> tuple[object, Exception | None]:
    """What a call gives, or the error that it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return getattr(one, method)(*args, **options), None
        except Exception as error:
            return None, error


def equal(a: object, b: object) -> bool:
    """Values, types, order and index are the same."""
    if isinstance(b, pd.DataFrame | pd.Series):
        check = pd.testing.assert_frame_equal if isinstance(b, pd.DataFrame) else pd.testing.assert_series_equal
        if len(b) or isinstance(b, pd.Series):
            check(a, b)
            return True
        return isinstance(a, pd.DataFrame) and a.empty and list(a.columns) == list(b.columns)
    if isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in b)
    if isinstance(b, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    if isinstance(b, float) and b != b:
        return a != a
    return a == b and isinstance(a, type(b))
