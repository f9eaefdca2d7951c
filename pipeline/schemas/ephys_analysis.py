"""What follows from the sorted spikes: metrics of units, their responses, pictures of a whole insertion."""

import datajoint as dj

from pipeline.analysis import cell_types, unit_criteria
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns, insert_many, to_numpy
from pipeline.electrophysiology import clusterings, selectivity, table_columns
from pipeline.errors import UserError
from pipeline.schemas import behavior, ephys, selection

schema = registry.schema(__name__)


@schema
class UnitMetrics(dj.Computed):
    definition = """
    # quality metrics of the units of one clustering, as pipeline.analysis.units defines them
    -> ephys.ClusterSet
    ---
    metrics_duration=null      : float64         # time over which rates and presence are taken, s
    metrics_with_amps          : bool            # the spikes have amplitudes
    metrics_with_depths        : bool            # the spikes have depths
    metrics_missing=""         : varchar(500)    # what is null for all units, and what the files lack; empty: nothing
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
        row, spikes = clusterings.find(key), ephys.grouped(key)
        first, last = (ephys.ClusterSet & key).fetch1("first_spike", "last_spike")
        columns, missing = table_columns.metrics(row, spikes)
        self.insert1(
            key
            | {
                "metrics_duration": None if first is None else last - first,
                "metrics_with_amps": spikes.amps is not None,
                "metrics_with_depths": spikes.depths is not None,
                "metrics_missing": missing,
            }
        )
        known = {name: columns[name] for name in self.Unit.heading.secondary_attributes if name in columns}
        insert_many(self.Unit, key | {"cluster_id": spikes.cluster_ids} | known)


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
        chosen = values["cluster_id"][unit_criteria.apply_criteria(values, rules)]
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
    peth_missing=""            : varchar(500)    # why there are no events, splits or responses; empty: all are there
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
        row, answers = table_columns.peth(ephys.grouped(key), behavior.fetch_trials(key, other_columns=False), rule)
        self.insert1(key | row)
        if answers:
            insert_many(self.Response, key | answers)


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
    depth_peth_missing=""      : varchar(255)    # why there are no arrays; empty where there are
    """

    class Shank(dj.Part):
        definition = """
        # the same for the units of one shank, where they lie on several
        -> master
        shank                      : int16           # from 0
        ---
        shank_depth_peth_times     : <blob>          # (n bins,) centres, s from the event, float32
        shank_depth_peth_depths    : <blob>          # (n depths,) centres, um from the tip, float32
        shank_depth_peth           : <blob>          # (n depths, n bins) rate of all spikes at that depth, Hz, float32
        shank_depth_baseline       : <blob>          # (n depths,) rate in the baseline window of the event, Hz, float32
        """

    def make(self, key):
        rule, row = (AlignmentEvent & key).fetch1(), clusterings.find(key)
        spikes, trials = ephys.grouped(key), behavior.fetch_trials(key, other_columns=False)
        self.insert1(key | table_columns.depth_peth(row, spikes, trials, rule))
        units = fetch_columns(ephys.ClusterSet.Cluster & key, "cluster_id", "cluster_shank")
        of_shanks = table_columns.depth_peths_of_shanks(row, spikes, trials, rule, units)
        self.Shank.insert([key | of_shank for of_shank in of_shanks])


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
    drift_missing=""           : varchar(255)    # why arrays are absent; empty where none is
    """

    class Shank(dj.Part):
        definition = """
        # the same for the units of one shank, where they lie on several
        -> master
        shank                      : int16           # from 0
        ---
        shank_drift_times          : <blob>          # (n times,) centres, s from session start, float32
        shank_drift_depths         : <blob>          # (n depths,) centres, um from the tip, float32
        shank_drift_rates          : <blob>          # (n depths, n times) spikes in a second, Hz, float32
        shank_drift_amps=null      : <blob>          # (n depths, n times) mean amplitude, uV, NaN without spikes, float32
        """

    def make(self, key):
        row, spikes = clusterings.find(key), ephys.spikes(key)
        self.insert1(key | table_columns.drift_map(row, spikes))
        units = fetch_columns(ephys.ClusterSet.Cluster & key, "cluster_id", "cluster_shank")
        self.Shank.insert(
            [
                key | drift_maps_of_shank
                for drift_maps_of_shank in table_columns.drift_maps_of_shanks(row, spikes, units)
            ]
        )


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
        self.insert1(key | table_columns.autocorrelogram(ephys.grouped(key)))


@schema
class UnitSelectivity(ephys.InGoodPeriods, dj.Computed):
    definition = """
    # which units tell the two groups of a comparison apart in its period
    -> ephys.ClusterSet
    -> behavior.TrialSet
    -> selection.Comparison
    ---
    selectivity_periods        : char(32)        # fingerprint of the good periods of the recording
    n_first_trials             : int32           # trials of the first group with the period in the recording
    n_second_trials            : int32           # of the second
    n_selective                : int32           # units, after correction
    selectivity_missing=""     : varchar(500)    # why nothing is compared; empty: it is
    """
    fingerprint = "selectivity_periods"

    class Unit(dj.Part):
        definition = """
        # one unit
        -> master
        -> ephys.ClusterSet.Cluster
        ---
        first_rate=null              : float64       # in the period, mean over the trials of the first group, Hz
        second_rate=null             : float64       # Hz
        period_selectivity=null      : float64       # 2 AUC - 1, share from -1 to 1, positive: more in the second group
        period_p=null                : float64       # rank-sum test over trials, 0-1
        period_p_corrected=null      : float64       # Benjamini-Hochberg over the units of the insertion, 0-1
        is_selective                 : bool
        """

    @property
    def key_source(self) -> dj.expression.QueryExpression:
        """Default clusterings with trials, for each comparison with a period."""
        units = ephys.ClusterSet.proj() & (ephys.Clustering & {"default_clustering": True}).proj()
        return units * behavior.TrialSet.proj() * (selection.Comparison & "period_name IS NOT NULL").proj()

    def make(self, key):
        row, trials = (selection.Comparison & key).fetch1(), behavior.fetch_trials(key)
        basis = self._fingerprint_of(key)
        try:
            groups = selection.Comparison.groups(row, trials)
            comparison = selectivity.compare(key, ephys.grouped(key), trials, groups, row["period_name"])
        except UserError as error:  # another task, whose trials lack the columns
            counts = dict.fromkeys(("n_first_trials", "n_second_trials", "n_selective"), 0)
            self.insert1(key | basis | counts | {"selectivity_missing": error.message[:500]})
            return
        self.insert1(
            key
            | basis
            | {
                "n_first_trials": comparison.n_0,
                "n_second_trials": comparison.n_1,
                "n_selective": int(comparison.selective.sum()),
                "selectivity_missing": "" if comparison.n_0 and comparison.n_1 else "one of the groups has no trials",
            }
        )
        columns = {
            "cluster_id": comparison.cluster_ids,
            "first_rate": comparison.rate_0,
            "second_rate": comparison.rate_1,
            "period_selectivity": comparison.index,
            "period_p": comparison.p_value,
            "period_p_corrected": comparison.p_corrected,
            "is_selective": comparison.selective,
        }
        insert_many(self.Unit, key | columns)


@schema
class CellTypeRule(dj.Lookup):
    definition = """
    # which waveforms are narrow and which are broad; a change is a new row
    cell_type_rule             : varchar(32)     # name
    ---
    narrow_below               : float64         # trough to peak, ms
    broad_from                 : float64         # trough to peak, ms; in between the type is not told
    """
    contents = [{"cell_type_rule": "width_0.4", "narrow_below": 0.4, "broad_from": 0.4}]


@schema
class CellType(dj.Computed):
    definition = """
    # putative cell types of the units of one clustering by the width of their waveforms
    -> UnitMetrics
    -> CellTypeRule
    ---
    n_fast_spiking             : int32
    n_regular_spiking          : int32
    """

    class Unit(dj.Part):
        definition = """
        # one unit whose type can be told
        -> master
        -> UnitMetrics.Unit
        ---
        cell_type                  : varchar(32)     # fast-spiking, regular-spiking
        """

    def make(self, key):
        rule = (CellTypeRule & key).fetch1()
        units = to_numpy(fetch_columns(UnitMetrics.Unit & key, "cluster_id", "spike_width"))
        types = cell_types.by_width(units["spike_width"], rule["narrow_below"], rule["broad_from"])
        counts = {name: int((types == kind).sum()) for name, kind in
                  (("n_fast_spiking", cell_types.NARROW), ("n_regular_spiking", cell_types.BROAD))}  # fmt: skip
        self.insert1(key | counts)
        known = types != cell_types.UNKNOWN
        if known.any():
            insert_many(self.Unit, key | {"cluster_id": units["cluster_id"][known], "cell_type": types[known]})
