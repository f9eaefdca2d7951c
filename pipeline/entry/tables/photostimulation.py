"""Light given to the brain: devices, waveforms, places, and what a session used."""

from __future__ import annotations

import dataclasses

from pipeline.entry.fields import Field, TableEntry
from pipeline.entry.tables.common import LAB, SESSION, region, term, text, um_from_bregma

LONGEST, FASTEST, STRONGEST = 100_000.0, 100_000.0, 100_000.0  # s, Hz, mW
_DEVICE = term("device_name", 64, required=True, fixed=True)
_WAVEFORM = term("waveform_name", 64, required=True, fixed=True)


def _seconds(column: str, description: str) -> Field:
    return Field(column, "number", unit="s", low=0, high=LONGEST, description=description)


def _power(column: str, description: str) -> Field:
    return Field(column, "number", unit="mW", low=0, high=STRONGEST, description=description)


TABLES = (
    TableEntry(
        "photostimulation.StimulationDevice",
        "stimulation device",
        (
            LAB,
            _DEVICE,
            Field("device_wavelength", "number", unit="nm", low=200, high=3000, description="of the light"),
            _power("max_power", "at the fibre or objective"),
            text("device_description", 1000),
        ),
    ),
    TableEntry(
        "photostimulation.StimulationWaveform",
        "stimulation waveform",
        (
            LAB,
            _WAVEFORM,
            Field("waveform_shape", "choice", choices=("constant", "pulses", "sine", "ramp", "other"), required=True),
            _seconds("waveform_duration", "of the whole"),
            Field("waveform_frequency", "number", unit="Hz", low=0, high=FASTEST, description="of pulses or sine"),
            _seconds("pulse_duration", "of one pulse"),
            _seconds("ramp_down", "at the end"),
            text("waveform_description", 1000),
        ),
    ),
    TableEntry(
        "photostimulation.StimulationSite",
        "stimulation site",
        (
            LAB,
            term("site_name", 64, required=True, fixed=True, description="as in the files of the sessions"),
            region(),
            Field("site_hemisphere", "choice", choices=("left", "right", "both")),
            um_from_bregma("stimulated_ml", description="from bregma, right positive"),
            um_from_bregma("stimulated_ap", description="from bregma, anterior positive"),
            um_from_bregma("stimulated_dv", description="from bregma, dorsal positive"),
            text("site_description", 1000),
        ),
    ),
    TableEntry(
        "photostimulation.SessionStimulation",
        "stimulation of a session",
        (
            *SESSION,
            dataclasses.replace(_DEVICE, to="photostimulation.StimulationDevice"),
            dataclasses.replace(_WAVEFORM, to="photostimulation.StimulationWaveform"),
            _power("stimulation_power", "that was used"),
            text("stimulation_opsin", 64),
            text("stimulation_comment", 1000),
        ),
    ),
)
