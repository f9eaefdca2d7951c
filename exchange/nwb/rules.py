"""The map between ALF files and NWB objects, as data: which object of a session becomes what, under which name.

It is walked in both directions. An object that no rule names follows its attributes: `intervals` make a table of
intervals, `times` or `timestamps` make events or time series, anything else a plain table; nothing is left out for
being unknown.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field

from pipeline.alf import columns as alf
from pipeline.alf.dataset_types import describe

FORMAT = 1
"""Of the layout below; files with a higher number are refused by `intake`."""

SCRATCH = "neurojoint"
"""Name of the object in `scratch` that says which program wrote the file, and prefix of those beside it."""


@dataclass(frozen=True)
class Column:
    """How one attribute is called and described.

    Attributes:
        name: of the column or series.
        unit: as NWB spells it; empty where there is none.
        text: description.
    """

    name: str
    unit: str = ""
    text: str = ""


@dataclass(frozen=True)
class Rule:
    """How one kind of ALF object is written.

    Attributes:
        objects: pattern of the ALF object's name.
        kind: `trials`, `intervals`, `events`, `series`, `periods`, `frames`, `electrodes`, `units`, `table`.
        name: of the NWB object; `{object}` is the ALF object in snake case.
        text: description of the NWB object.
        columns: ALF attribute -> column; others are named after their attribute.
        module: processing module for what is neither trials nor units nor electrodes.
    """

    objects: str
    kind: str
    name: str = "{object}"
    text: str = ""
    columns: dict[str, Column] = field(default_factory=dict)
    module: str = "behavior"


def _alf_columns(alf_object: str) -> dict[str, Column]:
    """Columns that `pipeline.alf` knows, under the names of our tables."""
    by_attribute: dict[str, Column] = {}
    for attribute, columns in alf.columns_by_attribute(alf_object).items():
        if len(columns) == 1:
            column = columns[0]
            text = f"{column.text} ({column.unit})" if column.unit else column.text
            by_attribute[attribute] = Column(column.name, column.unit, f"{text[:1].upper()}{text[1:]}.")
    by_attribute["intervals_0"] = Column("start_time", "s", "Start of the trial (s).")
    by_attribute["intervals_1"] = Column("stop_time", "s", "End of the trial (s).")
    return by_attribute


RULES: tuple[Rule, ...] = (
    Rule(
        "trials",
        "trials",
        "trials",
        "Trials of the task; times are seconds from session start.",
        _alf_columns("trials"),
    ),
    Rule(
        "wheel",
        "series",
        text="Wheel that the animal turns.",
        columns={
            "position": Column("position", "radians", "Angle of the wheel, counter-clockwise positive."),
            "velocity": Column("velocity", "radians/s", "Angular velocity, counter-clockwise positive."),
        },
    ),
    Rule(
        "wheelMoves",
        "intervals",
        "wheel_movements",
        "Movements of the wheel, found in its position.",
        {"peakAmplitude": Column("peak_amplitude", "radians", "Largest excursion of the movement (rad).")},
    ),
    Rule("licks", "events", "licks", "Times at which the tongue touches the spout."),
    Rule(
        "*Camera",
        "frames",
        text="Frames of a camera.",
        columns={
            "times": Column("frames", "s", "Exposure of each frame."),
            "ROIMotionEnergy": Column("motion_energy", "a.u.", "Motion energy of the region of interest."),
            "features": Column("features", "pixels", "Pupil diameter, raw and smoothed."),
        },
    ),
    Rule("passivePeriods", "periods", "passive_periods", "Periods after the task in which the animal was passive."),
    Rule(
        "passiveGabor",
        "intervals",
        "passive_gratings",
        "Gratings that were shown while the animal was passive.",
        {
            "start": Column("start_time", "s", "Grating appears (s)."),
            "stop": Column("stop_time", "s", "Grating disappears (s)."),
            "position": Column("azimuth", "degrees", "Azimuth (deg), right positive."),
            "contrast": Column("contrast", "", "Contrast as a fraction, 0-1."),
            "phase": Column("phase", "radians", "Phase of the grating (rad)."),
        },
    ),
    Rule("spikes", "units", "units"),
    Rule("clusters", "units", "units"),
    Rule("channels", "electrodes", "electrodes"),
    Rule("templates", "table", "templates", "Templates of the spike sorter.", module="ecephys"),
    Rule("waveforms", "table", "waveforms", "Sampled waveforms of the spike sorter.", module="ecephys"),
    Rule("electrodeSites", "table", "electrode_sites", "Sites of the probe.", module="ecephys"),
    Rule(
        "photometry*",
        "series",
        text="Fluorescence recorded through fibres.",
        module="ophys",
    ),
    Rule("mpci*", "series", text="Fluorescence recorded under a microscope.", module="ophys"),
)

UNITS: dict[str, Column] = {
    "spikes.times": Column("spike_times", "s", "Times of the spikes (s from session start)."),
    "spikes.amps": Column("spike_amplitudes", "V", "Amplitude of each spike (V)."),
    "spikes.depths": Column("spike_depths", "um", "Distance of each spike from the tip of the probe (um)."),
    "spikes.templates": Column("spike_templates", "", "Template of each spike, a row of the sorter's templates."),
    "spikes.samples": Column("spike_samples", "", "Sample of each spike in the raw recording."),
    "clusters.channels": Column(
        "max_channel", "", "Channel of the largest amplitude, a row of the ALF object channels."
    ),
    "clusters.depths": Column("depth", "um", "Distance from the tip of the probe (um)."),
    "clusters.amps": Column("amplitude", "V", "Mean amplitude (V)."),
    "clusters.peakToTrough": Column("peak_to_trough", "ms", "From peak to trough of the mean waveform (ms)."),
    "clusters.waveforms": Column("waveform_mean", "V", "Mean waveform of the unit (V)."),
    "clusters.waveformsChannels": Column("waveform_channels", "", "Channels of the mean waveform."),
    "clusters.uuids": Column("unit_uuid", "", "Unique name of the unit."),
}
"""object.attribute -> column of the units table."""

ELECTRODES: dict[str, tuple[Column, ...]] = {
    "localCoordinates": (
        Column("rel_x", "um", "Position across the shank (um)."),
        Column("rel_y", "um", "Distance from the tip of the probe along the shank (um)."),
    ),
    "mlapdv": (
        Column("bregma_ml", "um", "From bregma to the right (um)."),
        Column("bregma_ap", "um", "From bregma to the front (um)."),
        Column("bregma_dv", "um", "From bregma upwards (um)."),
    ),
    "rawInd": (Column("raw_channel", "", "Channel in the raw recording, from 0."),),
    "brainLocationIds_ccf_2017": (Column("atlas_id", "", "Allen structure; negative on the left."),),
    "labels": (Column("channel_label", "", "Quality of the channel as the sorter judged it."),),
}
"""Attribute of `channels` -> columns of the electrodes table, in order."""


def rule_of(alf_object: str, attributes: set[str] | None = None) -> Rule:
    """The rule for an ALF object; for one that no rule names, a rule that follows its attributes.

    >>> rule_of("wheel").kind, rule_of("laserStimulation", {"intervals"}).kind, rule_of("lever", {"timestamps"}).kind
    ('series', 'intervals', 'events')
    """
    for rule in RULES:
        if fnmatch.fnmatchcase(alf_object, rule.objects):
            return rule
    known = attributes or set()
    text = f"ALF object {alf_object}."
    if {"intervals", "intervals_0"} & known:
        return Rule(alf_object, "intervals", text=text)
    if TIMES & known:
        return Rule(alf_object, "series" if known - TIMES else "events", text=text)
    return Rule(alf_object, "table", text=text, module="ecephys" if alf_object in _ECEPHYS else "behavior")


TIMES = frozenset({"times", "timestamps"})
_ECEPHYS = {"probes", "templates", "waveforms", "ephysTimeRmsAP", "ephysTimeRmsLF"}


def snake(name: str) -> str:
    """An ALF name as NWB files spell names.

    >>> snake("leftCamera"), snake("ROIMotionEnergy"), snake("goCue_times"), snake("_ibl_x")
    ('left_camera', 'roi_motion_energy', 'go_cue_times', 'ibl_x')
    """
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name.strip("_"))
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def column_of(rule: Rule, alf_object: str, attribute: str, described: dict[str, str] | None = None) -> Column:
    """Name, unit and description of an attribute.

    Parameters
    ----------
    described : object.attribute -> meaning, for what no rule knows (the table data.DatasetType).
    """
    if attribute in rule.columns:
        return rule.columns[attribute]
    known = describe(f"{alf_object}.{attribute}")
    text = (described or {}).get(f"{alf_object}.{attribute}") or (known.description if known else "")
    text = text or f"ALF attribute {attribute} of {alf_object}, as the lab that recorded it defines it"
    return Column(snake(attribute), "", f"{text[:1].upper()}{text[1:].rstrip('.')}.")
