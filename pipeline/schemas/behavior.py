"""What the animal did, read from the session's files: trials, wheel movements, licks, cameras, pupil, environment."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import datajoint as dj
import numpy as np
import pyarrow as pa

from pipeline import paradigms
from pipeline.alf import columns as alf
from pipeline.alf.reasons import refuse
from pipeline.analysis import (
    encoder,
    protocols,
    reaction_times,
    stream_checks,
    stream_columns,
    trial_checks,
    wheel,
    wheel_direction,
)
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns, insert_many, to_numpy
from pipeline.errors import InvalidData, NeurojointError
from pipeline.paradigms import outcomes
from pipeline.provenance import fingerprints
from pipeline.schemas import acquisition, selection  # noqa: F401 - parents of foreign keys
from pipeline.schemas.inputs import chosen_task, described_tasks, files, wheel_trace, written_trials
from pipeline.schemas.inputs.from_files import FromFiles, OfTask
from pipeline.settings import settings

schema = registry.schema(__name__)


def task_of(key: Mapping[str, Any]) -> dict[str, Any]:
    """The primary key of the one row of `TrialSet` that is meant: for a session with several tasks, that of the first
    in which the animal did something (neither passive nor habituation), unless `task_collection` says which.

    Raises
    ------
    NeurojointError : parts of the key are missing, or the session has no trials in the tables; the message says which.
    """
    return chosen_task.key_of(chosen_task.row_of(key))


def kind_of(key: Mapping[str, Any]) -> str:
    """The kind of the task that `task_of` finds: training, biased, ephys, passive, habituation or other.

    Raises
    ------
    NeurojointError : as `task_of`.
    """
    return chosen_task.row_of(key)["task_kind"]


def conventional_trials(key: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The trials of one task in the columns and codes that the analyses take, by its description.

    Those of the program's own tasks, and of tasks that nobody describes, are the columns of `Trial` as they are.

    Raises
    ------
    NeurojointError : as `fetch_trials`; or the task's description is known no more.
    """
    row = chosen_task.row_of(key)
    task = paradigms.named(row["paradigm"]) if row["paradigm"] else None
    if task is not None:
        return outcomes.conventional(
            chosen_task.trials_of(row) | TrialSet.fetch_other_columns(chosen_task.key_of(row)), task
        )
    return outcomes.conventional(written_trials.of_task(row, lambda: chosen_task.trials_of(row)), None)


def fetch_trials(
    key: Mapping[str, Any], condition: str | None = None, other_columns: bool = True
) -> dict[str, np.ndarray]:
    """The trials of one task as the analyses take them: column name -> array, without the columns that are absent.

    Parameters
    ----------
    key : primary key of the session; with `task_collection` where it has several tasks, else see `task_of`.
    condition : only the trials that fulfil it: the name of a row of `selection.TrialCondition`, or an expression over
        the columns, e.g. `contrast_right >= 0.5 and choice == -1` (docs/conditions.md).
    other_columns : also those columns of the files that `Trial` does not have.

    Raises
    ------
    NeurojointError : the key does not name one session, or the session has no trials in the tables.
    """
    row = chosen_task.row_of(key)
    chosen, trials = chosen_task.key_of(row), chosen_task.trials_of(row)
    if other_columns or condition is not None:
        trials |= TrialSet.fetch_other_columns(chosen)
    if condition is not None:
        selected = selection.TrialCondition.read(condition).holds(trials)
        trials = {name: values[selected] for name, values in trials.items()}
    return trials


@schema
class TrialSet(OfTask, dj.Imported):
    definition = """
    # the trials of one task of a session, from the ALF object `trials`
    -> acquisition.SessionTask
    ---
    trials_fingerprint         : char(32)        # of the files that were read, and of what the protocol is
    n_trials                   : int32
    trials_start=null          : float64         # start of the first trial, s from session start; null without times
    trials_end=null            : float64         # end of the last trial, s from session start; null without times
    trials_complete            : bool            # choice, feedback, contrasts, probability and their times are all there
    columns_present            : json            # list of the columns that were read
    columns_absent             : json            # list of the columns that the files do not have; they are null
    columns_refused            : json            # column -> reason for the columns in quarantine; they are null
    columns_other              : json            # list of the attributes that no column of Trial stands for
    trials_protocol=""         : varchar(255)    # of the task whose trials these are, as the rig names it
    paradigm=""                : varchar(32)     # of the description that the lab gives of the task; empty without one
    task_kind=""               : varchar(32)     # of the protocol: training, biased, ephys, passive, habituation, other
    trials_qc="NOT_SET"        : varchar(8)      # worst outcome of the checks: PASS, WARNING, FAIL; NOT_SET: none made
    trials_checks=null         : json            # list of what was checked: check, outcome, n_trials, detail in words
    """
    objects = "trials"
    fingerprint = "trials_fingerprint"
    facts = ("protocol", "task_protocol")

    class Trial(dj.Part):
        definition = f"""
        # one trial; times are s from session start
        -> master
        trial_id                   : int32           # row in the files, from 0
        ---
{alf.definition(alf.TRIALS)}
        """

    class OtherColumn(dj.Part):
        definition = """
        # a column of the files that Trial does not have
        -> master
        other_column               : varchar(64)     # attribute of the ALF object, or heading of its table
        ---
        other_type                 : varchar(32)     # of the values, as numpy names it; object: text
        other_values               : <blob>          # (n trials, …) in the order of trial_id
        """

    @classmethod
    def fetch_other_columns(cls, key: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The columns of one task that Trial does not have: name -> values, shape (n trials, …)."""
        columns = {}
        for row in (cls.OtherColumn & key).to_dicts(order_by="other_column"):
            values = np.empty(len(row["other_values"]), object) if row["other_type"] == "object" else None
            if values is not None:
                values[:] = row["other_values"]
            columns[row["other_column"]] = row["other_values"] if values is None else values
        return columns

    def current_fingerprints(self, key: dict | None = None) -> pa.Table:
        """Key and fingerprint of every task (of `key`); where the lab describes it, with the description."""
        return described_tasks.with_descriptions(super().current_fingerprints(key), key or {})

    def _extended(self, fingerprint, key):
        if not paradigms.described():
            return fingerprint
        digest = described_tasks.digest(described_tasks.facts_of(key))
        return fingerprints.extend(fingerprint, digest) if digest else fingerprint

    def make(self, key):
        trials = files.read_trials(key)
        facts = described_tasks.facts_of(key)
        protocol = protocols.of_task(facts["task_protocol"], facts["protocol"], key["task_collection"])
        task = paradigms.of_protocol(protocol)
        kind = described_tasks.kind_of(protocol, task)
        if task is None or task.is_built_in:
            columns, checks = trial_checks.check_trials(trials.values, kind)
        else:
            columns, checks = trial_checks.check_times(trials.values)
            checks += described_tasks.findings(columns | trials.other_values, task)
        n_trials = len(next(iter(columns.values())))
        checks += trial_checks.check_refused(trials.refused, n_trials)
        fingerprint = self._fingerprint_of(key)
        self.insert1(
            key
            | fingerprint
            | {
                "n_trials": n_trials,
                "trials_start": stream_columns.known_end(columns.get("intervals_0"), 0),
                "trials_end": stream_columns.known_end(columns.get("intervals_1"), -1),
                "trials_complete": columns.keys() >= alf.COMPLETE_TRIALS,
                "columns_present": list(columns),
                "columns_absent": trials.absent,
                "columns_refused": trials.refused,
                "columns_other": trials.other,
                "trials_protocol": protocol,
                "paradigm": "" if task is None or task.is_built_in else task.name,
                "task_kind": kind,
                "trials_qc": trial_checks.worst(checks),
                "trials_checks": [asdict(check) for check in checks],
            }
        )
        insert_many(self.Trial, key | {"trial_id": np.arange(n_trials)} | columns)
        self.OtherColumn.insert(
            key
            | {
                "other_column": name,
                "other_type": values.dtype.name,
                "other_values": values.tolist() if values.dtype == object else values,
            }
            for name, values in trials.other_values.items()
        )
        written_trials.keep(key | fingerprint, columns)


@schema
class WheelMoveSet(OfTask, dj.Imported):
    definition = """
    # the movements of the wheel in one task of a session, found in `wheel.position` and `wheel.timestamps`
    -> acquisition.SessionTask
    ---
    wheel_fingerprint          : char(32)        # of the files that were read
    n_moves                    : int32
    n_direction_changes        : int32           # within movements
    wheel_unit                 : varchar(8)      # of the positions in the file: rad, cm, mm, deg, ticks, x1ticks, …; here all is rad
    wheel_start=null           : float64         # first sample, s from session start
    wheel_end=null             : float64         # last sample, s from session start
    wheel_displacement=null    : float64         # where the wheel ended less where it began, rad
    wheel_distance=null        : float64         # length of the path, rad
    wheel_dropped=0            : int32           # samples left out: their time is missing or not after the one before
    wheel_qc="NOT_SET"         : varchar(8)      # PASS; WARNING: repaired, or odd; FAIL: it turns against the choices
    wheel_notes=""             : varchar(1000)   # what was repaired or is odd, in words
    """
    objects = "wheel"
    needs = ("position", "timestamps")
    beside = ("trials",)
    fingerprint = "wheel_fingerprint"

    class Move(dj.Part):
        definition = """
        # one movement
        -> master
        move_id                    : int32           # in order of time, from 0
        ---
        move_onset                 : float64         # s from session start
        move_offset                : float64         # s from session start
        move_amplitude             : float64         # largest excursion from where it began, rad, counter-clockwise positive
        peak_velocity              : float64         # rad/s, counter-clockwise positive
        peak_velocity_time         : float64         # s from session start
        """

    @classmethod
    def fetch_first_movements(cls, key: Mapping[str, Any]) -> np.ndarray:
        """The first movement of the wheel in each trial, from the movements of this table, (n_trials,), s.

        For sessions whose files have no `firstMovement_times`, e.g.
        `fetch_trials(key) | {"first_movement_times": WheelMoveSet.fetch_first_movements(key)}`; the rule is that of
        `pipeline.analysis.reaction_times.first_movements`.

        Parameters
        ----------
        key : primary key of the session; with `task_collection` where it has several tasks, else see `task_of`.

        Raises
        ------
        NeurojointError : the session has no trials or no wheel in the tables, or its trials no times.
        """
        chosen = task_of(key)
        if not cls & chosen:
            raise NeurojointError("the task has no wheel in the tables", "see `behavior.WheelMoveSet`")
        moves = to_numpy(fetch_columns(cls.Move & chosen, "move_onset", "move_amplitude", order_by="move_id"))
        trials = fetch_trials(chosen, other_columns=False)
        movements = reaction_times.first_movements(trials, moves["move_onset"], moves["move_amplitude"])
        if movements is None:
            raise NeurojointError(
                "the trials have no times", "goCue_times or stimOn_times, and feedback_times, are needed"
            )
        return movements

    def current_fingerprints(self, key: dict | None = None) -> pa.Table:
        """Key and fingerprint of every task (of `key`); where the setting `wheel_units` states a unit, with that."""
        table, stated = super().current_fingerprints(key), settings().wheel_units
        told = [
            fingerprints.extend(one, stated[lab]) if lab in stated else one
            for lab, one in zip(table["lab"].to_pylist(), table["fingerprint"].to_pylist(), strict=True)
        ]
        return table.set_column(table.column_names.index("fingerprint"), "fingerprint", pa.array(told, pa.string()))

    def _extended(self, fingerprint, key):
        stated = settings().wheel_units.get(key["lab"])
        return fingerprints.extend(fingerprint, stated) if stated else fingerprint

    def make(self, key):
        times, turned, dropped, clock = wheel_trace.read(key)
        moves = wheel.movements(turned.position, times, tick=encoder.TICK)
        outcome, against = wheel_direction.against_choices(turned.position, times, wheel_trace.choices(key))
        notes = [said for said in (against, clock, *wheel.notes(turned, moves, dropped)) if said]
        self.insert1(
            key
            | self._fingerprint_of(key)
            | stream_columns.wheel_trace(turned.position, times)
            | {
                "n_moves": len(moves),
                "n_direction_changes": len(moves.direction_changes),
                "wheel_unit": turned.unit,
                "wheel_dropped": dropped,
                "wheel_qc": "WARNING" if notes and outcome == "PASS" else outcome,
                "wheel_notes": "; ".join(notes)[:1000],
            }
        )
        insert_many(self.Move, key | stream_columns.moves(moves))


@schema
class Lick(FromFiles, dj.Imported):
    definition = """
    # the licks of one session; their times stay in the file
    -> acquisition.Session
    ---
    lick_fingerprint           : char(32)        # of the file that was read
    n_licks                    : int32
    first_lick=null            : float64         # s from session start
    last_lick=null             : float64         # s from session start
    lick_interval=null         : float64         # median time between licks less than 1 s apart, s
    lick_notes=""              : varchar(500)    # what was repaired or is odd, in words; empty where nothing is
    """
    objects = "licks"
    needs = ("times",)
    fingerprint = "lick_fingerprint"

    def make(self, key):
        licks = files.read_object(key, "licks", required=("times",))
        times, notes = stream_checks.lick_times(licks.values["times"])
        row = stream_columns.licks(times) | {"lick_notes": stream_checks.joined(notes, 500)}
        self.insert1(key | self._fingerprint_of(key) | row)


@schema
class Camera(FromFiles, dj.Imported):
    definition = """
    # the cameras of one session
    -> acquisition.Session
    ---
    camera_fingerprint         : char(32)        # of the files that were read
    n_cameras                  : int16
    """
    objects = "%Camera"
    needs = ("times",)
    fingerprint = "camera_fingerprint"

    class View(dj.Part):
        definition = """
        # the frames of one camera; their times stay in the file
        -> master
        camera                     : varchar(32)     # left, right, body
        ---
        n_frames                   : int32
        frame_rate=null            : float64         # one over the median time between frames, Hz
        first_frame=null           : float64         # s from session start
        last_frame=null            : float64         # s from session start
        longest_gap=null           : float64         # between two frames, s
        camera_notes=""            : varchar(500)    # what was repaired or is odd, in words; empty where nothing is
        """

    def make(self, key):
        names = self._names_of(key)
        self.insert1(key | self._fingerprint_of(key) | {"n_cameras": len(names)})
        self.View.insert(key | {"camera": name.removesuffix("Camera")} | self._frames(key, name) for name in names)

    def _frames(self, key, name):
        times, notes = stream_checks.frame_times(files.read_object(key, name, required=self.needs).values["times"])
        return stream_columns.frames(times) | {"camera_notes": stream_checks.joined(notes, 500)}


@schema
class Pupil(FromFiles, dj.Imported):
    definition = """
    # the pupil of one session; its trace stays in the file
    -> acquisition.Session
    ---
    pupil_fingerprint          : char(32)        # of the files that were read
    """
    objects = "%Camera"
    needs = ("features",)
    fingerprint = "pupil_fingerprint"

    class View(dj.Part):
        definition = """
        # the pupil as one camera saw it
        -> master
        pupil_camera               : varchar(32)     # left, right
        ---
        n_pupil_samples            : int32
        pupil_diameter=null        : float64         # median, px
        pupil_diameter_sd=null     : float64         # standard deviation, px
        pupil_missing=null         : float64         # fraction of the frames without a diameter, 0-1
        pupil_notes=""             : varchar(500)    # what was left out or is odd, in words; empty where nothing is
        """

    def make(self, key):
        self.insert1(key | self._fingerprint_of(key))
        for name in self._names_of(key):
            features = to_numpy(pa.Table.from_pandas(files.read_attribute(key, name, "features"), preserve_index=False))
            n_frames = self._n_frames(key, name)
            try:
                diameter, notes = stream_checks.pupil(features, n_frames)
            except KeyError:  # of a camera that does not see the eye
                continue
            except ValueError as error:
                raise refuse(f"{name}.features", "value_range", str(error)) from error
            row = {"pupil_camera": name.removesuffix("Camera"), "pupil_notes": stream_checks.joined(notes, 500)}
            self.View.insert1(key | row | stream_columns.pupil(diameter))

    @staticmethod
    def _n_frames(key: dict[str, Any], name: str) -> int | None:
        """How many frames the camera took; None where no file says it."""
        try:
            return len(files.read_object(key, name, required=("times",)).values["times"])
        except InvalidData:
            return None


@schema
class AmbientSensor(OfTask, dj.Imported):
    definition = """
    # the air at the rig during one task of a session; medians over the readings, which stay in the file
    -> acquisition.SessionTask
    ---
    ambient_fingerprint        : char(32)        # of the file that was read
    n_readings                 : int32
    temperature=null           : float64         # deg C
    air_pressure=null          : float64         # mbar
    relative_humidity=null     : float64         # percent
    ambient_notes=""           : varchar(500)    # what was left out or is missing, in words; empty where nothing is
    """
    objects = "ambientSensorData"
    needs = ("raw",)
    fingerprint = "ambient_fingerprint"
    place = "raw_collection"

    def make(self, key):
        folder = self._tasks_of(key)[0][self.place]
        content = files.read_attribute(key, "ambientSensorData", "raw", folder)
        air = stream_checks.air(content)
        notes = stream_checks.joined(air.notes, 500)
        if all(value is None for value in air.medians.values()):
            raise refuse("_iblrig_ambientSensorData.raw.jsonable", "value_range", f"no reading can be used: {notes}")
        row = {"n_readings": air.n_readings, "ambient_notes": notes} | air.medians
        self.insert1(key | self._fingerprint_of(key) | row)


@schema
class PassiveTrialSet(FromFiles, dj.Imported):
    definition = """
    # what was shown and played after the task, while the animal was passive
    -> acquisition.Session
    ---
    passive_fingerprint        : char(32)        # of the file that was read
    n_passive_trials           : int32
    """
    objects = "passiveGabor"
    needs = ("table",)
    fingerprint = "passive_fingerprint"

    class PassiveTrial(dj.Part):
        definition = """
        # one stimulus
        -> master
        passive_trial_id           : int32           # row in the file, from 0
        ---
        passive_start=null         : float64         # s from session start
        passive_stop=null          : float64         # s from session start
        passive_position=null      : float64         # azimuth, deg, right positive
        passive_contrast=null      : float64         # fraction, 0-1
        passive_phase=null         : float64         # of the grating, rad
        """

    def make(self, key):
        table = pa.Table.from_pandas(files.read_attribute(key, "passiveGabor", "table"), preserve_index=False)
        self.insert1(key | self._fingerprint_of(key) | {"n_passive_trials": table.num_rows})
        columns = {f"passive_{name}": table[name] for name in _GABOR_COLUMNS if name in table.column_names}
        insert_many(self.PassiveTrial, key | {"passive_trial_id": np.arange(table.num_rows)} | columns)


_GABOR_COLUMNS = ("start", "stop", "position", "contrast", "phase")
