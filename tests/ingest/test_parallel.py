"""Processes that do small tasks end with the one that started them, and say nothing of their own."""

import subprocess
import sys
import textwrap

PROGRAM = """
import os, signal, sys
from concurrent.futures import ProcessPoolExecutor
from ingest import parallel

submit = ProcessPoolExecutor.submit

def interrupted_while_it_starts(pool, *task):
    os.kill(os.getpid(), signal.SIGINT)
    found = submit(pool, *task)
    print("started", flush=True)
    return found

ProcessPoolExecutor.submit = interrupted_while_it_starts
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with parallel.workers(2) as run:
            for found in run(abs, [(-1,), (-2,)]):
                print("result")
    except KeyboardInterrupt:
        print("stopped")
"""


def test_ctrl_c_waits_until_a_process_that_is_being_started_is_known(tmp_path):
    """Nobody would end it, and it would print a traceback when it finds its queue gone."""
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("started\nstopped\n", "")


def test_a_script_without_a_main_guard_does_not_begin_again_in_each_process(tmp_path):
    """Whoever has not written Python for several processes before leaves the guard out."""
    program = """
        from ingest import parallel
        print("begun")
        with parallel.workers(2) as run:
            print(sorted(run(abs, [(-1,), (-2,)])))
    """
    (tmp_path / "program.py").write_text(textwrap.dedent(program))
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("begun\n[1, 2]\n", "")
