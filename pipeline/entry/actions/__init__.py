"""What people do, one function an action: weigh, give water, restrict, operate, wean, genotype, cull, move, note, …

`perform(name, values, actor=…)` is the one way to do any of them: it reads the values, checks rights, asks back about
what is not plausible, writes with audit in one transaction and can be repeated without doing it twice.
`ACTIONS` describes each for the pages: its inputs in order, with labels, units and limits.
"""

from __future__ import annotations

from pipeline.entry.actions import animals, care, colony, planning, surgery  # noqa: F401 - they register their actions
from pipeline.entry.actions.model import ACTIONS, Action, Actor, Done, Input, NeedsConfirmation, perform, undo

__all__ = ["ACTIONS", "Action", "Actor", "Done", "Input", "NeedsConfirmation", "perform", "undo"]
