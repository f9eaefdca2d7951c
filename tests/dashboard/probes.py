"""Probes in sessions of the simulated lab: one of which all is known, and some of which something is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dashboard import links
from ingest.simulate.ephys.files import write_insertion, write_probes
from ingest.simulate.ephys.insertion import Insertion, simulate_insertion
from ingest.simulate.ephys.recording import write_recording
from ingest.simulate.ephys.units import Response, Unit

FULL, BARE, ODD, VANISHED = 0, 2, 5, 7
"""Which sessions of the mouse have probes, as its folders are in order."""
SILENT, REFUSED = "probe00", "probe01"
"""Of the session ODD: a probe without sorted spikes, and one whose spikes cannot be read."""
TUNED, GOOD_UNITS = 3, 6
"""The unit of the FULL session that fires more after stimuli on the right; how many units there were made to pass."""
SORTINGS = ("probe00", "probe00/pykilosort")
"""Of the first probe of the FULL session; the second is the default, and the one of which all is known."""
SECONDS = 300.0


def sessions(root: Path, lab: str, subject: str) -> list[Path]:
    """The folders of a mouse's sessions in order of time."""
    return sorted((root / lab / "Subjects" / subject).glob("*/*"))


def address(root: Path, lab: str, subject: str, which: int, page: str = "insertion", probe: str = "probe00") -> str:
    """Of the page of one of the probes."""
    folder = sessions(root, lab, subject)[which]
    return links.to(page, lab, subject, folder.parent.name, int(folder.name), probe)


def write(root: Path, lab: str, subject: str, timeless: str) -> None:
    """Put probes into sessions of a mouse, and one into that of the mouse whose trials have no times."""
    folders = sessions(root, lab, subject)
    _write_full(folders[FULL])
    _keep(write_insertion(folders[BARE], _simulated(folders[BARE], 4, 11)), "spikes.times", "spikes.clusters")
    odd = _simulated(folders[ODD], 4, 12)
    _keep(write_insertion(folders[ODD], odd, SILENT), "channels")
    path = write_insertion(folders[ODD], odd, REFUSED) / "spikes.times.npy"
    path.write_bytes(path.read_bytes()[:-400])
    write_insertion(folders[VANISHED], _simulated(folders[VANISHED], 4, 13))
    write_insertion(sessions(root, lab, timeless)[0], simulate_insertion(None, 4, 14, duration=60.0))


def lose(root: Path, cache: Path, lab: str, subject: str) -> None:
    """Remove the spikes of the session VANISHED after all was computed, and the copy that was kept of them."""
    for path in sessions(root, lab, subject)[VANISHED].glob("alf/probe00/spikes.*.npy"):
        path.unlink()
    shutil.rmtree(cache)


def _write_full(folder: Path) -> None:
    trials = _trials(folder)
    tuned = Response("stim_on", 0.05, 0.2, 8.0, by="side", preferred=1)
    units = [
        Unit(depth=300.0 + 500 * number, rate=4.0 + 2 * number, amplitude=120.0 + 30 * number,
             responses=(tuned,) if number == TUNED else ())
        for number in range(GOOD_UNITS)
    ]  # fmt: skip
    drawn = simulate_insertion(trials, 10, 21, duration=SECONDS)
    one = simulate_insertion(trials, seed=22, duration=SECONDS, units=[*units, *drawn.units], drift=40.0)
    other = simulate_insertion(trials, 8, 23, duration=SECONDS, track="anterior", drift=-20.0)
    write_insertion(folder, one, "probe00", f"alf/{SORTINGS[1]}")
    write_insertion(folder, simulate_insertion(trials, 5, 24, duration=SECONDS), "probe00", f"alf/{SORTINGS[0]}")
    write_insertion(folder, other, "probe01")
    write_probes(folder, {"probe00": one, "probe01": other})
    _write_camera(folder, trials)
    for band, seconds in (("ap", 0.2), ("lf", 4.0)):
        write_recording(folder, one, seconds, band=band, start=60.0)


def _write_camera(folder: Path, trials) -> None:
    """A tongue that a camera sees from 0.2 to 0.4 s after each stimulus, 10 px lower in trials on the right."""
    times = np.arange(0, SECONDS, 0.02)
    onsets = np.asarray(trials["stim_on_times"], float)
    last = np.clip(np.searchsorted(onsets, times, side="right") - 1, 0, None)
    is_out = (times - onsets[last] >= 0.2) & (times - onsets[last] < 0.4)
    is_right = np.isfinite(np.asarray(trials["contrast_right"], float))[last]
    tracked = {"tongue_x": np.full(len(times), 100.0), "tongue_y": np.where(is_right, 60.0, 50.0)}
    tracked["tongue_likelihood"] = np.where(is_out, 0.99, 0.1)
    pq.write_table(pa.table(tracked), folder / "alf" / "_ibl_leftCamera.dlc.pqt")
    np.save(folder / "alf" / "_ibl_leftCamera.times.npy", times)


def _simulated(folder: Path, n_units: int, seed: int) -> Insertion:
    return simulate_insertion(_trials(folder), n_units, seed, duration=SECONDS)


def _keep(folder: Path, *names: str) -> None:
    """Remove the files whose names begin otherwise."""
    for path in folder.iterdir():
        if not path.name.startswith(names):
            path.unlink()


def _trials(folder: Path) -> dict[str, np.ndarray]:
    """The trials that end while the probe records."""
    from ingest.simulate.files import ALF_NAMES

    alf = folder / "alf"
    collected = {
        name: np.load(path)
        for name, attribute in ALF_NAMES.items()
        if (path := _latest(alf, f"_ibl_trials.{attribute}.npy")) is not None
    }
    intervals = np.load(_latest(alf, "_ibl_trials.intervals.npy"))
    collected |= {"intervals_0": intervals[:, 0], "intervals_1": intervals[:, 1]}
    inside = intervals[:, 1] < SECONDS - 5
    return {name: values[inside] for name, values in collected.items()}


def _latest(alf: Path, name: str) -> Path | None:
    paths = sorted(alf.glob(f"#*#/{name}")) or sorted(alf.glob(name))
    return paths[-1] if paths else None
