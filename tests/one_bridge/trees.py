"""Small labs for the tests of the bridge: files below a folder, and the rows that say what they are."""

from __future__ import annotations

import datetime
import hashlib
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import datajoint as dj
import numpy as np
import pandas as pd

from ingest.rows import aggregates, writing
from pipeline import atlas
from pipeline.alf import columns as alf
from pipeline.database.bulk import insert_many
from pipeline.schemas import acquisition, data, ephys, histology, lab, subject

NAMESPACE = uuid.UUID("11111111-2222-3333-8444-555555555555")
NOW = datetime.datetime(2026, 1, 1)


@dataclass
class File:
    """One dataset: what it holds is an array, bytes, or None for a file that is registered but not there."""

    rel_path: str
    content: np.ndarray | bytes | None = None
    qc: str = "NOT_SET"
    default: bool = True
    hashed: bool = True


@dataclass
class Session:
    """One session with its datasets."""

    lab: str = "simlab"
    subject: str = "KS014"
    date: str = "2020-01-01"
    number: int = 1
    protocol: str = ""
    projects: tuple[str, ...] = ()
    files: list[File] = field(default_factory=list)
    folder: str = ""
    probes: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return f"{self.lab}/Subjects/{self.subject}/{self.date}/{self.folder or f'{self.number:03d}'}"

    @property
    def eid(self) -> uuid.UUID:
        return uuid.uuid3(NAMESPACE, f"{self.lab}/{self.subject}/{self.date}/{self.number}")


def dataset_id(session: Session, rel_path: str) -> uuid.UUID:
    return uuid.uuid3(NAMESPACE, f"{session.eid}/{rel_path}")


def build(root: Path, sessions: list[Session]) -> None:
    """Write the files and insert the rows, as a registration would."""
    root.mkdir(parents=True, exist_ok=True)
    insert_many(data.Repository, {"repository": ["local"], "repository_kind": "local", "repository_root": str(root)})
    labs = sorted({session.lab for session in sessions})
    mice = sorted({(session.lab, session.subject) for session in sessions})
    projects = sorted({name for session in sessions for name in session.projects})
    insert_many(lab.Lab, {"lab": labs})
    insert_many(
        subject.Subject,
        {
            "lab": [a for a, _ in mice],
            "subject": [b for _, b in mice],
            "subject_uuid": [str(uuid.uuid3(NAMESPACE, f"{a}/{b}")) for a, b in mice],
        },
    )
    insert_many(lab.Project, {"project": projects})
    insert_many(
        acquisition.Session,
        keys(sessions)
        | {"eid": [str(session.eid) for session in sessions], "task_protocol": [one.protocol for one in sessions]},
    )
    members = [(session, name) for session in sessions for name in session.projects]
    insert_many(
        acquisition.SessionProject,
        keys([one for one, _ in members]) | {"project": [name for _, name in members]},
    )
    probes = [(session, label) for session in sessions for label in session.probes]
    insert_many(
        ephys.ProbeInsertion,
        keys([one for one, _ in probes])
        | {
            "probe_label": [label for _, label in probes],
            "pid": [str(uuid.uuid3(one.eid, label)) for one, label in probes],
        },
    )
    _datasets(root, [(session, file) for session in sessions for file in session.files])


def keys(sessions: list[Session]) -> dict[str, list]:
    return {
        "lab": [session.lab for session in sessions],
        "subject": [session.subject for session in sessions],
        "session_date": [datetime.date.fromisoformat(session.date) for session in sessions],
        "session_number": [session.number for session in sessions],
    }


def locate(session: Session, label: str, acronyms: list[str | None]) -> None:
    """Say in which regions the channels of a probe are, 20 um apart; None: outside of the brain."""
    key = {name: values[0] for name, values in keys([session]).items()} | {"probe_label": label}
    regions = [acronym and atlas.regions().by_acronym[acronym] for acronym in acronyms]
    n_inside = len(acronyms) - regions.count(None)
    master = {
        "coordinate_system": "IBL-Allen", "locations_fingerprint": "0" * 32, "locations_object": "channels",
        "locations_collection": f"alf/{label}", "n_channels_located": n_inside, "regions_refused": [],
        "n_channels_outside": len(acronyms) - n_inside, "locations_refused": {}, "n_sides_differ": 0,
    }  # fmt: skip
    histology.ChannelLocation.insert1(key | master, allow_direct_insert=True)
    places = np.arange(len(acronyms))
    columns = {"channel": places, "region_id": regions, "channel_lateral": 43.0, "channel_axial": 20.0 * places,
               "channel_ml": -1200.0, "channel_ap": -2000.0, "channel_dv": -3000.0 + 20 * places}  # fmt: skip
    insert_many(histology.ChannelLocation.Channel, key | columns)
    counts = {region: regions.count(region) for region in regions if region is not None}
    insert_many(
        histology.ChannelLocation.Region,
        key | {"region_id": list(counts), "region_channels": list(counts.values())},
    )


def over_sessions(root: Path) -> None:
    """Write files over many sessions, in two versions for one mouse, and register them; `day` tells them apart."""
    for folder in ("Subjects/simlab/KS014", "Subjects/simlab/KS014/#2022-01-01#", "Subjects/simlab/ZM_1", "Tags/r.1"):
        path = root / "aggregates" / folder / "_ibl_subjectTraining.table.pqt"
        path.parent.mkdir(parents=True)
        pd.DataFrame({"day": [12 if "#" in folder else 0]}).to_parquet(path)
    aggregates.register(writing.Writer(dj.conn(), dry_run=False), "local", root)


def _datasets(root: Path, files: list[tuple[Session, File]]) -> None:
    datasets: list[dict] = []
    records: list[dict] = []
    for session, file in files:
        path = root / session.path / file.rel_path
        size, md5, changed = 7, "0" * 32, 0
        if file.content is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(file.content, bytes):
                path.write_bytes(file.content)
            else:
                np.save(path, file.content)
            size, changed = path.stat().st_size, path.stat().st_mtime_ns
            md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        folder, _, name = file.rel_path.rpartition("/")
        collection, _, revision = folder.rpartition("#")[0].rpartition("#") if "#" in folder else (folder, "", "")
        parsed = alf.parse_name(name)
        datasets.append(
            {
                "dataset_id": str(dataset_id(session, file.rel_path)),
                "rel_path": file.rel_path,
                "collection": collection.strip("/"),
                "alf_object": parsed.alf_object,
                "alf_attribute": parsed.attribute,
                "extension": parsed.extension,
                "dataset_revision": revision,
                "dataset_hash": md5 if file.hashed else "",
                "file_size": size,
                "default_dataset": file.default,
                "dataset_qc": file.qc,
            }
        )
        if file.content is not None:
            records.append(
                {
                    "dataset_id": datasets[-1]["dataset_id"],
                    "file_path": f"{session.path}/{file.rel_path}",
                    "record_size": size,
                    "record_hash": md5,
                    "modified_ns": changed,
                }
            )
    if datasets:
        columns = {name: [row[name] for row in datasets] for name in datasets[0]}
        insert_many(data.Dataset, columns | keys([session for session, _ in files]) | {"registered": NOW})
    if records:
        columns = {name: [row[name] for row in records] for name in records[0]}
        online = {"repository": "local", "file_state": "online", "verified": NOW}
        insert_many(data.FileRecord, columns | online)
    data.note_online(data.Dataset())
