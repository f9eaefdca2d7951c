"""How the animals do: performance, psychometric fits, training status and daily summaries, computed from the trials."""

import json

import datajoint as dj
import numpy as np
import pyarrow as pa

from pipeline.analysis import behavior_columns, daily, performance, psychometrics, training, training_forecast
from pipeline.analysis.criteria import RULE_SETS, RuleSet
from pipeline.database import registry
from pipeline.database.bulk import insert_many
from pipeline.database.interactive import ByChoice
from pipeline.database.prepared import Prepared
from pipeline.errors import UserError
from pipeline.schemas import behavior, lab, subject  # noqa: F401 - parents of foreign keys
from pipeline.schemas.inputs import subject_history, training_features
from pipeline.settings import settings

schema = registry.schema(__name__)


@schema
class SessionPerformance(dj.Computed):
    definition = """
    # how an animal did in one task of a session; null where the columns that it takes are absent
    -> behavior.TrialSet
    ---
    n_responses=null           : int32           # trials with a response
    n_no_go=null               : int32           # trials without a response
    n_correct=null             : int32           # that were correct; with rewarded no-go trials where the task has them
    performance=null           : float64         # fraction correct over trials with a response, 0-1
    n_easy=null                : int32           # responses where the contrast is 0.5 or more
    n_easy_correct=null        : int32           # those of them that were correct
    n_easy_no_go=null          : int32           # easy trials without a response
    performance_easy=null      : float64         # fraction correct of the easy responses, 0-1; null without such trials
    response_time=null         : float64         # median time from stimulus to response, s
    response_time_easy=null    : float64         # the same where the contrast is 0.5 or more, s
    response_time_zero=null    : float64         # the same at zero contrast, s
    reaction_time=null         : float64         # median time from stimulus to the first movement of the wheel, s
    reaction_time_easy=null    : float64         # the same where the contrast is 0.5 or more, s
    reaction_time_zero=null    : float64         # the same at zero contrast, s
    reaction_time_note=""      : varchar(128)    # why there are no reaction times; WheelMoveSet.fetch_first_movements may help
    contrasts=null             : json            # list of signed contrasts, percent, right positive; order of the lists below
    contrast_n=null            : json            # list of responses at each contrast
    contrast_n_right=null      : json            # list of choices to the right at each contrast
    contrast_n_correct=null    : json            # list of correct responses at each contrast
    contrast_response_time=null       : json     # list of median times from stimulus to response, s
    contrast_response_time_low=null   : json     # list of the lower ends of the 0.68 intervals of the medians, s
    contrast_response_time_high=null  : json     # list of the upper ends, s
    """

    def make(self, key):
        row = performance.session_performance(behavior.conventional_trials(key))
        row.pop("n_trials")  # is in TrialSet
        self.insert1(key | behavior_columns.as_lists(row))


@schema
class PsychometricFit(dj.Computed):
    definition = """
    # psychometric functions of one task of a session, one for each prior: erf with two lapses, by maximum likelihood
    -> behavior.TrialSet
    ---
    n_blocks                   : int16           # priors that occur
    bias_shift=null            : float64         # bias at prior 0.8 minus bias at 0.2, percent contrast; null without both
    """

    class Block(dj.Part):
        definition = """
        # trials with one prior, and the curve fitted to them; null where there are fewer than two contrasts
        -> master
        block                      : int16           # probability that the stimulus is on the left, percent
        ---
        block_probability_left     : float64         # the same as a fraction, 0-1
        block_n_trials             : int32
        block_contrasts            : json            # list of signed contrasts, percent, right positive
        block_n                    : json            # list of responses at each contrast
        block_n_right              : json            # list of choices to the right at each contrast
        block_response_time=null   : json            # list of median times from stimulus to response, s
        block_response_time_low=null   : json        # list of the lower ends of the 0.68 intervals of the medians, s
        block_response_time_high=null  : json        # list of the upper ends, s
        bias=null                  : float64         # contrast at the middle of the rise, percent, right positive
        threshold=null             : float64         # width of the rise, percent; the Gaussian SD is threshold / sqrt 2
        lapse_low=null             : float64         # P(right) far to the left, 0-1
        lapse_high=null            : float64         # 1 - P(right) far to the right, 0-1
        bias_error=null            : float64         # standard error, percent
        threshold_error=null       : float64         # standard error, percent
        lapse_low_error=null       : float64         # standard error
        lapse_high_error=null      : float64         # standard error
        log_likelihood=null        : float64         # binomial, natural log
        at_bound                   : json            # list of the parameters that lie on an edge of the allowed box
        identifiable=null          : bool            # the data determine bias and threshold
        """

    def make(self, key):
        kind = behavior.kind_of(key)
        blocks = {
            probability: block
            for probability, block in performance.blocks(behavior.conventional_trials(key), kind).items()
            if block["contrasts"] is not None
        }
        problems = [(block["contrasts"], block["contrast_n"], block["contrast_n_right"]) for block in blocks.values()]
        fits = psychometrics.fit_batch(problems)
        shift = psychometrics.block_bias_shift({p: fits[i] for i, p in enumerate(blocks)})
        self.insert1(key | {"n_blocks": len(blocks), "bias_shift": shift})
        self.Block.insert(
            key | behavior_columns.of_block(probability, block, fits[i])
            for i, (probability, block) in enumerate(blocks.items())
        )


@schema
class TrainingCriteria(dj.Lookup):
    definition = """
    # rule sets that say when an animal is trained
    criteria                   : varchar(32)     # name
    criteria_version           : int16
    ---
    criteria_description       : varchar(1000)
    rules                      : json            # as pipeline.analysis.criteria.RuleSet writes them
    """
    contents = [
        {
            "criteria": rules.name,
            "criteria_version": rules.version,
            "criteria_description": rules.description,
            "rules": json.loads(rules.to_json()),
        }
        for rules in RULE_SETS.values()
    ]


_RULES = Prepared(lambda: TrainingCriteria.proj("rules"))


class _ByRules(ByChoice):
    """A join takes the rows of the criteria in use (setting `criteria`), unless a restriction says which."""

    @staticmethod
    def rows_in_use() -> str:
        name = settings().criteria.replace("'", "''")
        latest = f"SELECT MAX(latest.criteria_version) FROM {TrainingCriteria.full_table_name} AS latest"
        return f"criteria = '{name}' AND criteria_version = ({latest} WHERE latest.criteria = '{name}')"


@schema
class SubjectTraining(_ByRules, subject_history.PerSubject, dj.Computed):
    definition = """
    # how far the training of an animal is, by one rule set
    -> subject.Subject
    -> TrainingCriteria
    ---
    training_fingerprint       : char(32)        # of all sessions and the rules
    training_status            : varchar(32)     # after the latest session
    status_rank=null           : int16           # place of that status, as in Reached: `SubjectTraining.at_least(status)`
    n_training_sessions        : int32           # sessions that count
    first_dates                : json            # status -> first date
    days_to_status             : json            # status -> training days up to and including that date
    next_status=""             : varchar(32)     # the status to aim at; empty when there is none
    missing_for_next           : json            # list of what is still missing for it, in words
    """
    fingerprint = "training_fingerprint"

    class SessionTrainingStatus(_ByRules, dj.Part):
        definition = """
        # the training status after one task of a session
        -> master
        -> behavior.TrialSet
        ---
        session_status             : varchar(32)     # status, kept once it is reached where the rule set says so
        session_status_rank=null   : int16           # place of that status, as in Reached
        session_level=""           : varchar(32)     # the status whose criteria the window that ends here meets by itself
        status_training_day=null   : int32           # which day of training, from 1; null for sessions that do not count
        window_sessions=null       : int16           # sessions pooled in the fit
        window_bias=null           : float64         # of the curve fitted to the window, percent, right positive
        window_threshold=null      : float64         # percent
        window_lapse_low=null      : float64         # 0-1
        window_lapse_high=null     : float64         # 0-1
        """

    class Reached(_ByRules, dj.Part):
        definition = """
        # the first session with a status; an animal can skip one
        -> master
        reached_status             : varchar(32)
        ---
        reached_rank               : int16           # 0: the lowest status of the rules, 1: the next; failures are negative
        reached_date               : date            # of that session
        reached_training_day       : int32           # training days up to and including that date
        """

    @classmethod
    def at_least(cls, status: str, criteria: str | None = None) -> dj.expression.QueryExpression:
        """Animals with this status or a higher one, by one rule set; without `criteria` by the one of the settings.

        Raises
        ------
        UserError : the rule set or the status is unknown; the message lists those there are.
        """
        name = criteria or settings().criteria
        known = (TrainingCriteria & {"criteria": name}).to_dicts(order_by="criteria_version")
        if not known:
            choices = ", ".join(sorted(set(TrainingCriteria.to_arrays("criteria"))))
            raise UserError(f"there are no training criteria {name!r}", f"choose from {choices}")
        rules = RuleSet.from_json(json.dumps(known[-1]["rules"]))
        if status not in rules.statuses:
            raise UserError(f"{name} has no status {status!r}", f"choose from {', '.join(rules.statuses)}")
        chosen = {item: known[-1][item] for item in TrainingCriteria.primary_key}
        return cls & chosen & f"status_rank >= {rules.rank(status)}"

    @property
    def key_source(self):
        return super().key_source * TrainingCriteria.proj()

    def current_fingerprints(self, key: dict | None = None) -> pa.Table:
        """Key and fingerprint of every animal and rule set (of `key`) that should have a row now."""
        key = key or {}
        animal = {name: value for name, value in key.items() if not name.startswith("criteria")}
        chosen = _RULES.rows({name: key[name] for name in TrainingCriteria.primary_key if name in key})
        return subject_history.times_lookup(super().current_fingerprints(animal), TrainingCriteria, chosen, "rules")

    def make(self, key):
        chosen = _RULES.rows({name: key[name] for name in TrainingCriteria.primary_key})
        rules = RuleSet.from_json(json.dumps(chosen[0]["rules"]))
        course = training.evaluate([session.record(rules.no_go) for session in subject_history.sessions_of(key)], rules)
        self.insert1(
            key
            | self._fingerprint_of(key)
            | {
                "training_status": course.status,
                "status_rank": rules.rank(course.status),
                "n_training_sessions": sum(session.level is not None for session in course.sessions),
                "first_dates": {step.status: str(step.session_date) for step in course.milestones},
                "days_to_status": {step.status: step.training_day for step in course.milestones},
                "next_status": course.next_status or "",
                "missing_for_next": [item.words for item in course.missing],
            }
        )
        self.SessionTrainingStatus.insert(
            key | behavior_columns.of_status(session) | {"session_status_rank": rules.rank(session.status)}
            for session in course.sessions
        )
        self.Reached.insert(
            key
            | {
                "reached_status": step.status,
                "reached_rank": rules.rank(step.status),
                "reached_date": step.session_date,
                "reached_training_day": step.training_day,
            }
            for step in course.milestones
        )


SessionTrainingStatus = SubjectTraining.SessionTrainingStatus


@schema
class BehaviorHistory(subject_history.PerSubject, dj.Computed):
    definition = """
    # the behaviour of an animal over its life, a row a day in DailySummary
    -> subject.Subject
    ---
    history_fingerprint        : char(32)        # of all sessions
    n_training_days            : int32           # days with a session of the task
    first_training_date=null   : date
    last_training_date=null    : date
    """
    fingerprint = "history_fingerprint"

    class DailySummary(registry.ByDate, dj.Part):
        definition = """
        # one day: all sessions of that date pooled
        -> master
        session_date               : date            # in the lab's time zone; joins with that of sessions
        ---
        day_sessions               : int16
        day_trials                 : int32
        day_minutes=null           : float64         # from first to last trial, sessions added, min
        day_performance=null       : float64         # fraction correct over trials with a response, 0-1
        day_performance_easy=null  : float64         # the same where the contrast is 0.5 or more, 0-1
        day_response_time=null     : float64         # median time from stimulus to response, s
        day_response_time_easy=null  : float64       # the same where the contrast is 0.5 or more, s
        day_reaction_time=null     : float64         # median time from stimulus to the first movement of the wheel, s
        day_reaction_time_easy=null  : float64       # the same where the contrast is 0.5 or more, s
        training_day               : int32           # which day of training, from 1; 0 before the first
        training_week              : int32           # which week of five training days, from 0
        """

    def make(self, key):
        sessions = subject_history.sessions_of(key)
        days = daily.summarise_days(
            [session.key["session_date"] for session in sessions],
            [session.judged_trials for session in sessions],
            [session.is_training for session in sessions],
            [session.key["session_number"] for session in sessions],
        )
        trained = days.dates[days.training_day > 0].tolist()
        self.insert1(
            key
            | self._fingerprint_of(key)
            | {
                "n_training_days": int(days.training_day[-1]),
                "first_training_date": trained[0] if trained else None,
                "last_training_date": trained[-1] if trained else None,
            }
        )
        insert_many(self.DailySummary, key | behavior_columns.of_days(days))


DailySummary = BehaviorHistory.DailySummary


@schema
class TrainingTimeForecast(dj.Computed):
    definition = """
    # how long the mice of a lab will take to be trained, told from their first five days by the lab's own trained mice
    -> lab.Lab
    ---
    forecast_fingerprint       : char(32)        # of all that it was made from
    forecast_mice              : int32           # trained mice that the model knows
    forecast_features          : json            # list of the features that are known of them; empty: too few mice
    forecast_edges             : json            # list of the limits between the quartiles, days of training
    forecast_f1=null           : float64         # fraction of the trained mice whose quartile was told right, cross-validated
    forecast_chance=null       : float64         # mean of that with quartiles permuted among the mice, 0-1
    """
    rolling = True
    inputs = ("behavior_analysis.SubjectTraining", "behavior_analysis.BehaviorHistory", "behavior.WheelMoveSet",
              "behavior.AmbientSensor", "action.WaterHistory")  # fmt: skip
    fingerprint = "forecast_fingerprint"

    class Mouse(dj.Part):
        definition = """
        # a mouse with five days of training
        -> master
        -> subject.Subject
        ---
        quartile_1             : float64         # probability of the fastest quarter of the lab's mice, 0-1; cross-validated
        quartile_2             : float64         # of the second, 0-1
        quartile_3             : float64         # of the third, 0-1
        quartile_4             : float64         # of the slowest, 0-1
        true_quartile=null     : int16           # of mice that are trained; null: not yet
        """

    @property
    def key_source(self):
        return lab.Lab.proj() & BehaviorHistory.proj()

    def current_fingerprints(self, key: dict | None = None) -> pa.Table:
        """Key and fingerprint of every lab (of `key`) that should have a row now."""
        return training_features.fingerprints_of_forecasts(key or {})

    def make(self, key):
        mice = training_features.mice(key)
        said = training_forecast.forecast_lab(mice.features, mice.days_to_trained)
        fingerprint = self.current_fingerprints(key)["fingerprint"][0].as_py()
        self.insert1(
            key
            | {
                "forecast_fingerprint": fingerprint,
                "forecast_mice": said.n_mice,
                "forecast_features": said.names,
                "forecast_edges": np.asarray(said.edges).tolist(),
                "forecast_f1": said.f1,
                "forecast_chance": said.chance,
            }
        )
        self.Mouse.insert(
            mice.keys[mouse]
            | {f"quartile_{number}": float(p) for number, p in enumerate(row, 1)}
            | {"true_quartile": int(true) or None}
            for mouse, row, true in zip(said.mice, said.probabilities, said.quartiles, strict=True)
        )
