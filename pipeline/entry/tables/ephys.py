"""Probes, where they were inserted, and their tracks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pipeline.alf import identity
from pipeline.analysis.coordinates import LARGEST
from pipeline.entry.fields import Field, TableEntry
from pipeline.entry.tables.common import INSERTION, QC, SUBJECT, region, term, text, um_from_bregma

SHALLOWEST = 20.0  # um; a probe that is less deep in the brain was given in mm or m

MOST_CHANNELS = 100_000
LONGEST_PROBE, WIDEST_PROBE = 50_000.0, 5_000.0  # um

PROVENANCES = {
    "planned": "planned",
    "micro-manipulator": "micro_manipulator",
    "histology track": "histology",
    "ephys aligned histology track": "ephys_aligned",
}
"""How Alyx spells where a track is from, in lower case -> our names of it."""

RANKS = {"10": "planned", "30": "micro_manipulator", "50": "histology", "70": "ephys_aligned"}
"""The same by Alyx's numbers."""


def _pid(key: Mapping[str, Any]) -> dict[str, Any]:
    path = identity.session_path(key["lab"], key["subject"], key["session_date"], key["session_number"])
    return {"pid": identity.dataset_id(path, f"alf/{key['probe_label']}")}


_OWN_PROBE = (*INSERTION[:4], dataclasses.replace(INSERTION[4], to=""))

TABLES = (
    TableEntry(
        "ephys.Probe",
        "probe",
        (
            term("probe_serial", 64, required=True, fixed=True, description="serial number"),
            term("probe_model", 64, "ephys.ProbeModel"),
            text("probe_comment", 255),
        ),
        vocabulary=True,
    ),
    TableEntry(
        "ephys.ProbeInsertion",
        "insertion",
        (
            *_OWN_PROBE,
            Field("pid", "uuid", description="derived from the path if not given"),
            term("probe_serial", 64, "ephys.Probe"),
            Field("insertion_qc", "choice", choices=QC),
            Field("insertion_json", "json", description="what other programs keep with the insertion"),
        ),
        unique=("pid",),
        derive=_pid,
    ),
    TableEntry(
        "ephys.GoodPeriod",
        "good period of a recording",
        (
            *INSERTION,
            Field("good_period", "integer", low=0, high=1000, required=True, fixed=True, description="number, from 0"),
            Field("good_start", "number", unit="s", low=-1e6, high=1e6, required=True, description="of the session"),
            Field("good_end", "number", unit="s", low=-1e6, high=1e6, required=True, description="of the session"),
            text("good_comment", 255, description="e.g. drift before"),
        ),
        spans=(("good_start", "good_end"),),
    ),
    TableEntry(
        "ephys.ChronicInsertion",
        "chronic insertion",
        (
            *SUBJECT,
            Field("chronic_id", "uuid", required=True, fixed=True),
            term("chronic_name", 64, description="e.g. probe00"),
            term("probe_serial", 64, "ephys.Probe"),
            Field("chronic_start", "time", description="when it was implanted"),
            Field("chronic_end", "time", description="when it was taken out"),
            text("chronic_narrative", 1000),
            Field("chronic_json", "json", description="what other programs keep with it"),
        ),
        spans=(("chronic_start", "chronic_end"),),
        events=("chronic_start", "chronic_end"),
    ),
    TableEntry(
        "ephys.ChronicRecording",
        "recording with an implanted probe",
        (*INSERTION, Field("chronic_id", "uuid", to="ephys.ChronicInsertion", required=True)),
    ),
    TableEntry(
        "histology.RegionDescription",
        "description of a region",
        (region(required=True, fixed=True), text("region_description", 4000, required=True)),
    ),
    TableEntry(
        "histology.Trajectory",
        "trajectory",
        (
            *INSERTION,
            Field(
                "provenance", "choice", choices=tuple(PROVENANCES.values()), required=True, fixed=True,
                words=PROVENANCES | RANKS,
            ),
            term("coordinate_system", 32, "histology.CoordinateSystem", default="IBL-Allen"),
            um_from_bregma("entry_ml", aliases=("x",), required=True, description="from bregma, right positive"),
            um_from_bregma("entry_ap", aliases=("y",), required=True, description="from bregma, anterior positive"),
            um_from_bregma("entry_dv", aliases=("z",), required=True, description="from bregma, dorsal positive"),
            Field(
                "insertion_depth", "number", unit="um", low=SHALLOWEST, high=LARGEST, aliases=("depth",), required=True,
                description="along the probe", hint="write um, not mm or m",
            ),
            Field("theta", "number", unit="deg", low=0, high=180, required=True, description="from the vertical"),
            Field("phi", "number", unit="deg", low=-360, high=360, required=True, description="from the right"),
            Field("roll", "number", unit="deg", low=-360, high=360, description="about its own axis"),
            Field("trajectory_json", "json", description="what other programs keep with it"),
        ),
    ),
    TableEntry(
        "histology.AlignedChannel",
        "channel along a track",
        (
            *INSERTION,
            Field(
                "provenance", "choice", choices=tuple(PROVENANCES.values()), required=True, fixed=True,
                words=PROVENANCES | RANKS, to="histology.Trajectory",
            ),
            Field("aligned_channel", "integer", low=0, high=MOST_CHANNELS, required=True, fixed=True),
            Field("aligned_axial", "number", unit="um", low=0, high=LONGEST_PROBE, required=True,
                  description="on the probe, from the tip"),
            Field("aligned_lateral", "number", unit="um", low=-WIDEST_PROBE, high=WIDEST_PROBE, required=True,
                  description="on the probe, from its left edge"),
            um_from_bregma("aligned_ml", description="from bregma, right positive"),
            um_from_bregma("aligned_ap", description="from bregma, anterior positive"),
            um_from_bregma("aligned_dv", description="from bregma, dorsal positive"),
            region(),
            text("aligned_name", 64),
            Field("aligned_json", "json", description="what other programs keep with it"),
        ),
    ),
)  # fmt: skip
