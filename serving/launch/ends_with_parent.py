"""Runs a program that ends with the process that started it, even one that is killed.

    python -m serving.launch.ends_with_parent PARENT PROGRAM [ARGUMENT ...]

The program takes this process's place. Linux sends it SIGTERM at the end of the parent, or of the
thread of the parent that started it (`PR_SET_PDEATHSIG`, prctl(2)); other systems know no such
thing, and there the program is on its own.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

_SET_PARENT_DEATH_SIGNAL: Final = 1
# As a shell says that a program was found and cannot be run.
_CANNOT_BE_RUN: Final = 126


def main() -> int:
    """Returns an exit code only if the program could not take over."""
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
        if os.getppid() != int(parent):
            # It was gone before the signal was asked for.
            return 0
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        # Python ignores them, which the program would inherit.
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: cannot be run: {error.strerror}", file=sys.stderr)
    return _CANNOT_BE_RUN


if __name__ == "__main__":
    sys.exit(main())
