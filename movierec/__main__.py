"""Runs the `movierec` command: `movierec`, or `python -m movierec`.

The commands import for a second or more, and for many on a starved machine. So signals are handled
first, and nothing that takes time is imported before: not even the modules that have these values.
"""

import os
import signal
import sys


def main() -> None:
    """Runs a command. A signal that comes while it is imported ends it with a line."""
    # As in `serving.shutdown`: under nohup, the process outlives its terminal.
    previous = {
        number: signal.signal(number, _end)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        from movierec.cli import app

        app.main()
    finally:
        for number, former in previous.items():
            signal.signal(number, former)


def _end(*_: object) -> None:
    """Ends the process at once: half-imported modules may catch any exception."""
    try:  # noqa: SIM105 - contextlib is one more import
        sys.stdout.flush()
    except (AttributeError, OSError, RuntimeError, ValueError):
        # It may be closed, or being written.
        pass
    try:  # noqa: SIM105
        os.write(2, b"movierec: interrupted\n")
    except OSError:
        pass
    os._exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
