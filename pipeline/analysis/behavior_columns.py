"""What the tables of behavior_analysis hold: columns of a row from what an analysis found, without arrays and NaN."""

from __future__ import annotations

from typing import Any

from pipeline.analysis import daily, psychometrics, training


def of_block(probability: float, block: dict[str, Any], fit: psychometrics.Fit) -> dict[str, Any]:
    """Columns of PsychometricFit.Block."""
    names = psychometrics.PARAMETERS
    return {
        "block": round(100 * probability),
        "block_probability_left": probability,
        "block_n_trials": block["n_trials"],
        "block_contrasts": block["contrasts"].tolist(),
        "block_n": block["contrast_n"].tolist(),
        "block_n_right": block["contrast_n_right"].tolist(),
        "at_bound": list(psychometrics.bound_names(fit.at_bound)),
        "identifiable": fit.identifiable,
        "log_likelihood": fit.log_likelihood,
    } | as_lists(
        {f"block_response_time{end}": block[f"contrast_response_time{end}"] for end in ("", "_low", "_high")}
        | dict(zip(names, fit.parameters, strict=True))
        | {f"{name}_error": error for name, error in zip(names, fit.standard_errors, strict=True)}
    )


def of_status(session: training.SessionStatus) -> dict[str, Any]:
    """Columns of SubjectTraining.SessionTrainingStatus."""
    fit = session.pooled_fit
    row = {
        "session_date": session.session_date,
        "session_number": session.session_number,
        "task_collection": session.task_collection,
        "session_status": session.status,
        "session_level": session.level or "",
        "status_training_day": session.training_day,
    }
    if fit is None:
        return row | dict.fromkeys(f"window_{name}" for name in ("sessions", *psychometrics.PARAMETERS))
    parameters = {f"window_{name}": getattr(fit, name) for name in psychometrics.PARAMETERS}
    return row | {"window_sessions": fit.n_sessions} | as_lists(parameters)


def as_lists(row: dict[str, Any]) -> dict[str, Any]:
    """The row with lists for arrays, and None for NaN, which neither JSON nor a number column has."""

    def clean(value: Any) -> Any:
        value = value.tolist() if hasattr(value, "tolist") else value
        if isinstance(value, list):
            return [clean(item) for item in value]
        return None if value != value else value

    return {name: clean(value) for name, value in row.items()}


def of_days(days: daily.Days) -> dict[str, Any]:
    """Columns of BehaviorHistory.DailySummary."""
    return {
        "session_date": days.dates,
        "day_sessions": days.n_sessions,
        "day_trials": days.n_trials,
        "day_minutes": days.minutes,
        "day_performance": days.performance,
        "day_performance_easy": days.performance_easy,
        "day_response_time": days.response_time,
        "day_response_time_easy": days.response_time_easy,
        "day_reaction_time": days.reaction_time,
        "day_reaction_time_easy": days.reaction_time_easy,
        "training_day": days.training_day,
        "training_week": days.training_week,
    }
