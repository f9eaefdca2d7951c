"""Light given to the brain: with what, where and when, and what it does to the animal and to its units."""

import datajoint as dj
import numpy as np

from pipeline.alf.reasons import refuse
from pipeline.analysis import photostimulation as analysis
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns, insert_many, to_numpy
from pipeline.electrophysiology import peths as peth_store
from pipeline.schemas import acquisition, behavior, data, ephys, histology, lab  # noqa: F401 - parents of foreign keys
from pipeline.schemas.inputs import events, trial_outcomes
from pipeline.schemas.inputs.from_files import FromFiles

schema = registry.schema(__name__)

OBJECTS = ("laserStimulation", "opto", "photostim")
"""ALF objects whose `intervals` or `times` are pulses or trains of light."""


@schema
class StimulationDevice(dj.Manual):
    definition = """
    # a laser or LED
    -> lab.Lab
    device_name                : varchar(64)
    ---
    device_wavelength=null            : float64         # nm
    max_power=null             : float64         # at the fibre or objective, mW
    device_description=""      : varchar(1000)
    """


@schema
class StimulationWaveform(dj.Manual):
    definition = """
    # how the power changes in time
    -> lab.Lab
    waveform_name              : varchar(64)
    ---
    waveform_shape             : enum('constant', 'pulses', 'sine', 'ramp', 'other')
    waveform_duration=null     : float64         # of the whole, s
    waveform_frequency=null    : float64         # of pulses or sine, Hz
    pulse_duration=null        : float64         # of one pulse, s
    ramp_down=null             : float64         # at the end, s
    waveform_description=""    : varchar(1000)
    """


@schema
class StimulationSite(dj.Manual):
    definition = """
    # a place that is illuminated, called as in the files of the sessions (column site, location or stimulus)
    -> lab.Lab
    site_name                  : varchar(64)
    ---
    -> [nullable] histology.BrainRegion
    site_hemisphere=null       : enum('left', 'right', 'both')
    stimulated_ml=null               : float64         # um from bregma, right positive
    stimulated_ap=null               : float64         # um from bregma, anterior positive
    stimulated_dv=null               : float64         # um from bregma, dorsal positive
    site_description=""        : varchar(1000)
    """


@schema
class SessionStimulation(dj.Manual):
    definition = """
    # with what the light of a session was given
    -> acquisition.Session
    -> StimulationDevice
    -> StimulationWaveform
    ---
    stimulation_power=null     : float64         # mW
    stimulation_opsin=""       : varchar(64)
    stimulation_comment=""     : varchar(1000)
    """


@schema
class StimulationSet(FromFiles, dj.Imported):
    definition = """
    # pulses or trains of light in one session, from an ALF object laserStimulation, opto or photostim
    -> acquisition.Session
    ---
    stimulation_fingerprint    : char(32)        # of the files that were read
    stimulation_object         : varchar(64)     # ALF object
    n_stimulations             : int32
    """
    fingerprint = "stimulation_fingerprint"

    class Event(dj.Part):
        definition = """
        # one pulse or train
        -> master
        stimulation_id             : int32           # row in the files, from 0
        ---
        stimulation_onset          : float64         # s from session start
        stimulation_offset=null    : float64         # s from session start
        event_power=null           : float64         # unit of the file
        event_site=""              : varchar(64)     # as in the files, see StimulationSite; empty: not given
        """

    def _found(self):
        named = [{"object_name": name} for name in OBJECTS]
        timed = ["accepted_columns LIKE '%%,intervals,%%'", "accepted_columns LIKE '%%,times,%%'",
                 "accepted_columns LIKE '%%,table,%%'"]  # fmt: skip
        return data.AlfObject & named & timed

    def make(self, key):
        name = sorted((self._found() & key).to_arrays("object_name"))[0]
        try:
            onset, rest = analysis.events_of(events.rows_of(key, name))
        except ValueError as error:
            raise refuse(f"{name}.intervals", "value_range", str(error), "intervals") from None
        known = np.isfinite(onset)
        self.insert1(key | self._fingerprint_of(key) | {"stimulation_object": name, "n_stimulations": int(known.sum())})
        columns = {"stimulation_id": np.flatnonzero(known), "stimulation_onset": onset[known]}
        names = {"offset": "stimulation_offset", "power": "event_power", "site": "event_site"}
        columns |= {names[one]: values[known] for one, values in rest.items()}
        insert_many(self.Event, key | columns)


@schema
class StimulationEffect(dj.Computed):
    definition = """
    # how an animal did in trials with and without light
    -> StimulationSet
    -> behavior.TrialSet
    ---
    n_trials_light             : int32           # trials in which light began
    n_trials_dark              : int32           # all others
    effect_missing=""          : varchar(500)    # what cannot be told, and why; empty: all is there
    """

    class Trial(dj.Part):
        definition = """
        # a trial with light
        -> master
        -> behavior.TrialSet.Trial
        ---
        trial_n_stimulations       : int32           # that began in it
        trial_light_onset          : float64         # of the first, s from session start
        trial_site=""              : varchar(64)     # of the first
        """

    class Site(dj.Part):
        definition = """
        # trials with light at one site compared with those without light; `all`: at any
        -> master
        effect_site                : varchar(64)
        ---
        n_light                      : int32         # trials
        n_light_correct=null         : int32
        performance_light=null       : float64       # fraction correct, 0-1
        performance_dark=null        : float64       # fraction correct, 0-1
        performance_effect_p=null    : float64       # Fisher's exact test, 0-1
        response_rate_light=null     : float64       # fraction of trials with a response, 0-1
        response_rate_dark=null      : float64       # fraction of trials with a response, 0-1
        response_rate_p=null         : float64       # Fisher's exact test, 0-1
        response_time_light=null     : float64       # median, s
        response_time_dark=null      : float64       # median, s
        response_time_effect_p=null  : float64       # rank-sum test, 0-1
        """

    @property
    def key_source(self) -> dj.expression.QueryExpression:
        """The tasks, passive ones aside, of sessions with light."""
        return StimulationSet.proj() * (behavior.TrialSet & "task_kind <> 'passive'").proj()

    def make(self, key):
        light = to_numpy(fetch_columns(StimulationSet.Event & key, order_by="stimulation_onset"))
        outcomes = trial_outcomes.read(key)
        if outcomes.starts is None:
            missing = "the trials have no intervals: which of them have light is not known"
            self.insert1(key | {"n_trials_light": 0, "n_trials_dark": 0, "effect_missing": missing})
            return
        trial = analysis.trials_of(light["stimulation_onset"], outcomes.starts, outcomes.ends)
        inside, (own, first, count) = trial >= 0, np.unique(trial[trial >= 0], return_index=True, return_counts=True)
        lit = np.isin(np.arange(len(outcomes.starts)), own)
        self.insert1(
            key | {"n_trials_light": len(own), "n_trials_dark": int((~lit).sum()), "effect_missing": outcomes.missing}
        )
        sites = light["event_site"][inside][first].astype(object)
        columns = {"trial_id": own, "trial_n_stimulations": count, "trial_site": sites}
        columns["trial_light_onset"] = light["stimulation_onset"][inside][first]
        insert_many(self.Trial, key | columns)
        for site in ("all", *sorted(set(sites) - {"", "all"})):
            group = np.where(~lit, 0, -1)
            group[own if site == "all" else own[sites == site]] = 1
            self.Site.insert1(key | {"effect_site": site} | _effect(outcomes, group))


@schema
class OptoTagging(dj.Computed):
    definition = """
    # which units answer to light directly
    -> StimulationSet
    -> ephys.ClusterSet
    ---
    n_light_pulses                   : int32           # within the recording and its good periods
    n_tagged                   : int32
    tagging_window             : float64         # after the onset of light in which spikes count, s
    """

    class Unit(dj.Part):
        definition = """
        # one unit
        -> master
        -> ephys.ClusterSet.Cluster
        ---
        light_reliability=null     : float64         # fraction of pulses with a spike in the window, 0-1
        light_baseline=null        : float64         # the same before the pulses, 0-1
        light_latency=null         : float64         # median of the first spike, s from the onset
        light_jitter=null          : float64         # standard deviation of the first spike, s
        light_p_corrected=null     : float64         # exact sign test, Benjamini-Hochberg over the units, 0-1
        is_tagged                  : bool
        """

    def make(self, key):
        window = 0.01
        spikes = ephys.grouped(key)
        onsets = np.unique((StimulationSet.Event & key).to_arrays("stimulation_onset").astype(np.float64))
        onsets = peth_store.within_recording(spikes, onsets)
        onsets = onsets[np.isfinite(onsets) & ephys.GoodPeriod.holds(key, onsets)]
        tagging = analysis.optotagging(spikes.times, spikes.offsets, onsets, window)
        counts = {"n_light_pulses": len(onsets), "n_tagged": int(tagging.tagged.sum())}
        self.insert1(key | counts | {"tagging_window": window})
        columns = {
            "cluster_id": spikes.cluster_ids,
            "light_reliability": tagging.reliability,
            "light_baseline": tagging.baseline,
            "light_latency": tagging.latency,
            "light_jitter": tagging.jitter,
            "light_p_corrected": tagging.p_corrected,
            "is_tagged": tagging.tagged,
        }
        insert_many(self.Unit, key | columns)


def _effect(outcomes: trial_outcomes.TrialOutcomes, group: np.ndarray) -> dict[str, object]:
    made = analysis.compare_performance(outcomes.correct, outcomes.responded, outcomes.latency, group)
    return {
        "n_light": made["n"][1],
        "n_light_correct": made["n_correct"][1],
        "performance_light": made["performance"][1],
        "performance_dark": made["performance"][0],
        "performance_effect_p": made["performance_p"],
        "response_rate_light": made["response_rate"][1],
        "response_rate_dark": made["response_rate"][0],
        "response_rate_p": made["response_p"],
        "response_time_light": made["response_time"][1],
        "response_time_dark": made["response_time"][0],
        "response_time_effect_p": made["response_time_p"],
    }
