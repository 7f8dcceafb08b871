"""Runs of programs, with what they cost."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[1]
# Machines that build set it. Each start would then compile all modules of the project again, which
# takes half a second and which no installed program does.
_NO_BYTECODE: Final = "PYTHONDONTWRITEBYTECODE"


@dataclass(frozen=True)
class ProcessRun:
    """A program that ended with success, its own processes included.

    Attributes:
        output: Standard output.
        seconds: Wall time.
        cpu_seconds: Time on all cores, in the program and in the system.
        peak_mib: Most memory of the largest of its processes, in MiB.
    """

    output: str
    seconds: float
    cpu_seconds: float
    peak_mib: float


def run_module(module: str, arguments: Sequence[str]) -> ProcessRun:
    """Runs a module of this project in a new Python, which keeps its bytecode for the next.

    Args:
        module: Dotted name of the module.
        arguments: Arguments of its command.

    Raises:
        SystemExit: The program failed; the message has the last line that it printed.
    """
    command = [sys.executable, "-m", module, *arguments]
    environment = {name: value for name, value in os.environ.items() if name != _NO_BYTECODE}
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=_ROOT, env=environment, stdout=output, stderr=errors
        )
        # Unlike `Popen.wait`, this tells what the process and its children have used.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        for file in (output, errors):
            file.seek(0)
        if process.returncode:
            last = errors.read().strip().rpartition("\n")[2]
            raise SystemExit(f"{module} {' '.join(arguments)}: exit {process.returncode}: {last}")
        return ProcessRun(
            output=output.read(),
            seconds=seconds,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            peak_mib=usage.ru_maxrss / 1024,
        )
