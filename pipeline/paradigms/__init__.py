"""What a task means, as data: which columns are stimulus, choice and outcome, and which protocols it covers."""

from pipeline.paradigms.description import DESIGNS, Stimulus, TaskDescription
from pipeline.paradigms.known import IBL, PASSIVE, advice, choice_codes, described, named, of_protocol, register

__all__ = [
    "DESIGNS",
    "IBL",
    "PASSIVE",
    "Stimulus",
    "TaskDescription",
    "advice",
    "choice_codes",
    "described",
    "named",
    "of_protocol",
    "register",
]
