"""Runs the `movierec` command: `movierec`, or `python -m movierec`.

The commands import for a second or more. What is imported here takes a few hundredths of one, so
that hardly any moment is left in which a signal ends the process without a line.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, NoReturn

from movierec.cli.exit_codes import INTERRUPTED
from pipeline.config.errors import LINE_START
from serving.shutdown import handle_stop_signals


def main() -> NoReturn:
    """Runs a command. A signal that comes while it is imported ends it with a line."""
    with handle_stop_signals(_end):
        from movierec.cli import app

        app.main()


def _end(*_: Any) -> NoReturn:
    """Ends the process at once: half-imported modules may catch any exception."""
    with contextlib.suppress(OSError, RuntimeError):
        sys.stdout.flush()
    os.write(sys.stderr.fileno(), f"{LINE_START}interrupted\n".encode())
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
