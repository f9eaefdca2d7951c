"""Sessions with every kind of data that is exported, and all tables as plain values to compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import ingest
from pipeline import worker
from pipeline.database import registry

SESSION = "lab/Subjects/mouse/2024-05-01/001"
ENTERED = {
    "labs.csv": "lab,lab_name,institution,time_zone\nlab,The Lab,University of Somewhere,Europe/London\n",
    "subjects.csv": "lab,subject,sex,birth_date,species,strain,line,responsible_user,projects,implant_weight,"
    "implant_date\n"
    "lab,mouse,F,2024-01-02,Mus musculus,C57BL/6J,C57BL/6J,ann,maps,1.2,2024-03-01\n",
    "weighings.csv": "lab,subject,weighing_time,weight,user\nlab,mouse,2024-04-30 10:00,22.5,ann\n"
    "lab,mouse,2024-05-01 09:00,21.5,ann\n",
    "water.csv": "lab,subject,administration_time,volume,water_type,user\nlab,mouse,2024-05-01 17:00,1.1,Water,ann\n",
    "restrictions.csv": "lab,subject,start_time,end_time,reference_weight\nlab,mouse,2024-04-01 09:00,,24.0\n",
    "trajectories.csv": "lab,subject,session_date,session_number,probe,provenance,x,y,z,depth,theta,phi,roll\n"
    "lab,mouse,2024-05-01,1,probe00,planned,-2000,-2500,-100,4000,15,180,0\n",
    "sessions.json": json.dumps(
        {
            SESSION: {
                "start_time": "2024-05-01T10:00:00",
                "task_protocol": "ephysChoiceWorld",
                "users": ["ann"],
                "projects": ["maps"],
                "procedures": ["Ephys recording with acute probe(s)"],
            }
        }
    ),
}


def enter(root: Path, **changes: str | None) -> list[Path]:
    """Write what people enter beside the sessions; returns the files. None leaves one out."""
    collected = []
    for name, text in (ENTERED | changes).items():
        if text is not None:
            (root / name).write_text(text)
            collected.append(root / name)
    return collected


def register(root: Path, metadata: list[Path] | tuple = (), compute: bool = True) -> None:
    """Register and compute all; fails where a job does."""
    ingest.register(root, metadata=metadata, processes=1)
    if compute:
        populate()


def populate() -> None:
    """Compute all that is pending; fails where a job does."""
    tables = registry.populated_tables()
    worker.drain(tables)
    failed = [row["error_message"] for table in tables for row in table().jobs.errors.to_dicts()]
    assert not failed, failed


def save(folder: Path, **arrays: Any) -> None:
    """Write arrays (object__attribute=values) as npy, data frames as Parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in arrays.items():
        name = name.replace("__", ".")
        if isinstance(values, pd.DataFrame):
            values.to_parquet(folder / f"{name}.pqt")
        else:
            np.save(folder / f"{name}.npy", values)


def trials(chance: np.random.Generator, n: int = 40) -> dict[str, np.ndarray]:
    """Trials as ALF attributes."""
    start = 5 + np.cumsum(chance.uniform(2, 4, n))
    side = chance.random(n) < 0.5
    contrast = chance.choice([0.0, 0.0625, 0.125, 0.25, 1.0], n)
    return {
        "intervals": np.column_stack([start - 0.5, start + 1.5]),
        "stimOn_times": start,
        "goCue_times": start + 0.01,
        "response_times": start + chance.uniform(0.2, 0.9, n),
        "feedback_times": start + 1.0,
        "choice": chance.choice([-1, 0, 1], n),
        "feedbackType": chance.choice([-1, 1], n),
        "contrastLeft": np.where(side, contrast, np.nan),
        "contrastRight": np.where(side, np.nan, contrast),
        "probabilityLeft": chance.choice([0.2, 0.5, 0.8], n),
        "rewardVolume": chance.choice([0.0, 1.5, 3.0], n),
        "laserPower": chance.uniform(0, 5, n).astype(np.float32),  # a column of the lab's own
        "isCatch": chance.integers(0, 2, n),
    }


def probe(folder: Path, chance: np.random.Generator, n_units: int = 6, shanks: int = 1, seconds: float = 60.0) -> None:
    """Spikes, clusters, channels and templates of one probe."""
    n_channels = 16 * shanks
    counts = chance.integers(50, 200, n_units)
    times = np.concatenate([np.sort(chance.uniform(0, seconds, count)) for count in counts])
    units = np.repeat(np.arange(n_units), counts)
    order = np.argsort(times)
    samples = np.round(times[order] * 30000).astype(np.int64)
    local = np.column_stack([np.repeat(250.0 * np.arange(shanks), 16), np.tile(20.0 * np.arange(16), shanks)])
    metrics = pd.DataFrame({"cluster_id": np.arange(n_units), "label": chance.choice([0.0, 1 / 3, 1.0], n_units)})
    save(
        folder,
        spikes__times=samples / 30000,
        spikes__samples=samples,
        spikes__clusters=units[order].astype(np.int32),
        spikes__amps=chance.uniform(5e-5, 2e-4, len(order)),
        spikes__depths=chance.uniform(0, 300, len(order)).astype(np.float32),
        clusters__channels=chance.integers(0, n_channels, n_units),
        clusters__depths=chance.uniform(0, 300, n_units),
        clusters__amps=chance.uniform(5e-5, 2e-4, n_units),
        clusters__peakToTrough=chance.uniform(0.2, 0.8, n_units),
        clusters__waveforms=chance.normal(0, 1e-5, (n_units, 20, 8)).astype(np.float32),
        clusters__waveformsChannels=np.tile(np.arange(8), (n_units, 1)),
        channels__localCoordinates=local,
        channels__rawInd=np.arange(n_channels),
        channels__mlapdv=np.array([-2000.0, -2500.0, -1000.0]) - np.arange(n_channels)[:, None] * [0.0, 0.0, 20.0],
        channels__brainLocationIds_ccf_2017=np.full(n_channels, -385),
        templates__waveforms=chance.normal(0, 1e-5, (n_units, 20, 8)).astype(np.float32),
    )  # fmt: skip
    if shanks > 1:
        save(folder, channels__shanks=np.repeat(np.arange(shanks), 16))
    metrics.to_parquet(folder / "clusters.metrics.pqt")


def everything(root: Path, seed: int = 0, session: str = SESSION) -> Path:
    """A session of every modality: probes, shanks, cameras, pose, pupil, licks, photometry, passive, two tasks."""
    chance = np.random.default_rng(seed)
    folder = root / session
    alf = folder / "alf"
    save(alf, **{f"_ibl_trials__{name}": values for name, values in trials(chance).items()})
    save(alf / "task_01", **{f"_ibl_trials__{name}": values for name, values in trials(chance, 12).items()})
    wheel_times = np.sort(chance.uniform(0, 120, 4000))
    tick = 2 * np.pi / 4096
    steps = np.cumsum(chance.choice([-1, 1, 1], 4000)) * tick
    save(alf, _ibl_wheel__timestamps=wheel_times, _ibl_wheel__position=steps)
    save(alf, _ibl_wheelMoves__intervals=np.array([[1.0, 1.5], [2.5, 3.0], [4.0, 5.0]]), _ibl_wheelMoves__peakAmplitude=np.array([0.1, -0.2, 0.3]))  # noqa: E501  # fmt: skip
    named = {"licks.times.2622b17c-9408-4910-99cb-abf16d9225b9": np.sort(chance.uniform(0, 120, 30))}
    save(alf, **named)  # with the identifier that another system gave it
    frames = 0.3 + np.arange(600) / 60 + chance.uniform(0, 1e-4, 600)
    even = np.arange(300) / 30
    pose = {
        f"{point}_{part}": chance.uniform(0, 500, 600)
        for point in ("nose_tip", "paw_l")
        for part in ("x", "y", "likelihood")
    }
    pupil = {"pupilDiameter_raw": chance.uniform(20, 40, 600), "pupilDiameter_smooth": chance.uniform(20, 40, 600)}
    save(alf, _ibl_leftCamera__times=frames, leftCamera__ROIMotionEnergy=chance.uniform(0, 9, 600), _ibl_leftCamera__dlc=pd.DataFrame(pose), _ibl_leftCamera__features=pd.DataFrame(pupil))  # noqa: E501  # fmt: skip
    save(alf, _ibl_bodyCamera__times=even)
    video = folder / "raw_video_data"
    video.mkdir(exist_ok=True)
    (video / "_iblrig_leftCamera.raw.mp4").write_bytes(
        b"\0\0\0\x18ftypmp42" + bytes(chance.integers(0, 255, 2000, np.uint8))
    )
    passive = pd.DataFrame({"passiveProtocol": [100.0, 119.0], "spontaneousActivity": [100.0, 110.0], "taskReplay": [110.5, 119.0]}, index=["start", "stop"])  # noqa: E501  # fmt: skip
    gabor = pd.DataFrame({"start": [111.0, 112.0, 113.0], "stop": [111.3, 112.3, 113.3], "position": [35.0, -35.0, 35.0], "contrast": [1.0, 0.5, 0.25], "phase": [0.1, 0.2, 0.3]})  # noqa: E501  # fmt: skip
    save(alf, _ibl_passivePeriods__intervalsTable=passive, _ibl_passiveGabor__table=gabor)
    fibre = pd.DataFrame({"times": 0.1 + np.arange(500) / 50, "Region0G": chance.normal(1, 0.1, 500), "Region1G": chance.normal(1, 0.1, 500)})  # noqa: E501  # fmt: skip
    save(alf / "photometry", photometry__signal=fibre)
    save(
        alf,
        laserStimulation__intervals=np.arange(3.0, 100.0, 0.7)[:, None] + [0.0, 0.3],
        laserStimulation__power=np.arange(3.0, 100.0, 0.7) / 50,
        sparseNoise__times=110 + np.arange(9) / 10,
        sparseNoise__xy=np.column_stack([np.arange(9) % 3, np.arange(9) // 3]) * 5.0,
        spontaneous__intervals=np.array([[100.0, 104.5], [105.0, 110.0]]),
        extraRewards__times=np.array([20.5, 61.0]),
        eye__timestamps=frames,
        eye__area=chance.uniform(200, 400, 600),
        eye__blink=chance.random(600) < 0.05,
    )
    probe(alf / "probe00", chance)
    probe(alf / "probe01" / "pykilosort", chance, 4, shanks=4)
    (folder / "raw_behavior_data").mkdir(exist_ok=True)
    lines = [
        json.dumps({"Temperature_C": [24.4], "AirPressure_mb": [1001.0], "RelativeHumidity": [40.0]}) for _ in range(5)
    ]
    (folder / "raw_behavior_data" / "_iblrig_ambientSensorData.raw.jsonable").write_text("\n".join(lines) + "\n")
    return folder


def two_photon(root: Path) -> Path:
    """A session with a field of view: frames, regions of interest, mean image, places before histology."""
    chance = np.random.default_rng(1)
    folder = root / SESSION / "alf/FOV_00"
    frames, rois = 50, 4
    places = np.column_stack([chance.uniform(-2500, -2000, rois), chance.uniform(-3000, -2500, rois), [-300.0] * rois])
    save(folder, mpci__times=2 + np.arange(frames) / 5, mpci__ROIActivityF=chance.random((frames, rois), np.float32),
         mpci__badFrames=np.arange(frames) == 7, mpciROIs__mpciROITypes=np.array([1, 0, 1, 1]),
         mpciROIs__cellClassifier=chance.random(rois), mpciROIs__stackPos=np.arange(3 * rois).reshape(rois, 3),
         mpciROIs__mlapdv_estimate=places, mpciROIs__brainLocationIds_ccf_2017_estimate=np.array([385, -385, 0, 409]),
         mpciMeanImage__images=chance.random((6, 8)),
         mpciMeanImage__mlapdv_estimate=chance.uniform(-3000, -2000, (6, 8, 3)),
         mpciMeanImage__brainLocationIds_ccf_2017_estimate=np.full((6, 8), 385))  # fmt: skip
    (folder / "mpciROITypes.names.tsv").write_text("roi_values\troi_labels\n0\tno cell\n1\tcell\n")
    uuids = "".join(f"00000000-0000-4000-8000-00000000000{i}\n" for i in range(rois))
    (folder / "mpciROIs.uuids.csv").write_text(f"uuids\n{uuids}")
    return root / SESSION


NOT_COMPARED = {
    "data.IngestRun": None,
    "data.Change": None,
    "data.Repository": None,
    "data.RepositoryLayout": None,
    "data.MountPoint": None,
    "data.SourceRow": None,
    "data.FileRecord": {"repository", "modified_ns", "verified"},
    "data.SessionScan": None,
    "data.Quarantine": {"quarantine_id", "repository", "first_seen", "last_seen"},
    "data.Dataset": {"registered"},
    "identity.KeyChange": None,
    "audit.Edit": None,
    "task.Worker": None,
    "task.SchemaMigration": None,
}
"""Tables (None) and columns that say when, by whom and on which disk files were registered.

The identifier in `data.Quarantine` is a hash over the repository; what was refused and why is compared.
`data.SourceRow` names the line of a metadata file on that disk that says a row; the rows themselves are compared.
`identity.KeyChange` and `audit.Edit` are logs of what happened in one database.
"""


def content() -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables, but for what `NOT_COMPARED` names."""
    ordered: dict[str, list[dict[str, Any]]] = {}
    for master in registry.tables():
        if hasattr(master, "constant"):
            continue
        for table in (master, *registry.parts(master)):
            name = registry.label(table)
            left = NOT_COMPARED.get(name, set())
            if left is None:
                continue
            rows = [{key: plain(value) for key, value in row.items() if key not in left} for row in table().to_dicts()]
            ordered[name] = sorted(rows, key=repr)
    return ordered


def plain(value: Any) -> Any:
    """A value that compares by content."""
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, float) and value != value:
        return "NaN"
    return value
