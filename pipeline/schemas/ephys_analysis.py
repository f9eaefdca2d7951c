"""What follows from the sorted spikes: metrics of units, their responses, pictures of a whole insertion."""

import datajoint as dj
import numpy as np
import pyarrow as pa

from pipeline import peth_store, spikes
from pipeline.analysis import correlograms, drift, responses, units
from pipeline.analysis import peths as peri_event
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns, insert_many, to_numpy
from pipeline.errors import NeurojointError
from pipeline.peth_store import unit_peths
from pipeline.schemas import behavior, ephys, histology

__all__ = ["population_rate", "task_modulated_by_region", "unit_peths"]

schema = registry.schema(__name__)

ALPHA = 0.05
"""Level for `is_responsive`, after correction."""
DEPTH_BIN = 80.0
"""Of DepthPeth, um."""
DRIFT_TIME_BIN, DRIFT_DEPTH_BIN, DRIFT_MOST_TIMES = 1.0, 20.0, 7200
"""Of DriftMap: s, um, bins of time; longer recordings have wider bins."""
ACG_WINDOW, ACG_BIN = 0.05, 0.0005
"""Of Autocorrelogram, s."""
SELECTIVITIES = ("side", "choice", "feedback", "block")


@schema
class UnitMetrics(dj.Computed):
    definition = """
    # quality metrics of the units of one clustering, as pipeline.analysis.units defines them
    -> ephys.ClusterSet
    ---
    metrics_duration=null      : float64         # time over which rates and presence are taken, s
    metrics_with_amps          : bool            # the spikes have amplitudes
    metrics_with_depths        : bool            # the spikes have depths
    """

    class Unit(dj.Part):
        definition = """
        # one unit; null where the spikes are too few, or without amplitudes or depths
        -> master
        -> ephys.ClusterSet.Cluster
        ---
        unit_n_spikes                : int64
        firing_rate=null             : float64       # over the recording, Hz
        presence_ratio=null          : float64       # share of time bins with a spike, 0-1
        presence_ratio_std=null      : float64       # standard deviation of the number of spikes in windows of 10 s
        isi_violations_hill=null     : float64       # contamination by refractory violations, Hill 2011, fraction
        isi_violations_llobet=null   : float64       # the same by Llobet 2022, fraction
        refractory_confidence=null   : float64       # that contamination is below a tenth, sliding refractory period, percent
        refractory_contamination=null: float64       # lowest contamination that holds with confidence, percent
        n_spikes_below_2ms=null      : int32         # intervals shorter than 2 ms
        refractory_pass=null         : bool          # the sliding refractory period test is passed
        amplitude_cutoff=null        : float64       # estimated share of spikes below threshold, 0-0.5
        noise_cutoff=null            : float64       # distance of the lowest amplitudes from the rest, standard deviations
        missed_spikes=null           : float64       # estimated fraction of spikes that are missed, 0-1
        amp_min=null                 : float64       # uV
        amp_max=null                 : float64       # uV
        amp_median=null              : float64       # uV
        amp_std_db=null              : float64       # spread of the log amplitudes, dB
        drift=null                   : float64       # cumulative change of depth, um/h
        drift_ptp=null               : float64       # range of depths, um
        spike_width=null             : float64       # trough to peak of the template, ms
        ibl_label=null               : float64       # share of the three IBL criteria that are met, 0-1
        """

    def make(self, key):
        found = ephys.grouped(key)
        first, last = (ephys.ClusterSet & key).fetch1("first_spike", "last_spike")
        values = units.unit_metrics(found.times, found.offsets, found.amps, found.depths)
        values["unit_n_spikes"] = values.pop("n_spikes")
        values["spike_width"] = _spike_widths(key, found.cluster_ids)
        self.insert1(
            key
            | {
                "metrics_duration": None if first is None else last - first,
                "metrics_with_amps": found.amps is not None,
                "metrics_with_depths": found.depths is not None,
            }
        )
        known = {name: values[name] for name in self.Unit.heading.secondary_attributes if name in values}
        insert_many(self.Unit, key | {"cluster_id": found.cluster_ids} | known)


def _spike_widths(key: dict, cluster_ids: np.ndarray) -> np.ndarray:
    """Trough to peak of the mean waveforms, ms; NaN for units without one."""
    widths = np.full(len(cluster_ids), np.nan)
    try:
        ids, waveforms, _ = ephys.templates(key)
    except NeurojointError:
        return widths
    recorded = ephys.Recording & {name: key[name] for name in ephys.ProbeInsertion.primary_key} & {"band": "ap"}
    rates = recorded.to_arrays("sampling_rate")
    widths[np.searchsorted(cluster_ids, ids)] = units.spike_width(waveforms, float(rates[0]) if len(rates) else 30000.0)
    return widths


@schema
class UnitCriteria(dj.Lookup):
    definition = """
    # rule sets that say which units are good; a new version is a new row
    unit_criteria              : varchar(32)     # name
    unit_criteria_version      : int16
    ---
    unit_rules                 : json            # list of {"metric", "op", "value"}, all of which must hold
    unit_criteria_description  : varchar(1000)
    """
    contents = [
        {
            "unit_criteria": "ibl",
            "unit_criteria_version": 1,
            "unit_rules": [{"metric": "ibl_label", "op": ">=", "value": 1.0}],
            "unit_criteria_description": "All of IBL's: sliding refractory period passed, noise cutoff below 5 (and "
            "lowest bin below a tenth of the peak), median amplitude above 50 uV",
        },
        {
            "unit_criteria": "basic",
            "unit_criteria_version": 1,
            "unit_rules": [
                {"metric": "firing_rate", "op": ">=", "value": 0.1},
                {"metric": "presence_ratio", "op": ">=", "value": 0.9},
                {"metric": "isi_violations_hill", "op": "<=", "value": 0.5},
            ],
            "unit_criteria_description": "For clusterings without amplitudes: rate, presence, refractory violations",
        },
    ]


@schema
class UnitSelection(dj.Computed):
    definition = """
    # the units of one clustering that meet one rule set
    -> UnitMetrics
    -> UnitCriteria
    ---
    n_selected                 : int32
    """

    class Unit(dj.Part):
        definition = """
        # one unit that meets all rules
        -> master
        -> UnitMetrics.Unit
        """

    def make(self, key):
        rules = (UnitCriteria & key).fetch1("unit_rules")
        values = to_numpy(fetch_columns(UnitMetrics.Unit & key))
        values["n_spikes"] = values["unit_n_spikes"]
        chosen = values["cluster_id"][units.apply_criteria(values, rules)]
        self.insert1(key | {"n_selected": len(chosen)})
        if len(chosen):
            insert_many(self.Unit, key | {"cluster_id": chosen})


@schema
class AlignmentEvent(dj.Lookup):
    definition = """
    # the events of a trial to which activity is aligned; what is to be changed gets a new name
    event                      : varchar(32)
    ---
    trials_column              : varchar(64)     # of behavior.TrialSet.Trial
    window_start               : float64         # of the picture, s from the event
    window_end                 : float64         # s from the event
    event_bin                  : float64         # width of a bin, s
    event_smoothing            : float64         # standard deviation of the Gaussian, s; 0: none
    baseline_column            : varchar(64)     # event of the trial from which the baseline is counted
    baseline_start             : float64         # s from it
    baseline_end               : float64         # s from it
    response_start             : float64         # s from the event
    response_end               : float64         # s from the event
    """
    contents = [
        {
            "event": event,
            "trials_column": column,
            "window_start": -0.5,
            "window_end": 1.0,
            "event_bin": 0.02,
            "event_smoothing": 0.02,
            "baseline_column": "stim_on_times",
            "baseline_start": -0.2,
            "baseline_end": 0.0,
            "response_start": start,
            "response_end": end,
        }
        for event, column, start, end in (
            ("stim_on", "stim_on_times", 0.0, 0.3),
            ("go_cue", "go_cue_times", 0.0, 0.3),
            ("first_movement", "first_movement_times", -0.1, 0.2),
            ("response", "response_times", -0.1, 0.2),
            ("feedback", "feedback_times", 0.0, 0.4),
        )
    ]


@schema
class Peth(dj.Computed):
    definition = """
    # the activity of all units around one event of the trials; arrays have the units in order of cluster_id
    -> ephys.ClusterSet
    -> behavior.TrialSet
    -> AlignmentEvent
    ---
    n_events                   : int32           # events with a time that lie within the recording; 0: all below is null
    n_responsive=null          : int32           # units that respond, after correction
    peth_times=null            : <blob>          # (n bins,) centres of the bins, s from the event, float32
    peth_mean=null             : <blob>          # (n units, n bins) firing rate, Hz, float32
    peth_sem=null              : <blob>          # (n units, n bins) standard error over trials, Hz, float32
    condition_names=null       : json            # list of conditions, e.g. side_left, choice_right, feedback_error, block_left
    condition_n=null           : json            # list of events in each
    condition_mean=null        : <blob>          # (n conditions, n units, n bins) firing rate, Hz, float32
    population_rate=null       : <blob>          # (n bins,) mean over units, Hz, float32
    """

    class Response(dj.Part):
        definition = """
        # what one unit does at the event; selectivity is 2 AUC - 1, -1 to 1, positive for the first named
        -> master
        -> ephys.ClusterSet.Cluster
        ---
        baseline_rate=null         : float64         # Hz
        response_rate=null         : float64         # Hz
        response_p=null            : float64         # p-value that both are equal, signed-rank test over trials, 0-1
        response_p_corrected=null  : float64         # the same, Benjamini-Hochberg over the units of the insertion, 0-1
        is_responsive=null         : bool            # response_p_corrected below 0.05
        side_selectivity=null      : float64         # stimulus right or left, share from -1 to 1
        side_p=null                : float64         # corrected, 0-1
        choice_selectivity=null    : float64         # choice right or left, share from -1 to 1
        choice_p=null              : float64         # corrected, 0-1
        feedback_selectivity=null  : float64         # reward or error, share from -1 to 1
        feedback_p=null            : float64         # corrected, 0-1
        block_selectivity=null     : float64         # prior for right or left, share from -1 to 1
        block_p=null               : float64         # corrected, 0-1
        """

    def make(self, key):
        rule = (AlignmentEvent & key).fetch1()
        found, trials = ephys.grouped(key), behavior.fetch_trials(key)
        events = peth_store.within_recording(found, trials.get(rule["trials_column"], np.empty(0)))
        n_events = int(np.isfinite(events).sum())
        if not n_events:
            self.insert1(key | {"n_events": 0})
            return
        whole = peth_store.compute(found, events, None, *_window(rule))
        split = {name: _split(found, events, trials, name, rule) for name in _splits(trials)}
        names = [f"{name}_{condition}" for name, one in split.items() for condition in one.conditions]
        means = [one.mean.transpose(1, 0, 2) for one in split.values()]
        columns = _responses(found, events, trials, rule)
        self.insert1(
            key
            | {
                "n_events": n_events,
                "n_responsive": int(np.sum(columns["is_responsive"])),
                "peth_times": whole.times.astype(np.float32),
                "peth_mean": whole.mean[:, 0].astype(np.float32),
                "peth_sem": whole.sem[:, 0].astype(np.float32),
                "condition_names": names,
                "condition_n": [int(n) for one in split.values() for n in one.n],
                "condition_mean": np.concatenate(means).astype(np.float32) if means else None,
                "population_rate": whole.mean[:, 0].mean(axis=0).astype(np.float32),
            }
        )
        insert_many(self.Response, key | {"cluster_id": found.cluster_ids} | columns)


def _window(rule: dict) -> tuple[tuple[float, float], float, float]:
    return (rule["window_start"], rule["window_end"]), rule["event_bin"], rule["event_smoothing"]


def _splits(trials: dict[str, np.ndarray]) -> list[str]:
    """The splits for which the session has the columns."""
    known = responses.trial_groups(trials)
    return [name for name in SELECTIVITIES if name in known]


def _split(
    found: spikes.GroupedSpikes, events: np.ndarray, trials: dict[str, np.ndarray], name: str, rule: dict
) -> peth_store.UnitPeths:
    return peth_store.compute(found, events, peth_store.labels_of(trials, name), *_window(rule))


def _responses(
    found: spikes.GroupedSpikes, events: np.ndarray, trials: dict[str, np.ndarray], rule: dict
) -> dict[str, np.ndarray]:
    """The columns of Peth.Response, one value a unit."""
    grouped = (found.times, found.offsets, events)
    before = trials.get(rule["baseline_column"], np.full(len(events), np.nan))
    window = (rule["response_start"], rule["response_end"])
    one = responses.responsiveness(
        *grouped, (rule["baseline_start"], rule["baseline_end"]), window, ALPHA, baseline_events=before
    )
    columns = {
        "baseline_rate": one.baseline_rate,
        "response_rate": one.response_rate,
        "response_p": one.p_value,
        "response_p_corrected": one.p_corrected,
        "is_responsive": one.responsive,
    }
    for name, groups in responses.trial_groups(trials).items():
        chosen = responses.selectivity(*grouped, groups, window, ALPHA)
        columns |= {f"{name}_selectivity": chosen.index, f"{name}_p": chosen.p_corrected}
    return columns


@schema
class DepthPeth(dj.Computed):
    definition = """
    # the activity along the probe around one event; without depths of the spikes there are no arrays
    -> ephys.ClusterSet
    -> behavior.TrialSet
    -> AlignmentEvent
    ---
    n_depth_events             : int32           # events with a time that lie within the recording
    depth_peth_times=null      : <blob>          # (n bins,) centres, s from the event, float32
    depth_peth_depths=null     : <blob>          # (n depths,) centres, um from the tip, float32
    depth_peth=null            : <blob>          # (n depths, n bins) rate of all spikes at that depth, Hz, float32
    depth_baseline=null        : <blob>          # (n depths,) rate in the baseline window of the event, Hz, float32
    """

    def make(self, key):
        rule = (AlignmentEvent & key).fetch1()
        found, trials = ephys.grouped(key), behavior.fetch_trials(key)
        events = peth_store.within_recording(found, trials.get(rule["trials_column"], np.empty(0)))
        row = key | {"n_depth_events": int(np.isfinite(events).sum())}
        if row["n_depth_events"] and found.depths is not None:
            all_spikes = ephys.spikes(key)
            made = drift.depth_peth(
                all_spikes.times,
                all_spikes.depths,
                events,
                -rule["window_start"],
                rule["window_end"],
                rule["event_bin"],
                DEPTH_BIN,
                (rule["baseline_start"], rule["baseline_end"]),
                trials.get(rule["baseline_column"], np.full(1, np.nan)),
            )
            row |= _float32(
                depth_peth_times=made.bins,
                depth_peth_depths=made.depths,
                depth_peth=made.rate,
                depth_baseline=made.baseline,
            )
        self.insert1(row)


@schema
class DriftMap(dj.Computed):
    definition = """
    # how many spikes, and how large, at each depth and time; without depths of the spikes there are no arrays
    -> ephys.ClusterSet
    ---
    drift_times=null           : <blob>          # (n times,) centres, s from session start, float32
    drift_depths=null          : <blob>          # (n depths,) centres, um from the tip, float32
    drift_rates=null           : <blob>          # (n depths, n times) spikes in a second, Hz, float32
    drift_amps=null            : <blob>          # (n depths, n times) mean amplitude, uV, NaN without spikes, float32
    """

    def make(self, key):
        found = ephys.spikes(key)
        row = dict(key)
        if len(found) and found.depths is not None:
            time_bin = max(DRIFT_TIME_BIN, float(found.times[-1]) / DRIFT_MOST_TIMES)
            made = drift.drift_map(found.times, found.depths, found.amps, time_bin, DRIFT_DEPTH_BIN)
            row |= _float32(drift_times=made.times, drift_depths=made.depths, drift_rates=made.rate.T)
            row |= _float32(drift_amps=made.amp.T) if made.amp is not None else {}
        self.insert1(row)


@schema
class Autocorrelogram(dj.Computed):
    definition = """
    # autocorrelograms of all units, in order of cluster_id, for positive lags
    -> ephys.ClusterSet
    ---
    acg_bin                    : float64         # width of a bin, s
    acg_lags                   : <blob>          # (n lags,) centres, s, float32
    acg_counts                 : <blob>          # (n units, n lags) pairs of spikes, int32
    """

    def make(self, key):
        found = ephys.grouped(key)
        made = correlograms.autocorrelograms(found.times, found.offsets, ACG_WINDOW, ACG_BIN)
        positive = made.lags > 0
        counts = made.counts[:, positive].astype(np.int32)
        self.insert1(key | {"acg_bin": ACG_BIN, "acg_counts": counts} | _float32(acg_lags=made.lags[positive]))


def population_rate(
    insertion: str | dict, bin_size: float = 0.1, clustering: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of all units together over the recording, a second.

    Parameters
    ----------
    insertion : pid, or a mapping with the primary key of the insertion.
    bin_size : s.
    clustering : by default the default of the insertion.

    Returns
    -------
    times : (n,) centres of the bins, s from session start.
    rate : (n,) Hz.
    """
    found = ephys.spikes(insertion, clustering=clustering)
    if not len(found):
        return np.empty(0), np.empty(0)
    return peri_event.population_rate(found.times, found.times[0], found.times[-1], bin_size)


def task_modulated_by_region(event: str = "stim_on", restriction: object = None, min_units: int = 1) -> pa.Table:
    """The share of units that respond at an event, by brain region; of each insertion its default clustering counts.

    Parameters
    ----------
    event : in AlignmentEvent.
    restriction : of the insertions, anything that restricts ephys.ProbeInsertion.
    min_units : regions with fewer units are left out.

    Returns
    -------
    A table with region_id, acronym, n_units, n_responsive, fraction (0-1), in order of the atlas; regions themselves,
    without those below them.
    """
    chosen = ephys.Clustering & {"default_clustering": True}
    if restriction is not None:
        chosen = chosen & (ephys.ProbeInsertion & restriction).proj()
    located = (histology.ClusterLocation.Cluster & "region_id IS NOT NULL").proj("region_id")
    answered = (Peth.Response & {"event": event} & "is_responsive IS NOT NULL" & chosen.proj()).proj("is_responsive")
    rows = fetch_columns(answered * located, "region_id", "is_responsive")
    counted = rows.append_column("answers", rows["is_responsive"].cast(pa.int64())).group_by("region_id")
    counted = counted.aggregate([("answers", "count"), ("answers", "sum")])
    names = fetch_columns(histology.BrainRegion, "region_id", "acronym", "graph_order")
    table = counted.join(names, "region_id").sort_by("graph_order")
    n_units, n_responsive = table["answers_count"], table["answers_sum"]
    fraction = pa.array(np.asarray(n_responsive, float) / np.asarray(n_units, float))
    columns = [table["region_id"], table["acronym"], n_units, n_responsive, fraction]
    made = pa.table(columns, ["region_id", "acronym", "n_units", "n_responsive", "fraction"])
    return made.filter(np.asarray(n_units) >= min_units)


def _float32(**arrays: np.ndarray) -> dict[str, np.ndarray]:
    return {name: np.ascontiguousarray(values, np.float32) for name, values in arrays.items()}
