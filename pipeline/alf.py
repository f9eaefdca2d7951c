"""The ALF names that become columns: which attribute fills which column of which table, as data.

Names are parsed by `one.alf`; this room only says what is done with them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column of a table and the ALF attribute that fills it.

    Attributes:
        name: column of the table.
        attribute: ALF attribute, with time scale.
        unit: of the values.
        text: meaning.
        index: which column of a two-dimensional attribute.
        kind: `float`, `int` or `bool`.
        low, high: closed range of valid values; None: no bound.
        ordered: times that must not run backwards from row to row.
    """

    name: str
    attribute: str
    unit: str
    text: str
    index: int | None = None
    kind: str = "float"
    low: float | None = None
    high: float | None = None
    values: tuple[float, ...] | None = None
    ordered: bool = False


def _time(name: str, attribute: str, text: str, index: int | None = None) -> Column:
    return Column(name, attribute, "s", text, index, ordered=True)


TRIALS: tuple[Column, ...] = (
    _time("intervals_0", "intervals", "start of the trial", 0),
    _time("intervals_1", "intervals", "end of the trial", 1),
    _time("stim_on_times", "stimOn_times", "stimulus appears"),
    _time("stim_off_times", "stimOff_times", "stimulus disappears"),
    _time("stim_on_trigger_times", "stimOnTrigger_times", "command to show the stimulus"),
    _time("stim_off_trigger_times", "stimOffTrigger_times", "command to remove the stimulus"),
    _time("go_cue_times", "goCue_times", "go tone begins"),
    _time("go_cue_trigger_times", "goCueTrigger_times", "command to play the go tone"),
    _time("first_movement_times", "firstMovement_times", "first movement of the wheel"),
    _time("response_times", "response_times", "response is registered"),
    _time("feedback_times", "feedback_times", "reward or error tone"),
    Column("choice", "choice", "", "+1 wheel CW = left, -1 CCW = right, 0 no-go", kind="int", values=(-1, 0, 1)),
    Column("feedback_type", "feedbackType", "", "+1 reward, -1 error, 0 none", kind="int", values=(-1, 0, 1)),
    Column("contrast_left", "contrastLeft", "fraction 0-1", "stimulus on the left; null without one", low=0, high=1),
    Column("contrast_right", "contrastRight", "fraction 0-1", "stimulus on the right; null without one", low=0, high=1),
    Column("probability_left", "probabilityLeft", "0-1", "prior that the stimulus is on the left", low=0, high=1),
    Column("reward_volume", "rewardVolume", "uL", "water given", low=0),
    Column("rep_num", "repNum", "", "repetition of the same stimulus, from 1", kind="int", low=0),
    Column("included", "included", "", "to be analysed", kind="bool", values=(0, 1)),
    Column("quiescence_period", "quiescencePeriod", "s", "required stillness before the stimulus", low=0),
    Column("iti_duration", "itiDuration", "s", "pause after the trial", low=0),
)

COMPLETE_TRIALS = frozenset(
    {"intervals_0", "intervals_1", "stim_on_times", "go_cue_times", "response_times", "feedback_times", "choice"}
    | {"feedback_type", "contrast_left", "contrast_right", "probability_left"}
)
"""The columns that a complete session of the task has."""

WHEEL: tuple[Column, ...] = (
    Column("timestamps", "timestamps", "s", "time of the sample", ordered=True),
    Column("position", "position", "rad", "angle of the wheel, counter-clockwise positive"),
)

LICKS: tuple[Column, ...] = (_time("times", "times", "tongue touches the spout"),)

CAMERA: tuple[Column, ...] = (_time("times", "times", "exposure of the frame"),)


def columns_of(alf_object: str) -> tuple[Column, ...]:
    """What is known of the columns of an ALF object; empty for objects of which nothing is.

    >>> [column.name for column in columns_of("wheel")]
    ['timestamps', 'position']
    """
    if alf_object.endswith("Camera"):
        return CAMERA
    return {"trials": TRIALS, "wheel": WHEEL, "licks": LICKS}.get(alf_object, ())


def definition(columns: tuple[Column, ...]) -> str:
    """The lines of a DataJoint definition for nullable columns, with unit and meaning in the comment."""
    types = {"float": "float64", "int": "int32", "bool": "bool"}
    return "\n".join(
        f"    {column.name + '=null':<26} : {types[column.kind]:<15} # "
        + (f"{column.text}, {column.unit}" if column.unit else column.text)
        for column in columns
    )


DATASET_TYPES: dict[str, str] = {
    **{
        f"trials.{column.attribute}": column.text + (f", {column.unit}" if column.unit else "")
        for column in TRIALS
        if column.index is None
    },
    "trials.intervals": "start and end of each trial, s",
    "trials.table": "all trials columns in one table",
    "wheel.position": "angle of the wheel, rad, counter-clockwise positive",
    "wheel.timestamps": "times of the wheel samples, s",
    "wheel.velocity": "angular velocity, rad/s",
    "wheelMoves.intervals": "onset and offset of each movement, s",
    "wheelMoves.peakAmplitude": "largest excursion of each movement, rad",
    "licks.times": "times at which the tongue touches the spout, s",
    "leftCamera.times": "times of the frames, s",
    "rightCamera.times": "times of the frames, s",
    "bodyCamera.times": "times of the frames, s",
    "leftCamera.dlc": "tracked points, px, with likelihoods",
    "rightCamera.dlc": "tracked points, px, with likelihoods",
    "bodyCamera.dlc": "tracked points, px, with likelihoods",
    "leftCamera.features": "pupil diameter, px, raw and smoothed",
    "rightCamera.features": "pupil diameter, px, raw and smoothed",
    "leftCamera.ROIMotionEnergy": "motion energy of the region of interest, a.u.",
    "rightCamera.ROIMotionEnergy": "motion energy of the region of interest, a.u.",
    "bodyCamera.ROIMotionEnergy": "motion energy of the region of interest, a.u.",
    "passivePeriods.intervalsTable": "start and end of the passive periods, s",
    "passiveGabor.table": "stimuli shown passively: start, stop (s), position (deg), contrast (0-1), phase (rad)",
    "passiveStims.table": "valve, tone and noise played passively, s",
    "passiveRFM.times": "frames of the receptive field mapping, s",
    "spikes.times": "times of the spikes, s",
    "spikes.clusters": "cluster of each spike, row of the clusters object",
    "spikes.depths": "depth of each spike from the tip, um",
    "spikes.amps": "amplitude of each spike, V",
    "spikes.templates": "template of each spike",
    "spikes.samples": "sample of each spike in the raw file",
    "clusters.channels": "channel of the largest amplitude",
    "clusters.depths": "depth from the tip, um",
    "clusters.amps": "mean amplitude, V",
    "clusters.metrics": "quality metrics of the units",
    "clusters.uuids": "unique names of the units",
    "clusters.waveforms": "mean waveforms, V",
    "clusters.waveformsChannels": "channels of the mean waveforms",
    "clusters.peakToTrough": "from peak to trough, ms",
    "channels.localCoordinates": "position on the probe, um",
    "channels.rawInd": "channel in the raw file",
    "channels.mlapdv": "position from bregma, um",
    "channels.brainLocationIds_ccf_2017": "Allen region id",
    "templates.waveforms": "template waveforms, V",
    "templates.waveformsChannels": "channels of the templates",
    "probes.description": "probes, with model and serial number",
    "probes.trajectory": "planned insertions, um and deg",
    "_iblrig_taskSettings.raw": "settings of the task at the rig",
    "_iblrig_taskData.raw": "trials as the rig wrote them",
    "_iblrig_ambientSensorData.raw": "temperature (deg C), air pressure (mb), relative humidity (%)",
    "experiment.description": "what was recorded in the session, by which task and device",
    "ephysData.raw": "raw samples of a probe",
}

DATA_FORMATS: dict[str, str] = {
    "npy": "numpy array, never with Python objects",
    "pqt": "Parquet table",
    "csv": "comma-separated table",
    "tsv": "tab-separated table",
    "ssv": "space-separated table",
    "json": "JSON",
    "jsonable": "JSON, one object a line",
    "yaml": "YAML, safe subset",
    "bin": "raw samples, int16, channels fastest",
    "cbin": "compressed raw samples, with a .ch file",
    "ch": "index of a cbin file",
    "meta": "SpikeGLX settings of a recording",
    "mp4": "video",
    "avi": "video",
    "tif": "image stack",
    "txt": "text",
    "npz": "several numpy arrays, never with Python objects",
    "sparse_npz": "sparse matrix",
    "htsv": "tab-separated table with a header",
    "log": "text",
}
