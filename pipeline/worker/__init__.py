"""Populates the tables: a queue of jobs in the database, worker processes that take from it, and who looks after them.

`work()` is the supervisor with its processes, `drain()` does the same in the calling process, `retry()` gives failed
jobs back.
"""

from pipeline.worker.populating import populate
from pipeline.worker.process import drain
from pipeline.worker.queue import Queue, retry, tables_named
from pipeline.worker.supervisor import Summary, work

__all__ = ["Queue", "Summary", "drain", "populate", "retry", "tables_named", "work"]


def __dir__() -> list[str]:
    return __all__
