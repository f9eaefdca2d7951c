"""The published dataset types of the ALF convention: name, shape, unit and meaning of each, as data.

`DATASET_TYPES` is the one list: the lookup table `data.DatasetType`, `ONE.describe_dataset`, the check of the shape at
registration and the documentation are made from it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pipeline.alf.aliases import meaning
from pipeline.alf.columns import TRIALS, AlfName


@dataclass(frozen=True)
class DatasetType:
    """One kind of data.

    Attributes
    ----------
    name
        `object.attribute`, with the namespace where the type belongs to one.
    text
        What it means.
    unit
        Of the values; empty where there is none.
    shape
        `(n_spikes,)` or `(n_trials, 2)` for arrays, the first dimension being the rows of the object; else the kind
        of file: `table`, `JSON`, `YAML`, `text`, `video`, `raw`.
    renamed
        The type that replaced this one; empty while the type is in use.
    """

    name: str
    text: str
    unit: str = ""
    shape: str = ""
    renamed: str = ""

    @property
    def dimensions(self) -> tuple[str | int, ...] | None:
        """The dimensions of an array, fixed sizes as numbers; None where the type is no array.

        >>> DATASET_TYPES["trials.intervals"].dimensions
        ('n_trials', 2)
        """
        if not self.shape.startswith("("):
            return None
        parts = [part.strip() for part in self.shape.strip("()").split(",") if part.strip()]
        return tuple(int(part) if part.isdigit() else part for part in parts)

    @property
    def description(self) -> str:
        """Meaning, unit and shape in one line.

        >>> DATASET_TYPES["spikes.depths"].description
        'depth of each spike from the tip of the probe [um], shape (n_spikes,)'
        """
        unit = f" [{self.unit}]" if self.unit else ""
        shape = f", shape {self.shape}" if self.shape.startswith("(") else f", {self.shape}" if self.shape else ""
        renamed = f"; now called {self.renamed}" if self.renamed else ""
        return f"{self.text}{unit}{shape}{renamed}"

    def wrong_shape(self, shape: Sequence[int]) -> str:
        """What is wrong with the shape of an array, in words; empty where it fits.

        A single column `(n, 1)` is accepted for `(n,)`, as MATLAB writes it; `timestamps` may be pairs (sample, time).

        >>> DATASET_TYPES["trials.intervals"].wrong_shape((2, 300))
        'shape (2, 300) where (n_trials, 2) is expected: transpose it'
        >>> DATASET_TYPES["trials.choice"].wrong_shape((300, 1))
        ''
        """
        wanted, given = self.dimensions, tuple(shape)
        if wanted is None:
            return ""
        if len(wanted) == 1 and len(given) == 2 and given[1] == (2 if self.name.endswith(".timestamps") else 1):
            return ""
        if _fits(given, wanted):
            return ""
        remedy = ": transpose it" if len(given) > 1 and _fits(given[::-1], wanted) else ""
        if len(wanted) == 1 and len(given) == 2 and given[0] == 1:
            remedy = ": transpose it"
        return f"shape {given} where {self.shape} is expected{remedy}"


def _fits(shape: Sequence[int], wanted: Sequence[str | int]) -> bool:
    return len(shape) == len(wanted) and all(
        isinstance(size, str) or size == length for length, size in zip(shape, wanted, strict=True)
    )


def _array(rows: str, *types: tuple[str, str, str]) -> list[DatasetType]:
    """Types of arrays with one value a row: (name, unit, meaning)."""
    return [DatasetType(name, text, unit, f"({rows},)") for name, unit, text in types]


def _camera(name: str) -> list[DatasetType]:
    frames = "n_frames"
    return [
        DatasetType(f"{name}.times", "time of each frame", "s", f"({frames},)"),
        DatasetType(f"{name}.dlc", "tracked points, px, each with x, y and likelihood (0-1)", "", "table"),
        DatasetType(f"{name}.lightningPose", "tracked points, px, each with x, y and likelihood (0-1)", "", "table"),
        DatasetType(f"{name}.features", "pupil diameter, px, raw and smoothed", "", "table"),
        DatasetType(f"{name}.ROIMotionEnergy", "motion energy of the region of interest", "a.u.", f"({frames},)"),
        DatasetType(f"{name}.raw", "video", "", "video"),
    ]


_TYPES: tuple[DatasetType, ...] = (
    # trials
    *(
        DatasetType(f"trials.{column.attribute}", column.text, column.unit, "(n_trials,)")
        for column in TRIALS
        if column.index is None
    ),
    DatasetType("trials.intervals", "start and end of each trial", "s", "(n_trials, 2)"),
    DatasetType("trials.table", "all columns of the trials in one table", "", "table"),
    *_array(
        "n_trials",
        ("trials.deadTime", "s", "from the end of a trial to the next start of the state machine"),
    ),
    # wheel
    *_array(
        "n_samples",
        ("wheel.position", "rad", "angle of the wheel, counter-clockwise positive"),
        ("wheel.timestamps", "s", "time of each sample, or pairs (sample, time) between which is interpolated"),
        ("wheel.velocity", "rad/s", "angular velocity, counter-clockwise positive"),
    ),
    DatasetType("wheelMoves.intervals", "onset and offset of each movement", "s", "(n_moves, 2)"),
    *_array(
        "n_moves",
        ("wheelMoves.peakAmplitude", "rad", "largest excursion of each movement"),
        ("wheelMoves.type", "", "kind of each movement: CW, CCW, Flinch or Other"),
    ),
    # licks, rewards, eye, cameras
    *_array("n_licks", ("licks.times", "s", "time at which the tongue touches the spout")),
    *_array("n_rewards", ("extraRewards.times", "s", "time of each reward given outside the task")),
    *_array(
        "n_frames",
        ("eye.timestamps", "s", "time of each frame, or pairs (sample, time) between which is interpolated"),
        ("eye.area", "px^2", "area of the pupil"),
        ("eye.blink", "", "whether the eye is closed"),
    ),
    DatasetType("eye.xyPos", "centre of the pupil", "px", "(n_frames, 2)"),
    DatasetType("eye.raw", "video of the eye", "", "video"),
    *_camera("leftCamera"),
    *_camera("rightCamera"),
    *_camera("bodyCamera"),
    *_array("n_frames", ("camera.times", "s", "time of each frame")),
    DatasetType("camera.dlc", "tracked points: x, y (px) and likelihood (0-1) of each", "", "(n_frames, n_points)"),
    *_array(
        "n_frames",
        ("face.timestamps", "s", "time of each frame, or pairs (sample, time) between which is interpolated"),
        ("face.motionEnergy", "a.u.", "motion energy of the face"),
    ),
    # fibre photometry
    DatasetType(
        "photometry.signal",
        "fluorescence of each site (a column each) with times (s), wavelength (nm) and name of the light of each frame",
        "",
        "table, or (n_frames, n_sites)",
    ),  # fmt: skip
    *_array(
        "n_frames",
        ("photometry.times", "s", "time of each frame, where the signal is an array"),
        ("photometry.timestamps", "s", "the same, or pairs (sample, time) between which is interpolated"),
    ),
    DatasetType("photometryROI.locations", "fibre and brain region of each column of photometry.signal", "", "table"),
    DatasetType(
        "fpData.raw",
        "fluorescence of each site as the FP3002 writes it, with its clock (s) and the state of its lights",
        "",
        "table",
    ),  # fmt: skip
    DatasetType("fpData.channels", "which states of the FP3002 mean which light", "", "table"),
    DatasetType("fpData.digitalInputs", "changes of the inputs of the FP3002", "", "table"),
    # outside the task
    DatasetType("spontaneous.intervals", "periods of at least 30 s without a protocol", "s", "(n_periods, 2)"),
    DatasetType("passivePeriods.intervalsTable", "start and end of the passive periods, s", "", "table"),
    DatasetType(
        "passiveGabor.table",
        "replayed stimuli: start, stop (s), position (deg), contrast (0-1), phase (rad)",
        "",
        "table",
    ),  # fmt: skip
    DatasetType("passiveStims.table", "replayed valve clicks, tones and noise: on and off of each, s", "", "table"),
    *_array("n_frames", ("passiveRFM.times", "s", "time of each frame of the receptive field mapping")),
    *_array(
        "n_stimuli",
        ("passiveTrials.included", "", "to be analysed"),
        ("passiveTrials.stimOn_times", "s", "replayed stimulus appears"),
        ("passiveTrials.contrastLeft", "fraction 0-1", "contrast of the replayed stimulus on the left"),
        ("passiveTrials.contrastRight", "fraction 0-1", "contrast of the replayed stimulus on the right"),
    ),
    *_array("n_clicks", ("passiveValveClicks.times", "s", "time of each replayed click of the valve")),
    *_array("n_beeps", ("passiveBeeps.times", "s", "time of each replayed go tone")),
    *_array("n_sounds", ("passiveWhiteNoise.times", "s", "time of each replayed error noise")),
    DatasetType("passiveNoise.intervals", "start and end of each replayed error noise", "s", "(n_sounds, 2)"),
    DatasetType("sparseNoise.xy", "place of each square of the sparse noise on the screen", "deg", "(n_squares, 2)"),
    DatasetType(
        "sparseNoise.positions",
        "place of each square of the sparse noise; which column is which differs by release",
        "deg",
        "(n_squares, 2)",
    ),  # fmt: skip
    *_array("n_squares", ("sparseNoise.times", "s", "time at which each square of the sparse noise appears")),
    # spikes
    *_array(
        "n_spikes",
        ("spikes.times", "s", "time of each spike"),
        ("spikes.clusters", "", "cluster of each spike: row of the clusters object, from 0"),
        ("spikes.depths", "um", "depth of each spike from the tip of the probe"),
        ("spikes.amps", "V", "amplitude of each spike"),
        ("spikes.templates", "", "template of each spike before curation: row of the templates object, from 0"),
        ("spikes.samples", "", "sample of each spike in its raw file, from 0"),
    ),
    DatasetType(
        "templates.waveforms",
        "waveforms of the templates on the channels of waveformsChannels",
        "V",
        "(n_templates, n_samples, n_channels)",
    ),  # fmt: skip
    DatasetType(
        "templates.waveformsChannels",
        "channels of the waveforms of each template, from 0",
        "",
        "(n_templates, n_channels)",
    ),  # fmt: skip
    # clusters
    *_array(
        "n_clusters",
        ("clusters.channels", "", "channel of the largest amplitude: row of the channels object, from 0"),
        ("clusters.depths", "um", "depth of each cluster from the tip of the probe"),
        ("clusters.amps", "V", "mean amplitude of the spikes"),
        ("clusters.peakToTrough", "ms", "from the peak of the waveform to its trough; trough first is negative"),
        ("clusters.probes", "", "probe of each cluster: row of the probes object, from 0"),
        ("clusters._phy_annotation", "", "0 noise, 1 multi-unit, 2 good, 3 unsorted, 4-100 manual score"),
        ("clusters._phy_ids", "", "identifier of each cluster in phy"),
    ),
    DatasetType("clusters.peakToThrough", "from peak to trough", "ms", "(n_clusters,)", "clusters.peakToTrough"),
    DatasetType("clusters.metrics", "quality metrics of the clusters", "", "table"),
    DatasetType("clusters.uuids", "unique names of the clusters", "", "table"),
    DatasetType("clusters.mlapdv", "place of each cluster from bregma", "um", "(n_clusters, 3)"),
    *_array(
        "n_clusters",
        ("clusters.brainLocationAcronyms_ccf_2017", "", "Allen region of each cluster, acronym"),
        ("clusters.brainLocationIds_ccf_2017", "", "Allen region of each cluster, number"),
    ),
    DatasetType(
        "clusters.brainAcronyms",
        "Allen region of each cluster, acronym",
        "",
        "(n_clusters,)",
        "clusters.brainLocationAcronyms_ccf_2017",
    ),  # fmt: skip
    DatasetType(
        "clusters.waveforms",
        "mean waveforms on the channels of waveformsChannels",
        "V",
        "(n_clusters, n_samples, n_channels)",
    ),  # fmt: skip
    DatasetType(
        "clusters.waveformsChannels",
        "channels of the mean waveforms, by amplitude, from 0",
        "",
        "(n_clusters, n_channels)",
    ),  # fmt: skip
    # probes and channels
    DatasetType("probes.description", "label, model, serial number and raw file of each probe", "", "JSON"),
    DatasetType("probes.trajectory", "planned insertions: place, um; depth, um; three angles, deg", "", "JSON"),
    DatasetType("channels.localCoordinates", "place on the probe: across, along from the tip", "um", "(n_channels, 2)"),
    DatasetType("channels.mlapdv", "place of each channel from bregma", "um", "(n_channels, 3)"),
    *_array(
        "n_channels",
        ("channels.rawInd", "", "row of each channel in the raw file, from 0"),
        ("channels.brainLocationIds_ccf_2017", "", "Allen region of each channel, number"),
        ("channels.brainLocationAcronyms_ccf_2017", "", "Allen region of each channel, acronym"),
        ("channels.probes", "", "probe of each channel: row of the probes object, from 0"),
        ("channels.shank", "", "shank of each channel, from 0"),
        ("channels._phy_ids", "", "identifier of each channel in phy"),
    ),
    DatasetType(
        "channels.brainAcronyms",
        "Allen region of each channel, acronym",
        "",
        "(n_channels,)",
        "channels.brainLocationAcronyms_ccf_2017",
    ),  # fmt: skip
    # as recorded
    DatasetType("_iblrig_taskSettings.raw", "settings of the task at the rig", "", "JSON"),
    DatasetType("_iblrig_taskData.raw", "trials as the rig wrote them", "", "JSON, one object a line"),
    DatasetType(
        "_iblrig_ambientSensorData.raw",
        "temperature (deg C), air pressure (mbar), relative humidity (percent)",
        "",
        "JSON, one object a line",
    ),  # fmt: skip
    DatasetType("experiment.description", "what was recorded in the session, by which task and device", "", "YAML"),
    DatasetType("ephysData.raw", "raw samples of a probe", "", "raw"),
)

DATASET_TYPES: dict[str, DatasetType] = {type_.name: type_ for type_ in _TYPES}
"""Name -> dataset type."""

FORMER_NAMES: dict[str, str] = {type_.name: type_.renamed for type_ in _TYPES if type_.renamed}
"""Types that were renamed -> their name of today."""

REFERENCES: dict[str, str] = {
    **{f"{alf_object}.channels": "channels" for alf_object in ("spikes", "clusters", "templates")},
    **{f"{alf_object}.probes": "probes" for alf_object in ("spikes", "clusters", "channels")},
    "spikes.clusters": "clusters",
    "spikes.templates": "templates",
    "clusters.templates": "templates",
    "clusters.waveformsChannels": "channels",
    "templates.waveformsChannels": "channels",
}
"""Attributes that index the rows of another object, from 0 -> that object. Those with the name of an object do so by
the convention; the two others are known to."""


@lru_cache(maxsize=1 << 12)
def dataset_type(name: AlfName) -> str | None:
    """The known dataset type of a file, None where it is of none; a name of another layout has the type it stands for.

    >>> from pipeline.alf.columns import parse_name
    >>> dataset_type(parse_name("_ibl_trials.choice.npy")), dataset_type(parse_name("a.b.npy"))
    ('trials.choice', None)
    >>> dataset_type(parse_name("trials.visualStim_contrastLeft.npy"))
    'trials.contrastLeft'
    """
    plain = f"{name.alf_object}.{name.attribute}"
    stands_for = ".".join(meaning(name.alf_object, name.attribute)[:2])
    candidates = (plain, f"_{name.namespace}_{plain}", stands_for)
    return next((known for known in candidates if known in DATASET_TYPES), None)


def describe(name: str) -> DatasetType | None:
    """The dataset type of that name, with or without a namespace in front; None where none is known.

    >>> describe("_ibl_trials.choice").shape
    '(n_trials,)'
    """
    plain = re.sub(r"^_[a-z0-9]+_(?=[A-Za-z])", "", name)
    return DATASET_TYPES.get(name) or DATASET_TYPES.get(plain)


def suggest(alf_object: str, attribute: str, shape: Sequence[int] | None = None, most: int = 3) -> list[str]:
    """Known types that a file of an unknown name may be meant for, the likeliest first; by name, then by shape.

    Parameters
    ----------
    alf_object, attribute
        As in the name of the file.
    shape
        Of the array, where it is one: types that it cannot be are left out.
    most
        How many at most.

    >>> suggest("trials", "contrast_left", (300,))
    ['trials.contrastLeft', 'passiveTrials.contrastLeft', 'trials.contrastRight']
    """
    candidates = [type_ for type_ in _TYPES if not (type_.renamed or (shape is not None and type_.wrong_shape(shape)))]
    ratio = difflib.SequenceMatcher(autojunk=False)

    def likeness(one: DatasetType) -> float:
        known_object, _, known_attribute = one.name.partition(".")
        ratio.set_seqs(_plain(attribute), _plain(known_attribute))
        by_attribute = ratio.ratio()
        ratio.set_seqs(_plain(alf_object), _plain(known_object))
        return 0.65 * by_attribute + 0.35 * ratio.ratio()

    ranked = sorted(
        ((likeness(candidate), candidate.name) for candidate in candidates), key=lambda item: (-item[0], item[1])
    )
    return [name for score, name in ranked[:most] if score >= 0.72]


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
