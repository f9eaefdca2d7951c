"""How the animals do in tasks that a lab describes: by alternative, by level of the stimulus, as curves, by block.

The summaries of the program's own task are in `behavior_analysis`; performance, daily summaries and training status of
all tasks are there too.
"""

import datajoint as dj

from pipeline import paradigms
from pipeline.analysis import photostimulation
from pipeline.database import registry
from pipeline.errors import UserError
from pipeline.paradigms.summary import summarise
from pipeline.schemas import behavior, selection
from pipeline.schemas.inputs import trial_outcomes

schema = registry.schema(__name__)


@schema
class TaskPerformance(dj.Computed):
    definition = """
    # how an animal did in one session of a described task; trials with an early response are counted and left out
    -> behavior.TrialSet
    ---
    task_design                : varchar(16)     # alternatives, go_no_go, foraging, passive
    n_answered                 : int32           # trials with a response
    n_no_response              : int32           # trials without one
    n_early=null               : int32           # responses before they are allowed; null where the task has none
    n_judged                   : int32           # trials of which is known whether they were correct
    n_judged_correct           : int32
    fraction_correct=null      : float64         # of these, 0-1; go/no-go: with trials rightly without a response
    median_response_time=null  : float64         # from the start of a trial's response window, s
    measures                   : json            # name -> number or list, by the design (docs/tasks-of-animals.md)
    task_notes                 : json            # list of what could not be told, and why, in words
    """

    class Choice(dj.Part):
        definition = """
        # one alternative
        -> master
        choice_label               : varchar(64)
        ---
        choice_n                   : int32           # trials in which it was chosen
        choice_n_correct=null      : int32           # of these
        choice_n_rewarded=null     : int32           # of these
        """

    class Level(dj.Part):
        definition = """
        # one level of the stimulus
        -> master
        level_id                   : int32           # in ascending order, from 0
        ---
        level_name                 : varchar(255)
        level_value=null           : float64         # in the unit of the level, which the description names; null: it is a name
        level_n                    : int32           # trials
        level_n_responses          : int32           # trials with a response
        level_n_by_choice          : json            # list of trials by alternative, in the order of the description
        level_n_correct=null       : int32
        level_response_time=null       : float64     # median, s
        level_response_time_low=null   : float64     # lower end of the 0.68 interval of the median, s
        level_response_time_high=null  : float64     # upper end, s
        """

    class Curve(dj.Part):
        definition = """
        # a psychometric curve; null where there are fewer than two levels
        -> master
        curve_block                : varchar(255)    # all, or the values of the columns of its blocks
        ---
        curve_of                   : varchar(64)     # whose probability it is: an alternative, response, or correct
        curve_function             : varchar(16)     # see pipeline.analysis.curves
        curve_positions            : json            # list: octaves from the reference on a log axis, else the difference
        curve_n                    : json            # list of trials at each
        curve_n_yes                : json            # list of those with the choice in question
        curve_centre=null          : float64         # middle of the rise, in octaves on a log axis, else as the level
        curve_width=null           : float64         # of the rise, in octaves on a log axis, else as the level; negative: it falls
        curve_lapse_low=null       : float64         # 0-1; the guess rate where the curve is that of correct trials
        curve_lapse_high=null      : float64         # 0-1
        curve_centre_error=null    : float64         # standard error
        curve_width_error=null     : float64         # standard error
        curve_lapse_low_error=null   : float64       # standard error
        curve_lapse_high_error=null  : float64       # standard error
        curve_centre_level=null    : float64         # the level there, in the unit of the level
        curve_log_likelihood=null  : float64         # binomial, natural log
        curve_identifiable         : bool            # the data determine centre and width
        """

    class Block(dj.Part):
        definition = """
        # one block of trials
        -> master
        block_id                   : int32           # in order, from 0
        ---
        block_first_trial          : int32           # trial_id
        block_last_trial           : int32           # trial_id
        block_values               : json            # column -> value in this block
        block_n_by_choice          : json            # list of trials by alternative
        block_n_rewarded           : json            # list of rewarded trials by alternative
        block_n_correct=null       : int32
        """

    @property
    def key_source(self) -> dj.expression.QueryExpression:
        """The trials of tasks that a lab describes."""
        return behavior.TrialSet.proj() & (behavior.TrialSet & "paradigm <> ''").proj()

    def make(self, key):
        task = paradigms.named((behavior.TrialSet & key).fetch1("paradigm"))
        summary = summarise(behavior.fetch_trials(key), task)
        extra = {"task_design": task.design, "measures": summary.measures, "task_notes": list(summary.notes)}
        self.insert1(key | summary.counts | extra)
        parts = ((self.Choice, summary.choices), (self.Level, summary.levels), (self.Curve, summary.curves))
        for part, rows in (*parts, (self.Block, summary.blocks)):
            part.insert(key | row for row in rows)


@schema
class TrialComparison(dj.Computed):
    definition = """
    # how an animal did in the two groups of trials of a comparison
    -> behavior.TrialSet
    -> selection.Comparison
    ---
    n_first                      : int32         # trials
    n_second                     : int32         # trials
    first_performance=null       : float64       # fraction correct of the trials of which it is known, 0-1
    second_performance=null      : float64       # fraction correct, 0-1
    performance_p=null           : float64       # Fisher's exact test, 0-1
    first_response_rate=null     : float64       # fraction of trials with a response, 0-1
    second_response_rate=null    : float64       # fraction of trials with a response, 0-1
    responses_p=null             : float64       # Fisher's exact test, 0-1
    first_response_time=null     : float64       # median, s
    second_response_time=null    : float64       # median, s
    response_time_p=null         : float64       # rank-sum test, 0-1
    comparison_missing=""        : varchar(500)  # what cannot be told, and why; empty: all is there
    """

    def make(self, key):
        row, outcomes = (selection.Comparison & key).fetch1(), trial_outcomes.read(key)
        try:
            groups = selection.Comparison.groups(row, outcomes.columns)
        except UserError as error:  # another task, whose trials lack the columns
            self.insert1(key | {"n_first": 0, "n_second": 0, "comparison_missing": error.message[:500]})
            return
        made = photostimulation.compare_performance(outcomes.correct, outcomes.responded, outcomes.latency, groups)
        pairs = {
            f"{which}_{name}": made[name][place]
            for name in ("performance", "response_rate", "response_time")
            for place, which in enumerate(("first", "second"))
        }
        tests = {"performance_p": made["performance_p"], "responses_p": made["response_p"]}
        tests["response_time_p"] = made["response_time_p"]
        counts = {"n_first": made["n"][0], "n_second": made["n"][1], "comparison_missing": outcomes.missing}
        self.insert1(key | counts | pairs | tests)
