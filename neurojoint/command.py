"""The program `neurojoint`: the command line, in which Ctrl-C or SIGTERM at any moment ends with one sentence."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time
from typing import NoReturn

STOPPED = 130  # as in `neurojoint.cli.group`, which is not loaded yet when an interrupt can come
_WORDS = "neurojoint: stopped: run the same command again to continue"


def run() -> None:
    """Run the command line and end the process."""
    code: int | str | None = STOPPED
    try:
        signal.signal(signal.SIGTERM, _interrupt)
        _forward_ignored_interrupts()
        from neurojoint.cli import main  # start-up time

        main()
    except KeyboardInterrupt:
        print(f"\n{_WORDS}", file=sys.stderr)
    except SystemExit as end:
        code = end.code
    else:
        code = 0
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is left is putting things away
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    except KeyboardInterrupt:
        code = STOPPED
    _end(code)


def _end(code: int | str | None) -> NoReturn:
    """End the process when all that is registered for its end is done, without taking the interpreter apart.

    That takes up to half a second once tables and arrays are imported, and crashes (`Fatal Python error`) if a thread
    still waits in compiled code.
    """
    import atexit  # start-up time
    import gc  # start-up time
    import threading  # start-up time

    if code == STOPPED:
        gc.collect()  # what an interrupt left half open is closed, and removes what it made
    threading._shutdown()  # type: ignore[attr-defined] # as multiprocessing ends its processes: waits for other threads
    atexit._run_exitfuncs()
    number = code if isinstance(code, int) else int(code is not None)
    if isinstance(code, str):
        print(code, file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # closed by who started the command: `>&-`
                stream.flush()
        except BrokenPipeError:  # nobody reads it any more
            pass
        except OSError as error:
            number = number or 1
            os.write(2, f"neurojoint: the output could not be written: {error.strerror}\n".encode())
    os._exit(number)


def _interrupt(*_: object) -> None:
    """SIGTERM, of who stops a service or a container, ends a command as Ctrl-C does; services have their own way."""
    raise KeyboardInterrupt


def _forward_ignored_interrupts() -> None:
    """An interrupt that comes while Python cannot raise it (in a destructor) is sent again, without a traceback."""
    default = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            _thread.start_new_thread(_interrupt_again, ())  # it waits for nothing, unlike a `Timer`
        else:
            default(unraisable)

    sys.unraisablehook = hook


def _interrupt_again() -> None:
    """Send the interrupt when the destructor has long ended."""
    time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)
