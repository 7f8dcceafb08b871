"""The end of a process whose threads would not let it end."""

from __future__ import annotations

import os
import threading


def end_process_after(seconds: float, exit_code: int) -> threading.Timer:
    """Ends this process that long from now, whatever it does by then, if it has not ended before.

    The interpreter waits for the threads of executors, and a call of a model in one of them cannot
    be broken off. Nothing is cleaned up, nor are buffered streams written.

    Returns:
        The timer, which can be cancelled.
    """
    timer = threading.Timer(seconds, os._exit, [exit_code])
    timer.daemon = True
    timer.start()
    return timer
