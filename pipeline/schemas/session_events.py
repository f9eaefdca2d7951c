"""What else a session's files say: replay, periods, sparse noise, extra rewards, eye, moves as published."""

from typing import Any

import datajoint as dj
import numpy as np

from pipeline.alf.reasons import refuse
from pipeline.analysis import passive
from pipeline.database import registry
from pipeline.database.bulk import insert_many
from pipeline.errors import InvalidData
from pipeline.schemas import acquisition, data
from pipeline.schemas.inputs import files, local_copies, series
from pipeline.schemas.inputs.from_files import FromFiles

schema = registry.schema(__name__)


@schema
class PassiveReplay(FromFiles, dj.Imported):
    definition = """
    # stimuli, clicks and sounds of the task, replayed while the animal was passive
    -> acquisition.Session
    ---
    replay_fingerprint         : char(32)        # of the files that were read
    n_replayed                 : int32
    """
    objects = "passive%"
    fingerprint = "replay_fingerprint"

    class Event(dj.Part):
        definition = """
        # one stimulus, click or sound
        -> master
        replay_id                  : int32           # in order of time, from 0
        ---
        replay_kind                : enum('visual', 'valve', 'tone', 'noise')
        replay_start               : float64         # s from session start
        replay_end=null            : float64         # s from session start
        replay_contrast_left=null  : float64         # fraction, 0-1
        replay_contrast_right=null : float64         # fraction, 0-1
        """

    def _found(self):
        names = [{"object_name": name} for name in passive.OBJECTS]
        return data.AlfObject & names & "accepted_columns <> ''"

    def make(self, key):
        listed = (self._found() & key).to_arrays("object_name")
        content = {f"{item}.{name}": _read(key, item, name) for item in listed for name in passive.OBJECTS[item]}
        events = passive.replayed({name: values for name, values in content.items() if values is not None})
        self.insert1(key | self._fingerprint_of(key) | {"n_replayed": len(events["start"])})
        columns = {f"replay_{name}": values for name, values in events.items()}
        insert_many(self.Event, key | {"replay_id": np.arange(len(events["start"]))} | columns)


@schema
class PassivePeriods(FromFiles, dj.Imported):
    definition = """
    # what was done to the passive animal when
    -> acquisition.Session
    ---
    periods_fingerprint        : char(32)        # of the file that was read
    """
    objects = "passivePeriods"
    needs = ("intervalsTable",)
    fingerprint = "periods_fingerprint"

    class Period(dj.Part):
        definition = """
        # one period
        -> master
        period_name                : varchar(64)     # as in the file, e.g. passiveProtocol, spontaneousActivity, RFM
        ---
        passive_period_start       : float64         # s from session start
        passive_period_end         : float64         # s from session start
        """

    def make(self, key):
        table = files.read_attribute(key, "passivePeriods", "intervalsTable").reset_index()
        try:
            periods = passive.periods({name: table[name].to_numpy() for name in table.columns if name != "level_0"})
        except ValueError as error:
            raise refuse("passivePeriods.intervalsTable", "value_range", str(error)) from None
        self.insert1(key | self._fingerprint_of(key))
        self.Period.insert(
            key | {"period_name": name, "passive_period_start": start, "passive_period_end": end}
            for name, (start, end) in periods.items()
        )


@schema
class SparseNoise(FromFiles, dj.Imported):
    definition = """
    # squares shown at random places to map receptive fields; their places stay in the file
    -> acquisition.Session
    ---
    noise_fingerprint          : char(32)        # of the files that were read
    n_squares                  : int32
    n_places=null              : int32           # different places; null without them
    noise_start=null           : float64         # first square, s from session start
    noise_end=null             : float64         # last square, s from session start
    """
    objects = "sparseNoise"
    needs = ("times",)
    fingerprint = "noise_fingerprint"

    def make(self, key):
        times = np.ravel(files.read_attribute(key, "sparseNoise", "times"))
        places = _read(key, "sparseNoise", "xy")
        places = _read(key, "sparseNoise", "positions") if places is None else places
        self.insert1(
            key
            | self._fingerprint_of(key)
            | {
                "n_squares": len(times),
                "n_places": None if places is None else len(np.unique(places, axis=0)),
                "noise_start": float(times.min()) if times.size else None,
                "noise_end": float(times.max()) if times.size else None,
            }
        )


@schema
class SpontaneousActivity(FromFiles, dj.Imported):
    definition = """
    # periods in which no protocol ran
    -> acquisition.Session
    ---
    spontaneous_fingerprint    : char(32)        # of the file that was read
    spontaneous_duration       : float64         # all periods together, s
    """
    objects = "spontaneous"
    needs = ("intervals",)
    fingerprint = "spontaneous_fingerprint"

    class Period(dj.Part):
        definition = """
        # one period
        -> master
        period_id                  : int32           # row in the file, from 0
        ---
        period_start               : float64         # s from session start
        period_end                 : float64         # s from session start
        """

    def make(self, key):
        start, end = np.asarray(files.read_attribute(key, "spontaneous", "intervals"), np.float64).T
        self.insert1(key | self._fingerprint_of(key) | {"spontaneous_duration": float(np.sum(end - start))})
        insert_many(self.Period, key | {"period_id": np.arange(len(start)), "period_start": start, "period_end": end})


@schema
class ExtraReward(FromFiles, dj.Imported):
    definition = """
    # rewards given outside the task, by hand
    -> acquisition.Session
    ---
    reward_fingerprint         : char(32)        # of the file that was read
    n_extra_rewards            : int32
    """
    objects = "extraRewards"
    needs = ("times",)
    fingerprint = "reward_fingerprint"

    class Reward(dj.Part):
        definition = """
        # one reward
        -> master
        extra_reward_id            : int32           # row in the file, from 0
        ---
        extra_reward_time          : float64         # s from session start
        """

    def make(self, key):
        times = np.ravel(files.read_attribute(key, "extraRewards", "times")).astype(np.float64)
        self.insert1(key | self._fingerprint_of(key) | {"n_extra_rewards": len(times)})
        insert_many(self.Reward, key | {"extra_reward_id": np.arange(len(times)), "extra_reward_time": times})


@schema
class Eye(FromFiles, dj.Imported):
    definition = """
    # the eye in one session, from the ALF object `eye`; its traces stay in the files
    -> acquisition.Session
    ---
    eye_fingerprint            : char(32)        # of the files that were read
    n_eye_frames               : int32
    eye_start=null             : float64         # first frame, s from session start
    eye_end=null               : float64         # last frame, s from session start
    eye_area=null              : float64         # of the pupil, median, px^2
    eye_blink=null             : float64         # fraction of the frames with the eye closed, 0-1
    """
    objects = "eye"
    needs = ("area",)
    fingerprint = "eye_fingerprint"

    def make(self, key):
        area = np.ravel(files.read_attribute(key, "eye", "area")).astype(np.float64)
        blink = _read(key, "eye", "blink")
        times = series.read_times(key, "eye", len(area)) if _has(key, "eye", "timestamps") else np.empty(0)
        seen = area[np.isfinite(area)]
        self.insert1(
            key
            | self._fingerprint_of(key)
            | {
                "n_eye_frames": len(area),
                "eye_start": float(times[0]) if times.size else None,
                "eye_end": float(times[-1]) if times.size else None,
                "eye_area": float(np.median(seen)) if seen.size else None,
                "eye_blink": None if blink is None or not len(blink) else float(np.mean(np.ravel(blink) > 0)),
            }
        )


@schema
class PublishedWheelMoves(FromFiles, dj.Imported):
    definition = """
    # movements of the wheel as the files list them; those that are found in the trace are in behavior.WheelMoveSet
    -> acquisition.Session
    ---
    published_fingerprint      : char(32)        # of the files that were read
    n_published_moves          : int32
    """
    objects = "wheelMoves"
    needs = ("intervals",)
    fingerprint = "published_fingerprint"

    class Move(dj.Part):
        definition = """
        # one movement
        -> master
        published_move_id          : int32           # row in the file, from 0
        ---
        published_onset            : float64         # s from session start
        published_offset           : float64         # s from session start
        published_type=""          : varchar(16)     # as in the file: CW, CCW, Flinch, Other, or its code
        published_amplitude=null   : float64         # largest excursion, rad
        """

    def make(self, key):
        onset, offset = np.asarray(files.read_attribute(key, "wheelMoves", "intervals"), np.float64).T
        kinds = passive.labels(_kinds(key), len(onset))
        amplitude = _read(key, "wheelMoves", "peakAmplitude")
        self.insert1(key | self._fingerprint_of(key) | {"n_published_moves": len(onset)})
        columns = {
            "published_move_id": np.arange(len(onset)),
            "published_onset": onset,
            "published_offset": offset,
            "published_type": kinds,
        }
        if amplitude is not None and len(amplitude) == len(onset):
            columns["published_amplitude"] = np.ravel(amplitude).astype(np.float64)
        insert_many(self.Move, key | columns)


def _kinds(key: dict) -> Any:
    """The kinds of the movements: an array, or the text of the file."""
    chosen = {"alf_object": "wheelMoves", "alf_attribute": "type", "default_dataset": True, "dataset_online": True}
    paths = (data.Dataset & {name: key[name] for name in acquisition.Session.primary_key} & chosen).to_arrays(
        "rel_path"
    )
    if len(paths) and str(paths[0]).endswith((".csv", ".tsv", ".ssv")):
        return local_copies.path_of(key, str(paths[0])).read_text(encoding="utf-8", errors="replace")
    return _read(key, "wheelMoves", "type")


def _has(key: dict, alf_object: str, attribute: str) -> bool:
    """Whether an attribute of an object may be read."""
    objects = (
        data.AlfObject & {name: key[name] for name in acquisition.Session.primary_key} & {"object_name": alf_object}
    )
    return bool(objects & f"accepted_columns LIKE '%%,{attribute},%%'")


def _read(key: dict, alf_object: str, attribute: str) -> Any:
    """An attribute of an object; None where it is absent or in quarantine."""
    if not _has(key, alf_object, attribute):
        return None
    try:
        return files.read_attribute(key, alf_object, attribute)
    except InvalidData as error:
        if error.reason == "vanished":
            raise
        return None
