"""Preprocessing as tasks: which a session needs (rules as data), and the queue from which computers claim them.

A lab adds a kind of its own with `register`; the central server and the lab's agents both import that module.

Examples
--------
>>> from pipeline.tasks import Kind, register
>>> register(Kind("count_licks", "1.0", "mylab.licks:run", inputs=("raw_behavior_data/*.raw.bin",)))  # doctest: +SKIP
"""

from pipeline.tasks import builtin
from pipeline.tasks.kinds import Job, Kind, Needs, get, kinds, register
from pipeline.tasks.plan import Planned, plan

for _kind in builtin.KINDS:
    register(_kind)

__all__ = ["Job", "Kind", "Needs", "Planned", "get", "kinds", "plan", "register"]
