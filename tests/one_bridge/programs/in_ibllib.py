"""ibllib's loaders on one session, run by a Python that has ibllib: `in_ibllib.py FACE WHERE SESSION [PROBE]`.

FACE is `http` (WHERE is the address of the server, which is configured), `tables` (WHERE is the folder of the cache
tables) or `class` (`one_bridge.ONE` in this process, on the database of the settings). Prints what each loader found,
or `FAILED …`, as one line of JSON.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import traceback
import types
import warnings
from collections.abc import Callable
from typing import Any

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)

import brainbox.io.one as loaders  # noqa: E402
from brainbox.behavior.training import get_subject_training_status  # noqa: E402
from iblatlas.regions import BrainRegions  # noqa: E402

ATLAS = types.SimpleNamespace(regions=BrainRegions())  # the volume of the atlas is a download
loaders.AllenAtlas = lambda *_, **__: ATLAS


def connect(face: str, where: str) -> Any:
    if face == "class":
        from one_bridge import ONE

        return ONE()
    from one.api import ONE, One

    if face == "tables":
        return One(cache_dir=where, mode="local")
    one = ONE(base_url=where, silent=True)
    one.alyx.cache_mode = None
    return one


def attempts(one: Any, face: str, eid: str, probe: str) -> dict[str, Callable[[], Any]]:
    def trials() -> list[int]:
        loader = loaders.SessionLoader(eid=eid, one=one)
        loader.load_trials()
        return [len(loader.trials), len(loader.trials.columns)]

    def wheel() -> int:
        loader = loaders.SessionLoader(eid=eid, one=one)
        loader.load_wheel()
        return len(loader.wheel)

    def spikes(**which: Any) -> list[int]:
        loader = loaders.SpikeSortingLoader(one=one, atlas=ATLAS, **which)
        spikes, clusters, channels = loader.load_spike_sorting()
        merged = loader.merge_clusters(spikes, clusters, channels)
        return [len(spikes["times"]), len(merged.get("cluster_id", merged))]

    def insertion() -> Any:
        pids, names = one.eid2pid(eid)
        return pids[list(names).index(probe)]

    def whole_session() -> list[str]:
        loader = loaders.EphysSessionLoader(eid=eid, one=one)
        loader.load_session_data()
        loader.load_spike_sorting()
        return sorted(loader.ephys)

    def status() -> bool:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            get_subject_training_status(one.get_details(eid)["subject"], one=one, details=False)
        return "Session dates" in said.getvalue()

    result: dict[str, Callable[[], Any]] = {
        "SessionLoader.load_trials": trials,
        "SessionLoader.load_wheel": wheel,
        "SessionLoader(session_path)": lambda: str(loaders.SessionLoader(session_path=one.eid2path(eid), one=one).eid),
        "load_iti": lambda: len(loaders.load_iti(one.load_object(eid, "trials"))),
        "load_wheel_reaction_times": lambda: len(loaders.load_wheel_reaction_times(eid, one=one)),
    }
    if probe:
        result["SpikeSortingLoader(eid, pname)"] = lambda: spikes(eid=eid, pname=probe)
        result["load_channel_locations"] = lambda: sorted(
            loaders.load_channel_locations(eid, probe=probe, one=one, brain_atlas=ATLAS)
        )
    if face != "tables":  # these ask `one.alyx`, or identifiers of insertions
        result["get_subject_training_status"] = status
        if probe:
            result["SpikeSortingLoader(pid)"] = lambda: spikes(pid=insertion())
            result["EphysSessionLoader"] = whole_session
    return result


def main(face: str, where: str, eid: str, probe: str = "") -> None:
    one = connect(face, where)
    results = {}
    for name, call in attempts(one, face, eid, probe).items():
        try:
            results[name] = call()
        except Exception as error:
            results[name] = f"FAILED {type(error).__name__}: {error} {traceback.format_exc(limit=-2)[-400:]}"
    print(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
