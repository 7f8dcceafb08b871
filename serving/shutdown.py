"""How a process is told to end by a signal, and how it ends when a thread would keep it alive."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

# Signals that ask a process to end: `kill`, Ctrl-C, and the end of the terminal.
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_SET_PARENT_DEATH_SIGNAL: Final = 1


@contextmanager
def handle_stop_signals(handler: Callable[[int, Any], object]) -> Iterator[None]:
    """Calls the handler at each of `STOP_SIGNALS` inside the block, then restores the former ones.

    A SIGHUP that was ignored before stays ignored: under nohup, the process outlives its terminal.
    Works in the main thread only.

    Args:
        handler: Function of a signal's number and the interrupted frame.
    """
    previous = {
        number: signal.signal(number, handler)
        for number in STOP_SIGNALS
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, former in previous.items():
            signal.signal(number, former)


def end_process_after(seconds: float, exit_code: int) -> threading.Timer:
    """Ends this process after a delay, whatever it is doing by then.

    The interpreter waits for the threads of executors, and a call of a model in one of them cannot
    be interrupted. Nothing is cleaned up, and buffered streams are not written.

    Args:
        seconds: Delay from now.
        exit_code: Exit code of the process.

    Returns:
        The timer, which can be cancelled.
    """
    timer = threading.Timer(seconds, os._exit, [exit_code])
    timer.daemon = True
    timer.start()
    return timer


def end_with_parent(parent: int, number: signal.Signals) -> bool:
    """Has the system send a signal to this process when the thread that started it ends.

    Works on Linux (`PR_SET_PDEATHSIG`, prctl(2)); on other systems, nothing happens.

    Args:
        parent: Id of the process that started this one.
        number: Signal to send.

    Returns:
        Whether the parent still runs; if not, the signal will never be sent.
    """
    if sys.platform != "linux":
        return True
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, number)
    return os.getppid() == parent
