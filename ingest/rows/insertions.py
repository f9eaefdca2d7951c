"""Rows of probes and insertions, whatever file of a session names them; what was said of them before stays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ingest.files.scan import SessionKey
from ingest.rows.session_keys import SESSION, fetch_for, session_key
from ingest.rows.writing import Writer
from pipeline.alf import identity
from pipeline.schemas import ephys


class Insertion(NamedTuple):
    """An insertion that a file names."""

    session: SessionKey
    label: str
    serial: str | None = None
    model: str | None = None


def pid(session: SessionKey, label: str) -> str:
    """The identifier that an insertion gets where none is given."""
    return identity.dataset_id(identity.session_path(*session), f"alf/{label}")


def write(writer: Writer, insertions: Iterable[Insertion]) -> None:
    """Enter probes and insertions that are new, and the probe of insertions that have none yet."""
    insertions = [item for item in insertions if item.label]
    if not insertions:
        return
    writer.ensure(ephys.ProbeModel, {(item.model,) for item in insertions if item.model})
    probes: dict[str, str | None] = {}
    for item in insertions:
        if item.serial:
            probes[item.serial] = item.model or probes.get(item.serial)
    writer.put(ephys.Probe, ("probe_serial", "probe_model"), list(probes.items()), "skip")
    wanted: dict[tuple, str | None] = {}
    for item in insertions:
        key = (*item.session, item.label)
        wanted[key] = wanted.get(key) or item.serial
    names = (*SESSION, "probe_label", "pid", "probe_serial")
    there = {
        (*session_key(row), row["probe_label"]): row["probe_serial"]
        for row in fetch_for(ephys.ProbeInsertion, sorted({item.session for item in insertions}), names)
    }
    new = [(*key, pid(SessionKey(*key[:4]), key[4]), serial) for key, serial in wanted.items() if key not in there]
    writer.put(ephys.ProbeInsertion, names, new, "skip")
    for key, serial in wanted.items():
        if serial and key in there and there[key] is None and not writer.dry_run:
            ephys.ProbeInsertion.update1(dict(zip(names[:5], key, strict=True)) | {"probe_serial": serial})
