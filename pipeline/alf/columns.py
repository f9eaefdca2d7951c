"""The ALF names that become columns: which attribute fills which column of which table, as data.

Names are parsed by `one.alf`; this room only says what is done with them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple


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
        tolerance: share of the rows that may break the order of a clock: they are dropped from all columns of the
            object, and counted; 0: none may.
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
    tolerance: float = 0.0

    @property
    def has_rules(self) -> bool:
        """Whether some numbers are no values of the column."""
        return self.kind == "int" or (self.values, self.low, self.high) != (None, None, None)


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
    Column("timestamps", "timestamps", "s", "time of the sample", ordered=True, tolerance=0.01),
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


INDEPENDENT = frozenset({"waveforms"})
"""Objects whose attributes have rows of different things: `waveforms.templates` units, `waveforms.traces` spikes."""


class AlfName(NamedTuple):
    """The parts of an ALF file name."""

    alf_object: str
    attribute: str  # with the time scale
    extension: str  # with what stands before it, e.g. ap.cbin
    namespace: str  # empty where there is none
    uuid: str  # that the name holds; empty where it holds none
    dataset: str  # the name without the uuid


@lru_cache(maxsize=1 << 16)
def parse_name(file_name: str) -> AlfName | None:
    """The parts of a file name as `one.alf` sees them; None where the name is not ALF.

    >>> parse_name("_ibl_trials.goCue_times_bpod.csv")[:4]
    ('trials', 'goCue_times_bpod', 'csv', 'ibl')
    >>> parse_name("spikes.times.2622b17c-9408-4910-99cb-abf16d9225b9.npy").dataset
    'spikes.times.npy'
    >>> parse_name("spike_train.npy") is None
    True
    """
    # The pattern of one.alf takes exponential time on some names that it does not match: those end here.
    if not re.fullmatch(r"[\w.-]+\.\w+", file_name):
        return _spikeglx_name(file_name)
    match = _file_pattern().fullmatch(file_name)
    if match is None:
        return _spikeglx_name(file_name)
    namespace, alf_object, attribute, timescale, extra, extension = match.groups()
    extras = extra.split(".") if extra else []
    uuid = extras[-1] if extras and _UUID.fullmatch(extras[-1]) else ""
    return AlfName(
        alf_object,
        attribute + (f"_{timescale}" if timescale else ""),
        ".".join([*(extras[:-1] if uuid else extras), extension]),
        namespace or "",
        uuid,
        file_name.replace(f".{uuid}.", ".") if uuid else file_name,
    )


def _spikeglx_name(file_name: str) -> AlfName | None:
    """The parts of a recording's name that is not ALF for the name of its run only, as with dashes in a date.

    >>> parse_name("2024-05-01_M12_g0_t0.imec0.ap.bin")[:3]
    ('2024-05-01_M12_g0_t0', 'imec0', 'ap.bin')
    >>> parse_name("2024-05-01_M12_g0_t0.nidq.wiring.json")[:3]
    ('2024-05-01_M12_g0_t0', 'nidq', 'wiring.json')
    """
    if of_nidq := re.fullmatch(rf"({_RUN})\.timestamps\.npy", file_name):
        return AlfName(of_nidq[1], "timestamps", "npy", "", "", file_name)
    match = _SPIKEGLX.fullmatch(file_name)
    if match is None:
        return None
    uuid = match["uuid"] or ""
    extension = ".".join(part for part in (match["band"], match["suffix"]) if part)
    dataset = file_name.replace(f".{uuid}.", ".") if uuid else file_name
    return AlfName(match["run"], match["device"], extension, "", uuid, dataset)


@lru_cache(maxsize=1 << 16)
def parse_folder(folder: str) -> tuple[str, str] | None:
    """Collection and revision of a folder below the session; None where ALF allows no files in it.

    >>> parse_folder("alf/probe00/#2024-01-01#"), parse_folder(""), parse_folder("alf/#r1#/sub")
    (('alf/probe00', '2024-01-01'), ('', ''), None)
    """
    if not folder:
        return "", ""
    collection, _, last = folder.rpartition("/")
    revision = re.fullmatch(r"#([\w.-]+)#", last)
    if revision is None:
        collection = folder
    if re.fullmatch(r"[\w./-]*", collection) is None:
        return None
    return collection, revision[1] if revision else ""


def raw_form(path: str) -> str:
    """The path of a raw ephys recording before compression, by which it is known in either form; others as they are.

    >>> raw_form("raw_ephys_data/probe00/r.imec0.ap.cbin"), raw_form("alf/trials.choice.npy")
    ('raw_ephys_data/probe00/r.imec0.ap.bin', 'alf/trials.choice.npy')
    """
    if path.endswith("/continuous.cbin"):  # of Open Ephys
        return f"{path[:-5]}.dat"
    return f"{path[:-5]}.bin" if path.endswith((".ap.cbin", ".lf.cbin", ".nidq.cbin", ".obx.cbin")) else path


def compressed_form(path: str) -> str:
    """The path of a raw recording once it is compressed; others as they are.

    >>> compressed_form("raw_ephys_data/r.imec0.ap.bin"), compressed_form("raw_ephys_data/continuous/A/continuous.dat")
    ('raw_ephys_data/r.imec0.ap.cbin', 'raw_ephys_data/continuous/A/continuous.cbin')
    """
    packed = f"{path[:-4]}.cbin"
    return packed if path.endswith((".bin", ".dat")) and raw_form(packed) == path else path


@lru_cache(maxsize=256)
def columns_by_attribute(alf_object: str) -> dict[str, tuple[Column, ...]]:
    """Attribute -> the columns that it fills, also under the names that a two-dimensional one has in a table.

    >>> {name: len(columns) for name, columns in columns_by_attribute("trials").items() if "intervals" in name}
    {'intervals': 2, 'intervals_0': 1, 'intervals_1': 1}
    """
    columns: dict[str, tuple[Column, ...]] = {}
    for column in columns_of(alf_object):
        columns[column.attribute] = (*columns.get(column.attribute, ()), column)
        if column.index is not None:
            columns[f"{column.attribute}_{column.index}"] = (column,)
    return columns


_RUN = r"[\w][\w -]*_g\d+_t(?:\d+|cat)"
_SPIKEGLX = re.compile(
    rf"(?P<run>{_RUN})\.(?P<device>imec\d*|nidq|obx\d*)"
    r"(?:\.(?P<band>ap|lf|obx))?(?:\.(?P<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}))?"
    r"\.(?P<suffix>bin|cbin|ch|meta|timestamps\.npy|wiring\.json|probe\.json)"
)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[345][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@lru_cache(maxsize=1)
def _file_pattern() -> re.Pattern[str]:
    from one.alf import spec

    pattern: re.Pattern[str] = spec.regex(spec.FILE_SPEC)
    return pattern


def definition(columns: tuple[Column, ...]) -> str:
    """The lines of a DataJoint definition for nullable columns, with unit and meaning in the comment."""
    types = {"float": "float64", "int": "int32", "bool": "bool"}
    return "\n".join(
        f"    {column.name + '=null':<26} : {types[column.kind]:<15} # "
        + (f"{column.text}, {column.unit}" if column.unit else column.text)
        for column in columns
    )


DATA_FORMATS: dict[str, str] = {
    "npy": "numpy array, never with Python objects",
    "pqt": "Parquet table",
    "mat": "MATLAB variables (version 7 or before)",
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
